import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, log_softmax, softmax

from skroute.calibration import _links
from skroute.calibration._links import FLOORS, Link, _root, fit_beta, fit_links
from skroute.calibration._softmax import mean_slope
from skroute.calibration._training_rows import training_rows


def rows_of(scores, y, weight=None):
    return training_rows(np.asarray(scores, dtype=float), np.asarray(y), weight)


def shifted(logits):
    return logits - logits.max(axis=1, keepdims=True)


def loss_of(logits, codes, weight, beta):
    return -weight @ log_softmax(beta * logits, axis=1)[np.arange(len(codes)), codes]


def by_scipy(logits, codes, weight, bounds=(-10, 10)):
    """Return the best inverse temperature and its loss."""
    found = minimize_scalar(
        lambda log_beta: loss_of(logits, codes, weight, np.exp(log_beta)),
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-12},
    )
    return np.exp(found.x), found.fun


def margins(n_classes, n_rows=600, seed=0):
    """Margins of one class against the rest, and labels of which they tell nothing but that."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n_rows, n_classes)) * 2 - 1.5
    share = expit(1.5 * scores - 0.5)
    share /= share.sum(axis=1, keepdims=True)
    return scores, (share.cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1)


def logits(n_classes, n_rows=600, seed=0, scale=3.0):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n_rows, n_classes)) * scale
    share = np.exp(log_softmax(0.7 * scores, axis=1))
    return scores, (share.cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("scale", [1e-2, 1.0, 30.0])
@pytest.mark.parametrize("start", [1.0, 1e-4, 1e4])
def test_beta_minimises_the_log_loss(sample, n_classes, scale, start):
    scores, y, weight = sample(n_classes)
    z = shifted(scores * scale)
    beta, loss = fit_beta(z, y, weight, start=start)
    expected, least = by_scipy(z, y, weight)
    assert_allclose(beta, expected, rtol=1e-6)
    assert_allclose(loss, least, rtol=1e-10)


def test_slope_and_curvature_are_the_derivatives_of_the_loss(sample):
    scores, y, weight = sample(4)
    z = shifted(scores)
    for beta in (0.1, 1.0, 5.0):
        loss, first, second = mean_slope(z, y, weight, beta)
        low, high = (loss_of(z, y, weight, beta + step) for step in (-1e-5, 1e-5))
        assert_allclose(loss, loss_of(z, y, weight, beta), rtol=1e-12)
        assert_allclose(first, (high - low) / 2e-5, rtol=1e-5, atol=1e-4)
        slopes = [mean_slope(z, y, weight, beta + step)[1] for step in (-1e-5, 1e-5)]
        assert_allclose(second, (slopes[1] - slopes[0]) / 2e-5, rtol=1e-6)


@pytest.mark.parametrize("spread", [1.0, 1000.0])
def test_beta_stays_in_the_range_of_scikit_learn(spread):
    z = shifted(np.array([[1.0, 0.0], [0.0, 1.0]]) * spread)
    right, wrong, weight = np.array([0, 1]), np.array([1, 0]), np.ones(2)
    assert_allclose(fit_beta(z, wrong, weight, spread=spread)[0], np.exp(-10) / spread)
    best, loss = fit_beta(z, right, weight, spread=spread)
    # Somewhere up there the loss is 0 to the last bit, and nothing is left to be gained.
    assert 1e-3 < best <= np.exp(10) * (1 + 1e-12)
    assert loss < 1e-3


@pytest.mark.parametrize("n_rows", [0, 3])
def test_rows_that_say_nothing_leave_beta_at_one(n_rows):
    beta, loss = fit_beta(np.zeros((n_rows, 3)), np.zeros(n_rows, dtype=int), np.full(n_rows, 2.0))
    assert beta == 1.0
    assert_allclose(loss, 2 * n_rows * np.log(3))


@pytest.mark.parametrize("zeros", [0.0, 0.02, 0.3])
def test_the_floor_is_the_one_of_least_loss(zeros):
    """So many of the labels lie where the model wrote an exact zero."""
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([0.5, 0.5, 0.5], size=400)
    y = (proba.cumsum(axis=1) < rng.random((400, 1))).sum(axis=1)
    proba[proba < 0.05] = 0.0
    proba /= proba.sum(axis=1, keepdims=True)
    wrong = rng.random(400) < zeros
    y[wrong] = proba[wrong].argmin(axis=1)
    losses = [by_scipy(shifted(np.log(proba + floor)), y, np.ones(400))[1] for floor in FLOORS]
    best, other = fit_links(rows_of(proba, y), from_proba=True)
    assert other is None
    assert best.floor == FLOORS[np.argmin(losses)]
    assert_allclose(best.beta, by_scipy(shifted(np.log(proba + best.floor)), y, np.ones(400))[0], rtol=1e-6)


@pytest.mark.parametrize("n_classes", [3, 6])
def test_margins_and_logits_are_told_apart(n_classes):
    best, other = fit_links(rows_of(*margins(n_classes, 1500)), from_proba=False)
    assert best.slope is not None
    assert other.slope is None
    best, other = fit_links(rows_of(*logits(n_classes, 1500)), from_proba=False)
    assert best.slope is None
    assert other.slope is not None
    assert best.floor is other.floor is None


@pytest.mark.parametrize("draw", [margins, logits])
def test_margins_must_win_by_one_nat(draw):
    chosen = set()
    for seed in range(12):
        scores, y = draw(3, 10 + 10 * seed, seed)
        links = fit_links(rows_of(scores, y), from_proba=False)
        (margin,), (plain,) = ([link for link in links if (link.slope is None) == plain] for plain in (False, True))
        losses = [by_scipy(link.logits(scores), y, np.ones(len(y)))[1] for link in (margin, plain)]
        assert (links[0] is margin) == (losses[0] < losses[1] - 1.0)
        chosen.add(links[0] is margin)
    assert chosen == {False, True} or draw is logits


def test_a_falling_sigmoid_does_not_turn_the_order_of_the_classes_round():
    scores, y = margins(4)
    best, other = fit_links(rows_of(-scores, y), from_proba=False)
    assert best.slope is None
    assert other.slope == 0.0
    assert_allclose(other.log_proba(scores), -np.log(4))


def test_two_classes_have_one_reading():
    scores, y = logits(2)
    best, other = fit_links(rows_of(scores, y), from_proba=False)
    assert best.slope is None
    assert other is None


@pytest.mark.parametrize(
    "link", [Link(floor=1e-4, beta=0.5), Link(beta=3.0), Link(slope=2.0, intercept=-1.0, beta=1.5)]
)
def test_log_probabilities_follow_the_formula(link):
    scores = np.random.default_rng(0).random((20, 3))
    if link.floor is not None:
        raw = np.log(scores + link.floor)
    else:
        raw = scores if link.slope is None else log_expit(2 * scores - 1)
    before = scores.copy()
    assert_allclose(link.log_proba(scores), log_softmax(link.beta * raw, axis=1), rtol=1e-12)
    assert_allclose(link.logits(scores), shifted(raw), rtol=1e-12, atol=1e-15)
    assert_array_equal(scores, before)


def test_probabilities_that_rounding_made_negative_are_zeros():
    assert_allclose(Link(floor=1e-3).log_proba(np.array([[-1e-7, 1.0]])), Link(floor=1e-3).log_proba(np.eye(2)[1:]))


def test_a_refit_changes_nothing_but_the_temperature():
    scores, y = margins(3)
    best, _ = fit_links(rows_of(scores, y), from_proba=False)
    again = best.refit(rows_of(scores[:200], y[:200]))
    assert (again.slope, again.intercept, again.floor) == (best.slope, best.intercept, None)
    expected = by_scipy(shifted(log_expit(best.slope * scores[:200] + best.intercept)), y[:200], np.ones(200))[0]
    assert_allclose(again.beta, expected, rtol=1e-6)


@pytest.mark.parametrize("from_proba", [False, True])
def test_many_scores_are_thinned_for_the_choice_but_not_for_the_temperature(monkeypatch, from_proba):
    scores, y = margins(3)
    if from_proba:
        scores = expit(scores) / expit(scores).sum(axis=1, keepdims=True)
    plain = fit_links(rows_of(scores, y), from_proba=from_proba)[0]
    monkeypatch.setattr(_links, "MOST_SCORES", 300)
    link = fit_links(rows_of(scores, y), from_proba=from_proba)[0]
    assert (link.slope is None) == (plain.slope is None)
    assert_allclose(link.beta, by_scipy(link.logits(scores), y, np.ones(len(y)))[0], rtol=1e-6)


def test_no_rows_leave_the_standard_link():
    for from_proba in (False, True):
        for n_classes in (2, 3):
            link, _ = fit_links(rows_of(np.empty((0, n_classes)), np.empty(0, dtype=int)), from_proba=from_proba)
            assert link.beta == 1.0
            assert (link.floor is not None) == from_proba


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (Link(floor=1e-4), "Scores are probabilities, with 0.0001 added before the logarithm."),
        (Link(), "Scores are logits."),
        (Link(slope=2.0, intercept=-0.5), "margins of one class against the rest: sigmoid(2 s -0.5)."),
    ],
)
def test_a_link_says_how_it_reads_scores(link, words):
    assert words in link.in_words()


def test_a_fit_from_near_the_minimum_takes_few_steps(monkeypatch):
    """The last step of Newton's may lie beyond the bracket by rounding, and must not be thrown away."""
    calls = []
    monkeypatch.setattr(_links, "mean_slope", lambda *given: calls.append(given[3]) or mean_slope(*given))
    for seed in range(40):
        rng = np.random.default_rng(seed)
        logits = rng.normal(size=(400, 5)) * rng.uniform(0.5, 4.0)
        logits = shifted(logits)
        codes = (softmax(0.7 * logits, axis=1).cumsum(axis=1) < rng.random((400, 1))).sum(axis=1)
        beta, _ = fit_beta(logits, codes, np.ones(400))
        calls.clear()
        again, _ = fit_beta(logits, codes, np.ones(400), start=beta * 1.01)
        assert again == pytest.approx(beta, rel=1e-8)
        assert len(calls) <= 6


