"""Probabilities that need not be exact for every row."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_ERROR", "Estimates"]

# A fifth of what the rows of a matrix may stray from a sum of one: what is proven for such rows holds for estimates.
MOST_ERROR = 1e-3


@dataclass(frozen=True)
class Estimates:
    """Probabilities of rows, in C order, that can be had roughly or exactly."""

    n_samples: int
    n_estimated: int
    """So many of the rows, from the first on, can be estimated; there are others, which can not."""
    n_rows: int
    """How many of them are estimated at once."""
    error: float
    """The largest share of itself by which an estimate is off, at most `MOST_ERROR`."""
    estimate: Callable[[slice], NDArray[np.float32] | None]
    """Returns estimates of consecutive rows, good until it is called again; None where there are none."""
    exact: Callable[[Any], NDArray[np.float64]]
    """Returns the probabilities of rows by a slice of `parts`, or by places in those that can be estimated: to the
    last bit those that they have among all rows."""

    def parts(self) -> Iterator[slice]:
        """Yield all rows in slices; the last one can not be estimated."""
        for start in range(0, self.n_estimated, self.n_rows):
            yield slice(start, min(start + self.n_rows, self.n_estimated))
        yield slice(self.n_estimated, self.n_samples)
