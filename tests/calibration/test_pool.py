import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import expit, softmax

from skroute.calibration import _pool
from skroute.calibration._pool import MEMBERS, PRIOR_ROWS, fit_members, pool_weights
from skroute.calibration._training_rows import training_rows

SETTINGS = {"from_proba": True, "shrinkage": 5.0}


def rows_of(n_classes, n_rows, seed=0, *, from_proba=True):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n_rows, n_classes)) * 2
    share = softmax(0.6 * scores + np.linspace(0, 1, n_classes), axis=1)
    if not from_proba:
        share = expit(scores - 1) / expit(scores - 1).sum(axis=1, keepdims=True)
    y = (share.cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1)
    y[:n_classes] = np.arange(n_classes)
    return training_rows(softmax(scores, axis=1) if from_proba else scores, y, None)


def likelihoods(n_rows, n_members, seed=0):
    rng = np.random.default_rng(seed)
    return rng.beta(2, 2, size=(n_rows, n_members)), rng.integers(1, 4, n_rows) * 1.0


def loss_of(weights, of_truth, weight, names):
    prior = np.array([PRIOR_ROWS.get(name, 0.0) for name in names])
    with np.errstate(divide="ignore", invalid="ignore"):
        held = np.where(prior > 0, prior * np.log(weights), 0.0)
    return -weight @ np.log(of_truth @ weights) - held.sum()


# Older versions of scipy say aloud that they clip a step at the bounds.
@pytest.mark.filterwarnings("ignore:Values in x were outside bounds")
@pytest.mark.parametrize("n_rows", [1, 5, 50, 500])
@pytest.mark.parametrize("names", [MEMBERS, MEMBERS[:2], ("temperature", "vector", "isotonic", "uniform")], ids=len)
def test_weights_are_those_of_largest_likelihood(names, n_rows):
    for seed in range(5):
        of_truth, weight = likelihoods(n_rows, len(names), seed)
        found = pool_weights(of_truth, weight, names)
        assert (found >= 0).all()
        assert_allclose(found.sum(), 1.0, rtol=1e-14)

        def loss(weights, of_truth=of_truth, weight=weight):
            return loss_of(np.maximum(weights, 1e-9), of_truth, weight, names) / weight.sum()

        best = minimize(
            loss,
            np.full(len(names), 1 / len(names)),
            method="SLSQP",
            bounds=[(1e-9, 1)] * len(names),
            constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
            options={"ftol": 1e-13, "maxiter": 500},
        )
        assert best.success
        # Weights under a thousandth are cut, which may cost as much of the likelihood.
        kept = np.maximum(found, 1e-9)
        assert loss(kept / kept.sum()) < best.fun + 4e-3
        assert_allclose(found, best.x, atol=5e-3)


def test_without_rows_the_prior_decides():
    found = pool_weights(np.empty((0, 6)), np.empty(0), MEMBERS)
    assert_allclose(dict(zip(MEMBERS, found, strict=True))["vector"], 0.5, atol=0.01)
    assert_array_equal(found[3:], 0.0)


def test_a_member_that_is_always_right_gets_all_and_one_that_is_always_wrong_nothing():
    of_truth = np.full((10_000, 3), [0.5, 1e-5, 1.0])
    found = pool_weights(of_truth, np.ones(10_000), ("temperature", "vector", "isotonic"))
    assert found[2] > 0.99
    assert found[1] == 0.0


@pytest.mark.parametrize("size", [1e-18, 1e-3, 1e6, 1e20])
def test_weights_of_any_size_give_weights_that_sum_to_one(size):
    of_truth, weight = likelihoods(40, 4)
    found = pool_weights(of_truth, weight * size, MEMBERS[:4])
    assert (found >= 0).all()
    assert_allclose(found.sum(), 1.0, rtol=1e-14)
    if size == 1e-18:
        assert_allclose(found[:3], [0.25, 0.5, 0.25], atol=1e-3)


def test_tiny_likelihoods_stay_finite():
    of_truth = np.full((30, 2), [1e-300, 0.5])
    assert_allclose(pool_weights(of_truth, np.ones(30), ("isotonic", "uniform")), [0.0, 1.0], atol=1e-3)


