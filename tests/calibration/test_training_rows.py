import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import f_oneway, kstest

from skroute.calibration import _training_rows
from skroute.calibration._training_rows import class_weight, deal_folds, training_rows

fewer = settings(deadline=None, max_examples=60)
# Few values, so that rows repeat; both zeros, which are one score.
VALUES = st.sampled_from([-1.0, -0.0, 0.0, 0.25, 0.5, 1.0])


@st.composite
def given_rows(draw, n_classes=None, weights=("none", "whole", "real"), least=0, left_out=True):
    """Scores, codes (-1 leaves a row out) and weights."""
    n_classes = n_classes or draw(st.integers(2, 4))
    n_rows = draw(st.integers(least, 14))

    def many(cells, n):
        return draw(st.lists(cells, min_size=n, max_size=n))

    scores = np.array(many(VALUES, n_rows * n_classes), dtype=float).reshape(n_rows, n_classes)
    codes = np.array(many(st.integers(-1 if left_out else 0, n_classes - 1), n_rows), dtype=np.intp)
    kind = draw(st.sampled_from(weights))
    cells = {"whole": st.integers(0, 7), "real": st.sampled_from([0.0, 0.1, 0.2, 0.3, 1.1])}
    return scores, codes, None if kind == "none" else np.array(many(cells[kind], n_rows), dtype=float)


def assert_same_content(one, other, *, count=True):
    """Compare all but where columns and rows came from, to the last bit."""
    for name in ("scores", "codes", "weight", "count") if count else ("scores", "codes", "weight"):
        assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert_array_equal(np.signbit(one.scores), np.signbit(other.scores))


def many_rows(n_classes, n_rows, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, n_classes)), rng.integers(0, n_classes, n_rows)


@fewer
@given(given_rows())
def test_merged_rows_are_the_given_ones(given_):
    scores, codes, weight = given_
    rows = training_rows(scores, codes, weight)
    kept = codes >= 0 if weight is None else (codes >= 0) & (weight > 0)
    assert_array_equal(np.sort(rows.class_order), np.arange(scores.shape[1]))
    assert_array_equal(rows.place >= 0, kept)
    place = rows.place[kept]
    assert_array_equal(rows.scores[place], scores[kept][:, rows.class_order])
    assert_array_equal(rows.class_order[rows.codes[place]], codes[kept])
    weights = np.ones(len(codes)) if weight is None else weight
    assert_allclose(rows.weight, np.bincount(place, weights[kept], len(rows.codes)), rtol=1e-14)
    assert_array_equal(rows.count, np.bincount(place, minlength=len(rows.codes)))
    assert len({(c, *row) for c, row in zip(rows.codes, rows.scores.tolist(), strict=True)}) == len(rows.codes)
    assert_allclose(class_weight(rows), np.bincount(codes[kept], weights[kept], scores.shape[1]), rtol=1e-14)


