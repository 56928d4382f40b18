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
from skroute.exceptions import UnlikeFoldsWarning


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
    for params in ({}, {"cv": 5}, {"cv": StratifiedKFold(5)}, {"ensemble": True}, remembered, remembered):
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
        RoutingClassifier(LogisticRegression(), cv=KFold(4)).fit(X, y)
        RoutingClassifier(LogisticRegression()).fit(X[order], y[order])


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
