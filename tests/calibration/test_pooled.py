"""The pool alone; the laws that it shares with vector and matrix scaling are in test_joint_*.py."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax

from skroute.calibration import PooledCalibrator, TemperatureCalibrator, VectorCalibrator, _pool, _pooled
from skroute.calibration._pool import MEMBERS, fit_members


def drawn_from(share, rng):
    return (share.cumsum(axis=1) < rng.random((len(share), 1))).sum(axis=1)


def draw(n_classes, n_rows=150, seed=0, *, kind="proba", slope=0.6):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n_rows, n_classes)) * 2
    y = drawn_from(softmax(slope * scores, axis=1), rng)
    if kind == "margins":
        y = drawn_from(expit(scores - 1) / expit(scores - 1).sum(axis=1, keepdims=True), rng)
    return (softmax(scores, axis=1) if kind == "proba" else scores), y


def log_loss(proba, y):
    return -np.log(proba[np.arange(len(y)), y]).mean()


def assert_sane(proba):
    assert np.isfinite(proba).all()
    assert (proba >= 0.0).all()
    assert_allclose(proba.sum(axis=1), 1.0, rtol=0, atol=1e-12)


def fit(scores, y, weight=None, *, folds=None, **settings):
    return PooledCalibrator(**settings).fit(scores, y, weight, classes=np.arange(scores.shape[1]), folds=folds)


@pytest.fixture
def fits(monkeypatch):
    """Note the rows of every fit of the members; the first of a pool is the one on all of them."""
    noted = []

    def noting(rows, **settings):
        noted.append((rows, settings.get("like")))
        return fit_members(rows, **settings)

    monkeypatch.setattr(_pooled, "fit_members", noting)
    return noted


def rows_in(fitted_on, scores, class_order):
    """Tell which of the given rows, all distinct, a fit had."""
    seen = {tuple(row) for row in fitted_on.scores}
    return np.array([tuple(row) in seen for row in scores[:, class_order]])


@pytest.mark.parametrize("given", ["none", 2, 3, 10, 25, 150])
@pytest.mark.parametrize("kind", ["proba", "margins"])
def test_no_member_of_a_fold_has_seen_its_rows(fits, given, kind):
    scores, y = draw(3, kind=kind)
    folds = None if given == "none" else np.arange(150) % given
    calibrator = fit(scores, y, folds=folds)
    (full, first), *parts = fits
    assert first is None
    assert len(full.codes) == 150
    left_out = np.array([~rows_in(rows, scores, full.class_order) for rows, _ in parts])
    assert len(parts) == (5 if given == "none" else min(given, 10))
    # Every row is left out once, and with it all rows of its fold.
    assert_array_equal(left_out.sum(axis=0), 1)
    if folds is not None:
        fold_of = left_out.argmax(axis=0)
        for fold in range(given):
            assert len(set(fold_of[folds == fold])) == 1
    assert len(calibrator.oof_proba_) == 150


def test_probabilities_out_of_fold_are_the_mixture_of_the_members_of_the_fold(fits):
    scores, y = draw(3)
    folds = np.arange(150) % 3
    calibrator = fit(scores, y, folds=folds)
    (full, _), *parts = fits
    used = [name for name, weight in calibrator.pool_weights_.items() if weight > 0]
    for fold in range(3):
        held = folds == fold
        (rows, like) = parts[fold]
        assert not rows_in(rows, scores, full.class_order)[held].any()
        members = fit_members(rows, from_proba=True, shrinkage=5.0, like=like)
        mixture = sum(
            calibrator.pool_weights_[name] * proba
            for name, proba in zip(used, members.probas(scores[held][:, full.class_order], used), strict=True)
        )
        # All but what is mixed with the uniform distribution.
        assert_allclose(calibrator.oof_proba_[held][:, full.class_order], mixture, atol=0.5 / 100)


def test_the_own_label_of_a_row_hardly_changes_its_probability_out_of_fold():
    """What is left is the full fit's choice of floor and strengths, and the weights of the members."""
    scores, y = draw(3, 300)
    folds = np.arange(300) % 5
    before = fit(scores, y, folds=folds)
    own, seen = [], []
    for row in range(0, 300, 30):
        turned = y.copy()
        turned[row] = (y[row] + 1) % 3
        after = fit(scores, turned, folds=folds)
        own.append(np.abs(after.oof_proba_[row] - before.oof_proba_[row]).max())
        probas = [calibrator.predict_proba(scores[row : row + 1]) for calibrator in (before, after)]
        seen.append(np.abs(probas[1] - probas[0]).max())
    assert np.mean(own) < np.mean(seen) / 2


