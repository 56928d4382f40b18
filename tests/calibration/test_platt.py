import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from skroute.calibration import _platt
from skroute.calibration._platt import fit_platt

MANY = _platt.MANY_ROWS + 1000
SCORES = {
    "margins": lambda raw: raw,
    "falling": lambda raw: -raw,
    "probabilities": expit,
    "rounded": lambda raw: raw.round(1),
    "far from zero": lambda raw: 1e3 + raw,
    "few values": lambda raw: np.sign(raw),
    "one far out": lambda raw: np.append(raw[:-1], 1e4),
    "steep": lambda raw: np.cbrt(raw),
}


def draw(kind="margins", n=MANY, *, seed=0, weighted=False):
    rng = np.random.default_rng(seed)
    raw = 2.0 * rng.normal(size=n) - 1.0
    positive = rng.random(n) < expit(0.7 * raw + 0.3 * np.sin(2.0 * raw))
    return SCORES[kind](raw), positive, rng.integers(1, 5, n).astype(float) if weighted else None


def targets(positive, weight):
    weight = np.ones(len(positive)) if weight is None else weight
    n_positive, n_negative = weight[positive].sum(), weight[~positive].sum()
    return np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2)), weight


def standard_gradient(scores, positive, weight, slope, intercept):
    """Return the gradient of the mean loss for standardised scores, row by row."""
    target, weight = targets(positive, weight)
    residual = weight * (expit(slope * scores + intercept) - target) / weight.sum()
    centre = np.average(scores, weights=weight)
    scale = np.sqrt(np.average((scores - centre) ** 2, weights=weight))
    return np.array([residual @ (scores - centre) / scale, residual.sum()])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [30, 1000, MANY])
@pytest.mark.parametrize("kind", SCORES)
def test_the_gradient_vanishes(kind, n, weighted):
    sample = draw(kind, n, weighted=weighted)
    assert_allclose(standard_gradient(*sample, *fit_platt(*sample)), 0.0, atol=1e-11)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["margins", "probabilities", "rounded", "steep"])
def test_equals_a_general_minimiser(kind, weighted):
    scores, positive, weight = sample = draw(kind, weighted=weighted)
    target, each = targets(positive, weight)
    centre = np.average(scores, weights=weight)
    scale = np.sqrt(np.average((scores - centre) ** 2, weights=weight))

    def loss(parameters):
        raw = parameters[0] * (scores - centre) / scale + parameters[1]
        value = -each @ (target * log_expit(raw) + (1 - target) * log_expit(-raw)) / each.sum()
        slope = parameters[0] / scale
        return value, standard_gradient(*sample, slope, parameters[1] - slope * centre)

    found = minimize(loss, [0.0, 0.0], jac=True, method="BFGS", options={"gtol": 1e-10})
    slope, intercept = fit_platt(*sample)
    assert_allclose([slope * scale, intercept + slope * centre], found.x, rtol=1e-8)
    assert loss([slope * scale, intercept + slope * centre])[0] <= found.fun + 1e-15


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["margins", "probabilities", "far from zero", "steep", "falling"])
def test_histograms_leave_little_to_the_rows(monkeypatch, kind, weighted):
    lengths = []
    moments = _platt._Sample.moments
    monkeypatch.setattr(
        _platt._Sample, "moments", lambda self, *at: lengths.append(len(self.scores)) or moments(self, *at)
    )
    fit_platt(*draw(kind, 100_000, weighted=weighted))
    # Each is all but what the one before it found.
    coarse = sum(length <= _platt.BINS // _platt.COARSE for length in lengths)
    assert lengths.count(100_000) <= 2
    assert len(lengths) - coarse - lengths.count(100_000) <= 4


def test_a_histogram_in_which_few_bins_hold_rows_is_not_used(monkeypatch):
    monkeypatch.setattr(_platt, "_minimise_binned", lambda *_: pytest.fail("used"))
    fit_platt(*draw("one far out"))
    with pytest.raises(pytest.fail.Exception):
        fit_platt(*draw("margins"))


@pytest.mark.parametrize("kind", ["margins", "few values", "one far out"])
def test_whole_weights_are_repetitions_and_row_order_is_irrelevant(kind):
    scores, positive, weight = draw(kind, weighted=True)
    again = np.repeat(np.arange(MANY), weight.astype(int))
    expected = fit_platt(scores, positive, weight)
    assert_allclose(fit_platt(scores[again], positive[again]), expected, rtol=1e-9)
    order = np.random.default_rng(1).permutation(MANY)
    assert_allclose(fit_platt(scores[order], positive[order], weight[order]), expected, rtol=1e-9)


@pytest.mark.parametrize("n", [1000, MANY])
@pytest.mark.parametrize("far", [1e3, 1e6, 1e9, 1e15])
def test_few_rows_of_a_class_far_from_all_others(n, far):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=n)
    scores[:3] = far
    positive = np.arange(n) < 3
    slope, intercept = fit_platt(scores, positive)
    assert_allclose(standard_gradient(scores, positive, None, slope, intercept), 0.0, atol=1e-9)
    # The further they are, the more are all others like one score.
    share = expit(slope * scores + intercept)
    assert_allclose([share[0], share[3:].mean()], [4 / 5, 1 / (n - 1)], rtol=1e-3)


