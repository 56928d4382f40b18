import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax
from sklearn.exceptions import NotFittedError

from skroute.calibration import IdentityCalibrator


def test_probabilities_pass_unchanged():
    proba = np.array([[0.7, 0.3, 0.0], [0.2, 0.5, 0.3], [0.0, 0.0, 1.0]])
    assert_array_equal(IdentityCalibrator().fit(proba).predict_proba(proba), proba)


def test_decision_values_go_through_softmax(sample):
    scores, y, _ = sample(3)
    assert_allclose(IdentityCalibrator().fit(scores, y).predict_proba(scores), softmax(scores, axis=1))


def test_the_kind_of_score_is_settled_in_fit():
    looks_like_proba = np.array([[0.5, 0.5]])
    calibrator = IdentityCalibrator().fit([[3.0, -3.0], [0.2, 0.8]])
    assert not calibrator.from_proba_
    assert_allclose(calibrator.predict_proba(looks_like_proba + [[0.0, 0.5]]), softmax([[0.5, 1.0]], axis=1))


def test_a_class_without_a_score_gets_probability_zero():
    proba = IdentityCalibrator().fit([[0.5, 0.25, 0.25]]).predict_proba([[0.75, np.nan, 0.25]])
    assert_array_equal(proba, [[0.75, 0.0, 0.25]])
    scores = IdentityCalibrator().fit([[5.0, 1.0, 0.0]]).predict_proba([[2.0, np.nan, 0.0]])
    assert_allclose(scores, [[expit(2.0), 0.0, expit(-2.0)]])


def test_rows_of_zeros_become_uniform():
    assert_array_equal(IdentityCalibrator().fit([[1.0, 0.0]]).predict_proba([[0.0, 0.0]]), [[0.5, 0.5]])


def test_one_column_of_decision_values_goes_through_the_logistic_function():
    assert_allclose(IdentityCalibrator().fit([-1.0, 4.0]).predict([-1.0, 0.0, 4.0]), expit([-1.0, 0.0, 4.0]))


def test_one_column_of_probabilities_is_clipped():
    assert_array_equal(IdentityCalibrator().fit([0.0, 0.3]).predict([-1e-9, 0.3, 1.0 + 1e-9]), [0.0, 0.3, 1.0])


@pytest.mark.parametrize("scale", [1e6, 1e300])
def test_huge_scores_stay_finite(scale):
    proba = IdentityCalibrator().fit([[scale, -scale]]).predict_proba([[scale, -scale], [-scale, scale]])
    assert_allclose(proba, [[1, 0], [0, 1]])


def test_columns_must_be_those_of_the_fit():
    with pytest.raises(ValueError, match=r"shape \(n_samples, 2\)"):
        IdentityCalibrator().fit([[0.4, 0.6]]).predict_proba([[0.2, 0.3, 0.5]])


def test_prediction_needs_a_fit():
    with pytest.raises(NotFittedError):
        IdentityCalibrator().predict_proba([[0.5, 0.5]])
