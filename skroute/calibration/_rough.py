"""Calibration in float32, with a proven bound on its error: half the work and less, where that is good enough."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._estimates import MOST_ERROR, Estimates
from skroute._rows import are_added_alone, bits_of
from skroute.calibration._apply import FEW_COLUMNS, FEW_VALUES, ByColumn, Floats, block_rows
from skroute.calibration._per_class import PerClassCalibrator
from skroute.calibration._sigmoid import SigmoidCalibrator
from skroute.calibration._softmax import pass_rows
from skroute.calibration._temperature import TemperatureCalibrator

__all__ = ["estimates_of"]

RoughFloats = NDArray[np.float32]
# Turns probabilities into what the calibrated ones are proportional to, in place.
RoughMap = Callable[[RoughFloats], None]

# From so many values on.
LEAST_VALUES = 2**17
# The unit of rounding, and that by which logarithms and powers of NumPy are off at most.
U, OF_FUNCTION = 2.0**-24, 8.0 * 2.0**-24
# The least and the largest power of two must be no farther apart than this: they, and their shares of a row, are then
# float32 of full precision.
MOST_POWER = 100.0
LEAST_FLOOR = 1e-30
BITS_OF_ONE = bits_of(np.ones(1))[0]


def estimates_of(
    calibrator: Any, scores: Floats, n_rows: int, look: Callable[[slice], None] = lambda rows: None
) -> Estimates | None:
    """Return estimates of the probabilities that a fitted calibrator of ours gives to rows of scores.

    Parameters
    ----------
    calibrator : object
    scores : ndarray of shape (n_samples, n_classes)
    n_rows : int
        How many rows are to be estimated at once: whole passes.
    look : callable, default=nothing
        What is to look at rows that are not estimated before they are calibrated.

    Returns
    -------
    estimates : Estimates or None
        None where no estimate is quicker, or none is good enough.
    """
    n_classes = scores.shape[1]
    # A row that is asked for exactly must be to the last bit what it is among all.
    if not are_added_alone(n_classes) or scores.size < LEAST_VALUES:
        return None
    made = None
    # Not what is derived from these.
    if type(calibrator) is TemperatureCalibrator:
        made = _powers(calibrator)
    elif type(calibrator) is PerClassCalibrator:
        made = _logistics(calibrator, n_classes)
    if made is None:
        return None
    write, error = made
    # Both what is divided and the sum are off by `error`; K additions, an inverse and a product by u each.
    error = 1.01 * (2.0 * error + (n_classes + 3) * U)
    if error > MOST_ERROR:
        return None
    rows = _Rows(calibrator, scores, write, n_rows, look)
    return Estimates(len(scores), rows.n_estimated, n_rows, error, rows.estimate, rows.exact)


class _Rows:
    """Rows of scores, and their probabilities by both ways."""

    def __init__(
        self, calibrator: Any, scores: Floats, write: RoughMap, n_rows: int, look: Callable[[slice], None]
    ) -> None:
        self.calibrator, self.scores, self.write, self.look = calibrator, scores, write, look
        n_samples, n_classes = scores.shape
        self.size, at_once = block_rows(n_classes), pass_rows(n_classes)
        # Rows that do not fill a pass, if they are few, are calibrated in another way; so is a single row.
        self.few = FEW_VALUES // n_classes
        self.n_estimated = (n_samples - 2) // at_once * at_once
        self.space = np.empty((n_rows, n_classes), dtype=np.float32)
        self.ones = np.ones(n_classes, dtype=np.float32)

    def estimate(self, rows: slice) -> RoughFloats | None:
        """Return rough probabilities of consecutive rows; None where a score is no probability."""
        if rows.stop > self.n_estimated:
            return None
        part = self.scores[rows]
        proba = self.space[: len(part)]
        for start in range(0, len(part), self.size):
            given, rough = part[start : start + self.size], proba[start : start + self.size]
            # What has a sign, exceeds one or is not finite is calibrated in another way.
            if bits_of(given).max() > BITS_OF_ONE:
                return None
            # What is too small for these floats counts as little as 0.
            with np.errstate(under="ignore"):
                np.copyto(rough, given, casting="same_kind")
                self.write(rough)
                self._divide(rough)
        return proba

    def _divide(self, rough: RoughFloats) -> None:
        """Divide every row by its sum, in place."""
        if len(self.ones) > FEW_COLUMNS:
            rough *= np.reciprocal(rough @ self.ones)[:, np.newaxis]
            return
        first, *others = rough.T
        total = first.copy()
        for column in others:
            total += column
        np.reciprocal(total, out=total)
        for column in rough.T:
            column *= total

    def exact(self, rows: Any) -> Floats:
        """Return the probabilities of a slice that begins with a pass, or of rows that can be estimated."""
        if isinstance(rows, slice):
            self.look(rows)
            consecutive: Floats = self.calibrator.predict_proba(self.scores[rows])
            return consecutive
        # No block of few rows is left over, nor any pass.
        company = np.resize(rows, len(rows) + self.few + 2) if len(rows) % self.size <= self.few else rows
        some: Floats = self.calibrator.predict_proba(self.scores.take(company, axis=0))
        return some[: len(rows)]


def _powers(calibrator: TemperatureCalibrator) -> tuple[RoughMap, float] | None:
    """Return p to p ** beta.

    The sum of p and the floor is off by 3 u of itself, its logarithm to the base of 2 by 3 u / log 2 and 8 u of itself,
    and the product with beta by 2 u of itself.
    """
    floor, beta = float(calibrator.floor), float(calibrator.beta_)
    if not (calibrator.from_proba_ and LEAST_FLOOR <= floor <= 1.0):
        return None
    low, high = -math.log2(floor), math.log2(1.0 + floor)
    # NaN is not small enough either.
    if not 0.0 < beta * (low + high) <= MOST_POWER:
        return None
    most = max(low, high)
    addition, factor = np.float32(floor), np.float32(beta)

    def write(proba: RoughFloats) -> None:
        proba += addition
        np.log2(proba, out=proba)
        proba *= factor
        np.exp2(proba, out=proba)

    return write, beta * (3.0 * U + math.log(2.0) * most * (OF_FUNCTION + 2.0 * U)) + OF_FUNCTION


def _logistics(calibrator: PerClassCalibrator, n_classes: int) -> tuple[RoughMap, float] | None:
    """Return p to 1 / (1 + exp(a p + b)).

    With a and b for powers of two, a p is off by 3 u of itself, b by u of itself, their sum by u of both; the power by
    8 u of itself besides, which one plus it is off by less than, and the last two operations by u each.
    """
    fitted: list[Any] = calibrator.calibrators_
    if len(fitted) < n_classes or any(type(one) is not SigmoidCalibrator for one in fitted):
        return None
    a, b = np.array([(one.a_, one.b_) for one in fitted]).T / math.log(2.0)
    most = float((np.abs(a) + np.abs(b)).max())
    if not most <= MOST_POWER:
        return None
    factors, additions = (ByColumn(values.astype(np.float32), block_rows(n_classes)) for values in (a, b))

    def write(proba: RoughFloats) -> None:
        factors(np.multiply, proba, proba)
        additions(np.add, proba, proba)
        np.exp2(proba, out=proba)
        proba += np.float32(1.0)
        np.reciprocal(proba, out=proba)

    return write, math.log(2.0) * 4.0 * U * most + OF_FUNCTION + 2.0 * U