@fewer
@given(given_rows(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_bit(given_, random):
    scores, codes, weight = given_
    order = np.array(random.sample(range(len(codes)), len(codes)), dtype=np.intp)
    first = training_rows(scores, codes, weight)
    second = training_rows(scores[order], codes[order], None if weight is None else weight[order])
    assert_same_content(first, second)
    assert_array_equal(first.place[order], second.place)


@fewer
@given(given_rows(n_classes=2))
def test_the_order_of_two_classes_changes_no_bit(given_):
    scores, codes, weight = given_
    first = training_rows(scores, codes, weight)
    second = training_rows(scores[:, ::-1], np.where(codes >= 0, 1 - codes, -1), weight)
    assert_same_content(first, second)


@pytest.mark.parametrize("weights", ["none", "whole", "real"])
@pytest.mark.parametrize("decimals", [0, 15])
def test_the_order_of_classes_of_equal_weight_changes_no_bit(weights, decimals):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n_classes = 3 + seed % 4
        codes = np.repeat(np.arange(n_classes), 8)
        scores = rng.normal(size=(len(codes), n_classes)).round(decimals)
        drawn = {"none": None, "whole": rng.integers(1, 5, 8) * 1.0, "real": rng.integers(1, 9, 8) / 10}[weights]
        weight = None if drawn is None else np.tile(drawn, n_classes)
        order = rng.permutation(n_classes)
        first = training_rows(scores, codes, weight)
        second = training_rows(scores[:, order], np.argsort(order)[codes], weight)
        assert_same_content(first, second)
        assert_array_equal(first.class_order, order[second.class_order])


@fewer
@given(given_rows(weights=["whole"]), st.integers(2, 6))
def test_a_whole_weight_is_so_many_rows(given_, n_folds):
    scores, codes, weight = given_
    again = np.repeat(np.arange(len(codes)), weight.astype(int))
    by_weight = training_rows(scores, codes, weight)
    by_rows = training_rows(scores[again], codes[again], None)
    assert_same_content(by_weight, by_rows, count=False)
    assert_array_equal(by_weight.place[again], by_rows.place)
    assert_array_equal(deal_folds(by_weight, n_folds), deal_folds(by_rows, n_folds))


def test_both_zeros_are_one_score():
    rows = training_rows(np.array([[0.0, -0.0], [-0.0, 0.0], [0.0, 1.0]]), np.array([1, 1, 1]), None)
    assert_array_equal(rows.weight[rows.place], [2.0, 2.0, 1.0])
    assert not np.signbit(rows.scores).any()


def test_the_caller_keeps_his_arrays():
    scores, codes = many_rows(3, 50)
    for part in (scores, codes):
        part.flags.writeable = False
    rows = training_rows(scores, codes, None)
    assert not np.shares_memory(rows.scores, scores)
    deal_folds(rows, 3)


@fewer
@given(given_rows(least=1), st.integers(2, 7))
def test_the_shares_of_all_folds_are_the_weight(given_, n_folds):
    rows = training_rows(*given_)
    shares = deal_folds(rows, n_folds)
    assert shares.shape == (n_folds, len(rows.codes))
    assert (shares >= 0.0).all()
    assert_allclose(shares.sum(axis=0), rows.weight, rtol=1e-14)
    if (rows.weight == np.floor(rows.weight)).all():
        assert_array_equal(shares, np.floor(shares))


@fewer
@given(given_rows(least=1, weights=["none", "whole"]), st.integers(2, 7))
def test_every_class_is_spread_as_evenly_as_it_goes(given_, n_folds):
    rows = training_rows(*given_)
    shares = deal_folds(rows, n_folds)
    for k in range(rows.scores.shape[1]):
        in_fold = shares[:, rows.codes == k].sum(axis=1)
        assert in_fold.max(initial=0) - in_fold.min(initial=in_fold.max(initial=0)) <= 1
    total = shares.sum(axis=1)
    assert total.max() - total.min() <= 1


def test_a_score_that_many_rows_share_lies_in_all_folds():
    rows = training_rows(np.eye(2)[[0, 1, 0, 1]], np.array([0, 0, 1, 1]), np.array([500.0, 500.0, 500.0, 500.0]))
    # Hypergeometric: 100 expected in each, with a standard deviation of 6.3.
    apart = np.abs(deal_folds(rows, 5) - 100.0)
    assert (apart < 32.0).all()
    # Equal shares would make the folds copies of each other.
    assert apart.mean() > 2.0


def test_folds_differ_as_chance_would_have_them_differ():
    p_values = []
    for seed in range(150):
        rows = training_rows(*many_rows(2, 100, seed=seed), None)
        shares = deal_folds(rows, 4).astype(bool)
        p_values.append(f_oneway(*[rows.scores[share, 0] for share in shares]).pvalue)
    # Folds that are copies of each other would have p-values near 1.
    assert kstest(p_values, "uniform").pvalue > 1e-3


def test_more_units_than_can_be_dealt_are_shared_out(monkeypatch):
    rows = training_rows(*many_rows(2, 20), np.full(20, 3.0))
    monkeypatch.setattr(_training_rows, "MOST_UNITS", 59)
    assert (deal_folds(rows, 3) % 1.0 == 0.0).all()
    monkeypatch.setattr(_training_rows, "MOST_UNITS", 10)
    rows = training_rows(*many_rows(2, 10), np.full(10, 5.0))
    assert_allclose(deal_folds(rows, 4), 1.25)


def test_other_weights_leave_out_rows_without_any():
    rows = training_rows(*many_rows(3, 30), None)
    half = np.where(np.arange(30) < 12, 0.0, 0.5)
    some = rows.some(half)
    assert_array_equal(some.scores, rows.scores[12:])
    assert_array_equal(some.codes, rows.codes[12:])
    assert_array_equal(some.weight, 0.5)
    assert_array_equal(rows.some(half + 1.0).weight, half + 1.0)


@pytest.mark.parametrize("most", [1, 7, 29, 30, 1000])
def test_rows_are_thinned_evenly_over_all_classes(most):
    rows = training_rows(*many_rows(3, 30), None)
    some = rows.spread(most)
    assert len(some.codes) == min(most, 30)
    if most >= 7:
        assert_array_equal(np.unique(some.codes), [0, 1, 2])
        share = np.bincount(some.codes) / len(some.codes) - np.bincount(rows.codes) / 30
        assert (np.abs(share) <= 1 / len(some.codes)).all()
