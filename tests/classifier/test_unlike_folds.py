"""Folds of neighbouring rows that differ, and what is said of them."""

import warnings

import numpy as np
import pytest
from scipy.stats import chi2_contingency
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold

from skroute import RoutingClassifier
from skroute.classifier import _warnings
from skroute.classifier._warnings import warn_of_unlike_folds
from skroute.exceptions import RareClassWarning, UnlikeFoldsWarning


def sorted_by_source(n_rows=2000, seed=0):
    """Draw rows whose first half is easy, and whose second half is not."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n_rows)
    X = rng.normal(size=(n_rows, 3))
    X[:, 0] += np.where(np.arange(n_rows) < n_rows // 2, 4.0, 0.5) * y
    return X, y


def test_the_default_folds_of_sorted_rows_are_named(tmp_path):
    X, y = sorted_by_source()
    match = r"in 0\.[56]\d of the rows of fold [345] of 5, in 0\.9\d of fold [12]: .*shuffle=True"
    remembered = {"memory": str(tmp_path)}
    folds = [StratifiedKFold(5), KFold(5), list(KFold(5).split(X))]
    for params in ({}, {"cv": 5}, *({"cv": cv} for cv in folds), {"ensemble": True}, remembered, remembered):
        with pytest.warns(UnlikeFoldsWarning, match=match) as caught:
            RoutingClassifier(LogisticRegression(), **params).fit(X, y)
        assert len(caught) == 1


def test_rows_without_weight_do_not_count():
    X, y = sorted_by_source()
    easy = len(y) // 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RoutingClassifier(LogisticRegression()).fit(X, y, sample_weight=(np.arange(len(y)) < easy) * 1.0)
        warn_of_unlike_folds(np.array([0, 900, 900]), np.array([0, 100, 800]))


def test_other_folds_and_shuffled_rows_are_not():
    X, y = sorted_by_source()
    order = np.random.default_rng(0).permutation(len(y))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RoutingClassifier(LogisticRegression(), cv=StratifiedKFold(5, shuffle=True, random_state=0)).fit(X, y)
        RoutingClassifier(LogisticRegression(), cv=KFold(4, shuffle=True, random_state=0)).fit(X, y)
        RoutingClassifier(LogisticRegression()).fit(X[order], y[order])


@pytest.mark.parametrize(("n_folds", "n_rows", "accuracy"), [(100, 20, 0.9995), (100, 40, 0.9995), (200, 20, 0.9997)])
def test_many_small_folds_with_few_errors_are_never_named(n_folds, n_rows, accuracy):
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4000):
            warn_of_unlike_folds(np.full(n_folds, n_rows), rng.binomial(n_rows, accuracy, n_folds))


@pytest.mark.parametrize("seed", [8, 20, 33, 46, 58])
def test_what_calibrators_of_few_rows_do_is_no_fault_of_the_rows(seed):
    """The calibrated top class of a whole fold is another here; that of the classifier is not."""
    rng = np.random.default_rng(seed)
    y = rng.choice(3, 60, p=rng.dirichlet(np.full(3, 0.5)))
    X = rng.normal(size=(60, 4))
    X[np.arange(60), y] += rng.choice([0, 1, 3, 6])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnlikeFoldsWarning)
        warnings.simplefilter("ignore", RareClassWarning)
        RoutingClassifier(LogisticRegression(), method="sigmoid", cv=2).fit(X, y, rng.choice([0, 1, 3, 0.2], 60))


@pytest.mark.parametrize("accuracy", [0.0, 0.1, 0.5, 0.93, 1.0])
def test_equal_folds_are_never_named(accuracy):
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2000):
            n_rows = rng.integers(1, 500, 5)
            warn_of_unlike_folds(n_rows, rng.binomial(n_rows, accuracy))


def test_what_is_too_much_for_chance_is_told_by_the_chi_squared_test(monkeypatch):
    monkeypatch.setattr(_warnings, "LEAST_APART", 0.0)
    rng = np.random.default_rng(0)
    said = []
    for _ in range(300):
        n_rows = rng.integers(50, 500, 5)
        n_right = rng.binomial(n_rows, rng.uniform(0.4, 0.8, 5))
        expected = chi2_contingency([n_right, n_rows - n_right], correction=False).pvalue <= 1e-6
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn_of_unlike_folds(n_rows, n_right)
        assert bool(caught) == expected
        said.append(expected)
    assert 30 < sum(said) < 270
