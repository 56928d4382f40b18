import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from skroute.policies._recall import watch_level, watched_share

scores_of_any_kind = st.lists(st.integers(0, 20).map(lambda i: i / 20) | st.floats(0, 1), min_size=1, max_size=120)
targets = st.sampled_from([(0.05, 0.1), (0.1, 0.1), (0.2, 0.05), (0.3, 0.5)])


@given(scores_of_any_kind, targets)
def test_rank_is_the_definition(scores, target):
    max_miss, risk = target
    n = len(scores)
    ranks = [k for k in range(1, n + 1) if binom.cdf(k - 1, n, max_miss) <= risk]
    watched = watch_level(scores, max_miss=max_miss, risk=risk)
    assert watched.rows == n
    assert watched.rank == max(ranks, default=0)
    assert watched.status == ("certified" if ranks else "too_few_rows")
    assert watched.level == (sorted(scores)[watched.rank - 1] if ranks else 0.0)
    assert (n >= watched.rows_needed) == bool(ranks)


@pytest.mark.parametrize("n", [45, 60, 100, 1000])
def test_missed_share_is_within_its_bound_by_the_distribution_of_order_statistics(n):
    rank = watch_level(np.linspace(0, 1, n), max_miss=0.05, risk=0.1).rank
    assert beta.sf(0.05, rank, n - rank + 1) <= 0.1 < beta.sf(0.05, rank + 1, n - rank)


@given(scores_of_any_kind, targets, st.randoms())
def test_order_does_not_matter(scores, target, random):
    max_miss, risk = target
    shuffled = random.sample(scores, len(scores))
    assert watch_level(scores, max_miss=max_miss, risk=risk) == watch_level(shuffled, max_miss=max_miss, risk=risk)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9)), min_size=1, max_size=60), targets)
def test_whole_weights_are_repetitions(rows, target):
    max_miss, risk = target
    scores, weight = map(np.array, zip(*rows, strict=True))
    assert watch_level(scores, max_miss=max_miss, risk=risk, weight=weight) == watch_level(
        np.repeat(scores, weight), max_miss=max_miss, risk=risk
    )


@given(scores_of_any_kind, targets)
def test_a_laxer_target_raises_the_level(scores, target):
    max_miss, risk = target
    level = watch_level(scores, max_miss=max_miss, risk=risk).level
    assert watch_level(scores, max_miss=max_miss * 1.5, risk=risk).level >= level
    assert watch_level(scores, max_miss=max_miss, risk=risk * 1.5).level >= level


@given(scores_of_any_kind, targets, st.floats(0.01, 100))
def test_equal_importances_cancel(scores, target, weight):
    max_miss, risk = target
    equal = np.full(len(scores), weight)
    assert watch_level(scores, max_miss=max_miss, risk=risk, weight=equal, weights="importance") == watch_level(
        scores, max_miss=max_miss, risk=risk
    )


def test_importances_count_the_weighted_share():
    # One row in ten stands for half of the class, so that its misses count ten times as much.
    scores = np.linspace(0, 1, 400)
    weight = np.where(np.arange(400) % 10 == 0, 9.5, 1.0)
    watched = watch_level(scores, max_miss=0.2, risk=0.1, weight=weight)
    missed = weight[scores < watched.level].sum() / weight.sum()
    assert 0.05 < missed < 0.2
    assert watched.rows == 400


def test_importances_that_a_single_row_dominates_show_nothing():
    watched = watch_level(np.linspace(0, 1, 60), max_miss=0.05, risk=0.1, weight=[1e6] + [0.5] * 59)
    assert (watched.level, watched.status, watched.rank) == (0.0, "too_few_rows", 0)


@pytest.mark.slow
@pytest.mark.parametrize("importance", [False, True])
@pytest.mark.parametrize("n", [45, 100, 400])
def test_misses_exceed_their_bound_as_rarely_as_promised(n, importance):
    rng, draws = np.random.default_rng(n), 1000
    violations = 0
    for _ in range(draws):
        scores = rng.random(n)
        # Drawn more often in the lower half, and weighted to make up for it.
        kept = rng.random(n) < np.where(scores < 0.5, 0.9, 0.3) if importance else np.ones(n, dtype=bool)
        weight = 0.3 / np.where(scores < 0.5, 0.9, 0.3) if importance else np.ones(n)
        level = watch_level(scores[kept], max_miss=0.1, risk=0.1, weight=weight[kept]).level
        violations += level > 0.1
    assert violations / draws <= 0.1 + 2.5 * math.sqrt(0.09 / draws)


def test_watched_share():
    assert watched_share([0.1, 0.4, 0.4, 0.6], 0.4) == 0.75
    assert watched_share([0.1, 0.4], 0.0) == 1.0
    assert watched_share([0.1, 0.4], 0.2, weight=[3, 1]) == 0.25
    assert math.isnan(watched_share([], 0.2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_miss": 0.0}, r"max_miss must lie in \(0, 1\)"),
        ({"risk": 0.0}, "risk must lie in"),
        ({"scores": [0.1, np.nan]}, "scores must be finite, got nan"),
        ({"weight": [1.0]}, "sample_weight must have one value a row"),
        ({"weights": "counts"}, "'weights' parameter of watch_level"),
    ],
)
def test_refuses_what_it_cannot_read(arguments, message):
    with pytest.raises(ValueError, match=message):
        watch_level(**({"scores": [0.1, 0.2], "max_miss": 0.1, "risk": 0.1} | arguments))
