"""What a row of probabilities says about itself: top class, confidence, margin, normalised entropy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

__all__ = ["Signals", "entropy_signal", "measure"]

# About 4 MB of float64 work space a block, so that memory beyond the outputs does not grow with the rows.
BLOCK_CELLS = 1 << 19


@dataclass(frozen=True)
class Signals:
    """The signals of n rows; every field is an array of shape (n_samples,)."""

    top: NDArray[np.intp]
    """Index of the first largest probability."""
    confidence: NDArray[np.float64]
    """The largest probability, as given."""
    margin: NDArray[np.float64]
    """Largest minus second largest probability, in [0, 1]."""
    entropy: NDArray[np.float64]
    """Entropy of the renormalised row over its maximum log(n_classes), in [0, 1]."""


def measure(proba: NDArray[np.floating]) -> Signals:
    """Measure the signals of every row.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
        Checked probabilities, n_classes >= 2.

    Returns
    -------
    signals : Signals
    """
    n_samples, n_classes = proba.shape
    top = np.argmax(proba, axis=1)
    confidence, margin, entropy = np.empty((3, n_samples))
    step = max(1, BLOCK_CELLS // n_classes)
    for start in range(0, n_samples, step):
        rows = slice(start, start + step)
        # float32 is widened, exactly, before any arithmetic: a route must not depend on the width of the input.
        block = proba[rows].astype(np.float64)
        entropy[rows] = entropy_signal(block)
        block.partition(n_classes - 2, axis=1)
        confidence[rows] = block[:, -1]
        margin[rows] = block[:, -1] - block[:, -2]
    return Signals(top, confidence, margin, entropy)


def entropy_signal(proba: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entropy of each renormalised row over log(n_classes), in [0, 1]."""
    shares = proba / proba.sum(axis=1, keepdims=True)
    normalised: NDArray[np.float64] = np.minimum(entr(shares).sum(axis=1) / np.log(proba.shape[1]), 1.0)
    return normalised
