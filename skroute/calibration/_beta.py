"""Beta calibration of the scores of one class."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logit

from skroute._signature import with_signature
from skroute.calibration._apply import ByColumn, Floats, Map, all_finite, logistic
from skroute.calibration._one_class import OneClassCalibrator
from skroute.calibration._score_kind import check_range, is_proba
from skroute.calibration._scores import check_one_vs_rest

__all__ = ["BetaCalibrator"]

MAX_STEPS = 100
# Rows from which neighbours are merged to find a start, and how many of them; and the weight up to which: beside more,
# the ridge is lost in rounding, and steps from where all rows are saturated lead nowhere.
MANY_ROWS, NEIGHBOURS, MOST_WEIGHT = 2**11, 2**4, 1e9
# Of a matrix's trace, what stands out from its rounding.
SOLVABLE = 1e-14
# Probabilities closer than this to 0 or 1 count as this far from them, so that their logarithms are finite.
LEAST_PROBA = 1e-12
IDENTITY = np.array([1.0, 1.0, 0.0])
# Precision of the prior around the identity: less than a tenth of what one informative row says. So it decides what the
# rows leave open (slopes along which the scores do not vary, how steep separated classes are) and little else.
RIDGE = 1e-2


class _Rows(NamedTuple):
    """One row for each distinct score: its features, and the weights of either label."""

    design: NDArray[np.float64]
    positive: NDArray[np.float64]
    negative: NDArray[np.float64]

    def coarse(self) -> "_Rows":
        """Return one row for every few neighbours: their mean features, and the sums of their weights."""
        starts = np.arange(0, len(self.positive), NEIGHBOURS)
        weight = (self.positive + self.negative)[:, np.newaxis]
        design = np.add.reduceat(weight * self.design, starts) / np.add.reduceat(weight, starts)
        return _Rows(design, np.add.reduceat(self.positive, starts), np.add.reduceat(self.negative, starts))


class BetaCalibrator(OneClassCalibrator):
    """Map the probabilities of one class to better ones by the beta family of functions, which can also stay as is.

    The probability p becomes ``expit(a * log(p) - b * log(1 - p) + c)`` with ``a, b >= 0``: S-shaped as the sigmoid's,
    inverse S-shaped, skewed to either side, or the identity (a = b = 1, c = 0), which the sigmoid of a probability
    cannot be. The right choice for probabilities of a class with at least some dozens of rows. Lifted to several
    classes by `PerClassCalibrator`.

    Parameters
    ----------
    kind : {"auto", "proba", "scores"}, default="auto"
        What the scores are: probabilities, decision values, or to be found out when fitted: probabilities lie in
        [0, 1]. Decision values become probabilities by the logistic function first.

    Attributes
    ----------
    a_, b_, c_ : float
        The parameters; neither slope is negative.
    from_proba_ : bool
        Whether the scores it was fitted on were probabilities.

    See Also
    --------
    PerClassCalibrator : One calibrator for each class, one-vs-rest.
    SigmoidCalibrator : Two parameters, for decision values of any scale.

    Notes
    -----
    The weighted log loss, with a ridge of 0.01 that pulls towards the identity, is minimised by Newton steps with
    backtracking. Without the ridge, separated classes or a single label would ask for infinite parameters, and equal
    scores would leave some of them open. Where the best slope is negative, which would turn the order of scores round,
    the best function with that slope 0 is taken, as in the paper. Equal scores are merged before, so that the result
    depends neither on the order of rows, nor on whether a whole weight or as many rows say how often a score was seen.

    Probabilities closer than 1e-12 to 0 or 1 count as 1e-12 away from them. So do decision values beyond 27.6 in
    either direction: scores of a much wider range belong to `SigmoidCalibrator`.

    References
    ----------
    M. Kull, T. M. Silva Filho, P. Flach, "Beta calibration: a well-founded and easily implemented improvement on
    logistic calibration for binary classifiers", AISTATS 2017.

    Examples
    --------
    >>> from skroute.calibration import BetaCalibrator
    >>> calibrator = BetaCalibrator().fit([0.1, 0.2, 0.4, 0.6, 0.7, 0.9], [0, 1, 0, 0, 1, 1])
    >>> calibrator.predict([0.1, 0.5, 0.9]).round(2).tolist()
    [0.23, 0.45, 0.93]
    """

    @with_signature
    def __init__(self, kind: str = "auto") -> None:
        self.kind = kind

    def fit(self, scores: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the three parameters.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            Scores of the class: probabilities, or decision values on the scale of log odds.
        y : array-like of shape (n_samples,)
            1 where the row is of the class, else 0.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If lengths differ, there is no row, a value is not finite, or `kind` is none of its options.
        """
        values, positive, weight = check_one_vs_rest(scores, y, sample_weight)
        from_proba = is_proba(values, self.kind, type(self).__name__)
        parameters = _fit_beta(_merge_equal(values, positive, weight, from_proba))
        self.from_proba_ = from_proba
        self.a_, self.b_, self.c_ = (float(parameter) for parameter in parameters)
        return self

    @classmethod
    def map_all(cls, calibrators: Sequence[Self], n_rows: int) -> Map:
        """Return how so many rows of scores, with a column for each calibrator, are calibrated, block by block."""
        if len({(one.from_proba_, one.kind == "auto") for one in calibrators}) > 1:
            return super().map_all(calibrators, n_rows)
        from_proba, found_out = calibrators[0].from_proba_, calibrators[0].kind == "auto"
        parameters = -np.array([(one.a_, one.b_, one.c_) for one in calibrators]).T
        a, b, c = (ByColumn(column, n_rows) for column in parameters)

        def write(scores: Floats, proba: Floats) -> bool:
            if not all_finite(scores):
                return False
            if from_proba and found_out:
                check_range(scores, cls.__name__)
            log_odds, other = _log_features(scores, from_proba=from_proba)
            a(np.multiply, log_odds, proba)
            b(np.multiply, other, other)
            proba += other
            c(np.add, proba, proba)
            logistic(proba)
            return True

        return write

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of scores that are known to be finite, of shape (n_samples,)."""
        if self.from_proba_ and self.kind == "auto":
            check_range(values, type(self).__name__)
        log_odds, other = _log_features(values, from_proba=self.from_proba_)
        return expit(self.a_ * log_odds + self.b_ * other + self.c_)


def _log_features(values: NDArray[np.float64], *, from_proba: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return log p and -log(1 - p), both of which grow with the score."""
    if from_proba:
        proba = np.clip(values, LEAST_PROBA, 1.0 - LEAST_PROBA)
        return np.log(proba), -np.log1p(-proba)
    # Not by way of p, which loses the digits of 1 - p near one.
    most = -logit(LEAST_PROBA)
    odds = np.clip(values, -most, most)
    return log_expit(odds), -log_expit(-odds)


