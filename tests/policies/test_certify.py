import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binom

from skroute.policies._binomial import most_errors, p_value, rows_needed, upper_bound
from skroute.policies._certify import BETS, certify_class

targets = st.sampled_from([(0.05, 0.1), (0.1, 0.1), (0.2, 0.05), (0.3, 0.3)])
kinds = st.sampled_from(["auto", "frequency", "importance"])


@st.composite
def rows_of_a_class(draw, max_rows=200):
    """Scores, errors and other scores; rounded in half of the cases, so that ties are common."""
    seed, n = draw(st.integers(0, 10**6)), draw(st.integers(1, max_rows))
    rng = np.random.default_rng(seed)
    digits, skill = draw(st.sampled_from([1, 2, 15])), draw(st.floats(0, 1.2))
    scores = np.round(rng.beta(4, 1, size=n), digits)
    others = np.round(rng.beta(4, 1, size=draw(st.integers(1, max_rows))), digits)
    return scores, rng.random(n) < skill * (1 - scores), others


@given(rows_of_a_class(), targets, st.booleans())
def test_what_is_reported_is_what_the_threshold_routes(rows, target, with_reference):
    scores, wrong, others = rows
    max_error, risk = target
    found = certify_class(scores, wrong, max_error=max_error, risk=risk, reference=others if with_reference else None)
    assert found.rows == len(scores)
    assert found.rows_needed == rows_needed(max_error, risk)
    assert (found.status == "too_few_rows") == (len(scores) < found.rows_needed)
    if found.status == "certified":
        routed = scores >= found.threshold
        assert (found.routed, found.errors) == (routed.sum(), wrong[routed].sum())
        assert found.routed >= found.rows_needed
        assert found.threshold in (others if with_reference else scores)
        assert binom.cdf(found.errors, found.routed, max_error) <= risk * (1 + 1e-9)
        assert found.upper_bound <= max_error * (1 + 1e-9)
    else:
        assert found.threshold == math.inf
        assert found.p_value > risk
    if found.status == "too_few_rows":
        assert (found.routed, found.errors, found.p_value, found.upper_bound) == (0, 0, 1.0, 1.0)
    else:
        np.testing.assert_allclose(found.p_value, p_value(found.errors, found.routed, max_error))
        np.testing.assert_allclose(found.upper_bound, upper_bound(found.errors, found.routed, risk))


@given(rows_of_a_class(), targets, st.booleans(), st.integers(0, 100))
def test_order_of_the_rows_does_not_matter(rows, target, with_reference, seed):
    scores, wrong, others = rows
    max_error, risk = target
    order = np.random.default_rng(seed).permutation(len(scores))
    reference = others if with_reference else None
    assert certify_class(scores, wrong, max_error=max_error, risk=risk, reference=reference) == certify_class(
        scores[order], wrong[order], max_error=max_error, risk=risk,
        reference=None if reference is None else reference[::-1],
    )  # fmt: skip


@given(rows_of_a_class(60), targets, st.booleans(), st.integers(0, 100), st.sampled_from(["auto", "frequency"]))
def test_whole_weights_are_repetitions(rows, target, with_reference, seed, kind):
    scores, wrong, others = rows
    max_error, risk = target
    weight = np.random.default_rng(seed).integers(0, 6, size=len(scores))
    reference = others if with_reference else None
    assert certify_class(
        scores, wrong, max_error=max_error, risk=risk, reference=reference, weight=weight, weights=kind
    ) == certify_class(
        np.repeat(scores, weight), np.repeat(wrong, weight), max_error=max_error, risk=risk, reference=reference
    )  # fmt: skip


@given(rows_of_a_class(), targets, st.booleans(), st.floats(0.01, 100))
def test_equal_importances_are_counted(rows, target, with_reference, weight):
    scores, wrong, others = rows
    max_error, risk = target
    reference = others if with_reference else None
    equal = np.full(len(scores), weight)
    assert certify_class(
        scores, wrong, max_error=max_error, risk=risk, reference=reference, weight=equal, weights="importance"
    ) == certify_class(scores, wrong, max_error=max_error, risk=risk, reference=reference)


