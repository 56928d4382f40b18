import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from skroute import RoutingClassifier
from skroute.classifier._response import (
    is_frozen,
    needs_kernel_columns,
    response_name,
    scores,
    take,
    take_params,
    take_split,
)

ROWS = np.array([2, 0])


class Fixed:
    """A fitted classifier that gives the same scores whatever it is asked."""

    def __init__(self, classes, values):
        self.classes_ = np.array(classes)
        self.values = values

    def decision_function(self, X):
        return self.values


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([1, 2, 3]), [3, 1]),
        ([1, 2, 3], [3, 1]),
        (("a", "b", "c"), ["c", "a"]),
        (pd.Series([1, 2, 3], index=[7, 0, 2]), [3, 1]),
        (pl.Series([1, 2, 3]), [3, 1]),
        (range(1, 4), [3, 1]),
    ],
)
def test_rows_are_taken_by_position_from_any_container(values, expected):
    assert list(take(values, ROWS)) == expected


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, sparse.csr_array, np.array])
def test_rows_of_a_table_keep_its_kind(make):
    table = make(np.arange(6).reshape(3, 2))
    part = take(table, ROWS)
    assert type(part) is type(table)
    dense = part.toarray() if hasattr(part, "toarray") else np.asarray(part)
    assert_array_equal(dense, [[4, 5], [0, 1]])


def test_parameters_with_one_entry_a_row_are_cut_and_others_are_not():
    given = {
        "weight": np.array([1.0, 2.0, 3.0]),
        "names": ["a", "b", "c"],
        "text": "abc",
        "table": {"x": 1, "y": 2, "z": 3},
        "scalar": np.float64(3),
        "none": None,
        "short": [1, 2],
    }
    cut = take_params(given, ROWS, 3)
    assert cut.pop("weight").tolist() == [3.0, 1.0]
    assert cut.pop("names") == ["c", "a"]
    assert all(cut[name] is given[name] for name in cut)


def test_a_kernel_is_cut_on_both_axes_unless_its_columns_are_those_of_a_frozen_model():
    kernel = np.arange(9).reshape(3, 3)
    svc = SVC(kernel="precomputed")
    assert_array_equal(take_split(svc, kernel, ROWS, np.array([1])), [[7], [1]])
    assert_array_equal(take_split(FrozenEstimator(svc), kernel, ROWS, np.array([1])), kernel[ROWS])
    assert_array_equal(take_split(SVC(), kernel, ROWS, np.array([1])), kernel[ROWS])
    assert (needs_kernel_columns(svc), needs_kernel_columns(FrozenEstimator(svc))) == (True, False)


def test_a_pipeline_is_frozen_where_its_last_step_is():
    assert is_frozen(FrozenEstimator(SVC()))
    assert is_frozen(make_pipeline(StandardScaler(), FrozenEstimator(SVC())))
    assert not is_frozen(make_pipeline(FrozenEstimator(StandardScaler()), SVC()))


@pytest.mark.parametrize(
    ("estimator", "proba_first", "name"),
    [
        (LogisticRegression(), False, "decision_function"),
        (LogisticRegression(), True, "predict_proba"),
        (LinearSVC(), True, "decision_function"),
        (GaussianNB(), False, "predict_proba"),
        (DummyClassifier(), False, "predict_proba"),
    ],
)
def test_decision_values_go_before_probabilities_unless_these_are_wanted(estimator, proba_first, name):
    assert response_name(estimator, proba_first) == name


def test_one_decision_value_becomes_a_pair_with_its_difference():
    assert_array_equal(scores(Fixed([0, 1], [3.0, -1.0]), None, np.arange(2)), [[-1.5, 1.5], [0.5, -0.5]])


def test_unknown_classes_have_a_column_of_nan():
    placed = scores(Fixed(["c", "a"], [[1.0, 2.0]]), None, np.array(["a", "b", "c"]))
    assert_array_equal(placed, [[2.0, np.nan, 1.0]])
    binary = scores(Fixed([0, 2], [4.0]), None, np.arange(3))
    assert_array_equal(binary, [[-2.0, np.nan, 2.0]])


@pytest.mark.parametrize(
    ("classes", "values", "message"),
    [
        ([0, 1, 2], [[1.0, 2.0]], r"one column for each of its 3 classes, got \(1, 2\)"),
        ([0, 1, 2], [1.0, 2.0], r"3 classes, got \(2,\)"),
        ([0, 1], [[1.0, 2.0], [np.inf, 0.0]], r"finite scores; row 1 holds \[inf, 0.0\]"),
        ([0, 1], [0.0, np.nan], r"finite scores; row 1"),
        ([0, 9], [[1.0, 2.0]], "Fixed.classes_ names 9"),
    ],
)
def test_scores_that_make_no_sense_are_refused(classes, values, message):
    with pytest.raises(ValueError, match=message):
        scores(Fixed(classes, values), None, np.arange(3))


def test_pairs_of_classes_are_refused():
    X, y = load_iris(return_X_y=True)
    for model in (SVC(decision_function_shape="ovo"), make_pipeline(SVC(decision_function_shape="ovo"))):
        with pytest.raises(ValueError, match="set decision_function_shape='ovr'"):
            RoutingClassifier(model).fit(X, y)


def test_what_is_no_classifier_is_refused():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="GaussianMixture must have classes_"):
        RoutingClassifier(GaussianMixture(3, random_state=0), method="none").fit(X, y)


def test_probabilities_that_are_badly_rounded_stay_probabilities():
    X, y = load_iris(return_X_y=True)

    class Rounded(LogisticRegression):
        def predict_proba(self, X):
            return super().predict_proba(X).round(1) * 1.02

    proba = RoutingClassifier(Rounded(max_iter=1000), method="none").fit(X, y).predict_proba(X)
    plain = LogisticRegression(max_iter=1000).fit(X, y).predict_proba(X)
    assert np.abs(proba - plain).max() < 0.1
