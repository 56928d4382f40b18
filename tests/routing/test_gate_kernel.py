import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from routing.hard_cases import hard_gates, hard_rows, lesson_gates
from strategies import WATCH_ORDERS, gates, n_classes, rows, unhurried

from skroute import RoutePolicy
from skroute._rows import check_rows, row_sums
from skroute.routing import _gate_kernel
from skroute.routing._gate_kernel import fast_routes
from skroute.routing._gates import ROUTES, SLACK, Gates
from skroute.routing._rough_entropy import collision_entropy, entropy_tolerance, rough_entropy
from skroute.routing._signals import measure

CODES = np.arange(len(ROUTES), dtype=np.int8)
FORMS = [("f4", "C"), ("f4", "F"), ("f8", "C"), ("f8", "F")]
forms = st.sampled_from(FORMS)


def assert_same_routes(policy, proba, mosts=(-1, np.inf)):
    """Assert the routes of kernel and of few rows, also where the other is quicker, to be those of the plain code."""
    expected = np.array(ROUTES)[policy.decide(check_rows(proba, "proba")).route]
    for most in mosts:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_gate_kernel, "FEW_ROWS", most)
            patch.setattr(_gate_kernel, "FEW_CELLS", most)
            found, codes = fast_routes(policy, proba), fast_routes(policy, proba, names=CODES)
        assert found.dtype == expected.dtype
        assert_array_equal(found, expected)
        assert codes.dtype == CODES.dtype
        assert_array_equal(np.array(ROUTES)[codes], expected)


@unhurried
@given(data=st.data(), n_classes=n_classes, form=forms)
def test_routes_are_those_of_the_plain_code(data, n_classes, form):
    proba = np.asarray(data.draw(rows(n_classes)), dtype=form[0], order=form[1])
    numbers = data.draw(gates(n_classes))
    numbers |= {name: np.array(numbers[name]) for name in ("thresholds", "watch")}
    assert_same_routes(Gates(**numbers), proba)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("n_classes", [2, 3, 4, 9, 20, 24, 25, 77, 130])
def test_routes_are_those_of_the_plain_code_on_hard_rows(n_classes, form):
    rng = np.random.default_rng(n_classes)
    for _ in range(25):
        proba = np.asarray(hard_rows(n_classes, rng), dtype=form[0], order=form[1])
        assert_same_routes(hard_gates(proba, rng), proba)
        assert_same_routes(lesson_gates(n_classes, watch_order=str(rng.choice(WATCH_ORDERS))), proba)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("n_classes", [3, 9, 14, 24, 30, 300])
def test_routes_are_those_of_the_plain_code_where_few_thresholds_differ(n_classes, form):
    rng = np.random.default_rng(n_classes)
    # On either side of one half, below which a class that reaches its threshold need not be on top.
    for common, *others in [
        (0.8, 0.6, 0.95),
        (0.6, 0.55, np.inf),
        (0.8, 0.45, 0.34),
        (np.inf, 0.8, 0.9),
        (0.3, 0.9, 0),
    ]:
        thresholds = np.full(n_classes, common)
        thresholds[rng.choice(n_classes, 2, replace=False)] = others
        levels = (0.3, 0.34, 0.45, *thresholds[(thresholds > 0) & (thresholds < 1)])
        proba = np.asarray(hard_rows(n_classes, rng, levels), dtype=form[0], order=form[1])
        for order in WATCH_ORDERS:
            assert_same_routes(lesson_gates(n_classes, thresholds=thresholds, watch_order=order), proba)
        assert_same_routes(lesson_gates(n_classes, thresholds=thresholds, margin=None, max_entropy=None), proba)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("n_classes", [3, 9, 30])