@given(rows_of_a_class(), targets, st.booleans())
def test_one_more_error_never_lowers_the_threshold(rows, target, with_reference):
    scores, wrong, others = rows
    max_error, risk = target
    reference = others if with_reference else None
    before = certify_class(scores, wrong, max_error=max_error, risk=risk, reference=reference).threshold
    worse = wrong.copy()
    worse[np.argmax(scores)] = True
    assert certify_class(scores, worse, max_error=max_error, risk=risk, reference=reference).threshold >= before


@given(rows_of_a_class(), targets)
def test_labels_do_not_choose_the_start(rows, target):
    scores, _, others = rows
    max_error, risk = target
    failed = [
        certify_class(scores, wrong, max_error=max_error, risk=risk, reference=others).routed
        for wrong in (np.ones(len(scores), dtype=bool), np.arange(len(scores)) % 2 == 0)
    ]
    assert failed[0] == failed[1]


@given(rows_of_a_class(), targets)
def test_thresholds_are_tried_in_order_down_to_the_first_failure(rows, target):
    """Against a plain loop, over thresholds far enough apart for the order to be the only question."""
    scores, wrong, _ = rows
    max_error, risk = target
    grid = np.array([0.9, 0.8, 0.6, 0.3])
    found = certify_class(scores, wrong, max_error=max_error, risk=risk, reference=grid)
    counts = [(int((scores >= t).sum()), int(wrong[scores >= t].sum())) for t in grid]
    passed = [n > 0 and binom.cdf(k, n, max_error) <= risk for n, k in counts]
    if found.status == "certified":
        last = int(np.flatnonzero(grid == found.threshold)[0])
        assert passed[last]
        assert last == len(grid) - 1 or not passed[last + 1]
    elif found.status == "not_attained":
        assert not all(passed)
        assert (found.routed, found.errors) in [pair for pair, good in zip(counts, passed, strict=True) if not good]


def test_right_rows_certify_as_soon_as_they_are_enough():
    scores = np.linspace(0.9, 0.99, 45)
    none = np.zeros(45, dtype=bool)
    found = certify_class(scores, none, max_error=0.05, risk=0.1)
    assert (found.status, found.threshold, found.routed) == ("certified", scores[0], 45)
    assert certify_class(scores[1:], none[1:], max_error=0.05, risk=0.1).status == "too_few_rows"


def test_one_score_for_all_rows_is_one_threshold():
    wrong = np.arange(200) < 2
    found = certify_class(np.ones(200), wrong, max_error=0.05, risk=0.1)
    assert (found.threshold, found.routed, found.errors) == (1.0, 200, 2)
    found = certify_class(np.ones(200), np.ones(200, dtype=bool), max_error=0.05, risk=0.1)
    assert (found.threshold, found.routed, found.errors) == (math.inf, 200, 200)


@pytest.mark.parametrize("repeats", [10**6, 10**9, 10**13])
def test_huge_whole_weights_do_not_ask_for_huge_tables(repeats):
    scores, wrong = np.linspace(0.5, 0.99, 50), np.arange(50) % 4 < 12 - np.arange(50)
    found = certify_class(scores, wrong, max_error=0.1, risk=0.1, weight=np.full(50, repeats))
    # So many rows show the share that they have.
    shares = [wrong[start:].mean() for start in range(50)]
    allowed = [start for start in range(50) if shares[start] < 0.1]
    assert found.status == "certified"
    assert found.threshold == scores[min(allowed)]
    assert found.errors == wrong[scores >= found.threshold].sum() * repeats


