"""How good is the probability of a rare class after calibration, by the number of its rows?

Draws docs/rare_class.png: generated tickets, whose true probabilities are known; one classifier; calibrators fitted on
more and more of them. Needs matplotlib.
"""  # noqa: D400

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skroute.calibration._methods import make_calibrator
from skroute.datasets import make_tickets

LABEL = "security_incident"
SIZES, DRAWS = (350, 1000, 3000, 10_000, 30_000), 12
METHODS = {
    "none": ("tab:gray", "no calibration"),
    "isotonic": ("tab:red", "isotonic, one-vs-rest"),
    "sigmoid": ("tab:orange", "sigmoid, one-vs-rest"),
    "temperature": ("tab:green", "temperature"),
    "vector": ("tab:purple", "vector"),
    "auto": ("tab:blue", "auto"),
}


def distance(truth: NDArray[np.float64], stated: NDArray[np.float64]) -> float:
    """Return the mean Kullback-Leibler divergence of stated from true probabilities of one event, in millinats."""
    stated = np.clip(stated, 1e-12, 1.0 - 1e-12)
    return float(1000 * (rel_entr(truth, stated) + rel_entr(1.0 - truth, 1.0 - stated)).mean())


def measure() -> tuple[list[float], dict[str, NDArray[np.float64]]]:
    """Return mean rows of the class for each size, and the distances of each method, shape (n_sizes, n_draws)."""
    train, new = make_tickets(5000, random_state=0), make_tickets(20_000, random_state=1)
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=5, max_iter=300))
    model.fit(train.data, train.target)
    place = int(np.flatnonzero(train.target_names == LABEL)[0])
    scores, truth = model.decision_function(new.data), new.target_proba[:, place]
    found = {name: np.empty((len(SIZES), DRAWS)) for name in METHODS}
    rows = np.empty((len(SIZES), DRAWS))
    for draw in range(DRAWS):
        pool = make_tickets(max(SIZES), random_state=100 + draw)
        pool_scores = model.decision_function(pool.data)
        for i, size in enumerate(SIZES):
            rows[i, draw] = (pool.target[:size] == LABEL).sum()
            for name in METHODS:
                calibrator = make_calibrator(name, kind="scores")
                calibrator.fit(pool_scores[:size], pool.target[:size], classes=model.classes_)
                found[name][i, draw] = distance(truth, calibrator.predict_proba(scores)[:, place])
    return rows.mean(axis=1).tolist(), found


def main() -> None:
    rows, found = measure()
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for name, (colour, label) in METHODS.items():
        low, middle, high = np.quantile(found[name], [0.1, 0.5, 0.9], axis=1)
        axes.plot(rows, middle, "o-", color=colour, label=label, linewidth=2.2 if name == "auto" else 1.3, markersize=4)
        axes.fill_between(rows, low, high, color=colour, alpha=0.10, linewidth=0)
        print(f"{name:12}", *(f"{value:8.2f}" for value in middle))
    axes.set(
        xscale="log", ylim=(20, 56), xlabel=f"calibration rows of the class {LABEL}",
        ylabel="distance from the true probability\n(KL divergence, millinats; lower is better)",
        title="A rare class after calibration",
    )  # fmt: skip
    worst = np.median(found["isotonic"][0])
    axes.text(rows[0], 53.5, f" isotonic: {worst:.0f} at {rows[0]:.0f} rows", color="tab:red", fontsize=9)
    axes.set_xticks(rows, [f"{value:.0f}" for value in rows])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    figure.savefig(Path(__file__).with_name("rare_class.png"), dpi=130)


if __name__ == "__main__":
    main()