@pytest.mark.parametrize("most", [1.0, 1.004, 1.0049, 1.006])
def test_a_watch_holds_back_what_leaves_just_enough_for_it(n_classes, most, form):
    """Rows may sum to a little more than one, so that one class reaches .8 and another more than .2."""
    proba = np.zeros((3000, n_classes))
    proba[:, 1], proba[:, 2] = 0.8, np.linspace(0.19, 0.205, len(proba))
    proba[:, 0] = np.maximum(1.0 - proba.sum(axis=1), 0.0)
    proba = np.asarray(proba, dtype=form[0], order=form[1])
    numbers = {"margin": None, "max_entropy": None, "escalate_entropy": None, "watch_order": "before"}
    watch = np.full(n_classes, np.inf)
    watch[2] = most - 0.8
    gates = Gates(thresholds=np.full(n_classes, 0.8), watch=watch, **numbers)
    assert_same_routes(gates, proba)
    held_back = "watch" in fast_routes(gates, proba)
    assert held_back == (most <= 1.005)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("n_classes", [3, 6, 20, 40])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.9])
def test_routes_are_those_of_the_plain_code_whether_many_rows_are_in_doubt_or_few(n_classes, form, share):
    rng = np.random.default_rng(n_classes)
    proba = rng.dirichlet(np.full(n_classes, 1.0), 5000)
    sure = rng.random(5000) > share
    proba[sure] = 0.03 * proba[sure] + 0.97 * np.eye(n_classes)[rng.integers(0, n_classes, sure.sum())]
    proba = np.asarray(proba, dtype=form[0], order=form[1])
    for order in WATCH_ORDERS:
        assert_same_routes(lesson_gates(n_classes, watch_order=order), proba)
    assert_same_routes(lesson_gates(n_classes, max_entropy=None, escalate_entropy=None), proba)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("n_classes", [1000, 5000])
def test_routes_are_those_of_the_plain_code_for_many_classes(n_classes, form):
    rng = np.random.default_rng(0)
    proba = np.asarray(hard_rows(n_classes, rng), dtype=form[0], order=form[1])
    for policy in (lesson_gates(n_classes), hard_gates(proba, rng), hard_gates(proba, rng)):
        assert_same_routes(policy, proba)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("n_classes", [2, 3, 20, 77])
def test_rows_on_the_last_bit_of_an_entropy_gate_fall_as_the_plain_code_lets_them(n_classes, order):
    rng = np.random.default_rng(1)
    proba = np.asarray(rng.dirichlet(np.full(n_classes, 0.7), 40), order=order)
    measured = measure(proba).entropy
    ungated = {"thresholds": np.zeros(n_classes), "watch": np.full(n_classes, np.inf), "margin": None}
    for level in measured:
        for edge in (level - SLACK, level + SLACK):
            for value in (math.nextafter(edge, -1), edge, math.nextafter(edge, 2)):
                for name in ("max_entropy", "escalate_entropy"):
                    numbers = {"max_entropy": None, "escalate_entropy": None, name: value}
                    off = {"thresholds": np.full(n_classes, np.inf)} if name == "escalate_entropy" else {}
                    assert_same_routes(Gates(**ungated | numbers | off, watch_order="before"), proba)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("n_classes", [3, 20, 77])
@pytest.mark.parametrize("extra", [0, 1, 2])
def test_blocks_do_not_show(monkeypatch, n_classes, order, extra):
    # A last block of one row, in the plain code, is added up in another order than the others are.
    monkeypatch.setattr("skroute.routing._signals.BLOCK_CELLS", 32 * n_classes)
    monkeypatch.setattr(_gate_kernel, "BLOCK_CELLS", 32 * n_classes)
    monkeypatch.setattr(_gate_kernel, "CELLS", 20 * n_classes)
    rng = np.random.default_rng(2)
    proba = np.asarray(hard_rows(n_classes, rng)[: 96 + extra], order=order)
    never, unwatched = np.full(n_classes, np.inf), np.full(n_classes, np.inf)
    for level in measure(proba).entropy[-3:]:
        assert_same_routes(Gates(never, unwatched, None, None, level + SLACK, "after"), proba)
        assert_same_routes(hard_gates(proba, rng), proba)


