"""Answer whether the calibration tests reject as often as they say under the null, and what they see besides.

Draws many data sets whose probabilities are true and counts how often each test of `calibration_test` rejects; then
does the same for three departures. A rejection rate has a standard error of sqrt(rate * (1 - rate) / data sets).

    python benchmarks/sim_calibration_tests.py [--quick]
"""

import argparse

import numpy as np

from skroute.metrics import calibration_test

SEED = 0
DATA_SETS, QUICK = 2000, 200
TESTS = ("spiegelhalter", "ks", "kuiper")
LEVELS = (0.01, 0.05, 0.10)


def draw_rows(rng, chances):
    """Return a class for each row, drawn with the chances in that row."""
    return (rng.random((len(chances), 1)) > np.cumsum(chances, axis=1)[:, :-1]).sum(axis=1)


def true_forecasts(rng, n):
    """Forecasts of one event, all of them true."""
    stated = rng.beta(1.2, 0.8, size=n)
    return {"y_true": rng.random(n) < stated, "y_pred": np.ones(n, dtype=bool), "confidence": stated}


def true_rows(rng, n):
    """Probabilities of three classes, all of them true."""
    proba = rng.dirichlet([1.0, 0.7, 0.5], size=n)
    return {"y_true": draw_rows(rng, proba), "y_prob": proba, "classes": range(3)}


def overconfident(rng, n, temperature=0.7):
    """Probabilities of three classes, sharpened."""
    proba = rng.dirichlet([1.0, 0.7, 0.5], size=n)
    stated = proba ** (1.0 / temperature)
    return {"y_true": draw_rows(rng, proba), "y_prob": stated / stated.sum(axis=1, keepdims=True), "classes": range(3)}


def one_bad_class(rng, n, lost=0.2):
    """State for the last of three classes what in part, a fifth, belongs to the first two."""
    stated = rng.dirichlet([1.0, 0.7, 0.5], size=n)
    chances = stated + lost * stated[:, 2:] * [0.5, 0.5, -1.0]
    return {"y_true": draw_rows(rng, chances), "y_prob": stated, "classes": range(3)}


def s_shape(rng, n, size=0.3):
    """Frequencies that wind around the stated probabilities; without any slope that Spiegelhalter's test could see."""
    stated = rng.random(n)
    x = 2.0 * stated - 1.0
    chance = stated - size * (5.0 * x**3 - 3.0 * x) / 2.0
    return {"y_true": rng.random(n) < chance, "y_pred": np.ones(n, dtype=bool), "confidence": stated}


def simulate_pvalues(draw, n, test, *, kind="top-label", data_sets, seed=SEED):
    """Return one p-value a data set; classwise the smallest one, times the number of classes."""
    rng = np.random.default_rng(seed)
    found = np.array([calibration_test(**draw(rng, n), kind=kind, test=test).pvalue for _ in range(data_sets)])
    return found if found.ndim == 1 else np.minimum(1.0, found.shape[1] * found.min(axis=1))


CASES = [
    *[("true, one event", true_forecasts, n, "top-label") for n in (100, 1000, 5000)],
    *[("true, three classes", true_rows, n, kind) for n in (300, 1000) for kind in ("top-label", "classwise")],
    *[("temperature 0.7", overconfident, n, kind) for n in (300, 1000) for kind in ("top-label", "classwise")],
    *[("one bad class", one_bad_class, n, kind) for n in (1000, 3000) for kind in ("top-label", "classwise")],
    *[("S-shape", s_shape, n, "top-label") for n in (1000, 5000)],
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} data sets in place of {DATA_SETS}")
    data_sets = QUICK if parser.parse_args().quick else DATA_SETS
    print(f"Share of {data_sets} data sets with a p-value of at most the level.")
    print(f"{'data':20} {'rows':>5} {'kind':10} {'test':14}" + "".join(f"{level:>8.0%}" for level in LEVELS))
    for name, draw, n, kind in CASES:
        for test in TESTS:
            pvalues = simulate_pvalues(draw, n, test, kind=kind, data_sets=data_sets)
            rates = "".join(f"{np.mean(pvalues <= level):8.3f}" for level in LEVELS)
            print(f"{name:20} {n:5} {kind:10} {test:14}{rates}", flush=True)


if __name__ == "__main__":
    main()
