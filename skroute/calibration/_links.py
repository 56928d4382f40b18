"""Links: from scores of any kind to log-probabilities that wait for their temperature."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit

from skroute.calibration._platt import fit_platt
from skroute.calibration._softmax import mean_slope, row_max, shift_rows
from skroute.calibration._training_rows import TrainingRows

__all__ = ["FLOORS", "Link", "fit_beta", "fit_links"]

# What may be added to probabilities before the logarithm. Forests and naive Bayes write exact zeros, and how much such
# a zero is worth is learned: it decides more than all other parameters together.
FLOORS = (1e-12, 1e-9, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
# The search range of the inverse temperature, scikit-learn's: e^10 turns every lead into certainty, e^-10 none.
BETA_RANGE = (float(np.exp(-10.0)), float(np.exp(10.0)))
# Steps after which those of Newton are taken in turns with others.
NEWTON_STEPS = 12
# Relative steps that count as none, and those whose successor of Newton's would: it squares the error. So it is with a
# step that differs by so little from a better one.
SAME_BETA, NEARLY_SAME = 1e-10, 1e-6
# Where there are several times as many rows, some of them find the first guess: so many, or one of STRIDE.
FIRST_ROWS, STRIDE = 2**10, 16
# Scores from which the kind of link is chosen; its temperature is fitted on all of them.
MOST_SCORES = 2**18


@dataclass(frozen=True)
class Link:
    """One way to read scores as log-probabilities.

    Probabilities have a `floor`: log(p + floor). Scores have none; they are read as logits or, with a `slope`, as
    margins of classifiers for one class against the rest: log sigmoid(slope * score + intercept).
    """

    floor: float | None = None
    slope: float | None = None
    intercept: float = 0.0
    beta: float = 1.0
    """Inverse temperature."""

    def logits(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return logits, before the temperature, in an array of their own; the largest of each row is 0."""
        if self.floor is not None:
            logits = np.log(np.maximum(scores, 0.0) + self.floor)
        elif self.slope is not None:
            logits = log_expit(self.slope * scores + self.intercept)
        else:
            logits = scores.copy()
        shift_rows(logits, row_max(logits))
        return logits

    def log_proba(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return log-probabilities of shape (n_samples, n_classes)."""
        logits = self.logits(scores)
        logits *= self.beta
        shift_rows(logits, np.log(np.exp(logits) @ np.ones((logits.shape[1], 1))))
        return logits

    def in_words(self) -> str:
        """Say how scores are read."""
        if self.floor is not None:
            return f"Scores are probabilities, with {self.floor:g} added before the logarithm."
        if self.slope is not None:
            return (
                f"Scores are margins of one class against the rest: sigmoid({self.slope:.3g} s {self.intercept:+.3g})."
            )
        return "Scores are logits."

    def refit(self, rows: TrainingRows) -> "Link":
        """Return the same link with the temperature of other rows."""
        return self.fitted(rows)[0]

    def fitted(self, rows: TrainingRows) -> tuple["Link", float]:
        """Return the link with the temperature of least log loss, and that loss."""
        logits = self.logits(rows.scores)
        spread = max(1.0, -float(logits.min(initial=0.0))) if self.floor is None else 1.0
        beta, loss = fit_beta(logits, rows.codes, rows.weight, spread=spread, start=self.beta)
        return replace(self, beta=beta), loss


def fit_beta(
    logits: NDArray[np.float64],
    codes: NDArray[np.intp],
    weight: NDArray[np.float64],
    *,
    spread: float = 1.0,
    start: float = 1.0,
) -> tuple[float, float]:
    """Return the inverse temperature of least log loss, and that loss.

    The loss is convex in it, so Newton steps arrive; one that leaves the bracket is replaced by the bracket's geometric
    middle. Rows that say nothing (none, or constant logits) leave it at 1.

    Parameters
    ----------
    logits : ndarray of shape (n_rows, n_classes)
        The largest of each row is 0.
    codes : ndarray of shape (n_rows,)
        Column of the true class.
    weight : ndarray of shape (n_rows,)
        Positive.
    spread : float, default=1.0
        At least 1; the search reaches so much further down. Decision values in the thousands stay certainties
        throughout scikit-learn's range.
    start : float, default=1.0
        First guess.

    Returns
    -------
    beta, loss : float
    """
    # The first row tells as a rule.
    if not (logits[:1].any() or logits.any()):
        return 1.0, float(weight.sum() * np.log(logits.shape[1]))
    low, high = BETA_RANGE
    low /= spread
    if len(logits) >= 4 * FIRST_ROWS:
        some = slice(None, None, min(len(logits) // FIRST_ROWS, STRIDE))
        guess, _ = fit_beta(np.ascontiguousarray(logits[some]), codes[some], weight[some], spread=spread, start=start)
        # Rows that are all right, or all wrong, say nothing of the others.
        start = guess if 2.0 * low < guess < high / 2.0 else start
    beta, last = min(max(start, low), high), None
    for turn in range(200):
        loss, slope, curvature = mean_slope(logits, codes, weight, beta)
        step = beta - slope / curvature if curvature > 0.0 else np.nan
        found = np.nan if last is None else _root((beta, slope, curvature), last)
        # Before the bracket is looked at: beta becomes an end of it, and rounding may put the last step beyond.
        if abs(step - beta) <= NEARLY_SAME * beta:
            return float(step), loss
        if low < found < high and abs(found - step) <= NEARLY_SAME * beta:
            return float(found), loss + slope * (found - beta) / 2.0
        last = beta, slope, curvature
        low, high = (low, beta) if slope > 0.0 else (beta, high)
        # Where every row is right the slope fades like an exponential, and Newton's steps creep; halving does not.
        if not low < step < high or (turn > NEWTON_STEPS and turn % 2):
            step = float(np.sqrt(low * high))
            if abs(step - beta) <= SAME_BETA * beta:
                return step, loss
        beta = step
    return beta, loss


def _root(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """Return where the slope is 0, by the cubic through two places with their slopes and curvatures; NaN if nowhere.

    It is the inverse function that is interpolated, place by slope. Newton squares the error; this is about as good as
    another step of Newton's from here, without another look at the rows.
    """
    (x, slope, curvature), (last_x, last_slope, last_curvature) = one, other
    apart = last_slope - slope
    if apart == 0.0 or min(curvature, last_curvature) <= 0.0:
        return np.nan
    rise = (last_x - x) / apart
    first, second = (rise - 1.0 / curvature) / apart, (1.0 / last_curvature - rise) / apart
    return x - slope / curvature + slope**2 * (first - last_slope * (second - first) / apart)


def fit_links(rows: TrainingRows, *, from_proba: bool) -> tuple[Link, Link | None]:
    """Return the link that fits best and, for scores of three classes and more, the other reading.

    Parameters
    ----------
    rows : TrainingRows
        Scores with labels.
    from_proba : bool
        Whether the scores are probabilities.

    Returns
    -------
    best, other : Link
        `other` is None for probabilities and for two classes.
    """
    n_classes = rows.scores.shape[1]
    if not len(rows.codes):
        return Link(floor=FLOORS[0] if from_proba else None), None
    sample = rows.spread(max(MOST_SCORES // n_classes, 1))
    if from_proba:
        fitted = [Link(floor=floor).fitted(sample) for floor in FLOORS]
        best = min(fitted, key=lambda pair: pair[1])[0]
        return best.refit(rows), None
    plain, plain_loss = Link().fitted(sample)
    if n_classes == 2:
        return plain.refit(rows), None
    margin, margin_loss = _margin_link(sample).fitted(sample)
    # By one nat, so that rounding does not choose between two readings that say the same.
    both = (margin, plain) if margin_loss < plain_loss - 1.0 else (plain, margin)
    return both[0].refit(rows), both[1].refit(rows)


def _margin_link(rows: TrainingRows) -> Link:
    """Return the one sigmoid that all classes share, fitted on every pair of row and class."""
    n_rows, n_classes = rows.scores.shape
    positive = np.zeros((n_rows, n_classes), dtype=bool)
    positive[np.arange(n_rows), rows.codes] = True
    slope, intercept = fit_platt(rows.scores.reshape(-1), positive.reshape(-1), np.repeat(rows.weight, n_classes))
    # A falling sigmoid would turn the order of the classes round; scores that bad are left to the plain reading.
    return Link(slope=max(slope, 0.0), intercept=intercept)
