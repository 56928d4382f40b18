import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from skroute.calibration import (
    BetaCalibrator,
    IdentityCalibrator,
    PerClassCalibrator,
    SigmoidCalibrator,
    TemperatureCalibrator,
)
from skroute.calibration._methods import fit_calibrator, make_calibrator, predict_calibrated, wants_proba

CLASSES = np.array(["attack", "unlock", "vpn"])


class Recorder(BaseEstimator):
    """A calibrator of somebody else: it knows integer labels, no `classes` and no NaN."""

    def fit(self, scores, y):
        self.scores_, self.y_ = scores, y
        return self

    def predict_proba(self, scores):
        assert np.isfinite(scores).all()
        return np.full(scores.shape, 1 / scores.shape[1])


@pytest.mark.parametrize(
    ("method", "kind"),
    [("temperature", TemperatureCalibrator), ("none", IdentityCalibrator), ("sigmoid", PerClassCalibrator)],
)
def test_a_word_names_a_calibrator(method, kind):
    assert type(make_calibrator(method)) is kind


@pytest.mark.parametrize("method", ["isotonic", {"vpn": "none"}, IsotonicRegression(), SigmoidCalibrator()])
def test_what_serves_one_class_is_lifted_to_all(method):
    assert make_calibrator(method).get_params(deep=False) == {"calibrators": method, "kind": "auto"}


def test_a_calibrator_of_all_classes_is_cloned():
    mine = TemperatureCalibrator(floor=0.1)
    made = make_calibrator(mine)
    assert made is not mine
    assert made.floor == 0.1


@pytest.mark.parametrize("method", ["platt", None, 3, [], TemperatureCalibrator, object(), -1.0, ""])
def test_anything_else_is_refused(method):
    with pytest.raises(ValueError, match=r"The 'method' parameter .* must be one of 'auto'"):
        make_calibrator(method)


@pytest.mark.parametrize(
    ("method", "wanted"),
    [
        ("none", True),
        ("sigmoid", False),
        (IdentityCalibrator(), True),
        ({"vpn": "none"}, True),
        ({"vpn": "isotonic", "*": IdentityCalibrator()}, True),
        ({"vpn": "isotonic"}, False),
        (PerClassCalibrator({"vpn": "none"}), True),
        (PerClassCalibrator("none"), True),
        (PerClassCalibrator(), False),
        (TemperatureCalibrator(), False),
    ],
)
def test_probabilities_are_wanted_where_some_class_keeps_them(method, wanted):
    assert wants_proba(method) is wanted


def test_our_calibrators_are_fitted_on_labels_and_classes(sample):
    scores, y, weight = sample(3)
    fitted = fit_calibrator(TemperatureCalibrator(), scores, y, CLASSES, weight)
    assert_array_equal(fitted.classes_, CLASSES)
    assert fitted.beta_ == TemperatureCalibrator().fit(scores, y, weight).beta_


def test_other_calibrators_are_fitted_on_codes_without_weights_they_do_not_take(sample):
    scores, y, weight = sample(3)
    given = Recorder()
    fitted = fit_calibrator(given, scores, y, CLASSES, weight)
    assert_array_equal(fitted.y_, y)
    assert_array_equal(fitted.scores_, scores)
    assert not hasattr(given, "y_")


def test_weights_reach_other_calibrators_that_take_them(sample):
    scores, y, weight = sample(3)
    fitted = fit_calibrator(LogisticRegression(), scores, y, CLASSES, weight)
    assert_allclose(fitted.coef_, LogisticRegression().fit(scores, y, weight).coef_)


@pytest.mark.parametrize(
    ("scores", "filled"),
    [
        ([[0.8, 0.2, np.nan], [0.1, 0.2, 0.7]], [[0.8, 0.2, 0.0], [0.1, 0.2, 0.7]]),
        ([[3.0, -1.0, np.nan], [9.0, -5.0, 7.0]], [[3.0, -1.0, -1.0], [9.0, -5.0, 7.0]]),
    ],
    ids=["probabilities", "decision values"],
)
def test_other_calibrators_see_the_least_score_where_a_class_was_not_scored(scores, filled):
    fitted = fit_calibrator(Recorder(), np.array(scores), np.array([0, 2]), CLASSES, None)
    assert_array_equal(fitted.scores_, filled)


def test_other_calibrators_give_unscored_classes_nothing():
    calibrator = Recorder().fit(np.eye(3), np.arange(3))
    proba = predict_calibrated(calibrator, np.array([[1.0, 2.0, np.nan], [1.0, 2.0, 3.0]]), CLASSES)
    assert_allclose(proba, [[0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]])


def test_other_calibrators_keep_a_column_for_a_class_they_never_saw(sample):
    scores, _, _ = sample(3)
    y = np.where(scores[:, 2] > scores[:, 0], 2, 0)
    calibrator = fit_calibrator(LogisticRegression(), scores, y, CLASSES, None)
    proba = predict_calibrated(calibrator, scores, CLASSES)
    assert_array_equal(proba[:, [0, 2]], calibrator.predict_proba(scores))
    assert_array_equal(proba[:, 1], 0.0)


def test_a_row_is_calibrated_alike_alone_and_among_others(sample):
    scores, y, _ = sample(3)
    scores[::7, 1] = np.nan
    calibrator = fit_calibrator(LogisticRegression(), scores, y, CLASSES, None)
    together = predict_calibrated(calibrator, scores, CLASSES)
    alone = np.concatenate([predict_calibrated(calibrator, scores[i : i + 1], CLASSES) for i in range(len(scores))])
    assert_allclose(together, alone, atol=1e-12)


class Derived(TemperatureCalibrator):
    def __init__(self, floor=1e-3):
        super().__init__(floor=floor)


def test_all_calibrators_of_ours_are_told_the_kind_in_copies():
    beta, nested = BetaCalibrator(), PerClassCalibrator({0: BetaCalibrator(), "*": "beta"})
    assert make_calibrator(beta, "scores").calibrators.kind == "scores"
    assert make_calibrator({"*": beta}, "scores").calibrators["*"].kind == "scores"
    made = make_calibrator(nested, "proba")
    assert made.kind == made.calibrators[0].kind == "proba"
    assert beta.kind == nested.kind == nested.calibrators[0].kind == "auto"
    assert make_calibrator(PerClassCalibrator(kind="scores"), "proba").kind == "scores"
    # What has no such parameter cannot be told.
    assert make_calibrator(Derived(), "proba").get_params() == {"floor": 1e-3}
    regression = IsotonicRegression()
    assert make_calibrator(regression, "proba").calibrators is regression
