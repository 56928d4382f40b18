"""The routes of many rows in one pass: what the plain definition says of every row, at a fraction of its work.

The plain definition, `Gates.decide`, measures everything of every row. A route needs less: most rows lie outside the
cut points of the gates (`_cut_points`), so that their confidence alone decides. Of the others the entropy is computed
in float32, with a proven bound on its error, and rows that are closer to a level than the bound are left to the plain
code. No route depends on an approximation, then: a row is decided by an inequality with room to spare, or by the plain
code itself.
"""

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._rows import places_of
from skroute._top_blocks import (
    MOST_COLUMNS,
    MOST_PICKED,
    TopBlock,
    are_reduced_in_place,
    borrowed_space,
    top_blocks,
)
from skroute.routing._cut_points import HALF, MOST_SUM, entropy_cuts, margin_cuts
from skroute.routing._few_rows import few_routes
from skroute.routing._gates import CLARIFY, ESCALATE, ROUTES, SLACK, WATCH, Gates
from skroute.routing._rough_entropy import collision_entropy, entropy_tolerance, rough_entropy
from skroute.routing._signals import BLOCK_CELLS, entropy_signal

__all__ = ["NAMES", "Kernel", "fast_routes", "margin_of", "routes_of_parts"]

# Up to so many values, finding the few rows that need more costs more than measuring all.
FEW_CELLS = 20_000
FEW_ROWS = 1600
# Values and rows in a block: few enough for the cache, enough to outweigh some sixty calls of NumPy. Rows that are not
# copied may have more values.
CELLS, MOST_ROWS = 1 << 19, 80_000
LONG_CELLS, MOST_LONG_ROWS = 1 << 21, 50_000
# Beyond one watched class, and one more for so many classes, all columns are compared at once.
SPARSE = 8
# From so many classes on, and if that decides most of so many rows, a bound on the entropy is asked for before the
# entropy: one logarithm a row, not one a value.
LONG_ROWS, FIRST_ROWS = 200, 16
NAMES = np.array(ROUTES)
# Returns an empty array of a shape and a type.
Room = Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]]


def fast_routes(
    gates: Gates, values: NDArray[np.floating], name: str = "proba", names: NDArray[Any] = NAMES
) -> NDArray[Any]:
    """Check all rows and choose their routes, the same as those of `gates.decide`.

    Parameters
    ----------
    gates : Gates
    values : ndarray of shape (n_samples, n_classes)
        float32 or float64, in any layout, its rows not checked yet. It is not written to.
    name : str, default="proba"
        What the messages call the matrix.
    names : ndarray of shape (4,), default=NAMES
        What is returned for each code of a route.

    Returns
    -------
    routes : ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If a row is not finite, leaves [0, 1] or does not sum to one. The message names the first such row.
    """
    if _are_few(*values.shape):
        return names.take(few_routes(gates, values, name))
    return routes_of_parts(gates, [values], len(values), name, names)