def test_probabilities_out_of_fold_are_as_honest_as_fresh_rows():
    differences = []
    for seed in range(12):
        n_classes = (3, 6)[seed % 2]
        scores, y = draw(n_classes, 200 + 4000, seed)
        calibrator = fit(scores[:200], y[:200])
        own, fresh = log_loss(calibrator.oof_proba_, y[:200]), calibrator.predict_proba(scores[200:])
        # The same rows by the true law, so that easy rows do not count.
        truth = softmax(0.6 * np.log(scores), axis=1)
        differences.append(
            own - log_loss(truth[:200], y[:200]) - (log_loss(fresh, y[200:]) - log_loss(truth[200:], y[200:]))
        )
    assert abs(np.mean(differences)) < 3 * np.std(differences, ddof=1) / np.sqrt(12) + 0.005


def test_weights_and_members_belong_together():
    for n_classes, kind in [(2, "proba"), (3, "proba"), (4, "margins")]:
        calibrator = fit(*draw(n_classes, kind=kind))
        assert list(calibrator.pool_weights_) == [name for name in MEMBERS if name in calibrator.pool_weights_]
        assert_allclose(sum(calibrator.pool_weights_.values()), 1.0, rtol=1e-12)
        assert ("matrix" in calibrator.pool_weights_) == (n_classes > 2)
        assert ("vector, other link" in calibrator.pool_weights_) == (kind == "margins")


def test_few_rows_leave_the_choice_to_the_simple_members():
    weights = fit(*draw(4, 8)).pool_weights_
    assert weights["temperature"] + weights["vector"] > 0.4


def test_one_row_is_judged_by_what_was_believed_before():
    calibrator = fit(np.array([[0.7, 0.2, 0.1]]), np.array([0]))
    assert_allclose(calibrator.oof_proba_, 1 / 3)
    assert_sane(calibrator.predict_proba([[0.7, 0.2, 0.1]]))


def test_one_row_of_weight_two_is_two_rows():
    scores = np.array([[0.7, 0.2, 0.1]])
    one, two = fit(scores, np.array([0]), [2.0]), fit(np.repeat(scores, 2, axis=0), np.array([0, 0]))
    assert_array_equal(one.oof_proba_[[0, 0]], two.oof_proba_)
    assert one.oof_proba_[0, 0] > 1 / 3


def test_a_repeated_row_has_the_mean_over_its_folds():
    rng = np.random.default_rng(0)
    scores, y = np.repeat(rng.dirichlet([1, 1, 1], size=12), 5, axis=0), np.repeat(rng.integers(0, 3, 12), 5)
    folds, others = np.arange(60) % 5, np.arange(60) != 0
    calibrator = fit(scores, y, folds=folds)
    assert_sane(calibrator.oof_proba_)
    assert_allclose(calibrator.oof_proba_, np.repeat(calibrator.oof_proba_[::5], 5, axis=0), rtol=1e-12)
    # Without one of them, the mean is over the four folds that are left.
    less = fit(scores[others], y[others], folds=folds[others])
    assert 0 < np.abs(less.oof_proba_[0] - calibrator.oof_proba_[0]).max() < 0.1