@pytest.mark.parametrize(
    ("n_classes", "from_proba", "names"),
    [
        (2, True, ["temperature", "vector", "isotonic", "uniform"]),
        (2, False, ["temperature", "vector", "isotonic", "uniform"]),
        (3, True, ["temperature", "vector", "matrix", "isotonic", "uniform"]),
        (3, False, list(MEMBERS)),
    ],
)
def test_the_members_follow_from_the_kind_of_scores(n_classes, from_proba, names):
    rows = rows_of(n_classes, 200, from_proba=from_proba)
    members = fit_members(rows, from_proba=from_proba, shrinkage=5.0)
    assert members.names() == names
    assert ("matrix" in members.left_out) == (n_classes == 2)
    for proba in members.probas(rows.scores, names):
        proba = np.broadcast_to(proba, rows.scores.shape)
        assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-12)
        assert (proba >= 0).all()


@pytest.mark.parametrize("from_proba", [False, True])
def test_members_that_are_asked_for_alone_say_the_same(from_proba):
    rows = rows_of(3, 200, from_proba=from_proba)
    members = fit_members(rows, from_proba=from_proba, shrinkage=5.0)
    names = members.names()
    for name, together in zip(names, members.probas(rows.scores, names), strict=True):
        (alone,) = members.probas(rows.scores, [name])
        assert_array_equal(alone, together)


def test_members_read_scores_in_two_ways():
    rows = rows_of(4, 2000, from_proba=False)
    members = fit_members(rows, from_proba=False, shrinkage=5.0)
    assert members.link.slope is not None
    assert members.other.slope is None
    z = members.other.log_proba(rows.scores)
    plain, other = members.probas(rows.scores, ["matrix", "vector, other link"])
    assert_allclose(plain, softmax(z + z @ members.matrix.theta[:-1] + members.matrix.theta[-1], axis=1), rtol=1e-9)
    vector = members.other_vector
    assert_allclose(other, softmax((1 + vector.extra) * z + vector.bias, axis=1), rtol=1e-9)


def test_a_fit_on_other_rows_keeps_what_was_chosen():
    rows = rows_of(4, 400)
    members = fit_members(rows, **SETTINGS)
    part = fit_members(rows.some(np.where(np.arange(400) % 5 == 0, 0.0, 1.0)), **SETTINGS, like=members)
    assert part.link.floor == members.link.floor
    assert part.vector.strength == members.vector.strength
    assert part.matrix.strength == members.matrix.strength
    assert part.names() == members.names()
    assert part.total == 320
    assert part.link.beta != members.link.beta


def test_a_fit_on_other_rows_knows_nothing_of_those_left_out():
    rows = rows_of(3, 300)
    held = np.arange(300) % 5 == 0
    members = fit_members(rows, **SETTINGS)
    codes = rows.codes.copy()
    codes[held] = (codes[held] + 1) % 3
    turned = training_rows(rows.scores, codes, None)
    assert (turned.place >= 0).all()
    weight = np.where(held, 0.0, 1.0)
    first = fit_members(rows.some(weight), **SETTINGS, like=members)
    by_place = np.empty(300)
    by_place[turned.place] = weight
    second = fit_members(turned.some(by_place), **SETTINGS, like=members)
    order = np.argsort(turned.class_order)
    for name, one, other in zip(
        MEMBERS,
        first.probas(rows.scores, first.names()),
        second.permuted(order).probas(rows.scores, second.names()),
        strict=False,
    ):
        assert_allclose(one, other, atol=1e-4, err_msg=name)


def test_a_class_with_fewer_than_three_rows_has_no_curve():
    rng = np.random.default_rng(0)
    y = np.r_[np.zeros(50, dtype=int), np.ones(3, dtype=int), [2, 2]]
    rows = training_rows(rng.dirichlet([1, 1, 1], size=55), y, None)
    curves = fit_members(rows, **SETTINGS).curves
    by_class = {label: curves[place] for place, label in enumerate(rows.class_order)}
    assert by_class[2] is None
    assert by_class[0] is not None
    assert by_class[1] is not None


@pytest.mark.parametrize(
    ("name", "value", "absent"),
    [("MATRIX_PRODUCTS", 9 * 14, "matrix"), ("CURVE_VALUES", 3 * 14, "isotonic")],
)
def test_what_costs_too_much_is_left_out_by_name(monkeypatch, name, value, absent):
    monkeypatch.setattr(_pool, name, value)
    rows = rows_of(3, 200)
    members = fit_members(rows, **SETTINGS)
    assert members.left_out == {absent: "too many classes: 3 would allow for 14 of 200 rows"}
    assert absent not in members.names()
    part = fit_members(rows.some(np.where(np.arange(200) < 4, 1.0, 0.0)), **SETTINGS, like=members)
    assert part.names() == members.names()