@pytest.mark.parametrize("extra", [0, 1, 2])
def test_a_row_that_the_plain_code_measures_alone_falls_as_it_lets_it(monkeypatch, extra):
    # Few rows are never more than it measures at once.
    n_classes, rng = 77, np.random.default_rng(8)
    for module in ("skroute.routing._signals", "skroute.routing._gate_kernel"):
        monkeypatch.setattr(f"{module}.BLOCK_CELLS", 32 * n_classes)
    never, unwatched = np.full(n_classes, np.inf), np.full(n_classes, np.inf)
    for _ in range(40):
        proba = np.asfortranarray(rng.dirichlet(np.full(n_classes, 0.7), 64 + extra))
        level = float(measure(proba).entropy[-1]) + SLACK
        for value in (math.nextafter(level, -1), level, math.nextafter(level, 2)):
            assert_same_routes(Gates(never, unwatched, None, None, value, "after"), proba, mosts=[-1])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_any_layout_will_do(dtype):
    rng = np.random.default_rng(3)
    whole = np.repeat(np.repeat(hard_rows(5, rng).astype(dtype), 2, axis=0), 2, axis=1)
    proba = whole[:, ::2]
    for view in (proba[::2], proba[::-1], whole[::2, ::2][:, ::-1], np.asfortranarray(proba)[::3]):
        for _ in range(10):
            assert_same_routes(hard_gates(view, rng), view)
    assert_same_routes(lesson_gates(5), np.broadcast_to(whole[0, ::2], (50, 5)))


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_values_outside_by_rounding_are_clipped_as_ever(form):
    proba = np.tile([[0.6, 0.4, -5e-7], [1.0 + 1e-6, -1e-6, 0.0], [-0.0, 0.66, 0.34]], (700, 1))
    proba = np.asarray(proba * [1 - 1e-8], dtype=form[0], order=form[1])
    before = proba.copy()
    assert_same_routes(lesson_gates(3, thresholds=np.array([0.6, 1.0, 0.5])), proba)
    assert_array_equal(proba, before)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("n_classes", [3, 16, 40, 2000])
def test_rows_that_clipping_makes_sum_to_more_fall_as_the_plain_code_lets_them(n_classes, order):
    """Each value may be short of 0 by a millionth, so that two classes can have more than what counts as half."""
    total = 1.005 + (n_classes - 2) * 1e-6
    for top in (total / 2, total / 2 + 1e-7, (1.5 + 0.005) / 2):
        proba = np.full((50, n_classes), -1e-6, order=order)
        proba[:, :2] = top, total - top
        for watch_order in WATCH_ORDERS:
            for level, other in ((0.5026, 0.9), (0.503, 0.503), (0.6, 0.6)):
                thresholds = np.full(n_classes, level)
                thresholds[1] = other
                watch = np.full(n_classes, np.inf)
                watch[1] = 0.4
                for watched in (watch, np.full(n_classes, np.inf)):
                    assert_same_routes(Gates(thresholds, watched, 0.5, None, None, watch_order), proba)
                    assert_same_routes(Gates(thresholds, watched, None, 0.45, 0.8, watch_order), proba)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("n_classes", [127, 128, 129, 255, 256])
def test_as_many_classes_as_a_small_number_can_count(n_classes, order):
    proba = np.asarray(hard_rows(n_classes, np.random.default_rng(0)), order=order)
    thresholds = np.full(n_classes, 0.8)
    thresholds[3] = 0.4
    for watched in (np.full(n_classes, 0.001), np.full(n_classes, np.inf)):
        assert_same_routes(Gates(thresholds, watched, 0.3, 0.45, 0.8, "after"), proba)


@pytest.mark.parametrize("place", [0, 699, 250_000])
@pytest.mark.parametrize("row", [[0.5, np.nan, 0.5], [0.5, 0.6, -0.1], [0.5, 0.5, 0.1], [np.inf, 0.0, 0.0]])
def test_bad_rows_are_refused_in_the_same_words(place, row):
    proba = np.full((place + 1000, 3), 1 / 3)
    proba[place] = row
    with pytest.raises(ValueError, match=f"proba .*row {place} ") as plain:
        check_rows(proba, "proba")
    policy = RoutePolicy().fit(proba[-2:], classes=["a", "b", "c"])
    with pytest.raises(ValueError) as found:
        policy.decide(proba)
    assert str(found.value) == str(plain.value)