@pytest.mark.parametrize("n_folds", [2, 3, 7, 40, 1000])
def test_any_number_of_folds_serves(n_folds):
    scores, y = draw(3, 60)
    calibrator = fit(scores, y, n_folds=n_folds)
    assert_sane(calibrator.oof_proba_)
    assert np.abs(calibrator.predict_proba(scores) - fit(scores, y).predict_proba(scores)).mean() < 0.05


@pytest.mark.parametrize(
    "folds",
    [
        np.zeros(150, dtype=int),
        np.full(150, 7),
        np.arange(150) % 2,
        np.arange(150),
        -3 * np.arange(150),
        np.r_[0, np.ones(149, dtype=int)],
        (np.arange(150) % 3).tolist(),
        pd.Series(np.arange(150) % 4, index=np.arange(150)[::-1]),
        np.arange(150)[:, None] % 3,
    ],
    ids=["one", "one, not 0", "two", "a row each", "negative", "one row alone", "list", "series", "column"],
)
def test_any_folds_serve(folds):
    scores, y = draw(3)
    for weight in (None, np.arange(150) % 4 * 1.0, np.arange(150) % 4 / 10):
        calibrator = fit(scores, y, weight, folds=folds)
        assert_sane(calibrator.oof_proba_)
        assert_sane(calibrator.predict_proba(scores))


def test_one_fold_is_none():
    scores, y = draw(3)
    one, none = fit(scores, y, folds=np.zeros(150)), fit(scores, y)
    assert one.pool_weights_ == none.pool_weights_
    assert_array_equal(one.oof_proba_, none.oof_proba_)


def test_the_names_and_the_order_of_folds_do_not_matter():
    scores, y = draw(3)
    folds = np.arange(150) % 4
    first, second = fit(scores, y, folds=folds), fit(scores, y, folds=np.array([9, -1, 300, 7])[folds])
    assert_allclose(first.oof_proba_, second.oof_proba_, rtol=0, atol=1e-10)
    order = np.random.default_rng(0).permutation(150)
    third = fit(scores[order], y[order], folds=folds[order])
    assert_allclose(first.oof_proba_[order], third.oof_proba_, rtol=0, atol=1e-10)


def test_whole_weights_are_repetitions_within_given_folds():
    scores, y = draw(3)
    folds, weight = np.arange(150) % 4, np.random.default_rng(0).integers(0, 4, 150) * 1.0
    again = np.repeat(np.arange(150), weight.astype(int))
    first, second = fit(scores, y, weight, folds=folds), fit(scores[again], y[again], folds=folds[again])
    assert first.pool_weights_ == pytest.approx(second.pool_weights_, abs=1e-10)
    assert_allclose(first.oof_proba_[again], second.oof_proba_, rtol=0, atol=1e-10)


def test_rows_that_teach_nothing_have_probabilities_too():
    scores, y = draw(3)
    scores[:5, 2], y[:5] = np.nan, 2
    weight = np.where((np.arange(150) >= 5) & (np.arange(150) < 10), 0.0, 1.0)
    calibrator = PooledCalibrator(kind="proba").fit(scores, y, weight)
    assert_sane(calibrator.oof_proba_)
    assert_array_equal(calibrator.oof_proba_[:5, 2], 0.0)
    assert_array_equal(calibrator.oof_proba_[:10], calibrator.predict_proba(scores[:10]))


def test_scores_that_are_missing_here_and_there_get_nothing():
    scores, y = draw(3)
    scores = np.where((np.arange(150)[:, None] % 5 == 0) & (np.arange(3) == (y[:, None] + 1) % 3), np.nan, scores)
    for kind in ("proba", "scores"):
        calibrator = PooledCalibrator(kind=kind).fit(scores, y)
        for proba in (calibrator.predict_proba(scores), calibrator.oof_proba_):
            assert_sane(proba)
            assert_array_equal(proba == 0.0, np.isnan(scores))


