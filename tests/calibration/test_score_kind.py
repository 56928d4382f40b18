"""Scores of another kind than those of the fit, and columns that stand for other classes than they should."""

import warnings

import numpy as np
import pytest
from calibration.joint_calibrators import JOINT, draw, fit, scores_of
from numpy.testing import assert_allclose

from skroute.calibration import BetaCalibrator, IdentityCalibrator, PerClassCalibrator, TemperatureCalibrator
from skroute.calibration._score_kind import is_proba
from skroute.exceptions import DoubtfulScoresWarning

ALL = [*JOINT, TemperatureCalibrator, IdentityCalibrator]
N_CLASSES = 3


@pytest.fixture(params=ALL)
def calibrator(request):
    return request.param


@pytest.mark.parametrize("n_rows", [1, 2, 90])
@pytest.mark.parametrize(
    ("calibrator", "settings"), [*((each, {}) for each in ALL), (TemperatureCalibrator, {"floor": 0.0})]
)
def test_decision_values_after_probabilities_are_refused(calibrator, n_rows, settings):
    proba, y, _ = draw("proba", N_CLASSES)
    fitted = fit(calibrator, proba, y, **settings)
    bad = proba[:n_rows].copy()
    for value in (-0.006, 1.006, 40.0):
        bad[-1, 1] = value
        with pytest.raises(ValueError, match=rf"in \[0, 1\], as those that {calibrator.__name__} .* got {value:g}\."):
            fitted.predict_proba(bad)
    bad[-1, 0] = np.nan
    with pytest.raises(ValueError, match=r"got 40\."):
        fitted.predict_proba(bad)


def test_probabilities_may_be_off_by_rounding(calibrator):
    proba, y, _ = draw("proba", N_CLASSES)
    fitted = fit(calibrator, proba, y)
    expected = fitted.predict_proba([[1.0, 0.0, 0.0]])
    for n_rows in (1, 40):
        assert_allclose(
            fitted.predict_proba([[1.0 + 1e-7, -1e-7, 0.0]] * n_rows), expected.repeat(n_rows, 0), atol=1e-4
        )


