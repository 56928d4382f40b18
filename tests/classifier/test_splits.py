import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, PredefinedSplit, StratifiedKFold, check_cv
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skroute import RoutePolicy, RoutingClassifier
from skroute.classifier._splits import are_blocks, make_splits, split_holdout
from skroute.exceptions import RareClassWarning

CODES = np.repeat([0, 1, 2], [40, 17, 3])


def splits_of(cv, codes=CODES, **params):
    return make_splits(cv, np.zeros((len(codes), 1)), codes, codes, params, partition=False, apart=True)


class Recording(RoutePolicy):
    """A policy that keeps what it was fitted on."""

    def fit(self, proba, y=None, *, classes=None, sample_weight=None):
        self.seen_ = np.array(proba), np.array(y), sample_weight
        return super().fit(proba, y, classes=classes)


class Remembering(LogisticRegression):
    """A classifier whose first feature is the number of the row, which it writes down."""

    def fit(self, X, y, sample_weight=None):
        self.trained_on_ = X[:, 0].astype(int)
        return super().fit(X[:, 1:], y, sample_weight)

    def decision_function(self, X):
        return super().decision_function(X[:, 1:])


def test_the_default_folds_spread_a_rare_class_as_far_as_it_goes():
    splits = splits_of(None)
    assert len(splits) == 5
    assert_array_equal(np.sort(np.concatenate([test for _, test in splits])), np.arange(60))
    counts = np.array([np.bincount(CODES[test], minlength=3) for _, test in splits])
    assert counts.max(axis=0).tolist() == [8, 4, 1]
    assert counts.min(axis=0).tolist() == [8, 3, 0]
    for train, test in splits:
        assert_array_equal(np.sort(np.r_[train, test]), np.arange(60))


def test_the_default_folds_are_fewer_where_every_class_is_rare():
    assert len(splits_of(None, np.array([0, 0, 0, 1, 1]))) == 3
    with pytest.raises(ValueError, match="every class has one row"):
        splits_of(None, np.array([0, 1, 2]))


@pytest.mark.parametrize("cv", [3, np.int64(3), StratifiedKFold(3)])
def test_numbers_and_splitters_give_scikit_learns_folds(cv):
    for (train, test), (their_train, their_test) in zip(
        splits_of(cv), StratifiedKFold(3).split(CODES, CODES), strict=True
    ):
        assert_array_equal(train, their_train)
        assert_array_equal(test, their_test)


def test_masks_serve_as_rows():
    mask = np.arange(60) % 2 == 0
    for (train, test), odd in zip(splits_of([(mask, ~mask), (~mask, mask)]), (1, 0), strict=True):
        assert_array_equal(test, np.arange(60)[odd::2])
        assert_array_equal(train, np.arange(60)[1 - odd :: 2])


@pytest.mark.parametrize("cv", [4, np.int64(4), StratifiedKFold(4)])
def test_more_folds_than_rows_of_a_class_are_refused(cv):
    with pytest.raises(ValueError, match=r"Requesting 4-fold .* less than 4 examples .* class: \w+ has 3\."):
        splits_of(cv)


def test_groups_reach_the_splitter():
    groups = np.arange(60) // 5
    for train, test in splits_of(GroupKFold(3), groups=groups):
        assert not set(groups[train]) & set(groups[test])


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_the_holdout_takes_its_share_of_every_class(share):
    kept, held = split_holdout(share, CODES, None, 0)
    assert_array_equal(np.sort(np.r_[kept, held]), np.arange(60))
    for n_held, n_rows in zip(np.bincount(CODES[held], minlength=3), (40, 17, 3), strict=True):
        assert np.floor(share * n_rows) <= n_held <= np.ceil(share * n_rows)
    assert_array_equal(split_holdout(share, CODES, None, 0)[1], held)
    assert not np.array_equal(split_holdout(share, CODES, None, 1)[1], held)


def test_every_row_has_the_same_chance_to_be_held_out():
    codes = np.array([0] * 10 + [1] * 7 + [2] * 2 + [3])
    held = np.zeros(20)
    for seed in range(2000):
        held[split_holdout(0.3, codes, None, seed)[1]] += 1
    # Three standard errors of a share of .3 in 2000 draws are .031.
    assert np.abs(held / 2000 - 0.3).max() < 0.045


def test_the_two_largest_classes_keep_a_row_to_fit_on():
    for seed in range(50):
        kept, _ = split_holdout(0.9, np.array([0] * 10 + [1, 2]), None, seed)
        assert kept.min() < 10
        assert 10 in kept