def test_what_costs_too_much_with_all_rows_is_fitted_on_some_of_them(monkeypatch):
    rows = rows_of(3, 200)
    full = fit_members(rows, **SETTINGS)
    monkeypatch.setattr(_pool, "MATRIX_PRODUCTS", 9 * 100)
    monkeypatch.setattr(_pool, "CURVE_VALUES", 3 * 100)
    some = fit_members(rows, **SETTINGS)
    assert some.left_out == {}
    assert some.names() == full.names()
    assert_array_equal(some.vector.extra, full.vector.extra)
    assert np.abs(some.matrix.theta - full.matrix.theta).max() > 1e-3
    for one, other in zip(*[m.probas(rows.scores, ["matrix", "isotonic"]) for m in (some, full)], strict=True):
        assert np.abs(one - other).mean() < 0.06


def test_columns_can_be_put_into_another_order():
    rows = rows_of(3, 200, from_proba=False)
    members, order = fit_members(rows, from_proba=False, shrinkage=5.0), np.array([2, 0, 1])
    names = members.names()
    for one, other in zip(
        members.probas(rows.scores, names), members.permuted(order).probas(rows.scores[:, order], names), strict=True
    ):
        assert_allclose(np.broadcast_to(one, rows.scores.shape)[:, order], other, atol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3, 20])
def test_curves_are_those_of_numpy_for_all_rows_and_for_some(n_classes):
    rows = rows_of(n_classes, 3000)
    members = fit_members(rows, from_proba=True, shrinkage=5.0)
    # One class without a curve of its own.
    members = replace(members, curves=[None, *members.curves[1:]])
    vector, isotonic = members.probas(rows.scores, ["vector", "isotonic"])
    expected = vector.copy()
    for k, (x, y) in enumerate(members.curves[1:], start=1):
        expected[:, k] = np.interp(vector[:, k], x, y)
    expected = np.maximum(expected, 1e-12)
    assert_allclose(isotonic, expected / expected.sum(axis=1, keepdims=True), rtol=0, atol=1e-12)
    on_curves = members._on_curves(vector)
    for part in (slice(0, 2), slice(100, 103), slice(5, 2600)):
        assert_array_equal(members._on_curves(vector[part]), on_curves[part])


@pytest.mark.parametrize("n_classes", [2, 3, 20])
def test_curves_of_rows_that_count_once_are_those_of_weights(n_classes):
    rows = rows_of(n_classes, 3000)
    proba, where = rows.scores, np.concatenate([rows.scores.ravel(), np.linspace(0.0, 1.0, 999)])
    for k in range(n_classes):
        x, y = _pool._fit_curve(np.ascontiguousarray(proba[:, k]), rows.codes == k, None, 5.0)
        other = _pool._fit_curve(np.ascontiguousarray(proba[:, k]), rows.codes == k, np.ones(len(proba)), 5.0)
        assert_allclose(np.interp(where, x, y), np.interp(where, *other), rtol=1e-9, atol=1e-12)


def test_scores_that_count_as_equal_to_the_lowest_own_row_stay_with_it():
    proba = np.array([0.01, 0.02, 0.05, 0.3 - 2e-16, 0.3, 0.6, 0.7])
    own = np.array([False, False, False, False, True, False, True])
    x, y = _pool._fit_curve(proba, own, None, 5.0)
    other = _pool._fit_curve(proba, own, np.ones(len(proba)), 5.0)
    assert_allclose(np.interp(proba, x, y), np.interp(proba, *other), rtol=1e-9)


def test_what_follows_from_the_curves_is_not_stored():
    rows = rows_of(3, 3000)
    members = fit_members(rows, from_proba=True, shrinkage=5.0)
    before, _ = pickle.dumps(members), members.probas(rows.scores, ["isotonic"])
    assert members._table is not None
    assert pickle.dumps(members) == before
    again = pickle.loads(before)
    assert_array_equal(again.probas(rows.scores, ["isotonic"])[0], members.probas(rows.scores, ["isotonic"])[0])