@pytest.mark.parametrize("n_rows", [0, 1, 2, 5000])
def test_decide_and_explain_agree(n_rows):
    rng = np.random.default_rng(4)
    proba = rng.dirichlet([0.3, 0.3, 0.3], n_rows)
    policy = RoutePolicy(thresholds={"b": 0.9}, watch={"c": 0.1}).fit(np.eye(3), classes=["a", "b", "c"])
    routes = policy.decide(proba)
    assert_array_equal(routes, policy.explain(proba).route)
    assert routes.shape == (n_rows,)
    assert routes.dtype == np.array(ROUTES).dtype


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("n_classes", [2, 3, 24, 77, 1000, 5000])
@pytest.mark.parametrize("turned", [False, True])
def test_rough_entropies_keep_far_within_their_bound(n_classes, form, turned):
    proba = np.asarray(hard_rows(n_classes, np.random.default_rng(6)), dtype=form[0], order=form[1])
    off = np.abs(rough_entropy(proba.T[np.newaxis] if turned else proba, row_sums(proba)) - measure(proba).entropy)
    assert off.max() < 0.5 * entropy_tolerance(n_classes)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_classes", [2, 77, 1000, 5000])
def test_no_entropy_is_under_that_of_order_two(n_classes, dtype):
    proba = hard_rows(n_classes, np.random.default_rng(6)).astype(dtype)
    share = proba.astype(np.float64) / proba.sum(axis=1, dtype=np.float64, keepdims=True)
    found = collision_entropy(proba, row_sums(proba))
    half = 0.5 * entropy_tolerance(n_classes)
    np.testing.assert_allclose(found, -np.log((share**2).sum(axis=1)) / math.log(n_classes), rtol=0, atol=half)
    assert (found <= measure(proba).entropy + half).all()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("spread", [0.0, 1e-6, 0.1, 2.0])
def test_rows_whose_two_entropies_are_about_a_level_fall_as_the_plain_code_lets_them(spread, dtype):
    """Of atoms of the same size the two are equal; of others the level may lie between them."""
    rng = np.random.default_rng(0)
    proba = np.zeros((2000, 300))
    for row in proba:
        n_atoms = 80 if spread < 0.1 else rng.integers(40, 120)
        row[rng.permutation(300)[:n_atoms]] = np.exp(spread * rng.normal(size=n_atoms))
    proba = (proba / proba.sum(axis=1, keepdims=True)).astype(dtype)
    entropy = np.sort(measure(proba).entropy)
    for max_entropy, escalate_entropy in [(0.45, entropy[1000]), (entropy[1000], 0.9), (entropy[500], entropy[1500])]:
        gates = {"max_entropy": max_entropy, "escalate_entropy": escalate_entropy, "thresholds": np.full(300, 0.01)}
        assert_same_routes(lesson_gates(300, margin=None, **gates), proba)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_levels_are_rounded_up_to_the_type(dtype):
    rng = np.random.default_rng(7)
    levels = np.concatenate([rng.random(1000), rng.random(1000).astype("f4"), [0.0, 1.0, np.inf]])
    least = _gate_kernel._at_least(levels, np.dtype(dtype))
    assert (least >= levels).all()
    below = np.nextafter(least, least.dtype.type(-1)).astype(np.float64)
    finite = np.isfinite(levels)
    assert (below[finite] < levels[finite]).all()
    assert np.isposinf(least[~finite]).all()


def test_threads_do_not_disturb_each_other():
    rng = np.random.default_rng(0)
    cases = [(lesson_gates(3), hard_rows(3, rng).repeat(20, axis=0)) for _ in range(4)]
    cases += [(lesson_gates(20), hard_rows(20, rng).repeat(9, axis=0)) for _ in range(4)]
    expected = [np.array(ROUTES)[gates.decide(proba).route] for gates, proba in cases]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            for found, plain in zip(pool.map(lambda case: fast_routes(*case), cases), expected, strict=True):
                assert_array_equal(found, plain)
