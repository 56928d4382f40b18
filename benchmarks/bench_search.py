"""How much longer than one calibrated cross-validation does a search over 64 policies take, when fits are remembered?

GridSearchCV over 8 thresholds x 8 margins of RoutingClassifier(memory=...), five folds, against one cross_validate of
CalibratedClassifierCV with the same classifier, method and inner folds. Each search starts with an empty cache on disk,
and neither of the two refits the best on all rows. Units beside it: one cross_validate of RoutingClassifier, which also
measures reliability; and by hand, the same classifiers of scikit-learn fitted once a fold, with plain gates and costs
for each of the policies. The scores of some candidates must equal those of a search without the cache.

Run with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; only the ratios mean anything on a shared machine.
"""  # noqa: D400

import itertools
import sys
import tempfile
import warnings
from typing import Any

import numpy as np
from _common import environment, parser, peak_memory, report, rounds, timed
from bench_gates import log_entropy
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate

from skroute import RoutingClassifier
from skroute.exceptions import DeadGateWarning
from skroute.metrics import RouteScorer

FOLDS = StratifiedKFold(5)
METHOD, INNER_FOLDS = "isotonic", 3
GOAL, STRETCH = 1.5, 1.25
MAX_ENTROPY, WRONG_COST = 0.45, 10.0
# Thresholds, and as many margins.
N_LEVELS, N_QUICK_LEVELS = 8, 4


class Grid:
    """The thresholds and margins of all candidates."""

    def __init__(self, n_levels: int) -> None:
        self.thresholds = np.linspace(0.50, 0.99, n_levels).tolist()
        self.margins = np.linspace(0.0, 0.7, n_levels).tolist()

    def all(self) -> dict[str, list[float]]:
        """Return the grid of the search."""
        return {"policy__threshold": self.thresholds, "policy__margin": self.margins}

    def some(self) -> dict[str, list[float]]:
        """Return candidates whose scores are compared with those of a search that remembers nothing."""
        return {"policy__threshold": [self.thresholds[0], self.thresholds[-1]], "policy__margin": self.margins[1:2]}

    def by_hand(self) -> list[tuple[float, float]]:
        """Return margin and threshold of each candidate, in the order of scikit-learn."""
        return list(itertools.product(self.margins, self.thresholds))


def data_sets(quick: bool) -> dict[str, tuple[Any, NDArray[np.float64], NDArray[np.intp]]]:
    """Return classifier, rows and labels by name."""
    digits = load_digits(return_X_y=True)
    n_trees, n_rows = (5, 1000) if quick else (50, 20_000)
    made = make_classification(n_rows, 50, n_informative=20, n_classes=5, class_sep=1.5, random_state=0)
    return {
        f"digits, {n_trees} trees": (RandomForestClassifier(n_trees, random_state=0), *digits),
        f"{n_rows} x 50, logistic regression": (LogisticRegression(max_iter=1000), *made),
    }


def search(router: RoutingClassifier, grid: dict[str, Any], X: Any, y: Any, memory: Any = None) -> GridSearchCV:
    """Search without a last fit on all rows."""
    model = clone(router).set_params(memory=memory)
    return GridSearchCV(model, grid, cv=FOLDS, scoring=RouteScorer(["neg_cost"]), refit=False).fit(X, y)


def search_by_hand(calibrated: CalibratedClassifierCV, grid: Grid, X: Any, y: Any) -> NDArray[np.float64]:
    """Return the mean score of each candidate, from one fit a fold and plain gates."""
    policies = grid.by_hand()
    scores = np.empty((FOLDS.get_n_splits(), len(policies)))
    for fold, (train, test) in enumerate(FOLDS.split(X, y)):
        model = clone(calibrated).fit(X[train], y[train])
        proba = model.predict_proba(X[test])
        ordered = np.partition(proba, -2, axis=1)
        certain = log_entropy(proba) / np.log(proba.shape[1]) <= MAX_ENTROPY
        price = WRONG_COST * (model.classes_[proba.argmax(axis=1)] != y[test])
        for i, (margin, threshold) in enumerate(policies):
            auto = (ordered[:, -1] >= threshold) & (ordered[:, -1] - ordered[:, -2] >= margin) & certain
            scores[fold, i] = -np.where(auto, price, 1.0).mean()
    means: NDArray[np.float64] = scores.mean(axis=0)
    return means


def time_search(name: str, grid: Grid, classifier: Any, X: Any, y: Any, n_rounds: int) -> list[dict[str, Any]]:
    """Compare one search with one cross-validation."""
    settings = {"method": METHOD, "cv": INNER_FOLDS, "ensemble": False}
    calibrated, router = CalibratedClassifierCV(classifier, **settings), RoutingClassifier(classifier, **settings)

    def ours() -> GridSearchCV:
        with tempfile.TemporaryDirectory() as folder:
            return search(router, grid.all(), X, y, folder)

    calls = {
        "ours": ours,
        "one cross_validate of scikit-learn": lambda: cross_validate(calibrated, X, y, cv=FOLDS, scoring="accuracy"),
        "one cross_validate of ours": lambda: cross_validate(router, X, y, cv=FOLDS, scoring=RouteScorer(["neg_cost"])),
        "by hand": lambda: search_by_hand(calibrated, grid, X, y),
    }
    found, unremembered = ours().cv_results_, search(router, grid.some(), X, y).cv_results_
    for params, score in zip(unremembered["params"], unremembered["mean_test_neg_cost"], strict=True):
        np.testing.assert_array_equal(found["mean_test_neg_cost"][found["params"].index(params)], score)
    # Calibrated probabilities differ in the last digits, and a row may lie on a threshold.
    np.testing.assert_allclose(found["mean_test_neg_cost"], calls["by hand"](), atol=WRONG_COST * 5 / len(y))
    seconds, memory = rounds(calls, n_rounds), {call: peak_memory(calls[call]) for call in calls}
    return [
        timed(
            f"search of {len(grid.by_hand())} policies, {name} / {peer}",
            seconds["ours"],
            seconds[peer],
            goal=GOAL if peer.endswith("scikit-learn") else None,
            stretch=STRETCH if peer.endswith("scikit-learn") else None,
            at_most=True,
            ours_mb=memory["ours"],
            peer_mb=memory[peer],
        )
        for peer in list(calls)[1:]
    ]


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__).parse_args(argv)
    cases = []
    grid = Grid(N_QUICK_LEVELS if options.quick else N_LEVELS)
    with warnings.catch_warnings():
        # Some of the 64 thresholds can stop no row.
        warnings.simplefilter("ignore", DeadGateWarning)
        for name, (classifier, X, y) in data_sets(options.quick).items():
            cases += time_search(name, grid, classifier, X, y, options.rounds)
    report(cases, environment("joblib"), as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