def _merge_equal(
    values: NDArray[np.float64], positive: NDArray[np.bool_], weight: NDArray[np.float64] | None, from_proba: bool
) -> _Rows:
    weight = np.ones(len(values)) if weight is None else weight
    # Among equal scores by weight as well, so that not even the last digit of a sum depends on the order of rows; sums
    # of whole numbers are exact without.
    whole = (weight == np.floor(weight)).all() and weight.sum() < 2.0**53
    order = np.argsort(values) if whole else np.lexsort((weight, positive, values))
    values, positive, weight = values[order], positive[order], weight[order]
    starts = np.append(0, np.flatnonzero(values[1:] != values[:-1]) + 1)
    design = np.column_stack([*_log_features(values[starts], from_proba=from_proba), np.ones(len(starts))])
    of_class = np.add.reduceat(np.where(positive, weight, 0.0), starts)
    return _Rows(design, of_class, np.add.reduceat(np.where(positive, 0.0, weight), starts))


def _fit_beta(rows: _Rows) -> NDArray[np.float64]:
    """Return the best a, b, c with a, b >= 0."""
    best = _fit_columns(rows, [0, 1, 2])
    if (best[:2] >= 0.0).all():
        return best
    # The loss is convex, so its least value under the bounds has the slope at 0 that was negative; if both were, one
    # of them, and then the other may be positive or not.
    candidates = [_fit_columns(rows, [1 - slope, 2]) for slope in (0, 1) if best[slope] < 0.0]
    candidates = [one for one in candidates if (one >= 0.0)[:2].all()] or [_fit_columns(rows, [2])]
    return min(candidates, key=lambda one: _loss(rows, one))


def _loss(rows: _Rows, parameters: NDArray[np.float64]) -> float:
    raw = rows.design @ parameters
    # Two sums of positive terms: nothing cancels where the loss is all but 0.
    fit = rows.positive @ np.logaddexp(0.0, -raw) + rows.negative @ np.logaddexp(0.0, raw)
    return float(fit + 0.5 * RIDGE * ((parameters - IDENTITY) ** 2).sum())


def _fit_columns(rows: _Rows, free: list[int]) -> NDArray[np.float64]:
    """Minimise the loss over the parameters that are free; the others are 0."""
    design = rows.design[:, free]
    total = rows.positive + rows.negative
    parameters = np.zeros(3)
    # Means of neighbours are enough to all but find the optimum.
    is_large = len(total) >= MANY_ROWS and total.sum() <= MOST_WEIGHT
    parameters[free] = (_fit_columns(rows.coarse(), free) if is_large else IDENTITY)[free]
    value = _loss(rows, parameters)
    for _ in range(MAX_STEPS):
        raw = rows.design @ parameters
        # Written so that neither residual cancels where rows are fitted all but perfectly.
        of_class, of_others = expit(raw), expit(-raw)
        residual = rows.negative * of_class - rows.positive * of_others
        gradient = design.T @ residual + RIDGE * (parameters - IDENTITY)[free]
        curvature = total * of_class * of_others
        step = np.zeros(3)
        hessian = (design * curvature[:, None]).T @ design
        # Of weights so large that the ridge is lost in the rounding of sums, only as much as can be solved for.
        hessian += max(RIDGE, SOLVABLE * hessian.trace()) * np.eye(len(free))
        step[free] = np.linalg.solve(hessian, gradient)
        decrease = float(gradient @ step[free])
        length = 1.0
        # The slack is what rounding may add to a sum: near the optimum, full steps must pass.
        while (shorter := _loss(rows, parameters - length * step)) > value * (1.0 + 1e-12) - 1e-4 * length * decrease:
            length /= 2.0
            if length < 1e-9:
                return parameters
        parameters, value = parameters - length * step, shorter
        # Newton squares the error, so what is left after this step is nothing.
        if decrease <= 1e-20 * value:
            break
    return parameters