def test_a_class_whose_rows_are_all_held_out_is_never_auto_routed(data):
    X, y, _ = data()
    y = np.where(np.arange(len(y)) == 5, 9, y)
    codes = np.unique(y, return_inverse=True)[1]
    seed = next(seed for seed in range(50) if 5 in split_holdout(0.4, codes, None, seed)[1])
    with pytest.warns(RareClassWarning, match="9"):
        router = RoutingClassifier(LogisticRegression(), holdout=0.4, random_state=seed, method="sigmoid").fit(X, y)
    assert router.policy_.thresholds_[9] == np.inf
    assert router.predict_proba(X).shape == (len(y), len(router.classes_))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.8])
def test_whole_groups_are_held_out(share):
    codes, groups = np.arange(120) % 3, np.arange(120) // 4
    kept, held = split_holdout(share, codes, groups, 0)
    assert_array_equal(np.sort(np.r_[kept, held]), np.arange(120))
    assert not set(groups[kept]) & set(groups[held])
    assert abs(len(held) / 120 - share) < 0.05
    assert len(set(np.bincount(codes[held]))) <= 3


def test_a_holdout_that_is_empty_is_refused():
    with pytest.raises(ValueError, match=r"holdout=0.01 of 20 rows holds out none"):
        split_holdout(0.01, np.repeat([0, 1], 10), None, 0)


def test_a_grouped_holdout_needs_groups_enough():
    with pytest.raises(ValueError, match=r"holdout=0.05 needs at least 20 groups, got 3"):
        split_holdout(0.05, np.repeat([0, 1], 20), np.arange(40) % 3, 0)


def test_groups_that_take_a_whole_class_away_are_refused():
    codes = np.repeat([0, 1], [30, 10])
    with pytest.raises(ValueError, match="leaves no row to fit on for 1 of the classes"):
        split_holdout(0.5, codes, codes, 0)


@pytest.mark.parametrize("ensemble", [False, True])
def test_the_policy_sees_exactly_the_held_out_rows_and_the_models_none_of_them(data, ensemble):
    X, y, weight = data()
    X = np.column_stack([np.arange(len(y)), X])
    router = RoutingClassifier(
        Remembering(), policy=Recording(), holdout=0.25, ensemble=ensemble, cv=3, random_state=4, method="sigmoid"
    ).fit(X, y, weight)
    kept, held = split_holdout(0.25, y, None, 4)
    proba, labels, weights = router.policy_.seen_
    assert_array_equal(labels, y[held])
    assert_array_equal(weights, weight[held])
    assert_array_equal(proba, router.predict_proba(X[held]))
    trained_on = [member.estimator.trained_on_ for member in router.calibrated_classifiers_]
    assert_array_equal(np.unique(np.concatenate(trained_on)), kept)
    # Whole weights stand for as many rows.
    assert router.reliability_.summary().count[0] == weight[kept].sum()
    # Base and calibrators are those of a fit that was never given the held-out rows.
    alone = RoutingClassifier(Remembering(), ensemble=ensemble, cv=3, method="sigmoid").fit(
        X[kept], y[kept], weight[kept]
    )
    assert_array_equal(alone.predict_proba(X), router.predict_proba(X))


def test_whole_groups_are_held_out_where_groups_are_routed(data):
    X, y, _ = data()
    groups = np.arange(len(y)) // 6
    X = np.column_stack([np.arange(len(y)), X])
    with sklearn.config_context(enable_metadata_routing=True):
        router = RoutingClassifier(Remembering(), policy=Recording(), holdout=0.2, cv=GroupKFold(3), random_state=0)
        router.fit(X, y, groups=groups)
    kept = router.estimator_.trained_on_
    held = np.setdiff1d(np.arange(len(y)), kept)
    assert_array_equal(router.policy_.seen_[1], y[held])
    assert held.size == pytest.approx(48, abs=12)
    assert not set(groups[kept]) & set(groups[held])


