"""How often is the true error of a certified class larger than promised, once a whole router has been fitted?

Rows are drawn whose true class probabilities are known, so that the true error of every auto route is computed, not
sampled. A classifier is cross-fitted, calibrated and certified on them; what counts is the model that then serves new
rows. The promise is kept where the rate of violations of each class is at most 1 - confidence = 0.1: with a holdout
by proof, with out-of-fold rows (cv) by experience. "rows twice" puts a near copy beside every row, in other folds
("plain") or in the same fold ("grouped"); no promise covers either, and the figures say what that costs.

    python benchmarks/sim_certified_router.py [--quick] [--draws N] [--json]
"""  # noqa: D400

import argparse
import json
import math
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from _common import environment
from sklearn import config_context
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from skroute import CertifiedPolicy, RoutingClassifier
from skroute.datasets import make_tickets
from skroute.exceptions import RareClassWarning, UncertifiedClassWarning

SEED = 0
DRAWS, QUICK = 300, 5
TEST_ROWS = 20_000
MAX_ERROR, CONFIDENCE = 0.1, 0.9
JITTER = 1e-3


class Gaussians:
    """Three classes of unequal shares whose features are normal: logistic regression is the right model."""

    shares = np.array([0.55, 0.30, 0.15])
    centers = np.array([[1.1, 0.0, 0.0, 0.0], [-0.6, 1.0, 0.0, 0.0], [-0.4, -1.0, 0.5, 0.0]])
    recall_class: Any = 2

    def draw(self, n_rows: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        """Return features, labels and the true probabilities of the classes."""
        labels = rng.choice(len(self.shares), size=n_rows, p=self.shares)
        X = self.centers[labels] + rng.normal(size=(n_rows, self.centers.shape[1]))
        logs = np.log(self.shares) - ((X[:, None, :] - self.centers) ** 2).sum(axis=2) / 2.0
        chances = np.exp(logs - logs.max(axis=1, keepdims=True))
        return X, labels, chances / chances.sum(axis=1, keepdims=True)


class Tickets:
    """Tickets of seven classes, as forty directions of their words; no linear model is right about the rare one."""

    recall_class: Any = "security_incident"

    def __init__(self, n_rows: int) -> None:
        tickets = make_tickets(n_rows, random_state=SEED)
        words = TfidfVectorizer(min_df=2).fit_transform(tickets.data)
        self.X = TruncatedSVD(40, random_state=SEED).fit_transform(words)
        self.labels, self.chances = tickets.target, tickets.target_proba

    def draw(self, n_rows: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        """Return some of the rows."""
        rows = rng.choice(len(self.X), size=n_rows, replace=False)
        return self.X[rows], self.labels[rows], self.chances[rows]


@dataclass(frozen=True)
class Case:
    """One cell of the table."""

    model: str
    n_rows: int
    method: str = "sigmoid"
    source: str = "gaussians"
    holdout: float | None = None
    ensemble: bool = False
    # "once", or "twice" with a near copy of each row.
    rows: str = "once"
    grouped: bool = False
    policy: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the table calls the case."""
        where = "cv" if self.holdout is None else f"holdout {self.holdout:g}"
        extra = [name for name in ("joint", "min_recall") if self.policy.get(name)]
        extra += ["ensemble"] * self.ensemble
        extra += [f"rows twice, {'grouped' if self.grouped else 'plain'}"] * (self.rows == "twice")
        return f"{self.source} {self.model} {self.method} n={self.n_rows} {where}" + "".join(f", {e}" for e in extra)


RECALL = {"min_recall": 0.9}
CASES = [
    *(Case(model, 600, method) for model in ("LR", "RF") for method in ("sigmoid", "isotonic", "auto")),
    *(Case(model, 2000, holdout=0.4) for model in ("LR", "RF")),
    Case("LR", 2000, "sigmoid"),
    Case("RF", 600, ensemble=True),
    Case("LR", 600, policy={"joint": True}),
    Case("LR", 2000, holdout=0.4, policy={"joint": True}),
    Case("LR", 600, policy=RECALL),
    Case("LR", 2000, holdout=0.4, policy=RECALL),
    *(Case(model, 600, rows="twice", grouped=grouped) for model in ("LR", "RF") for grouped in (False, True)),
    *(
        Case(model, 1000, holdout=0.4, rows="twice", grouped=grouped)
        for model in ("LR", "RF")
        for grouped in (False, True)
    ),
    Case("LR", 1000, source="tickets"),
    Case("LR", 1000, "auto", source="tickets"),
    Case("LR", 2000, source="tickets", holdout=0.4),
]


def classifier(name: str, seed: int) -> Any:
    """Return the unfitted classifier."""
    if name == "LR":
        return LogisticRegression(C=10.0, max_iter=300)
    return RandomForestClassifier(20, min_samples_leaf=3, random_state=seed)


def fit_router(case: Case, X: Any, y: Any, groups: Any, recall_class: Any, seed: int) -> RoutingClassifier:
    """Fit the router of a case."""
    settings = dict(case.policy)
    if "min_recall" in settings:
        settings["min_recall"] = {recall_class: settings["min_recall"]}
    policy = CertifiedPolicy(MAX_ERROR, confidence=CONFIDENCE, margin=None, max_entropy=None, **settings)
    router = RoutingClassifier(
        classifier(case.model, seed),
        method=case.method,
        policy=policy,
        holdout=case.holdout,
        ensemble=case.ensemble,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncertifiedClassWarning)
        warnings.simplefilter("ignore", RareClassWarning)
        if not case.grouped:
            return router.fit(X, y)
        with config_context(enable_metadata_routing=True):
            router.set_params(cv=StratifiedGroupKFold(5).set_split_request(groups=True))
            return router.fit(X, y, groups=groups)


def one_draw(case: Case, source: Any, seed: int) -> dict[str, Any]:
    """Return which classes were certified, which of them break the promise, and the share of auto routes."""
    rng = np.random.default_rng([SEED, seed])
    n_distinct = case.n_rows // 2 if case.rows == "twice" else case.n_rows
    X, y, _ = source.draw(n_distinct, rng)
    groups = np.arange(n_distinct)
    if case.rows == "twice":
        # Copies stand far from each other, so that folds in order of the rows part them.
        X, y, groups = np.concatenate([X, X + JITTER * rng.normal(size=X.shape)]), np.tile(y, 2), np.tile(groups, 2)
    router = fit_router(case, X, y, groups, source.recall_class, seed)
    new, _, chances = source.draw(TEST_ROWS, rng)
    proba = router.predict_proba(new)
    route, top = router.policy_.decide(proba), proba.argmax(axis=1)
    certified, broken = [], []
    for place, label in enumerate(router.classes_):
        routed = (route == "auto") & (top == place)
        certified.append(router.policy_.certificates_.of(label)["status"] == "certified")
        broken.append(bool(routed.any()) and float((1.0 - chances[routed, place]).mean()) > MAX_ERROR)
    found: dict[str, Any] = {"certified": certified, "broken": broken, "coverage": float((route == "auto").mean())}
    if "min_recall" in case.policy:
        place = list(router.classes_).index(source.recall_class)
        caught = (route == "watch") | ((route == "auto") & (top == place))
        recall = chances[caught, place].sum() / chances[:, place].sum()
        found["recall_broken"] = bool(recall < case.policy["min_recall"])
    return found


def simulate(case: Case, source: Any, draws: int) -> dict[str, Any]:
    """Return rates over all draws, with standard errors."""
    found = [one_draw(case, source, seed) for seed in range(draws)]
    certified, broken = (np.array([one[name] for one in found]) for name in ("certified", "broken"))
    rates = {"worst_class": broken.mean(axis=0).max(), "any_class": broken.any(axis=1).mean()}
    if "recall_broken" in found[0]:
        rates["recall"] = np.mean([one["recall_broken"] for one in found])
    return {
        "case": case.name,
        "draws": draws,
        **{name: float(rate) for name, rate in rates.items()},
        **{f"{name}_error": math.sqrt(rate * (1.0 - rate) / draws) for name, rate in rates.items()},
        "certified": float(certified.mean()),
        "coverage": float(np.mean([one["coverage"] for one in found])),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} draws a case: whether it runs")
    parser.add_argument("--json", action="store_true", help="print one JSON line a case, and one for the machine")
    parser.add_argument("--draws", type=int, default=DRAWS, help="draws a case (default: %(default)s)")
    options = parser.parse_args()
    draws = QUICK if options.quick else options.draws
    sources = {"gaussians": Gaussians(), "tickets": Tickets(30_000)}
    if options.json:
        print(json.dumps(environment()))
    else:
        print(f"Share of {draws} draws in which a promise is broken (standard error); promised: at most 0.1 a class.")
        names = ("worst class", "any class", "recall", "certified", "coverage")
        print(f"{'case':<62}" + "".join(f"{name:>15}" for name in names))
    for case in CASES:
        row = simulate(case, sources[case.source], draws)
        if options.json:
            print(json.dumps(row), flush=True)
            continue
        cells = [
            f"{row[name]:.3f} ({row[f'{name}_error']:.3f})" if name in row else "-"
            for name in ("worst_class", "any_class", "recall")
        ]
        cells += [f"{row[name]:.3f}" for name in ("certified", "coverage")]
        print(f"{row['case']:<62}" + "".join(f"{cell:>15}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
