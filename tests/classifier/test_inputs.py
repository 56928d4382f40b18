import enum

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from skroute import RoutePolicy, RoutingClassifier
from skroute.classifier._inputs import check_data, encode_targets

X = np.random.default_rng(0).normal(size=(60, 3))
Y = np.repeat(["a", "b", "c"], 20)


class Counting(LogisticRegression):
    n_fits = 0

    def fit(self, X, y, sample_weight=None):
        Counting.n_fits += 1
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"policy": RoutePolicy(thresholds={"aa": 0.5})}, "names 'aa', which is not a class. Did you mean 'a'"),
        ({"policy": RoutePolicy(watch={"d": 0.5})}, "names 'd', which is not a class"),
        ({"policy": RoutePolicy(margin=3)}, "'margin' parameter"),
        ({"method": {"d": "isotonic"}}, "names 'd', which is not a class"),
    ],
)
def test_mistakes_are_found_before_anything_is_fitted(parameters, message):
    Counting.n_fits = 0
    with pytest.raises(ValueError, match=message):
        RoutingClassifier(Counting(), **parameters).fit(X, Y)
    assert Counting.n_fits == 0


def test_classes_of_a_frozen_classifier_count():
    frozen = FrozenEstimator(LogisticRegression().fit(X, Y))
    classes, codes = encode_targets(np.array(["b", "z"]), frozen)
    assert classes.tolist() == ["a", "b", "c", "z"]
    assert codes.tolist() == [1, 3]


def test_labels_of_another_type_than_the_frozen_ones_are_refused():
    frozen = FrozenEstimator(LogisticRegression().fit(X, Y))
    with pytest.raises(ValueError, match="labels like those of the frozen estimator"):
        encode_targets(np.array([1, 2]), frozen)


def test_rows_are_checked_together():
    with pytest.raises(ValueError, match="sample_weight must have one value a row"):
        check_data(X, Y, np.ones(3))


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_missing_label_is_told_of_y(missing):
    y = pd.Series(Y, dtype=object)
    y[7] = missing
    with pytest.raises(ValueError, match="y must hold labels of one type, without missing values"):
        check_data(X, y, None)
    with pytest.raises(ValueError, match="y must hold labels of one type, without missing values"):
        check_data(X, y.tolist(), None)


class Team(str, enum.Enum):  # noqa: UP042
    """Texts that NumPy would call by other names."""

    NETWORK = "network and telephones"
    UNLOCK = "unlock"


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


def test_texts_of_an_enumeration_are_whole():
    teams = [Team.NETWORK, Team.UNLOCK] * 30
    router = RoutingClassifier(LogisticRegression()).fit(X, teams)
    assert router.classes_.tolist() == ["network and telephones", "unlock"]
    assert set(router.predict(X)) <= set(Team)


def test_labels_that_cannot_be_sorted_are_told_so():
    with pytest.raises(ValueError, match="y must hold labels that can be sorted; got Level"):
        check_data(X, [Level.LOW, Level.HIGH] * 30, None)


class Gapless(LogisticRegression):
    """As XGBoost, it wants labels from 0 on without a gap."""

    def fit(self, X, y, sample_weight=None):
        if not np.array_equal(np.unique(y), np.arange(len(np.unique(y)))):
            raise ValueError("labels have a gap")
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_fold_that_lacks_a_class_is_told_where_its_classifier_fails(n_jobs):
    y = np.arange(60) % 2 * 2
    y[30] = 1
    with pytest.raises(ValueError, match="labels have a gap") as caught:
        RoutingClassifier(Gapless(), n_jobs=n_jobs).fit(X, y)
    assert "no training row is of class 1, which Gapless may not bear" in caught.value.__notes__[0]
    with pytest.raises(ValueError, match="labels have a gap") as caught:
        RoutingClassifier(Gapless()).fit(X, np.arange(60) % 2 * 2)
    assert not hasattr(caught.value, "__notes__")
