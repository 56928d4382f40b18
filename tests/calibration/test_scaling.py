"""The laws of the calibrators that learn all classes together, and what vector and matrix scaling learn."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, log_softmax, softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skroute.calibration import MatrixCalibrator, PooledCalibrator, TemperatureCalibrator, VectorCalibrator

JOINT = [PooledCalibrator, VectorCalibrator, MatrixCalibrator]
KINDS = ["proba", "logits", "margins", "votes"]
# Rows of the uniform distribution that every result is mixed with.
UNIFORM_ROWS = 0.5


def drawn_from(share, rng):
    return (share.cumsum(axis=1) < rng.random((len(share), 1))).sum(axis=1)


def draw(kind, n_classes, n_rows=90, seed=0):
    """Scores that are too sharp, labels, and whole weights; votes are so coarse that rows repeat."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n_rows, n_classes)) * 2
    y = drawn_from(softmax(0.6 * scores + np.linspace(0, 0.8, n_classes), axis=1), rng)
    weight = rng.integers(0, 4, n_rows) * 1.0
    if kind == "margins":
        scores -= 1.5
        y = drawn_from(expit(scores) / expit(scores).sum(axis=1, keepdims=True), rng)
    elif kind == "proba":
        scores = softmax(scores, axis=1)
    elif kind == "votes":
        scores = np.array([rng.multinomial(5, share) for share in softmax(scores, axis=1)]) / 5
    return scores, y, weight


def assert_sane(proba):
    assert np.isfinite(proba).all()
    assert (proba >= 0.0).all()
    assert (proba <= 1.0).all()
    assert_allclose(proba.sum(axis=1), 1.0, rtol=0, atol=1e-12)


def uniform_share(total):
    return UNIFORM_ROWS / (total + UNIFORM_ROWS)


def fit(calibrator, scores, y, weight=None, **settings):
    return calibrator(**settings).fit(scores, y, weight, classes=np.arange(scores.shape[1]))


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("calibrator", JOINT)
def test_whole_weights_are_repetitions(calibrator, kind, n_classes):
    scores, y, weight = draw(kind, n_classes)
    again = np.repeat(np.arange(len(y)), weight.astype(int))
    by_weight, by_rows = fit(calibrator, scores, y, weight), fit(calibrator, scores[again], y[again])
    assert_allclose(by_weight.predict_proba(scores), by_rows.predict_proba(scores), rtol=0, atol=1e-10)
    assert_array_equal(by_weight.class_weight_, by_rows.class_weight_)
    if calibrator is PooledCalibrator:
        assert by_weight.pool_weights_ == pytest.approx(by_rows.pool_weights_, abs=1e-10)
        assert_allclose(by_weight.oof_proba_[again], by_rows.oof_proba_, rtol=0, atol=1e-10)