def routes_of_parts(
    gates: Gates,
    parts: Iterable[NDArray[np.floating]],
    n_samples: int,
    name: str = "proba",
    names: NDArray[Any] = NAMES,
) -> NDArray[Any]:
    """Check rows that come part by part, all of one type and layout, and choose their routes as `fast_routes` would.

    Parameters
    ----------
    gates : Gates
    parts : iterable of ndarray of shape (n_rows, n_classes)
        At least one. Only one of them is held at a time.
    n_samples : int
        The number of all rows.
    name : str, default="proba"
        What the messages call the matrix.
    names : ndarray of shape (4,), default=NAMES
        What is returned for each code of a route.

    Returns
    -------
    routes : ndarray of shape (n_samples,)
    """
    routes, start = np.empty(n_samples, dtype=names.dtype), 0
    kernel = last = None
    for values in parts:
        n_classes = values.shape[1]
        if len(values) and _are_few(n_samples, n_classes):
            routes[start : start + len(values)] = names.take(few_routes(gates, values, name))
            start += len(values)
            continue
        kernel = kernel or _kernel_for(gates, values)
        copied = n_classes <= MOST_COLUMNS and not are_reduced_in_place(values, kernel.whole)
        n_cells, most = (CELLS, MOST_ROWS) if copied else (LONG_CELLS, MOST_LONG_ROWS)
        n_rows = max(min(n_cells // n_classes, most), 1)
        with borrowed_space() as space:
            for block in top_blocks(values, name, n_rows, kernel.picked, space, whole=kernel.whole):
                last, stop = block.values[-1:], start + len(block.values)
                # Every code is in range; without "clip" NumPy would fill a copy first.
                names.take(kernel.decide(block), out=routes[start:stop], mode="clip")
                start = stop
    if last is not None and n_samples % max(BLOCK_CELLS // last.shape[1], 1) == 1:
        # The plain code measures this row by itself and may add it up in another order than its fellows.
        routes[-1:] = names[gates.decide(last).route]
    return routes


def _are_few(n_rows: int, n_classes: int) -> bool:
    return 0 < n_rows <= FEW_ROWS and n_rows * n_classes <= FEW_CELLS


def _at_least(levels: NDArray[np.float64], dtype: np.dtype[np.floating]) -> NDArray[np.floating]:
    """Return the least numbers of the type that reach the levels: p >= level says the same of either."""
    rounded: NDArray[np.floating] = levels.astype(dtype)
    return np.where(rounded < levels, np.nextafter(rounded, rounded.dtype.type(np.inf)), rounded)


class Kernel:
    """The gates as levels of confidence, for matrices of one width, type and layout."""

    def __init__(self, gates: Gates, dtype: np.dtype[np.floating], by_column: bool) -> None:
        self.gates = gates
        self.n_classes = len(gates.thresholds)
        self.by_column = by_column
        self.margin = -math.inf if gates.margin is None else gates.margin - SLACK
        self.max_entropy = math.inf if gates.max_entropy is None else gates.max_entropy + SLACK
        self.escalate_entropy = math.inf if gates.escalate_entropy is None else gates.escalate_entropy - SLACK
        # Rough entropies between two levels are not good enough.
        tolerance = entropy_tolerance(self.n_classes)
        self.pass_levels = self.max_entropy - tolerance, self.max_entropy + tolerance
        self.escalate_levels = self.escalate_entropy - tolerance, self.escalate_entropy + tolerance
        levels = [level for level in (self.max_entropy, self.escalate_entropy) if level < math.inf]
        self.highest = max(levels, default=None)
        # Where the share of doubtful rows is larger, measuring all costs less than picking them.
        self.most_picked = (self.n_classes + 5) / (self.n_classes + 32)
        self._set_levels(dtype)
        self._set_watches(dtype)

    def _set_levels(self, dtype: np.dtype[np.floating]) -> None:
        gates, n_classes = self.gates, self.n_classes
        entropy_low, entropy_sure = entropy_cuts(gates.max_entropy, n_classes)
        margin_low, self.margin_sure = margin_cuts(gates.margin, n_classes)
        # A row that is under the `least` of its top class is not auto-routed; one that reaches it, and `sure` as well,
        # passes all gates.
        self.least = _at_least(np.maximum(gates.thresholds, max(entropy_low, margin_low)), dtype)
        self.sure = max(entropy_sure, self.margin_sure)
        self.may_be_close = bool(self.least.min() < self.margin_sure)
        levels, counts = np.unique(self.least, return_counts=True)
        self.common = levels[counts.argmax()]
        self.exceptions: list[int] = np.flatnonzero(self.least != self.common).tolist()
        # A class with more than half of a row is on top. Where all levels ask for that, and few differ from the rest,
        # looking at the columns of those few is quicker than finding out what is on top.
        self.by_exception = bool(levels[0] > HALF) and 2 * len(self.exceptions) <= n_classes + 1
        # Below the first every row escalates, if it gets so far; from the second on none does.
        self.escalates, self.settled = entropy_cuts(gates.escalate_entropy, n_classes)

    def _set_watches(self, dtype: np.dtype[np.floating]) -> None:
        watched = np.isfinite(self.gates.watch) & (self.gates.watch_order != "flag")
        self.watched = np.flatnonzero(watched)
        self.watch = _at_least(np.where(watched, self.gates.watch, np.inf), dtype)
        self.only_top = self.gates.watch_order == "top"
        # Beyond so many, all columns are looked at.
        few = not self.only_top and SPARSE * self.watched.size <= self.n_classes + SPARSE
        self.few_watched = self.watched.tolist() if few else []
        # Which columns are looked at by themselves, and whether more than those and the largest value is.
        self.picked = sorted({*self.few_watched, *self.exceptions})
        self.whole = not self.by_exception or len(self.picked) > MOST_PICKED or (self.watched.size > 0 and not few)
        if self.whole:
            self.picked = self.few_watched
        # Whether two classes may share the largest value of a row that passes.
        self.tied = bool(self.least.min() <= HALF)
        # Where a class reaches its `least`, not enough may be left for the watch of another.
        reaches = self.watched.size > 0 and self.watch.min() + self.least.min() <= MOST_SUM
        self.holds_back = self.gates.watch_order == "before" and bool(reaches)

    def decide(self, block: TopBlock) -> NDArray[np.int8]:
        """Return the codes of the routes of checked rows."""
        if block.clipped and block.sums.max() > MOST_SUM:
            return self.gates.decide(block.values).route.astype(np.int8)
        confidence = block.confidence
        passes = self._passes(block)
        escalates = confidence < self.escalates
        undecided = confidence < self.settled
        # Of flags, "greater" says that the first is set and the second is not.
        np.greater(undecided, escalates, out=undecided)
        # A row takes the first route that holds, which is the one with the least code: arithmetic on codes does not
        # wait for the outcome of every row, as a choice would.
        route = np.subtract(np.int8(CLARIFY), (CLARIFY - ESCALATE) * escalates.view(np.int8))
        if self.watched.size:
            fired, elsewhere = self._watches(block, passes)
            np.minimum(route, np.subtract(np.int8(CLARIFY), (CLARIFY - WATCH) * fired.view(np.int8)), out=route)
            np.greater(undecided, fired, out=undecided)
            if elsewhere is not None:
                np.greater(passes, elsewhere, out=passes)
        auto = confidence >= self.sure
        auto &= passes
        undecided |= passes
        np.greater(undecided, auto, out=undecided)
        np.multiply(route, ~auto, out=route)
        if block.columns is not None and np.count_nonzero(undecided) > self.most_picked * len(route):
            strips = block.columns.reshape(-1, self.n_classes, block.columns.shape[-1])
            return self._settle(block.values, self._entropy(strips, block.sums, block.room), confidence, passes, route)
        doubtful, size = places_of(undecided), max(CELLS // self.n_classes, 1)
        for start in range(0, len(doubtful), size):
            rows = doubtful[start : start + size]
            lie = block.values if block.columns is None or block.columns.ndim > 2 else block.columns.T
            values = _take(lie, rows, block.room)
            each = values.T[np.newaxis] if _by_column(values) else values
            entropy = self._entropy(each, block.sums.take(rows), block.room)
            route[rows] = self._settle(values, entropy, confidence.take(rows), passes.take(rows), route.take(rows))
        return route

    def _passes(self, block: TopBlock) -> NDArray[np.bool_]:
        """Return which rows reach the `least` of their top class."""
        if not self.by_exception or block.places is not None:
            passes: NDArray[np.bool_] = block.confidence >= self.least.take(block.top)
            return passes
        passes = block.confidence >= self.common
        for c in self.exceptions:
            column, level = block.column(c), self.least[c]
            if level < self.common:
                passes |= (column >= level).reshape(-1)
            else:
                passes &= ((column < self.common) | (column >= level)).reshape(-1)
        return passes

    def _watches(
        self, block: TopBlock, passes: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_] | None]:
        """Return for which rows a watch fired, and which of those that pass it holds back, if it may hold back any."""
        if not self.few_watched:
            on_top: NDArray[np.bool_] = block.confidence >= self.watch.take(block.top)
            if self.only_top:
                return on_top, None
            count = self._count(block, self.watch)
            return count > 0, count > on_top.view(np.int8) if self.holds_back else None
        fires = [(block.column(c) >= self.watch[c]).reshape(-1) for c in self.few_watched]
        elsewhere = self._elsewhere(block, passes, fires) if self.holds_back else None
        for others in fires[1:]:
            fires[0] |= others
        return fires[0], elsewhere

    def _elsewhere(
        self, block: TopBlock, passes: NDArray[np.bool_], fires: list[NDArray[np.bool_]]
    ) -> NDArray[np.bool_]:
        """Return for which rows that pass one of the few watches fired on a class that is not on top."""
        elsewhere = np.zeros(len(block.values), dtype=bool)
        for c, fired in zip(self.few_watched, fires, strict=True):
            column = block.column(c)
            below = (column < block.confidence.reshape(column.shape)).reshape(-1)
            below &= fired
            elsewhere |= below
            if self.tied:
                # Where it fires and is not below the largest, an earlier column may hold the same.
                level = np.greater(fired, below)
                level &= passes
                level &= block.confidence <= HALF
                rows = np.flatnonzero(level)
                elsewhere[rows] |= _take(block.values, rows).argmax(axis=1) != c
        return elsewhere

    def _count(self, block: TopBlock, watch: NDArray[np.floating]) -> NDArray[np.integer]:
        """Return for how many classes a watch at these levels fires."""
        columns = block.values.T if block.columns is None else block.columns
        fires = (columns >= watch[:, np.newaxis]).view(np.int8)
        axis, dtype = fires.ndim - 2, np.min_scalar_type(-self.watched.size - 1)
        count: NDArray[np.integer] = np.add.reduce(fires, axis=axis, dtype=dtype)
        return count.reshape(-1)

    def _entropy(
        self, values: NDArray[np.floating], sums: NDArray[np.float64], room: Room
    ) -> NDArray[np.float32] | None:
        """Return rough entropies, if any gate asks for them; of a row that is over all levels, less may be told."""
        if self.highest is None:
            return None
        if self.n_classes < LONG_ROWS or values.ndim > 2:
            return rough_entropy(values, sums, room)
        # The first rows speak for all: where the bound leaves most of them open, it does not pay.
        first = collision_entropy(values[:FIRST_ROWS], sums[:FIRST_ROWS])
        if 2 * np.count_nonzero(first < self.highest) > len(first):
            return rough_entropy(values, sums, room)
        entropy = collision_entropy(values, sums)
        open_rows = np.flatnonzero(entropy < self.highest)
        if open_rows.size:
            entropy[open_rows] = rough_entropy(values.take(open_rows, axis=0), sums.take(open_rows))
        return entropy

    def _settle(
        self,
        values: NDArray[np.floating],
        entropy: NDArray[np.float32] | None,
        confidence: NDArray[np.floating],
        passes: NDArray[np.bool_],
        route: NDArray[np.int8],
    ) -> NDArray[np.int8]:
        """Return the routes of rows that confidence need not decide, given those that they take by it."""
        if self.may_be_close:
            close = np.flatnonzero(passes & (confidence < self.margin_sure))
            if close.size:
                passes[close] = margin_of(_take(values, close)) >= self.margin
        if entropy is not None:
            within, escalates = self._entropy_gates(values, entropy)
            passes &= within
            # Not those on which a watch fired.
            np.minimum(route, np.subtract(np.int8(CLARIFY), (CLARIFY - ESCALATE) * escalates.view(np.int8)), out=route)
        np.multiply(route, ~passes, out=route)
        return route

    def _entropy_gates(
        self, values: NDArray[np.floating], entropy: NDArray[np.float32]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which rows pass the gate of entropy, and which escalate, as the plain code has it."""
        sure, possible = self.pass_levels
        within, escalates = entropy <= sure, entropy >= self.escalate_levels[1]
        near = within ^ (entropy <= possible)
        near |= escalates ^ (entropy >= self.escalate_levels[0])
        rows = np.flatnonzero(near)
        if rows.size:
            # Sums along columns add one column after the other, sums along rows, and of a single row, in pairs. So that
            # the last bit is that of the plain code too, a row of columns is measured in company.
            company = np.append(rows, rows[:1]) if self.by_column else rows
            some = _take(values, company).astype(np.float64, order="F" if self.by_column else "C")
            exact = entropy_signal(some)[: rows.size]
            within[rows], escalates[rows] = exact <= self.max_entropy, exact >= self.escalate_entropy
        return within, escalates


def _kernel_for(gates: Gates, values: NDArray[np.floating]) -> Kernel:
    """Return the kernel for the gates and for matrices like this one, made anew only if it is not remembered."""
    numbers = (gates.margin, gates.max_entropy, gates.escalate_entropy, gates.watch_order)
    layout = values.dtype, _by_column(values)
    return _remembered_kernel(gates.thresholds.tobytes(), gates.watch.tobytes(), numbers, *layout)


@lru_cache(maxsize=16)
def _remembered_kernel(
    thresholds: bytes, watch: bytes, numbers: tuple[Any, ...], dtype: np.dtype[np.floating], by_column: bool
) -> Kernel:
    return Kernel(Gates(np.frombuffer(thresholds), np.frombuffer(watch), *numbers), dtype, by_column)


def _by_column(values: NDArray[Any]) -> bool:
    """Return whether a copy that keeps the layout, as the plain code takes one, has columns that lie in one piece."""
    return abs(values.strides[0]) < abs(values.strides[1])


def _take(values: NDArray[Any], rows: NDArray[np.intp], room: Room = np.empty) -> NDArray[Any]:
    """Return some rows: by columns, or one after the other, whichever is quicker."""
    n_classes = values.shape[1]
    if not _by_column(values):
        # Every place is in range; without "clip" NumPy would fill a copy first.
        return values.take(rows, axis=0, out=room((len(rows), n_classes), values.dtype), mode="clip")
    if n_classes > MOST_COLUMNS:
        return values[rows]
    return values.T.take(rows, axis=1, out=room((n_classes, len(rows)), values.dtype), mode="clip").T


def margin_of(block: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the largest less the second largest value of each row, as the plain code does: widened before."""
    rest = block.astype(np.float64)
    rows, top = np.arange(len(rest)), rest.argmax(axis=1)
    confidence = rest[rows, top]
    rest[rows, top] = -1.0
    margin: NDArray[np.float64] = confidence - rest.max(axis=1)
    return margin