@pytest.mark.parametrize(
    ("low", "high"), [(-1.0, 2.0), (0.0, 1.7e308), (-1e308, 1e308), (1e308, 1.7e308), (0.0, 1e-300)]
)
@pytest.mark.parametrize("weight", [(1, 1, 1, 1), (1e8, 1e-8, 1e-8, 1e8), (1e-8, 1e-8, 1e8, 1e4), (1e3, 1, 1, 1e-9)])
@pytest.mark.parametrize("repeats", [1, MANY // 4])
def test_two_scores_get_the_mean_targets_of_their_rows(low, high, weight, repeats):
    scores, positive, weight = (np.repeat(part, repeats) for part in ([low, low, high, high], [0, 1, 0, 1], weight))
    positive, weight = positive.astype(bool), weight.astype(float)
    target, _ = targets(positive, weight)
    expected = [np.average(target[scores == score], weights=weight[scores == score]) for score in (low, high)]
    slope, intercept = fit_platt(scores, positive, weight)
    assert_allclose(expit(slope * np.array([low, high]) + intercept), expected, rtol=1e-4, atol=1e-9)


def test_scores_that_no_slope_can_tell_apart_count_as_equal():
    slope, intercept = fit_platt(np.array([0.0, 1e-310] * 20), np.arange(40) % 4 == 0)
    assert slope == 0.0
    assert np.isfinite(intercept)


@pytest.mark.parametrize("n", [40, MANY])
@pytest.mark.parametrize("scale", [1e-306, 1e-200, 1e-30, 1e30, 1e150])
def test_the_scale_of_scores_does_not_matter(n, scale):
    scores, positive, _ = draw(n=n)
    slope, intercept = fit_platt(scores * scale, positive)
    assert_allclose([slope * scale, intercept], fit_platt(scores, positive), rtol=1e-8)


@pytest.mark.parametrize("n", [4, MANY])
@pytest.mark.parametrize("score", [0.1, -7.0, 1e300])
def test_equal_scores_give_the_smoothed_share(n, score):
    positive = np.arange(n) % 4 == 0
    slope, intercept = fit_platt(np.full(n, score), positive)
    assert slope == 0.0
    assert_allclose(expit(intercept), targets(positive, None)[0].mean())


@pytest.mark.parametrize("n", [40, MANY])
def test_separated_classes_keep_a_finite_slope(n):
    scores = np.linspace(-1, 1, n)
    sample = scores, scores > 0.3, None
    slope, intercept = fit_platt(*sample)
    assert np.isfinite([slope, intercept]).all()
    assert slope > 5.0
    assert_allclose(standard_gradient(*sample, slope, intercept), 0.0, atol=1e-9)


@pytest.mark.parametrize("label", [False, True])
@pytest.mark.parametrize("n", [3, MANY])
def test_a_single_label_gives_platts_prior(label, n):
    scores = np.random.default_rng(0).normal(size=n)
    slope, intercept = fit_platt(scores, np.full(n, label))
    expected = (n + 1) / (n + 2) if label else 1 / (n + 2)
    assert_allclose(expit(slope * scores + intercept), expected, atol=1e-9)


def test_the_caller_keeps_his_arrays():
    given = draw(weighted=True)
    before = [part.copy() for part in given]
    fit_platt(*given)
    for part, was in zip(given, before, strict=True):
        assert_array_equal(part, was)