def test_what_the_calibrator_was_told_is_not_doubted(calibrator):
    proba, y, _ = draw("proba", N_CLASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(calibrator, proba, y, kind="proba").predict_proba(100.0 * proba)
        fit(calibrator, proba, y, kind="scores").predict_proba(proba)


@pytest.mark.parametrize("factor", [1.0, 100.0])
def test_probabilities_after_decision_values_are_doubted(calibrator, factor):
    scores, y, _ = draw("logits", N_CLASSES)
    proba = factor * draw("proba", N_CLASSES)[0]
    fitted = fit(calibrator, scores, y)
    with pytest.warns(DoubtfulScoresWarning, match=f"{calibrator.__name__} was fitted on decision values") as caught:
        doubted = fitted.predict_proba(proba)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Few rows may look so by chance, and one row that does not tells what the others are.
        assert_allclose(fitted.predict_proba(proba[:15]), doubted[:15], atol=1e-12)
        fitted.predict_proba(np.vstack([proba, scores[:1]]))
        fitted.predict_proba(np.vstack([proba, 2.0 * proba[:1]]))
        fitted.predict_proba(proba + 10.0)
    proba[3, 0] = np.nan
    proba[3] *= factor / np.nansum(proba[3])
    with pytest.warns(DoubtfulScoresWarning) as caught:
        fitted.predict_proba(proba)
    assert len(caught) == 1


@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize("calibrator", [*JOINT, TemperatureCalibrator])
def test_columns_in_another_order_are_doubted(calibrator, n_classes):
    proba, y = scores_of(n_classes, 300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(calibrator, proba, y)
        fit(calibrator, proba[:, ::-1], y, kind="proba")
        # Two dozen rows of two classes, or a few more of ten, are few.
        fit(calibrator, proba[: 9 * n_classes, ::-1], y[: 9 * n_classes])
    with pytest.warns(
        DoubtfulScoresWarning, match=r"true class in \d+% of the rows, and in \d+% with .* classes="
    ) as caught:
        fit(calibrator, proba[:, ::-1], y)
    assert len(caught) == 1
    with pytest.warns(DoubtfulScoresWarning):
        fit(calibrator, np.roll(proba, 1, axis=1), y, np.arange(300) % 2.0)


def per_class(method, kind="auto"):
    """Return fitted calibrators of each class, as names, as a mixture that no formula serves, and as objects."""
    proba, y = scores_of(3, 300)
    objects = {"beta": BetaCalibrator, "none": IdentityCalibrator}[method](kind=kind)
    choices = [method, {0: "sigmoid", "*": method}, objects]
    return proba, [PerClassCalibrator(each, kind=kind).fit(proba, y) for each in choices]


@pytest.mark.parametrize("n_rows", [1, 2, 300, 5000])
@pytest.mark.parametrize("method", ["beta", "none"])
def test_decision_values_after_probabilities_of_a_class_are_refused(method, n_rows):
    proba, fitted = per_class(method)
    rows = np.resize(proba, (n_rows, 3))
    for value in (-0.006, 1.006, 40.0):
        bad = rows.copy()
        bad[-1, 1] = value
        for one in fitted:
            one.predict_proba(rows)
            with pytest.raises(ValueError, match=rf"in \[0, 1\], as those that \w+ was fitted on, got {value:g}\."):
                one.predict_proba(bad)
            with pytest.raises(ValueError, match=f"got {value:g}"):
                list(one.predict_blocks(bad, 100))
            with pytest.raises(ValueError, match=f"got {value:g}"):
                one.calibrators_[1].predict(bad[:, 1])
    bad[-1, 0] = np.nan
    for one in fitted:
        with pytest.raises(ValueError, match=r"got 40\."):
            one.predict_proba(bad)


@pytest.mark.parametrize("method", ["beta", "none"])
def test_a_class_that_was_told_what_its_scores_are_does_not_doubt_them(method):
    proba, fitted = per_class(method, kind="proba")
    # Not of the mixture, whose sigmoid does not clip.
    for one in (fitted[0], fitted[2]):
        assert_allclose(one.predict_proba(40.0 * proba), one.predict_proba((40.0 * proba).clip(0.0, 1.0)))
    proba, y = scores_of(3, 300)
    logits = 10.0 * proba - 5.0
    PerClassCalibrator(method).fit(logits, y).predict_proba(2.0 * logits)


def test_only_classes_that_found_out_for_themselves_refuse():
    proba, y = scores_of(3, 300)
    fitted = PerClassCalibrator({0: BetaCalibrator(kind="proba"), "*": "beta"}).fit(proba, y)
    rows = proba[:3].copy()
    rows[0, 0] = 1.2
    first = fitted.predict_proba(rows)[0]
    rows[2, 1] = np.nan
    assert_allclose(fitted.predict_proba(rows)[0], first)
    rows[0, 1] = 1.2
    with pytest.raises(ValueError, match=r"got 1\.2"):
        fitted.predict_proba(rows)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("method", ["beta", "none"])
def test_one_class_in_zero_to_one_among_decision_values_has_no_probabilities(method, n_classes):
    rng = np.random.default_rng(0)
    scores, y = rng.normal(size=(60, n_classes)), rng.integers(0, n_classes, 60)
    scores[:, -1] = rng.random(60)
    weight = np.ones(60)
    # It tells, though it does not count.
    scores[5, -1], weight[5] = 2.5, 0.0
    told = PerClassCalibrator(method, kind="scores").fit(scores, y, weight)
    found = PerClassCalibrator(method).fit(scores, y, weight)
    assert_allclose(found.predict_proba(3.0 * scores - 1.0), told.predict_proba(3.0 * scores - 1.0))
    # Columns of other methods do not tell.
    mixed = PerClassCalibrator({0: "sigmoid", "*": method}).fit(np.clip(scores, [-9.0] + [0.0] * (n_classes - 1), 1), y)
    assert all(one.from_proba_ for one in mixed.calibrators_[1:])


def test_every_row_of_many_is_looked_at():
    scores, y, _ = draw("logits", N_CLASSES)
    fitted = TemperatureCalibrator().fit(scores, y)
    many = np.tile(draw("proba", N_CLASSES)[0], (1000, 1))
    with pytest.warns(DoubtfulScoresWarning):
        fitted.predict_proba(many)
    many[-1] *= 1.1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict_proba(many)


@pytest.mark.parametrize("floor", [1e-12, 0.0])
def test_infinite_scores_are_named_before_their_kind(floor):
    proba, y = scores_of(3, 100)
    fitted = TemperatureCalibrator(floor).fit(proba, y)
    many = np.full((100_000, 3), 1 / 3)
    many[0, 0], many[-1, 0] = 50.0, np.inf
    with pytest.raises(ValueError, match="finite; row 99999"):
        fitted.predict_proba(many)


@pytest.mark.parametrize(
    "row", [[0.3, 0.3, 0.395], [0.3, 0.3, 0.405], [0.5, 0.495], [0.5, 0.505], [0.201] * 5, [0.199] * 5]
)
def test_rows_that_rounding_puts_at_the_edge_of_the_tolerance_are_probabilities(row):
    """Each sum is off by .005 of one, but for the last bit, which depends on the order of adding up."""
    assert is_proba(np.array([row] * 20), "auto", "Calibrator")
    assert is_proba(np.array([row] * 21)[:, ::-1], "auto", "Calibrator")
