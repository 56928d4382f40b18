"""Bins of [0, 1]: where their edges lie, and which bin a value belongs to."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._validation import check_count, column, real_numbers, shown

__all__ = ["BIN_LIMIT", "assign_bins", "quantile_edges", "read_edges", "uniform_edges"]

# No data fill more, and a mistaken number must not exhaust the memory.
BIN_LIMIT = 10**6
# Up to so many bins, one vectorised comparison an edge beats the binary search by a factor of up to ten.
FEW_BINS = 64
# Up to so many bins, values near an edge are rare enough to be looked at one by one.
MOST_SCALED = 2**12


def uniform_edges(n_bins: int) -> NDArray[np.float64]:
    """Return the edges of `n_bins` equally wide bins, shape (n_bins + 1,)."""
    # Not linspace: it misses 0.3 and 0.6 by a bit, so that a logged 0.3 would fall into the bin below.
    return np.arange(n_bins + 1) / n_bins


def quantile_edges(values: NDArray[Any], n_bins: int, weight: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return the edges of at most `n_bins` bins that hold equal shares of `values`, between 0 and 1.

    Inner edges are values that occur, and an edge that would occur twice is kept once: equal values share a bin.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        In [0, 1], at least one.
    n_bins : int
        Number of bins wanted.
    weight : ndarray of shape (n_samples,), default=None
        Positive weights.

    Returns
    -------
    edges : ndarray of shape (at most n_bins + 1,)
        Ascending, from 0 to 1.
    """
    # Bins are left-closed, so an edge is the first value that has *more* than its share of the mass at or below it:
    # then exactly that share lies under the edge. Both branches compare the same floats, hence unit weights change
    # nothing, and neither do whole weights compared with repeated rows.
    shares = np.arange(1, n_bins)
    if weight is None:
        places = np.floor(len(values) * shares / n_bins).astype(np.intp)
        inner = np.partition(values, np.unique(places))[places]
    else:
        order = np.argsort(values)
        mass = np.cumsum(weight[order])
        places = np.searchsorted(mass, mass[-1] * shares / n_bins, side="right")
        inner = values[order[places]]
    return np.unique(np.concatenate([[0.0], inner.astype(np.float64), [1.0]]))


def read_edges(n_bins: Any, owner: str) -> NDArray[np.float64] | int:
    """Return the parameter `n_bins` as a count, or as the ascending edges that it gives."""
    if np.ndim(n_bins) == 0:
        return check_count(n_bins, "n_bins", owner, most=BIN_LIMIT)
    edges = real_numbers(column(n_bins, "n_bins"), "n_bins")
    if len(edges) < 2 or edges[0] != 0.0 or edges[-1] != 1.0 or not (np.diff(edges) > 0).all():
        raise ValueError(
            f"The 'n_bins' parameter of {owner} must be an int or edges that ascend from 0 to 1. "
            f"Got {shown(n_bins)} instead."
        )
    return edges


def assign_bins(
    values: NDArray[np.float64],
    edges: NDArray[np.float64],
    room: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None,
) -> NDArray[np.int32]:
    """Return the bin of every value: left-closed bins, the last one closed on both sides.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        In [0, 1].
    edges : ndarray of shape (n_bins + 1,)
        Ascending, from 0 to 1.
    room : pair of ndarrays of shape (n_samples,), default=None
        Memory that may be written to, for the result as well; None allocates it.

    Returns
    -------
    bins : ndarray of shape (n_samples,)
        ``np.searchsorted(edges[1:-1], values, side="right")``: exact with respect to the floats in `edges`.
    """
    n_bins = len(edges) - 1
    if n_bins <= MOST_SCALED and np.array_equal(edges, uniform_edges(n_bins)):
        return _scaled_bins(values, edges, room)
    inner = edges[1:-1]
    if len(edges) > FEW_BINS:
        return np.searchsorted(inner, values, side="right").astype(np.int32)
    bins = np.zeros(len(values), dtype=np.int8)
    for edge in inner:
        bins += values >= edge
    return bins.astype(np.int32)


def _scaled_bins(
    values: NDArray[np.float64],
    edges: NDArray[np.float64],
    room: tuple[NDArray[np.int32], NDArray[np.int32]] | None,
) -> NDArray[np.int32]:
    """Return the bins of `uniform_edges` by one multiplication, and by comparison where that could be wrong."""
    # Fixed-point numbers: the bin, and below it as many bits of the place within the bin as 31 bits leave.
    n_bins = len(edges) - 1
    n_bits = 30 - n_bins.bit_length()
    place, near = np.empty((2, len(values)), dtype=np.int32) if room is None else room
    np.multiply(values, float(n_bins << n_bits), out=place, casting="unsafe")
    # Product and edges are rounded, by less than one unit of these numbers; so only a value whose place is the first
    # or the last of its bin may stand on the wrong side of an edge. Of other values, 2 in 2**n_bits look like that.
    np.add(place, 1, out=near)
    near &= (1 << n_bits) - 1
    place >>= n_bits
    if near.min(initial=2) <= 1:
        rows = np.flatnonzero(near <= 1)
        place[rows] = np.searchsorted(edges[1:-1], values[rows], side="right")
    return place