@pytest.mark.parametrize("weights", ["none", "whole", "tenths"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("calibrator", JOINT)
def test_the_order_of_rows_does_not_matter(calibrator, kind, weights):
    scores, y, weight = draw(kind, 3)
    weight = {"none": None, "whole": weight, "tenths": weight / 10}[weights]
    order = np.random.default_rng(1).permutation(len(y))
    first = fit(calibrator, scores, y, weight)
    second = fit(calibrator, scores[order], y[order], None if weight is None else weight[order])
    assert_allclose(first.predict_proba(scores), second.predict_proba(scores), rtol=0, atol=1e-10)
    if calibrator is PooledCalibrator:
        assert_allclose(first.oof_proba_[order], second.oof_proba_, rtol=0, atol=1e-10)


@pytest.mark.parametrize("calibrator", JOINT)
def test_the_order_of_rows_does_not_matter_where_classes_weigh_the_same(calibrator):
    """Sums of tenths are rounded, by the order of the rows, so that equal weights of classes look unequal."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        scores, y = rng.dirichlet([1, 1, 1], size=36), np.repeat([0, 1, 2], 12)
        weight = np.tile(rng.integers(1, 8, 12) / 10, 3)
        order = rng.permutation(36)
        first = fit(calibrator, scores, y, weight)
        second = fit(calibrator, scores[order], y[order], weight[order])
        assert_allclose(first.predict_proba(scores), second.predict_proba(scores), rtol=0, atol=1e-10)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("calibrator", JOINT)
def test_permuting_classes_permutes_probabilities(calibrator, kind, n_classes):
    scores, y, weight = draw(kind, n_classes)
    order = np.roll(np.arange(n_classes), 1)
    first = fit(calibrator, scores, y, weight)
    second = fit(calibrator, scores[:, order], np.argsort(order)[y], weight)
    assert_allclose(first.predict_proba(scores)[:, order], second.predict_proba(scores[:, order]), rtol=0, atol=1e-8)
    assert_array_equal(first.class_weight_[order], second.class_weight_)
    if calibrator is PooledCalibrator:
        assert_allclose(first.oof_proba_[:, order], second.oof_proba_, rtol=0, atol=1e-8)


@pytest.mark.parametrize("calibrator", JOINT)
def test_permuting_classes_of_equal_weight_and_equal_mean_score_permutes_probabilities(calibrator):
    tied = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scores, y = rng.multinomial(4, [0.5, 0.5], size=12) / 4, np.repeat([0, 1], 6)
        if scores[:, 0].sum() != scores[:, 1].sum():
            continue
        tied += 1
        first, second = fit(calibrator, scores, y), fit(calibrator, scores[:, ::-1], 1 - y)
        assert_allclose(first.predict_proba(scores)[:, ::-1], second.predict_proba(scores[:, ::-1]), atol=1e-8)
    assert tied >= 5


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


@pytest.mark.parametrize("kind", ["proba", "logits"])
@pytest.mark.parametrize("calibrator", JOINT)
def test_an_absent_class_keeps_its_column_and_is_rare(calibrator, kind):
    scores, y, _ = draw(kind, 4, 200)
    fitted = fit(calibrator, scores, np.where(y == 2, 0, y))
    proba = fitted.predict_proba(scores)
    assert_sane(proba)
    assert fitted.class_weight_[2] == 0.0
    assert 0.0 < proba[:, 2].mean() < 0.05


@pytest.mark.parametrize("calibrator", JOINT)
def test_rows_without_weight_take_no_part(calibrator):
    scores, y, weight = draw("proba", 3)
    kept = weight > 0
    assert not kept.all()
    first, second = fit(calibrator, scores, y, weight), fit(calibrator, scores[kept], y[kept], weight[kept])
    assert_array_equal(first.predict_proba(scores), second.predict_proba(scores))


@pytest.mark.parametrize("kind", ["proba", "logits"])
@pytest.mark.parametrize("calibrator", JOINT)
def test_a_class_that_was_not_scored_gets_nothing_and_teaches_nothing(calibrator, kind):
    scores, y, weight = draw(kind, 3)
    unknown = np.vstack([scores, [[0.9, 0.1, np.nan]]])
    first = calibrator(kind="proba" if kind == "proba" else "scores").fit(
        unknown, np.append(y, 2), np.append(weight, 1e3)
    )
    assert_array_equal(first.predict_proba(scores), fit(calibrator, scores, y, weight).predict_proba(scores))
    proba = first.predict_proba(unknown[-1:])
    assert_sane(proba)
    assert proba[0, 2] == 0.0


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("calibrator", JOINT)
def test_scores_of_which_no_true_class_was_scored_leave_the_standard_link(calibrator, n_classes):
    scores = np.where(np.eye(n_classes, dtype=bool), np.nan, 1.0)
    fitted = calibrator(kind="scores").fit(scores, np.arange(n_classes))
    assert_sane(fitted.predict_proba(scores))
    assert_allclose(fitted.predict_proba(np.zeros((1, n_classes))), 1 / n_classes)


def plain(n_classes, n_rows=200):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n_rows, n_classes)) * 2
    proba = softmax(logits, axis=1)
    return logits, proba, drawn_from(proba, rng), rng


def hard_cases(n_classes):
    """Return scores and labels of each hard case by its name."""
    logits, proba, y, rng = plain(n_classes)
    zeros, one = np.where(proba < 0.1, 0.0, proba), np.eye(n_classes)
    return {
        "plain": (logits, y),
        "row shift": (logits + rng.normal(size=(200, 1)) * 50, y),
        "huge row shift": (logits + 1e9 * rng.normal(size=(200, 1)), y),
        "class absent": (proba, np.where(y == n_classes - 1, 0, y)),
        "one label": (proba, 0 * y),
        "one label of logits": (logits, 0 * y),
        "exact zeros": (zeros / zeros.sum(axis=1, keepdims=True), y),
        "one-hot": (one[proba.argmax(axis=1)], y),
        "one-hot, all right": (one[y], y),
        "one-hot, all wrong": (one[(y + 1) % n_classes], y),
        "constant": (np.full((200, n_classes), 1 / n_classes), y),
        "constant logits": (np.full((200, n_classes), 7.0), y),
        "zeros": (np.zeros((200, n_classes)), y),
        "one row for all": (np.tile(proba[:1], (200, 1)), y),
        "1e6": (logits * 1e6, y),
        "1e50": (logits * 1e50, y),
        "1e-12": (logits * 1e-12, y),
        "1e-300": (logits * 1e-300, y),
        "separable": (one[y] * 40.0, y),
        "separable the wrong way": (one[y] * -40.0, y),
        "wrong by far": (np.vstack([logits, one[0] * 1e8]), np.append(y, 1)),
        "1 row": (proba[:1], y[:1]),
        "2 rows": (proba[:2], y[:2]),
        "3 rows": (proba[:3], y[:3]),
        "3 rows of logits": (logits[:3], y[:3]),
        "margins": (logits - 3.0, y),
        "falling margins": (-logits, y),
    }


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("case", hard_cases(2))
@pytest.mark.parametrize("calibrator", JOINT)
def test_hard_cases_give_probabilities(calibrator, case, n_classes):
    scores, y = hard_cases(n_classes)[case]
    weight = None if n_classes == 2 else np.arange(len(y)) % 3 + 1.0
    fitted = fit(calibrator, scores, y, weight)
    proba = fitted.predict_proba(scores)
    assert_sane(proba)
    assert proba.min() > 0.999 * uniform_share(len(y) if weight is None else weight.sum()) / n_classes
    if calibrator is PooledCalibrator:
        assert_sane(fitted.oof_proba_)


@pytest.mark.parametrize("calibrator", JOINT)
def test_constant_scores_give_the_shares_of_the_classes(calibrator):
    y = np.repeat([0, 1, 2], [200, 120, 80])
    proba = fit(calibrator, np.full((400, 3), 1 / 3), y).predict_proba(np.full((1, 3), 1 / 3))
    assert_allclose(proba, [[0.5, 0.3, 0.2]], atol=0.03)


@pytest.mark.parametrize("calibrator", [VectorCalibrator, MatrixCalibrator])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_shifting_logits_row_by_row_changes_nothing(calibrator, n_classes):
    scores, y, weight = draw("logits", n_classes)
    shifted = scores + np.random.default_rng(1).integers(-8, 8, (len(y), 1))
    first, second = fit(calibrator, scores, y, weight), fit(calibrator, shifted, y, weight)
    if first.link_.slope is None and second.link_.slope is None:
        assert_allclose(first.predict_proba(scores), second.predict_proba(shifted), atol=1e-7)


@pytest.mark.parametrize("total", [1e-15, 1e9, 1e17, 1e21])
@pytest.mark.parametrize("calibrator", JOINT)
def test_weights_of_any_size_serve(calibrator, total):
    for kind, n_classes in [("proba", 2), ("margins", 3)]:
        scores, y, weight = draw(kind, n_classes)
        assert_sane(fit(calibrator, scores, y, weight * (total / weight.sum())).predict_proba(scores))


@pytest.mark.parametrize("calibrator", JOINT)
def test_weights_of_all_sizes_serve(calibrator):
    for seed in range(2):
        for kind in ("proba", "logits"):
            scores, y, _ = draw(kind, 4, seed=seed)
            weight = 10.0 ** np.random.default_rng(seed).integers(-20, 20, len(y))
            assert_sane(fit(calibrator, scores, y, weight).predict_proba(scores))


@pytest.mark.parametrize("scale", [1e10, 1e200, 1e300])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("calibrator", JOINT)
def test_the_largest_scores_stay_finite(calibrator, n_classes, scale):
    scores, y, _ = draw("logits", n_classes)
    fitted = fit(calibrator, scores * scale, y)
    assert_sane(fitted.predict_proba(scores * scale))
    outlier = np.vstack([scores, np.eye(n_classes)[:1] * scale])
    for label in (0, 1):
        assert_sane(fit(calibrator, outlier, np.append(y, label)).predict_proba(outlier))
    assert_sane(fit(calibrator, scores, y).predict_proba((1 - 2 * np.eye(n_classes)) * 1.7e308))


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


@pytest.mark.parametrize("calibrator", JOINT)
def test_a_row_is_calibrated_alike_alone_and_among_others(calibrator):
    scores, y, _ = draw("logits", 3)
    fitted = fit(calibrator, scores, y)
    alone = np.concatenate([fitted.predict_proba(scores[i : i + 1]) for i in range(40)])
    assert_allclose(fitted.predict_proba(scores[:40]), alone, rtol=1e-12)
    assert fitted.predict_proba(scores[:0]).shape == (0, 3)


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


@pytest.mark.parametrize("calibrator", [VectorCalibrator, MatrixCalibrator])
@pytest.mark.parametrize("kind", ["proba", "logits"])
def test_probabilities_follow_from_the_published_parameters(calibrator, kind):
    scores, y, weight = draw(kind, 3, 300)
    fitted = fit(calibrator, scores, y, weight)
    raw = np.log(scores + fitted.link_.floor) if kind == "proba" else scores
    z = log_softmax(raw / fitted.temperature_, axis=1)
    scaled = z * fitted.slope_ if calibrator is VectorCalibrator else z @ fitted.matrix_
    share = uniform_share(weight.sum())
    expected = (1 - share) * softmax(scaled + fitted.bias_, axis=1) + share / 3
    assert_allclose(fitted.predict_proba(scores), expected, rtol=1e-9)


@pytest.mark.parametrize("calibrator", JOINT)
def test_the_bias_of_one_class_is_found(calibrator):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3000, 3)) * 1.5
    truth = softmax(logits, axis=1)
    y = drawn_from(truth, rng)
    skewed = logits + np.array([0.0, 1.2, 0.0])
    fitted = fit(calibrator, skewed, y)
    assert np.abs(fitted.predict_proba(skewed) - truth).mean() < 0.015
    assert np.abs(TemperatureCalibrator().fit(skewed, y).predict_proba(skewed) - truth).mean() > 0.05
    if calibrator is VectorCalibrator:
        assert_allclose(fitted.bias_[1] - fitted.bias_[[0, 2]], -1.2, atol=0.25)
        assert_allclose(fitted.slope_ / fitted.temperature_, 1.0, atol=0.15)


@pytest.mark.parametrize("calibrator", JOINT)
def test_a_class_with_eight_rows_stays_near_the_shared_temperature(calibrator):
    distances, free = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        logits = rng.normal(size=(600, 3)) * 1.5 - [0, 0, 4]
        y = drawn_from(softmax(0.6 * logits, axis=1), rng)
        kept = np.sort(np.r_[np.flatnonzero(y < 2), np.flatnonzero(y == 2)[:8]])
        temperature = TemperatureCalibrator().fit(logits[kept], y[kept]).predict_proba(logits)
        proba = fit(calibrator, logits[kept], y[kept]).predict_proba(logits)
        assert (y[kept] == 2).sum() == 8
        distances.append(np.abs(proba - temperature)[:, 2].mean())
        free.append(abs(temperature[:, 2].mean() - 8 / len(kept)))
    assert np.mean(distances) < np.mean(free)


@pytest.mark.parametrize("size", [1e5, 1e7, 1e10, 1e15, 1e300])
@pytest.mark.parametrize("calibrator", JOINT)
def test_one_score_out_of_range_does_not_spoil_the_others(calibrator, size):
    for n_classes in (2, 3):
        scores, y, _ = draw("logits", n_classes, 400)
        outlier = np.vstack([scores, np.eye(n_classes)[:1] * size])
        without = fit(calibrator, scores, y, kind="scores").predict_proba(scores)
        proba = fit(calibrator, outlier, np.append(y, 0), kind="scores").predict_proba(scores)
        assert np.abs(proba - without).mean() < 0.02
