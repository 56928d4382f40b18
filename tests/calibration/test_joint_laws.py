"""The laws of the calibrators that learn all classes together: weights, orders, and rows that teach nothing."""

import numpy as np
import pytest
from calibration.joint_calibrators import JOINT, assert_sane, draw, fit
from numpy.testing import assert_allclose, assert_array_equal

from skroute.calibration import PooledCalibrator

KINDS = ["proba", "logits", "margins", "votes"]


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


@pytest.mark.parametrize("calibrator", JOINT)
def test_a_row_is_calibrated_alike_alone_and_among_others(calibrator):
    scores, y, _ = draw("logits", 3)
    fitted = fit(calibrator, scores, y)
    alone = np.concatenate([fitted.predict_proba(scores[i : i + 1]) for i in range(40)])
    assert_allclose(fitted.predict_proba(scores[:40]), alone, rtol=1e-12)
    assert fitted.predict_proba(scores[:0]).shape == (0, 3)