def many_rows(wrong=()):
    """Logits of two classes that are right in all rows but some."""
    lead = np.random.default_rng(0).exponential(size=4 * _links.FIRST_ROWS) + 0.1
    codes = np.zeros(len(lead), dtype=int)
    codes[list(wrong)] = 1
    return np.column_stack([np.zeros(len(lead)), -lead]), codes, np.ones(len(lead))


def test_many_rows_start_where_few_of_them_end(monkeypatch):
    calls = []
    monkeypatch.setattr(_links, "mean_slope", lambda *given: calls.append(len(given[0])) or mean_slope(*given))
    rng = np.random.default_rng(0)
    scores = shifted(rng.normal(size=(100_000, 4)) * 3.0)
    codes = (softmax(0.6 * scores, axis=1).cumsum(axis=1) < rng.random((100_000, 1))).sum(axis=1)
    beta, loss = fit_beta(scores, codes, np.ones(100_000))
    expected, least = by_scipy(scores, codes, np.ones(100_000))
    assert_allclose(beta, expected, rtol=1e-7)
    assert_allclose(loss, least, rtol=1e-11)
    assert calls.count(100_000) <= 2
    # The slope that rows have there is nothing beside their curvature.
    _, slope, curvature = mean_slope(scores, codes, np.ones(100_000), beta)
    assert abs(slope / curvature) <= 1e-8 * beta