def test_equal_scores_are_not_split():
    scores = np.repeat([0.99, 0.9, 0.5], 50)
    found = certify_class(scores, scores == 0.5, max_error=0.1, risk=0.1)
    assert (found.threshold, found.routed, found.errors) == (0.9, 100, 0)


def test_no_rows_and_a_reference_above_all_rows():
    assert certify_class([], [], max_error=0.1, risk=0.1).status == "too_few_rows"
    found = certify_class(np.full(100, 0.5), np.zeros(100, dtype=bool), max_error=0.1, risk=0.1, reference=[0.9])
    assert (found.status, found.threshold, found.routed, found.p_value) == ("not_attained", math.inf, 0, 1.0)


def test_an_empty_reference_is_none():
    scores = np.linspace(0.5, 1, 100)
    assert certify_class(scores, scores < 0.6, max_error=0.1, risk=0.1, reference=[]) == certify_class(
        scores, scores < 0.6, max_error=0.1, risk=0.1
    )


def test_a_reviewed_row_with_a_whole_inverse_propensity_is_not_many_rows():
    scores, wrong = np.full(10, 0.9), np.zeros(10, dtype=bool)
    weight = np.array([50] * 9 + [100])
    assert certify_class(scores, wrong, max_error=0.05, risk=0.1, weight=weight).status == "certified"
    found = certify_class(scores, wrong, max_error=0.05, risk=0.1, weight=weight, weights="importance")
    assert (found.status, found.rows) == ("too_few_rows", 10)


@given(rows_of_a_class(), targets, st.integers(0, 100))
def test_capital_is_the_mean_of_the_bets(rows, target, seed):
    scores, wrong, others = rows
    max_error, risk = target
    weight = np.random.default_rng(seed).uniform(0.5, 2, size=len(scores))
    found = certify_class(scores, wrong, max_error=max_error, risk=risk, reference=others, weight=weight)
    if found.status != "certified":
        return
    routed = scores >= found.threshold
    share = weight[routed] / weight.max()
    bets = [np.prod(1 - f * share / (1 - max_error) * (wrong[routed] - max_error)) for f in BETS]
    assert found.p_value == pytest.approx(1 / np.mean(bets), rel=1e-6)
    assert found.p_value <= risk * (1 + 1e-9)
    assert found.upper_bound <= max_error + 1e-5
    assert (found.routed, found.errors) == (routed.sum(), wrong[routed].sum())


def test_bets_are_valid_where_heavy_rows_are_wrong_more_often():
    """The exact expectation of the capital over one row at the bound is 1, so that over n of them it is at most 1."""
    weight, chance, wrong = np.array([1.0, 4.0]), np.array([0.8, 0.2]), np.array([0.05, 0.0])
    max_error = float((chance * weight) @ wrong / (chance @ weight))
    for bet in BETS:
        share = bet * weight / 4.0
        gain = chance @ (wrong * (1 - share) + (1 - wrong) * (1 + share * max_error / (1 - max_error)))
        assert gain == pytest.approx(1.0)


def test_the_largest_weight_may_be_one_that_was_not_drawn():
    scores, wrong = np.full(100, 0.9), np.zeros(100, dtype=bool)
    weight = np.tile([0.5, 1.0], 50)
    values = [
        certify_class(scores, wrong, max_error=0.1, risk=0.1, weight=weight, largest_weight=most).p_value
        for most in (None, 1.0, 2.0, 100.0)
    ]
    assert values[0] == values[1] < values[2] < values[3]
    with pytest.raises(ValueError, match="largest_weight must be at least every weight"):
        certify_class(scores, wrong, max_error=0.1, risk=0.1, weight=weight, largest_weight=0.9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_error": 0.0}, r"max_error must lie in \(0, 1\)"),
        ({"risk": 1.0}, "risk must lie in"),
        ({"wrong": [True]}, "wrong must have one value a row: 2 scores, got 1"),
        ({"scores": [0.5, np.nan]}, "scores must be finite, got nan in row 1"),
        ({"reference": [np.inf]}, "reference must be finite, got inf in row 0"),
        ({"weight": [1, -1]}, "sample_weight must be finite and not negative"),
        ({"weights": "counts"}, "'weights' parameter of certify_class"),
    ],
)
def test_refuses_what_it_cannot_read(arguments, message):
    with pytest.raises(ValueError, match=message):
        certify_class(**({"scores": [0.5, 0.6], "wrong": [False, True], "max_error": 0.1, "risk": 0.1} | arguments))


