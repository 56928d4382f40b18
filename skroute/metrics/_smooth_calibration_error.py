"""Calibration error without bins: residuals smoothed at the one bandwidth that asks for no choice."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct

from skroute.metrics._pairs import blocks, read_pairs, sum_by

__all__ = ["smooth_calibration_error"]

OWNER = "smooth_calibration_error"
# Cells of the grid; residuals are shared out between the two nearest centres. Enough for 1e-6.
N_CELLS = 4096
# Bandwidths narrower than two cells could not be told apart on the grid.
LEAST_BANDWIDTH = 2.0 / N_CELLS
# Bins of the histogram whose error is the first guess.
FEW_BINS = 32
# The fixed point is known to within this, and found in about four steps. By how much the ratio of error and bandwidth
# falls lies between -1, where the model is off, and -3/2, where it errs by chance; the error's logarithm is bounded.
ACCURACY, MOST_STEPS, FIRST_SLOPE, LEAST_ERROR = 1e-9, 100, -1.25, 1e-300


def smooth_calibration_error(
    y_true: Any,
    y_prob: Any = None,
    *,
    y_pred: Any = None,
    confidence: Any = None,
    classes: Any = None,
    kind: str = "top-label",
    sample_weight: Any = None,
) -> float:
    """Measure calibration without bins, by residuals smoothed with a kernel.

    Unlike the binned error it is continuous in the probabilities, and it has nothing to choose: the bandwidth is the
    one at which it equals the error itself.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like or frame of shape (n_samples, n_classes) or (n_samples,), default=None
        Probabilities. One dimension is the probability of ``classes[1]``.
    y_pred, confidence : array-like of shape (n_samples,), default=None
        Predicted labels and the confidence in each, where a log holds no probabilities; "top-label" only.
    classes : array-like of shape (n_classes,), default=None
        The class of each column. None: the names of a frame's columns, else the sorted labels of `y_true`.
    kind : {"top-label", "classwise"}, default="top-label"
        The confidence in the predicted class, or the probability of each class, averaged over the classes.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative.

    Returns
    -------
    error : float
        In [0, 1]; 0 is best.

    Raises
    ------
    ValueError
        If a parameter or an input is not as described.

    Notes
    -----
    With residuals r_i = stated_i - right_i and a Gaussian kernel of bandwidth s that is reflected at 0 and 1, the error
    at s is the integral of the absolute smoothed residual; it falls in s, and the figure is its fixed point. Residuals
    are put on a grid of 4096 cells, where the reflected Gaussian is diagonal under a cosine transform, so that each
    bandwidth costs one transform whatever the number of rows. Errors under 1/2048 are given at that bandwidth.

    References
    ----------
    J. Blasiok, P. Nakkiran, "Smooth ECE: principled reliability diagrams via kernel smoothing", ICLR 2024,
    arXiv:2309.12236.

    Examples
    --------
    >>> from skroute.metrics import smooth_calibration_error
    >>> y_true = ["a"] * 6 + ["b"] * 4
    >>> round(smooth_calibration_error(y_true, y_pred=["a"] * 10, confidence=[0.9] * 10), 3)
    0.3
    """
    pairs = read_pairs(
        y_true, y_prob, y_pred=y_pred, confidence=confidence, classes=classes, kind=kind,
        sample_weight=sample_weight, owner=OWNER,
    )  # fmt: skip
    return float(np.mean([_smooth_error(stated, right, pairs.weight) for stated, right in pairs.parts()]))


def _smooth_error(stated: NDArray[np.float64], right: NDArray[np.bool_], weight: NDArray[np.float64] | None) -> float:
    grid, total = np.zeros(N_CELLS + 2), 0.0
    for rows in blocks(len(stated)):
        residual = stated[rows] - right[rows]
        if weight is not None:
            residual *= weight[rows]
        grid += _on_grid(stated[rows], residual)
        total += len(residual) if weight is None else weight[rows].sum()
    # The margins are reflected.
    grid[1] += grid[0]
    grid[N_CELLS] += grid[N_CELLS + 1]
    spectrum = dct(grid[1 : N_CELLS + 1] / total, type=2)
    frequency = np.pi * np.arange(N_CELLS)

    def error(bandwidth: float) -> float:
        # Beyond nine standard deviations the kernel is less than rounding; the transform pads with zeros.
        felt = frequency[: int(9.0 / (np.pi * bandwidth)) + 1]
        kernel = np.exp(-0.5 * (bandwidth * felt) ** 2)
        return float(np.abs(idct(spectrum[: len(felt)] * kernel, type=2, n=N_CELLS)).sum())

    # What a histogram of few bins says is not far from it.
    coarse = float(np.abs(grid[1 : N_CELLS + 1].reshape(FEW_BINS, -1).sum(axis=1)).sum() / total)
    return min(1.0, _at_fixed_point(error, coarse))


def _at_fixed_point(error: Callable[[float], float], guess: float) -> float:
    """Return the error at the bandwidth that equals it, or at `LEAST_BANDWIDTH` where it falls below that.

    The error falls and the bandwidth rises, so they cross once (but for rounding where every row is off by the same):
    between any bandwidth and the error there. Over the logarithm of the bandwidth, the error's own logarithm is flat
    where the model is off, and straight where it errs by chance: lines through the last two points arrive in a few
    steps. What leaves the bracket is replaced by the middle.
    """
    bandwidth, low, high = max(guess, LEAST_BANDWIDTH), 0.0, np.inf
    x = f = np.nan
    for _ in range(MOST_STEPS):
        found = error(bandwidth)
        if abs(found - bandwidth) <= ACCURACY or (bandwidth == LEAST_BANDWIDTH and found < bandwidth):
            return found
        low, high = max(low, min(found, bandwidth)), min(high, max(found, bandwidth))
        last_x, last_f, x, f = x, f, np.log(bandwidth), np.log(max(found, LEAST_ERROR) / bandwidth)
        slope = FIRST_SLOPE if np.isnan(last_x) else (f - last_f) / (x - last_x)
        following = float(np.exp(x - f / slope)) if slope < 0.0 else 0.0
        bandwidth = max(following if low <= following <= high else float(np.sqrt(low * high)), LEAST_BANDWIDTH)
    return error(bandwidth)


def _on_grid(positions: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share each value out between the two nearest cell centres; one cell of margin lies beyond either end."""
    place = positions * N_CELLS
    place += 0.5
    left = place.astype(np.intp)
    place -= left
    place *= values
    # What every value would give to its left centre, and the part of it that belongs to the right one.
    grid = sum_by(left, values, N_CELLS + 2)
    moved = sum_by(left, place, N_CELLS + 2)
    grid -= moved
    grid[1:] += moved[:-1]
    return grid