def test_the_cubic_through_two_places_finds_a_root_that_newton_would_find_in_two_steps():
    def place(x):
        return x, x**3 + 2.0 * x - 1.0, 3.0 * x**2 + 2.0

    root = float(np.real(np.roots([1.0, 0.0, 2.0, -1.0])[-1]))
    for far in (0.1, 0.05, -0.05):
        x, slope, curvature = place(root + far)
        near = place(x - slope / curvature)
        newton = abs(near[0] - near[1] / near[2] - root)
        assert abs(_root(near, place(x)) - root) < 0.05 * newton
    assert np.isnan(_root((1.0, 0.5, 1.0), (2.0, 0.5, 1.0)))
    assert np.isnan(_root((1.0, 0.5, 0.0), (2.0, 1.0, 1.0)))


def test_few_rows_that_are_all_right_do_not_mislead(monkeypatch):
    # The sample takes every fourth row.
    rows = many_rows(wrong=range(1, 4001, 4))
    calls = []
    monkeypatch.setattr(_links, "mean_slope", lambda *given: calls.append(len(given[0])) or mean_slope(*given))
    beta, loss = fit_beta(*rows)
    assert calls.count(len(rows[0])) < 10
    expected, least = by_scipy(*rows)
    assert_allclose(beta, expected, rtol=1e-7)
    assert_allclose(loss, least, rtol=1e-10)


def test_rows_that_are_all_right_reach_the_limit_or_a_loss_of_nothing():
    beta, loss = fit_beta(*many_rows())
    assert 1e3 < beta <= np.exp(10) * (1 + 1e-12)
    assert loss < 1e-9
