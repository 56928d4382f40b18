"""How much faster are folds and classes fitted by two workers than by one, where the work is large?

`n_jobs=2` against `n_jobs=1` of RoutingClassifier: a forest, whose folds are the work; a linear model of many classes,
with a calibrator for each; a small one, which is fitted before a worker has its rows; and a frozen model that returns
stored scores, whose calibrators are all the work. The same for CalibratedClassifierCV. Workers are started before the
clock. No goal: on a shared machine the second core may be taken. Memory is that of the parent process alone.

Run with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; only the ratios mean anything on a shared machine.
"""  # noqa: D400

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from _common import compare, environment, parser, report
from _replays import Replay
from bench_reliability import make_data
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.naive_bayes import GaussianNB

from skroute import RoutingClassifier

Job = tuple[Any, str, Any, Any]
# Fewer rows by this factor, and fewer trees.
QUICK, N_TREES, N_QUICK_TREES = 10, 50, 10


def jobs(factor: int) -> dict[str, Job]:
    """Return classifier, method, rows and labels by name."""
    n_trees, n_rows = N_TREES if factor == 1 else N_QUICK_TREES, 4_000 // factor
    X, y = make_classification(n_rows, 50, n_informative=20, n_classes=5, random_state=0)
    n_many = 40_000 // factor
    X_many, y_many = make_classification(
        n_many, 30, n_informative=20, n_classes=50, n_clusters_per_class=1, random_state=0
    )
    n_few = 2_000 // factor
    n_stored = 200_000 // factor
    y_stored, proba = make_data(n_stored, 20)
    return {
        f"{n_rows} x 50, {n_trees} trees": (RandomForestClassifier(n_trees, random_state=0), "auto", X, y),
        f"{n_many} x 30, 50 classes": (GaussianNB(), "isotonic", X_many, y_many),
        f"{n_few} x 50": (GaussianNB(), "isotonic", X[:n_few], y[:n_few]),
        f"stored scores, {n_stored} x 20": (FrozenEstimator(Replay(20)), "isotonic", proba, y_stored),
    }


def time_workers(name: str, job: Job, n_rounds: int) -> list[dict[str, Any]]:
    """Compare two workers with one, of our classifier and of scikit-learn's."""
    classifier, method, X, y = job
    ours = RoutingClassifier(classifier, method=method)
    theirs = CalibratedClassifierCV(classifier, method="isotonic", ensemble=False)

    def fit(model: Any, n_jobs: int) -> Callable[[], Any]:
        return lambda: clone(model).set_params(n_jobs=n_jobs).fit(X, y)

    alone, shared = fit(ours, 1)(), fit(ours, 2)()
    np.testing.assert_array_equal(alone.predict_proba(X[:1000]), shared.predict_proba(X[:1000]))
    cases = []
    for whose, model in (("two workers", ours), ("two workers of scikit-learn", theirs)):
        what = f"{whose}, {name}, {model.method}"
        cases += compare(what, fit(model, 2), {"one worker": fit(model, 1)}, n_rounds)
    return cases


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__).parse_args(argv)
    cases = []
    for name, job in jobs(QUICK if options.quick else 1).items():
        cases += time_workers(name, job, options.rounds)
    report(cases, environment("joblib"), as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
