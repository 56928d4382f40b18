"""Which input the calibrators of all classes together take and refuse, and what they keep."""

import pickle

import numpy as np
import pandas as pd
import pytest
from calibration.joint_calibrators import JOINT, assert_sane, draw, fit
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError


@pytest.mark.parametrize(
    "labels",
    [np.array(["unlock", "attack", "vpn"]), np.array([7, -2, 300]), np.array([2.5, 0.5, 1.5])],
    ids=["text", "int", "float"],
)
@pytest.mark.parametrize("calibrator", JOINT)
def test_labels_of_any_type_serve(calibrator, labels):
    scores, y, weight = draw("proba", 3)
    expected = fit(calibrator, scores, y, weight).predict_proba(scores)
    named = calibrator().fit(scores, labels[y], weight, classes=labels)
    assert_array_equal(named.classes_, labels)
    assert_array_equal(named.predict_proba(scores), expected)
    order = np.argsort(labels)
    by_sorting = calibrator().fit(scores[:, order], labels[y], weight)
    assert_array_equal(by_sorting.classes_, labels[order])
    assert_allclose(by_sorting.predict_proba(scores[:, order]), expected[:, order], atol=1e-8)


@pytest.mark.parametrize("calibrator", JOINT)
def test_truth_values_are_labels(calibrator):
    scores, y, weight = draw("logits", 2)
    fitted = calibrator().fit(scores, y == 1, weight)
    assert_array_equal(fitted.classes_, [False, True])
    assert_array_equal(fitted.predict_proba(scores), fit(calibrator, scores, y, weight).predict_proba(scores))


@pytest.mark.parametrize("calibrator", JOINT)
def test_arrays_of_any_make_serve_and_are_left_alone(calibrator):
    scores, y, weight = draw("logits", 3)
    expected = fit(calibrator, scores, y, weight).predict_proba(scores)
    frozen = [part.copy() for part in (scores, y, weight)]
    for part in frozen:
        part.flags.writeable = False
    index = np.arange(len(y))[::-1]
    for given in [
        frozen,
        (np.asfortranarray(scores), y, weight),
        (scores.astype(object), y, weight.astype(object)),
        (scores.tolist(), y.tolist(), weight.tolist()),
        (pd.DataFrame(scores, index=index), pd.Series(y, index=index), pd.Series(weight, index=index + 7)),
    ]:
        fitted = calibrator().fit(*given, classes=[0, 1, 2])
        assert_array_equal(fitted.predict_proba(given[0]), expected)
    assert_array_equal(scores, frozen[0])
    coarse = scores.astype(np.float32)
    assert_array_equal(
        fit(calibrator, coarse, y, weight).predict_proba(coarse),
        fit(calibrator, coarse.astype(float), y, weight).predict_proba(coarse.astype(float)),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [[0.5, np.inf], [0.5, 0.5]]}, "finite; row 0"),
        ({"scores": [[0.5, 0.5], [np.nan, np.nan]]}, "row 1 holds only NaN"),
        ({"scores": [0.5, 0.5]}, "n_classes >= 2"),
        ({"scores": [[0.5], [0.5]]}, "n_classes >= 2"),
        ({"scores": [[[0.5, 0.5]], [[0.5, 0.5]]]}, "n_classes >= 2"),
        ({"scores": [[0.2, 0.3, 0.5]] * 2}, "Pass classes="),
        ({"y": [0], "classes": [0, 1]}, "as many rows"),
        ({"y": [0, 2], "classes": [0, 1]}, "y names 2, which is not a class"),
        ({"y": [0, np.nan]}, "must not hold NaN"),
        ({"classes": [1, 1]}, "distinct"),
        ({"scores": np.empty((0, 2)), "y": [], "classes": [0, 1]}, "at least one"),
        ({"sample_weight": [0, 0]}, "positive in at least one row"),
        ({"sample_weight": [1e-30, 1e-25]}, "positive in at least one row"),
        ({"sample_weight": [1, -1]}, "not negative"),
        ({"sample_weight": [1, np.inf]}, "sample_weight must be"),
        ({"sample_weight": [1, 1e21]}, "at most 1e"),
        ({"sample_weight": [1, 1, 1]}, "one value a row"),
        ({"sample_weight": ["1", "1"]}, "real numbers"),
    ],
    ids=str,
)
@pytest.mark.parametrize("calibrator", JOINT)
def test_bad_input_is_named(calibrator, change, message):
    given = {"scores": [[0.6, 0.4], [0.3, 0.7]], "y": [0, 1]} | change
    fitted = calibrator().fit([[0.6, 0.4], [0.3, 0.7]], [0, 1])
    before = pickle.dumps(fitted)
    with pytest.raises(ValueError, match=message):
        fitted.fit(**given)
    assert pickle.dumps(fitted) == before


@pytest.mark.parametrize("kind", ["odds", None, ["proba"], 1])
@pytest.mark.parametrize("calibrator", JOINT)
def test_the_kind_must_be_known(calibrator, kind):
    with pytest.raises(ValueError, match=f"'kind' parameter of {calibrator.__name__}"):
        calibrator(kind=kind).fit([[0.6, 0.4], [0.3, 0.7]], [0, 1])


@pytest.mark.parametrize("calibrator", JOINT)
def test_the_kind_may_be_told(calibrator):
    proba, y, _ = draw("proba", 3)
    told = fit(calibrator, proba, y, kind="scores")
    assert not told.from_proba_
    assert fit(calibrator, proba, y).from_proba_
    assert_sane(fit(calibrator, -np.abs(proba), y, kind="proba").predict_proba(proba))


@pytest.mark.parametrize("calibrator", JOINT)
def test_prediction_needs_a_fit_and_scores_of_its_shape(calibrator):
    with pytest.raises(NotFittedError):
        calibrator().predict_proba([[0.5, 0.5]])
    fitted = calibrator().fit([[0.6, 0.4], [0.3, 0.7]], [0, 1])
    with pytest.raises(ValueError, match="scores must have shape"):
        fitted.predict_proba([[0.2, 0.3, 0.5]])
    with pytest.raises(ValueError, match="finite; row 0"):
        fitted.predict_proba([[0.2, -np.inf]])


@pytest.mark.parametrize("calibrator", JOINT)
def test_state_survives_cloning_and_pickling(calibrator):
    scores, y, _ = draw("margins", 3)
    fitted = fit(calibrator, scores, y, kind="scores")
    assert clone(fitted).get_params() == fitted.get_params()
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(scores), fitted.predict_proba(scores))
