import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import isotonic_regression
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from skroute.calibration import _isotonic_fit, _isotonic_keys, _isotonic_labels, _isotonic_sift
from skroute.calibration._isotonic_fit import MANY_QUICK, MANY_SLOW, isotonic_knots
from skroute.calibration._isotonic_sift import sift

# Even, crowded at either end or at both, with ties, with all but ties, of one value, and of both signs.
SCORES = {
    "uniform": lambda rng, n: rng.random(n),
    "normal": lambda rng, n: rng.normal(size=n),
    "crowded at zero": lambda rng, n: np.exp(6 * rng.normal(size=n)),
    "crowded at both ends": lambda rng, n: expit(8 * rng.normal(size=n)),
    "all but one at both ends": lambda rng, n: expit(25 * rng.normal(size=n)),
    "rounded": lambda rng, n: rng.random(n).round(2),
    "signed zeros": lambda rng, n: np.copysign(rng.integers(0, 3, n) / 2, rng.normal(size=n)).clip(0.0, 1.0),
    "nearly equal": lambda rng, n: 0.3 + rng.integers(0, 200, n) * 2.0**-53,
    "some nearly equal": lambda rng, n: np.repeat(rng.random(-(-n // 2)), 2)[:n] + rng.choice([0.0, 3e-16, 2e-15], n),
    "far out": lambda rng, n: np.append(rng.random(n - 1), 1e9),
    "huge": lambda rng, n: rng.normal(size=n) * 1e307,
    "tiny": lambda rng, n: rng.random(n) * 1e-300,
    "up to the largest that is packed": lambda rng, n: np.append(1.5 * rng.random(n - 1), np.nextafter(1.5, 0.0)),
    "one too large to be packed": lambda rng, n: np.append(1.5 * rng.random(n - 1), 1.5),
    "too far apart to be packed": lambda rng, n: np.append(rng.normal(size=n - 1) * 4.0, 1e-320),
    "equal": lambda rng, n: np.full(n, 0.7),
}
LABELS = {
    "rising": lambda rng, rank: rng.random(len(rank)) < rank,
    "falling": lambda rng, rank: rng.random(len(rank)) < 1 - rank,
    "even": lambda rng, rank: rng.random(len(rank)) < 0.3,
    "rare": lambda rng, rank: rng.random(len(rank)) < 0.02 * rank,
    "separated": lambda rng, rank: rank > 0.4,
    "in turns": lambda rng, rank: np.arange(len(rank)) % 2 == 0,
    "ones": lambda rng, rank: np.ones(len(rank), dtype=bool),
    "zeros": lambda rng, rank: np.zeros(len(rank), dtype=bool),
}


def draw(scores, labels, n, seed=0):
    rng = np.random.default_rng(seed)
    x = SCORES[scores](rng, n)
    return x, LABELS[labels](rng, x.argsort().argsort() / n)


@pytest.fixture
def small(monkeypatch):
    """Sift few rows, through several rounds."""
    monkeypatch.setattr(_isotonic_fit, "sorts_quickly", lambda: False)
    monkeypatch.setattr(_isotonic_fit, "MANY_QUICK", 1)
    monkeypatch.setattr(_isotonic_fit, "MANY_SLOW", 1)
    monkeypatch.setattr(_isotonic_fit, "PAIRS", 1)
    monkeypatch.setattr(_isotonic_sift, "FEW_ROWS", 8)
    monkeypatch.setattr(_isotonic_sift, "BLOCK_ROWS", 1)


def sorted_knots(x, positive, weight=None):
    """Return the knots that the plain way finds, which sorts all rows."""
    return isotonic_knots(x, positive.astype(float), weight)


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("scores", SCORES)
def test_the_function_is_the_one_of_sorted_rows_to_the_last_bit(small, monkeypatch, scores, labels):
    for seed, n in enumerate([1, 2, 3, 10, 50, 200, 1000, 3000]):
        x, positive = draw(scores, labels, n, seed)
        expected = sorted_knots(x, positive)
        monkeypatch.setattr(_isotonic_keys, "FEW", 1)
        # Sifted; sorted with the labels, which are looked at run by run; and cell by cell.
        for quick, fewest_cells in ((False, 1), (True, n + 1), (True, 1)):
            monkeypatch.setattr(_isotonic_fit, "sorts_quickly", lambda quick=quick: quick)
            monkeypatch.setattr(_isotonic_labels, "MANY", fewest_cells)
            found = isotonic_knots(x, positive)
            assert_array_equal(found[0], expected[0])
            assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize(
    ("scores", "quick", "sifted"),
    [
        ("uniform", False, [MANY_SLOW, MANY_QUICK - 1, MANY_QUICK]),
        ("uniform", True, []),
        ("normal", True, []),
        ("too far apart to be packed", True, [MANY_QUICK]),
    ],
)
def test_rows_are_sifted_where_sorting_them_takes_longer(monkeypatch, scores, quick, sifted):
    numbers = []
    monkeypatch.setattr(_isotonic_fit, "sorts_quickly", lambda: quick)
    monkeypatch.setattr(_isotonic_fit, "sift", lambda scores, *_: numbers.append(len(scores)))
    for n in (MANY_SLOW - 1, MANY_SLOW, MANY_QUICK - 1, MANY_QUICK):
        isotonic_knots(*draw(scores, "rising", n))
    assert numbers == sifted


@pytest.mark.parametrize("scores", ["uniform", "crowded at zero", "crowded at both ends", "rounded", "normal"])
def test_equals_scikit_learn_on_many_rows(scores):
    x, positive = draw(scores, "rising", 50_000)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(x, positive.astype(float))
    grid = np.append(x, np.linspace(-5, 5, 1001))
    assert_allclose(np.interp(grid, *isotonic_knots(x, positive)), theirs.predict(grid), rtol=0, atol=1e-12)


@pytest.mark.parametrize("labels", ["rising", "even", "rare", "falling"])
@pytest.mark.parametrize("scores", ["uniform", "crowded at zero", "crowded at both ends", "rounded"])
def test_no_end_of_a_block_is_left_out(small, scores, labels):
    for seed in range(10):
        x, positive = draw(scores, labels, 500, seed)
        left = sift(x, positive, None)
        distinct, group = np.unique(x, return_inverse=True)
        count, ones = np.bincount(group), np.bincount(group, positive)
        last = isotonic_regression(ones / count, weights=count).blocks[1:] - 1
        known = np.union1d(x[left.rows], left.score[~np.isnan(left.score)])
        # And neither is the score before or the one after.
        for step in (-1, 0, 1):
            assert np.isin(distinct[np.clip(last + step, 0, len(distinct) - 1)], known).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scores", SCORES)
def test_sums_and_rows_hold_everything_in_order(small, scores, weighted):
    x, positive = draw(scores, "rising", 700)
    weight = np.random.default_rng(1).integers(1, 5, 700).astype(float) if weighted else None
    left = sift(x, positive, weight)
    if left is None:
        assert scores in ("equal", "tiny", "huge")
        return
    every = np.ones(700) if weight is None else weight
    by_label = [every[~positive].sum(), every[positive].sum()]
    rows = [every[left.rows][~positive[left.rows]].sum(), every[left.rows][positive[left.rows]].sum()]
    assert_array_equal(left.sums.sum(axis=1) + rows, by_label)
    order = np.argsort(x[left.rows], kind="stable")
    assert (np.diff(left.slot[order]) >= 0).all()
    # A slot has rows or sums, so that their order is all there is to know.
    assert not left.sums[:, left.slot].any()


@pytest.mark.parametrize("scores", ["uniform", "crowded at zero", "crowded at both ends", "rounded", "far out"])
def test_few_rows_are_left_over(scores):
    x, positive = draw(scores, "rising", 100_000)
    assert len(sift(x, positive, None).rows) < 10_000


@pytest.mark.parametrize("labels", ["zeros", "ones", "separated", "falling"])
def test_hardly_a_row_is_left_over_where_labels_are_all_but_equal(labels):
    x, positive = draw("uniform", labels, 100_000)
    assert len(sift(x, positive, None).rows) < 1000


def test_equal_scores_leave_no_row_over():
    x, positive = draw("rounded", "rising", 20_000)
    left = sift(x, positive, None)
    assert len(left.rows) == 0
    assert_array_equal(left.score, np.unique(x))
    assert_array_equal(left.sums.sum(axis=0), np.unique(x, return_counts=True)[1])


@pytest.mark.parametrize("scores", SCORES)
def test_row_order_changes_no_bit(small, scores):
    x, positive = draw(scores, "rising", 1000)
    order = np.random.default_rng(6).permutation(1000)
    for first, second in zip(isotonic_knots(x, positive), isotonic_knots(x[order], positive[order]), strict=True):
        assert_array_equal(first, second)


@pytest.mark.parametrize("scores", ["uniform", "rounded", "crowded at zero", "crowded at both ends", "normal"])
def test_whole_weights_are_repetitions_to_the_last_bit(small, scores):
    x, positive = draw(scores, "rising", 600)
    weight = np.random.default_rng(2).integers(1, 6, 600)
    again = np.repeat(np.arange(600), weight)
    by_weight = isotonic_knots(x, positive, weight.astype(float))
    for first, second in zip(by_weight, isotonic_knots(x[again], positive[again]), strict=True):
        assert_array_equal(first, second)
    assert_allclose(by_weight[1], sorted_knots(x, positive, weight.astype(float))[1], rtol=0, atol=1e-12)


def test_groups_of_scores_at_the_end_of_a_block_are_left_to_the_sort(small):
    # 0.5 and the next float are one score, whose mean label is a half; apart, they would be the ends of two blocks.
    x = np.append(np.linspace(0, 1, 101), [np.nextafter(0.5, 1.0)] * 40)
    positive = np.append(np.linspace(0, 1, 101) > 0.6, [True] * 40)
    assert _isotonic_fit._sifted_blocks(x, positive, None) is None
    assert_array_equal(isotonic_knots(x, positive)[0], sorted_knots(x, positive)[0])


@pytest.mark.parametrize("scores", ["uniform", "crowded at zero", "normal"])
def test_rows_without_such_groups_are_not_sorted(small, scores):
    x, positive = draw(scores, "rising", 1000)
    assert _isotonic_fit._sifted_blocks(x, positive, None) is not None


def test_the_caller_keeps_his_arrays(small):
    x, positive = draw("crowded at zero", "rising", 500)
    weight = np.full(500, 2.0)
    before = [part.copy() for part in (x, positive, weight)]
    isotonic_knots(x, positive, weight)
    for part, was in zip((x, positive, weight), before, strict=True):
        assert_array_equal(part, was)


def test_probabilities_that_crowd_at_zero_are_spread_by_their_bits():
    for scores, spread in (("crowded at zero", np.int64), ("uniform", float), ("normal", float), ("far out", float)):
        assert _isotonic_sift._evenly_spread(draw(scores, "even", 5000)[0]).dtype == spread


def test_a_negative_score_beside_the_sample_is_seen(small):
    x, positive = draw("crowded at zero", "rising", 4 * _isotonic_sift.SAMPLE)
    x[1] = -1.0
    assert_array_equal(isotonic_knots(x, positive)[0], sorted_knots(x, positive)[0])


def test_heavy_rows_do_not_tell_equal_blocks_apart_by_rounding(small):
    # One case in thousands.
    rng = np.random.default_rng(5547)
    n, every = int(rng.integers(20, 400)), int(rng.integers(2, 9))
    weight = rng.integers(1, 2 ** int(rng.integers(1, 44)), n).astype(float)
    positive = np.arange(n) % every == rng.integers(every) if rng.random() < 0.5 else rng.random(n) < 1 / every
    _, y = isotonic_knots(np.arange(float(n)), positive, weight)
    assert (np.diff(y) >= 0.0).all()
    assert not ((y[2:] == y[1:-1]) & (y[1:-1] == y[:-2])).any()