def test_noise_in_the_last_digits_of_the_scores_does_not_deal_the_folds_anew():
    scores, y = draw(3)
    noise = 1.0 + np.random.default_rng(1).uniform(-1e-14, 1e-14, scores.shape)
    first, second = fit(scores, y), fit(scores * noise, y)
    assert_allclose(first.predict_proba(scores), second.predict_proba(scores), rtol=0, atol=1e-8)


def test_votes_of_few_voters_lose_nothing_by_being_merged():
    assert_merging_loses_nothing([(5, 3, 300), (15, 6, 300)], n_seeds=4, tolerance=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("n_voters", [5, 15])
@pytest.mark.parametrize(("n_classes", "n_rows"), [(3, 300), (3, 2000), (10, 300), (10, 1000)])
def test_votes_of_few_voters_lose_nothing_in_a_larger_grid(n_voters, n_classes, n_rows):
    assert_merging_loses_nothing([(n_voters, n_classes, n_rows)], n_seeds=5, tolerance=0.01)


def assert_merging_loses_nothing(cases, n_seeds, tolerance):
    losses = []
    for n_voters, n_classes, n_rows in cases:
        for seed in range(n_seeds):
            rng = np.random.default_rng(seed)
            logits = rng.normal(size=(n_rows + 3000, n_classes)) * 1.5
            y = drawn_from(softmax(0.8 * logits, axis=1), rng)
            votes = np.array([rng.multinomial(n_voters, share) for share in softmax(logits, axis=1)]) / n_voters
            train, test = slice(n_rows), slice(n_rows, None)
            apart = votes[train] + 1e-10 * rng.random((n_rows, n_classes))
            losses.append(
                [
                    log_loss(fit(given, y[train]).predict_proba(votes[test]), y[test])
                    for given in (votes[train], apart / apart.sum(axis=1, keepdims=True))
                ]
            )
    merged, apart = np.mean(losses, axis=0)
    assert abs(merged / apart - 1) < tolerance


def test_overconfident_scores_are_repaired_no_worse_than_by_one_temperature():
    losses = []
    for seed in range(12):
        n_classes, n_rows = [(2, 150), (3, 300), (5, 300), (4, 1000)][seed % 4]
        scores, y = draw(n_classes, n_rows + 3000, seed, kind="logits", slope=0.25)
        rows, fresh = slice(n_rows), slice(n_rows, None)
        losses.append(
            [
                log_loss(calibrator.fit(scores[rows], y[rows]).predict_proba(scores[fresh]), y[fresh])
                for calibrator in (PooledCalibrator(), TemperatureCalibrator())
            ]
        )
    ours, plain = np.mean(losses, axis=0)
    assert ours < 1.01 * plain


def test_what_one_temperature_cannot_repair_is_repaired():
    scores, y = draw(4, 4000, kind="logits")
    skewed = scores + [0.0, 2.0, -2.0, 0.0]
    pool, temperature = (
        calibrator.fit(skewed[:1000], y[:1000]).predict_proba(skewed[1000:])
        for calibrator in (PooledCalibrator(), TemperatureCalibrator())
    )
    truth = softmax(0.6 * scores[1000:], axis=1)
    assert np.abs(pool - truth).mean() < 0.03
    assert np.abs(temperature - truth).mean() > 0.08


def test_a_curve_that_no_slope_follows_is_followed():
    rng = np.random.default_rng(0)
    score = rng.random(6000)
    truth = np.where(score < 0.3, 0.1, np.where(score < 0.7, 0.5, 0.9))
    y = (rng.random(6000) < truth).astype(int)
    proba = np.column_stack([1 - score, score])
    pool, vector = (c.fit(proba, y).predict_proba(proba)[:, 1] for c in (PooledCalibrator(), VectorCalibrator()))
    assert np.abs(pool - truth).mean() < 0.6 * np.abs(vector - truth).mean()


@pytest.mark.parametrize("shrinkage", [0, 0.5, np.float32(2), 1e6, 1e300])
def test_any_shrinkage_serves(shrinkage):
    scores, y = draw(3)
    assert_sane(fit(scores, y, shrinkage=shrinkage).predict_proba(scores))


@pytest.mark.parametrize(
    ("name", "value", "absent"),
    [("MATRIX_PRODUCTS", 100, "matrix"), ("CURVE_VALUES", 30, "isotonic"), ("MATRIX_ROWS", 10, "matrix")],
)
def test_a_member_that_costs_too_much_is_left_out(monkeypatch, name, value, absent):
    scores, y = draw(3, 300)
    full = fit(scores, y).predict_proba(scores)
    monkeypatch.setattr(_pool, name, value)
    calibrator = fit(scores, y)
    assert absent not in calibrator.pool_weights_
    assert f"Left out: {absent}, too many classes" in calibrator.summary().heading
    assert np.abs(calibrator.predict_proba(scores) - full).mean() < 0.05
    assert_sane(calibrator.oof_proba_)


@pytest.mark.parametrize(("name", "value"), [("MATRIX_PRODUCTS", 9 * 150), ("CURVE_VALUES", 3 * 150)])
def test_a_member_that_costs_much_is_fitted_on_some_rows(monkeypatch, name, value):
    scores, y = draw(3, 300)
    full = fit(scores, y)
    monkeypatch.setattr(_pool, name, value)
    thinned = fit(scores, y)
    assert list(thinned.pool_weights_) == list(full.pool_weights_)
    assert np.abs(thinned.predict_proba(scores) - full.predict_proba(scores)).mean() < 0.05


def test_weights_are_learned_from_so_many_rows_of_a_fold_at_most(monkeypatch):
    scores, y = draw(3, 600)
    full = fit(scores, y)
    monkeypatch.setattr(_pooled, "MOST_JUDGED", 60)
    some = fit(scores, y)
    assert full.pool_weights_ != some.pool_weights_
    assert np.abs(full.predict_proba(scores) - some.predict_proba(scores)).mean() < 0.05
    assert_sane(some.oof_proba_)


@pytest.mark.parametrize("n_folds", [1, 0, -1, True, "5", 5.0, 2.5, None, np.nan, np.True_])
def test_the_number_of_folds_must_be_whole_and_two_at_least(n_folds):
    with pytest.raises(ValueError, match="'n_folds' parameter of PooledCalibrator must be an int of at least 2"):
        fit(*draw(3), n_folds=n_folds)


@pytest.mark.parametrize("shrinkage", [-1, -1e-9, np.nan, np.inf, "5", None, True, [1.0]])
def test_shrinkage_must_be_finite_and_not_negative(shrinkage):
    with pytest.raises(ValueError, match="'shrinkage' parameter of PooledCalibrator must be a finite number"):
        fit(*draw(3), shrinkage=shrinkage)


@pytest.mark.parametrize("n_rows", [0, 149, 151])
def test_folds_must_have_one_value_a_row(n_rows):
    with pytest.raises(ValueError, match="folds must have one value a row: 150 rows"):
        fit(*draw(3), folds=np.arange(n_rows))


def test_folds_must_be_one_column():
    with pytest.raises(ValueError, match="folds must be one-dimensional"):
        fit(*draw(3), folds=np.ones((150, 2)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_classes", [4, 8])
def test_rows_that_are_all_but_one_hot_are_calibrated_alike_in_any_company(n_classes, seed):
    """Their probabilities differ in the last bits alone, by the way in which they are computed."""
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=600)
    logits = rng.normal(size=(600, n_classes))
    logits[np.arange(600), y] += 1.0
    scores = softmax(50.0 * logits, axis=1)
    fitted = PooledCalibrator(kind="proba").fit(scores, y)
    proba = fitted.predict_proba(scores)
    by_row = np.vstack([fitted.predict_proba(row[np.newaxis]) for row in scores[:100]])
    assert_allclose(by_row, proba[:100], rtol=0.0, atol=1e-6)
    assert_allclose(fitted.predict_proba(np.asfortranarray(scores)), proba, rtol=0.0, atol=1e-6)