def overconfident(scores, max_error):
    return 1 - expit(0.6 * logit(np.clip(scores, 1e-12, 1 - 1e-12)))


ERROR_RATES = {
    "calibrated": lambda scores, max_error: 1 - scores,
    "overconfident": overconfident,
    "flat": lambda scores, max_error: np.full_like(scores, 1.02 * max_error),
    "bad top": lambda scores, max_error: np.where(scores > 0.988, 2.5 * max_error, 1 - scores),
    "oscillating": lambda scores, max_error: max_error * (1.01 + np.sign(np.sin(25 * scores / (1.05 - scores)))),
}


def true_error(rate, max_error, threshold):
    """Return the share of wrong rows at and above a threshold, by a fine grid over the scores' distribution."""
    normal = np.linspace(-7, 7, 40001)
    scores, density = expit(2 + 1.5 * normal), np.exp(-(normal**2) / 2)
    above = density * (scores >= threshold)
    return above @ rate(scores, max_error) / above.sum()


@pytest.mark.slow
@pytest.mark.parametrize("name", ERROR_RATES)
@pytest.mark.parametrize("with_reference", [False, True])
@pytest.mark.parametrize(("n", "max_error"), [(60, 0.2), (150, 0.05), (500, 0.2), (500, 0.05)])
def test_certificates_are_wrong_as_rarely_as_promised(name, with_reference, n, max_error):
    rng, draws, rate = np.random.default_rng(n), 400, ERROR_RATES[name]
    violations = 0
    for _ in range(draws):
        scores, others = expit(2 + 1.5 * rng.standard_normal((2, n)))
        wrong = rng.random(n) < rate(scores, max_error)
        reference = others if with_reference else None
        threshold = certify_class(scores, wrong, max_error=max_error, risk=0.1, reference=reference).threshold
        violations += threshold < math.inf and true_error(rate, max_error, threshold) > max_error + 1e-9
    assert violations / draws <= 0.1 + 2.5 * math.sqrt(0.09 / draws)


@pytest.mark.slow
def test_importances_undo_a_selection_that_favours_errors():
    """Reviewed rows are wrong more often than the rest; counted as they are, they could not certify what is true."""
    rng, certified, violations, draws = np.random.default_rng(0), 0, 0, 300
    for error, is_violation in ((0.05, False), (0.105, True)):
        for _ in range(draws):
            wrong = rng.random(4000) < error
            propensity = np.where(rng.random(4000) < 0.5 + 0.4 * wrong, 0.4, 0.1)
            seen = rng.random(4000) < propensity
            found = certify_class(
                rng.uniform(0.9, 1, size=4000)[seen], wrong[seen], max_error=0.1, risk=0.1,
                    reference=rng.uniform(0.9, 1, size=400),
                weight=1 / propensity[seen], weights="importance", largest_weight=10.0,
            )  # fmt: skip
            certified += found.status == "certified" and not is_violation
            violations += found.status == "certified" and is_violation
    assert certified / draws > 0.9
    assert violations / draws <= 0.1 + 2.5 * math.sqrt(0.09 / draws)


def test_most_errors_decides_at_the_start_as_the_p_value_does():
    scores = np.full(77, 0.95)
    for errors in range(4):
        found = certify_class(scores, np.arange(77) < errors, max_error=0.05, risk=0.1)
        assert (found.status == "certified") == (errors <= most_errors(77, 0.05, 0.1))
