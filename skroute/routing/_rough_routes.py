"""The routes of rows that are known roughly, and exactly only where that is asked for.

Probabilities in float32 take a fraction of the time to compute. They are off by no more than a known share of
themselves, and nearly all rows lie farther than that from every level of the gates: these have the same route either
way. The few others are asked for exactly. No route depends on an approximation, then.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._estimates import Estimates
from skroute._top_blocks import TopBlock, borrowed_space, top_blocks
from skroute.routing._cut_points import HALF
from skroute.routing._gate_kernel import NAMES, Kernel, margin_of, routes_of_parts
from skroute.routing._gates import CLARIFY, ESCALATE, Gates
from skroute.routing._rough_entropy import entropy_tolerance

__all__ = ["rough_routes"]

# The code of a row that is too close to a level.
DOUBTFUL = -1
# Where more of the rows are close to a level, as where few values come again and again, all are asked for at once.
MOST_DOUBTFUL = 0.2


def rough_routes(gates: Gates, estimates: Estimates) -> NDArray[np.str_]:
    """Return the routes that `fast_routes` would give to the exact rows.

    Parameters
    ----------
    gates : Gates
    estimates : Estimates

    Returns
    -------
    routes : ndarray of shape (n_samples,)
    """
    routes = np.empty(estimates.n_samples, dtype=NAMES.dtype)
    kernel = _kernel_for(gates, estimates.error)

    def ask(rows: Any, n_rows: int) -> None:
        routes[rows] = routes_of_parts(gates, [estimates.exact(rows)], n_rows)

    left: list[NDArray[np.intp]] = []
    n_left, worthwhile = 0, True
    for rows in estimates.parts():
        values = estimates.estimate(rows) if worthwhile else None
        if values is None:
            ask(rows, rows.stop - rows.start)
            continue
        with borrowed_space() as space:
            for block in top_blocks(values, "", len(values), kernel.picked, space, whole=kernel.whole, known=True):
                start = rows.start + block.rows.start
                with np.errstate(under="ignore"):
                    codes = kernel.decide(block)
                # "clip" makes something of those that are doubtful, too, and fills no copy.
                NAMES.take(codes, out=routes[start : start + len(codes)], mode="clip")
                doubtful = np.flatnonzero(codes == DOUBTFUL)
                left.append(doubtful + start)
                n_left += doubtful.size
                worthwhile = doubtful.size <= MOST_DOUBTFUL * len(codes)
        if n_left >= estimates.n_rows:
            ask(np.concatenate(left), n_left)
            left, n_left = [], 0
    if n_left:
        ask(np.concatenate(left), n_left)
    return routes


class _RoughKernel(Kernel):
    """The gates for rows of float32 that are off by up to `error` of themselves.

    Its codes are those that the exact rows have, or `DOUBTFUL`. Whatever `Kernel` compares is compared here too, and a
    row is doubtful if one of these comparisons might come out otherwise for the exact row. Cut points need no second
    look: they hold for all rows that sum to one within 5e-3, and exact rows do so within their last digits.
    """

    def __init__(self, gates: Gates, error: float) -> None:
        super().__init__(gates, np.dtype(np.float32), by_column=False)
        self.error = error
        # With every p off by e p at most, sum p log p is off by e times itself, at most e log K, and by e (1 + e). The
        # logarithm of sum p^2, which is asked for only of long rows, is off by 2 e, which over log K is less.
        self.near_entropy = entropy_tolerance(self.n_classes) + error * (1.0 + 1.5 / math.log(self.n_classes))
        # Levels are rounded to float32 themselves.
        self.low, self.high = 1.0 - error - 1e-6, 1.0 + error + 1e-6
        self.near_least, self.near_common, self.near_watch = (
            (np.float32(self.low) * levels, np.float32(self.high) * levels)
            for levels in (self.least, self.common, self.watch)
        )
        # From here on it matters which of two classes that have about the same is on top.
        self.tie = min(self.near_least[0].min(), self.near_watch[0].min() if self.only_top else np.inf)

    def decide(self, block: TopBlock) -> NDArray[np.int8]:
        """Return the codes of the routes, or that they are doubtful."""
        route = super().decide(block)
        near = self._near_least(block)
        near |= self._near_watch(block)
        route[near] = DOUBTFUL
        if self.tie <= HALF:
            rows = np.flatnonzero((block.confidence <= HALF) & (block.confidence >= self.tie))
            tied = margin_of(block.values.take(rows, axis=0)) <= 2.0 * self.error
            route[rows[tied]] = DOUBTFUL
        return route

    def _near_least(self, block: TopBlock) -> NDArray[np.bool_]:
        low, high = self.near_least
        if not self.by_exception or block.places is not None:
            return _between(block.confidence, low.take(block.top), high.take(block.top))
        near = _between(block.confidence, *self.near_common)
        for c in self.exceptions:
            near |= _between(block.column(c), low[c], high[c]).reshape(-1)
        return near

    def _near_watch(self, block: TopBlock) -> NDArray[np.bool_]:
        low, high = self.near_watch
        if self.few_watched:
            near = np.zeros(len(block.values), dtype=bool)
            for c in self.few_watched:
                near |= _between(block.column(c), low[c], high[c]).reshape(-1)
            return near
        if not self.watched.size:
            return np.zeros(len(block.values), dtype=bool)
        near = _between(block.confidence, low.take(block.top), high.take(block.top))
        if not self.only_top:
            near |= self._count(block, low) != self._count(block, high)
        return near

    def _settle(
        self,
        values: NDArray[np.floating],
        entropy: NDArray[np.float32] | None,
        confidence: NDArray[np.floating],
        passes: NDArray[np.bool_],
        route: NDArray[np.int8],
    ) -> NDArray[np.int8]:
        near = np.zeros(len(route), dtype=bool)
        if self.may_be_close:
            close = np.flatnonzero(passes & (confidence < self.margin_sure))
            margin = margin_of(values.take(close, axis=0))
            passes[close] = margin >= self.margin
            near[close] = np.abs(margin - self.margin) <= 2.0 * self.error
        if entropy is not None:
            for level in (self.max_entropy, self.escalate_entropy):
                near |= np.abs(entropy - np.float32(level)) <= self.near_entropy
            passes &= entropy <= self.max_entropy
            escalates = (entropy >= self.escalate_entropy).view(np.int8)
            np.minimum(route, np.subtract(np.int8(CLARIFY), (CLARIFY - ESCALATE) * escalates), out=route)
        np.multiply(route, ~passes, out=route)
        route[near] = DOUBTFUL
        return route


def _between(values: NDArray[Any], low: Any, high: Any) -> NDArray[np.bool_]:
    between: NDArray[np.bool_] = values >= low
    between &= values < high
    return between


def _kernel_for(gates: Gates, error: float) -> _RoughKernel:
    numbers = (gates.margin, gates.max_entropy, gates.escalate_entropy, gates.watch_order)
    return _remembered_kernel(gates.thresholds.tobytes(), gates.watch.tobytes(), numbers, error)


@lru_cache(maxsize=16)
def _remembered_kernel(thresholds: bytes, watch: bytes, numbers: tuple[Any, ...], error: float) -> _RoughKernel:
    return _RoughKernel(Gates(np.frombuffer(thresholds), np.frombuffer(watch), *numbers), error)