def test_without_a_holdout_the_policy_sees_every_row(data):
    X, y, weight = data()
    router = RoutingClassifier(LogisticRegression(), policy=Recording()).fit(X, y, weight)
    assert_array_equal(router.policy_.seen_[1], y)
    assert_array_equal(router.policy_.seen_[2], weight)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_folds_are_blocks_where_their_rows_follow_each_other(dtype):
    rows = np.arange(300)
    y = rows % 2

    def blocks(*tests):
        cv = [(np.setdiff1d(rows, test), np.asarray(test, dtype=dtype)) for test in tests]
        return are_blocks(make_splits(cv, rows, y, y, {}, partition=False, apart=True))

    assert blocks(rows[:100], rows[100:200])
    assert not blocks(rows[:100:2], rows[100:200])
    assert not blocks(rows[255::-255], rows[:10])
    assert are_blocks(make_splits(None, rows, y, y, {}, partition=True, apart=True))
    with pytest.raises(ValueError, match=r"numbers of rows, in \[0, 300\), or masks; the test rows of split 0"):
        blocks(rows[:100].reshape(50, 2))


def test_training_and_test_rows_are_apart_unless_the_classifier_is_fitted():
    X, y = load_iris(return_X_y=True)
    rows = np.arange(150)
    half = np.arange(0, 150, 2)
    cv = [(np.append(half, 7), np.setdiff1d(rows, half)), (np.setdiff1d(rows, half), half)]
    with pytest.raises(ValueError, match=r"apart.*split 0 has 1 row in both, such as 7.*FrozenEstimator"):
        RoutingClassifier(LogisticRegression(), cv=cv).fit(X, y)
    with pytest.raises(ValueError, match="split 0 has 150 rows in both, such as 0"):
        RoutingClassifier(LogisticRegression(), cv=[(rows, rows)], ensemble=True).fit(X, y)
    fitted = LogisticRegression(max_iter=1000).fit(X, y)
    router = RoutingClassifier(FrozenEstimator(fitted), cv=[(rows, rows)]).fit(X, y)
    assert len(router.predict_route(X)) == 150
    nested = make_pipeline(FunctionTransformer(), make_pipeline(FunctionTransformer(), FrozenEstimator(fitted)))
    RoutingClassifier(nested, cv=[(rows, rows)]).fit(X, y)


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        ([(range(60), [])], "the test rows of split 0 are none"),
        ([([], range(60))], "the training rows of split 0 are none"),
        ([(np.zeros(60, dtype=bool), range(60))], "the training rows of split 0 are none"),
        ([(range(30), range(30, 60)), (range(30), [-1, 3])], "the test rows of split 1 are from -1 to 3"),
        ([(range(30), range(30, 61))], "the test rows of split 0 are from 30 to 60"),
        ([(range(30), np.ones(59, dtype=bool))], "the test rows of split 0 are a mask of 59 rows, for 60"),
        ([(range(30), [30.0, 31.0])], r"the test rows of split 0 are \[30.0, 31.0\]"),
        ([(range(30), slice(30, 60))], r"the test rows of split 0 are slice\(30, 60, None\)"),
        ([(range(30), range(30, 60), range(3))], "pairs of training and test rows; split 0 is "),
        ([(range(30), np.array([True, 41], dtype=object))], "the test rows of split 0 are array"),
        ([np.arange(30)], "pairs of training and test rows; split 0 is array"),
        (iter(()), "at least one split, got none.*pass list"),
    ],
)
def test_each_fault_of_a_split_is_told_by_itself(cv, message):
    with pytest.raises(ValueError, match=message):
        splits_of(cv)


def test_masks_and_numbers_of_any_kind_are_rows():
    first = np.arange(60) < 25
    numbers = np.arange(60).astype(object)
    for masks in (
        (first, ~first),
        (first.astype(object), (~first).tolist()),
        (pd.Series(first), pd.array(~first)),
        (first[:, None], numbers[25:]),
    ):
        ((train, test),) = splits_of([masks])
        assert_array_equal(train, np.flatnonzero(first))
        assert_array_equal(test, np.flatnonzero(~first))


def test_splits_that_name_rows_do_not_go_with_holdout():
    X, y = load_iris(return_X_y=True)
    folds = list(StratifiedKFold(3).split(X, y))
    for cv in (folds, check_cv(folds), PredefinedSplit(np.arange(150) % 3)):
        with pytest.raises(ValueError, match="must be an int, a splitter or None with holdout="):
            RoutingClassifier(LogisticRegression(), cv=cv, holdout=0.3).fit(X, y)

    class Wrapped:
        """A splitter that names no rows."""

        def __init__(self, cv):
            self.cv = cv

        def split(self, X, y=None, groups=None):
            return StratifiedKFold(self.cv["folds"]).split(X, y)

    RoutingClassifier(LogisticRegression(max_iter=500), cv=Wrapped({"folds": 3}), holdout=0.3).fit(X, y)
