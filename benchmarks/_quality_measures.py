"""How good probabilities are: proper scores and calibration errors, in plain NumPy and without the package.

References
----------
A. Kumar, P. Liang, T. Ma, "Verified uncertainty calibration", NeurIPS 2019 (the debiased error).
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["MEASURES", "measure"]

MEASURES = ("log_loss", "brier", "ece", "classwise", "rare_top_label", "accuracy")
N_BINS = 15
# What a class must have among the predictions to be looked at alone, and what one of its bins must have.
MIN_ROWS = 50
MAX_BINS = 10


def measure(proba: NDArray[np.float64], y: NDArray[np.intp]) -> dict[str, float]:
    """Return all measures of probabilities, given true codes."""
    truth = np.zeros_like(proba)
    truth[np.arange(len(y)), y] = 1.0
    top, confidence = proba.argmax(axis=1), proba.max(axis=1)
    right = (top == y).astype(np.float64)
    squares = [debiased_square(proba[:, k], truth[:, k], N_BINS) for k in range(proba.shape[1])]
    return {
        "log_loss": float(-np.log(np.clip(proba[np.arange(len(y)), y], 1e-15, 1.0)).mean()),
        "brier": float(((proba - truth) ** 2).sum(axis=1).mean()),
        "ece": expected_error(confidence, right),
        "classwise": float(np.sqrt(max(np.mean(squares), 0.0))),
        "rare_top_label": rare_top_label(top, confidence, right, np.bincount(y, minlength=proba.shape[1])),
        "accuracy": float(right.mean()),
    }


def expected_error(confidence: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Return the expected calibration error of top labels, in bins of equal width."""
    bins = np.minimum((confidence * N_BINS).astype(np.intp), N_BINS - 1)
    gaps = np.bincount(bins, confidence - right, N_BINS)
    return float(np.abs(gaps).sum() / len(right))


def debiased_square(stated: NDArray[np.float64], truth: NDArray[np.float64], n_bins: int) -> float:
    """Return the squared calibration error in bins of equal mass, less what chance alone would give."""
    total = 0.0
    for rows in np.array_split(np.argsort(stated, kind="stable"), n_bins):
        if len(rows) > 1:
            rate = truth[rows].mean()
            total += len(rows) * ((stated[rows].mean() - rate) ** 2 - rate * (1.0 - rate) / (len(rows) - 1))
    return total / len(stated)


def rare_top_label(
    top: NDArray[np.intp], confidence: NDArray[np.float64], right: NDArray[np.float64], size: NDArray[np.intp]
) -> float:
    """Return the debiased top-label error of the rarest class that is predicted often enough; nan if none is."""
    n_predicted = np.bincount(top, minlength=len(size))
    often = np.flatnonzero(n_predicted >= MIN_ROWS)
    if not len(often):
        return float("nan")
    rows = np.flatnonzero(top == often[np.argmin(size[often])])
    n_bins = min(MAX_BINS, len(rows) // MIN_ROWS)
    return float(np.sqrt(max(debiased_square(confidence[rows], right[rows], n_bins), 0.0)))
