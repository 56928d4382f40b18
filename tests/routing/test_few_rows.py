import numpy as np
import pytest
from numpy.testing import assert_array_equal
from routing.hard_cases import hard_gates, hard_rows, lesson_gates
from strategies import WATCH_ORDERS

from skroute import RoutePolicy
from skroute._rows import check_rows
from skroute.routing._few_rows import MANY_VALUES, NOISE, few_routes
from skroute.routing._gate_kernel import FEW_CELLS
from skroute.routing._gates import SLACK, Gates
from skroute.routing._signals import BLOCK_CELLS, entropy_signal


def test_few_rows_are_never_more_than_the_plain_code_measures_at_once():
    """Else the last row could be one that it adds up in another order than its fellows."""
    assert FEW_CELLS < BLOCK_CELLS


@pytest.mark.parametrize("order", WATCH_ORDERS)
@pytest.mark.parametrize("n_classes", [2, 5, 77, 2000])
def test_codes_are_those_of_the_plain_code(n_classes, order):
    rng = np.random.default_rng(n_classes)
    for _ in range(10):
        proba = hard_rows(n_classes, rng)
        for gates in (hard_gates(proba, rng), lesson_gates(n_classes, watch_order=order)):
            for part in (proba[:1], proba[:7], proba):
                assert_array_equal(few_routes(gates, part), gates.decide(part).route)


@pytest.mark.parametrize("n_classes", [2, 3, 20, 1000])
@pytest.mark.parametrize("level", ["max_entropy", "escalate_entropy"])
def test_an_entropy_next_to_a_level_is_that_of_the_plain_code(n_classes, level):
    rng = np.random.default_rng(1)
    proba = rng.dirichlet(np.full(n_classes, 0.4), max(MANY_VALUES // n_classes + 1, 40))
    numbers = {"thresholds": np.zeros(n_classes), "watch": np.full(n_classes, np.inf), "margin": None}
    for entropy in entropy_signal(proba)[:20]:
        for value in (entropy - SLACK, entropy, entropy + SLACK, entropy - NOISE, entropy + NOISE):
            for number in (np.nextafter(value, -1), value, np.nextafter(value, 2)):
                gates = Gates(
                    **numbers, **{"max_entropy": None, "escalate_entropy": None, level: number}, watch_order="after"
                )
                assert_array_equal(few_routes(gates, proba), gates.decide(proba).route)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_rows_outside_by_rounding_are_clipped_and_none_is_written_to(dtype):
    proba = np.asarray([[0.6, 0.4, -5e-7], [1.0 + 9e-7, -9e-7, 0.0], [-0.0, 0.66, 0.34]], dtype=dtype)
    before, gates = proba.copy(), lesson_gates(3, thresholds=np.array([0.6, 1.0, 0.5]))
    assert_array_equal(few_routes(gates, proba), gates.decide(check_rows(proba, "proba")).route)
    assert_array_equal(proba, before)


@pytest.mark.parametrize(
    "row", [[0.5, np.nan], [0.5, -0.1], [0.5, 0.6], [np.inf, -np.inf], [1e308, 1e308], [1.1, -0.1]]
)
def test_bad_rows_are_refused_in_the_words_of_the_check(row):
    proba = np.array([[0.5, 0.5], row, [0.2, 0.8]])
    with pytest.raises(ValueError, match="row 1 ") as expected:
        check_rows(proba, "proba")
    with pytest.raises(ValueError) as found:
        few_routes(lesson_gates(2), proba)
    assert str(found.value) == str(expected.value)


def test_numbers_put_in_after_the_fit_hold_at_once():
    """Kernels are remembered by their numbers, not by the policy."""
    proba = np.random.default_rng(0).dirichlet(np.full(4, 0.3), 20_000)
    policy = RoutePolicy(margin=None, max_entropy=None).fit(proba)
    for threshold in (0.9, 0.5, 0.9):
        policy.thresholds_[2] = threshold
        for part in (proba, proba[:100]):
            auto = (policy.decide(part) == "auto") & (part.argmax(axis=1) == 2)
            assert_array_equal(auto, (part.argmax(axis=1) == 2) & (part[:, 2] >= threshold))


@pytest.mark.parametrize(
    "row", [[0.245999, 0.235, 0.309, 0.205], [0.108999, 0.302, 0.147, 0.174, 0.263], [0.251, 0.25, 0.25, 0.254001]]
)
@pytest.mark.parametrize("n_rows", [1, 3])
def test_rows_whose_sum_lies_on_the_border_are_judged_as_ever(row, n_rows):
    """Another order of the sum would refuse what `explain` takes, or take what it refuses."""
    policy = RoutePolicy().fit(np.full((1, len(row)), 1.0 / len(row)))
    found = []
    for answer in (policy.decide, policy.explain):
        try:
            found.append(len(answer([row] * n_rows)))
        except ValueError as error:
            found.append(str(error))
    assert found[0] == found[1]
