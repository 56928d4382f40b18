"""The gates of least cost: exact sweeps over the thresholds inside a search over the other numbers.

For fixed margin, entropy gate, escalation and watches the thresholds of least cost are found exactly, in one pass, for
all classes at once (`skroute.policies._sweep`). The other numbers are searched one at a time, on a grid with the
thresholds swept anew at every point, and then on all values that occur, with the thresholds held. Both only ever lower
the cost. What does not earn its place is left out, so that the policy stays readable.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute.policies._sweep import ScoreOrder, best_thresholds, score_order
from skroute.routing._gates import SLACK
from skroute.routing._signals import Signals

__all__ = ["GATES_FOUND", "OFF", "GateSearch", "Numbers", "Rows", "search_gates"]

Floats = NDArray[np.float64]

GATES_FOUND = ("margin", "max_entropy", "escalate_entropy")
# The value of each gate, and of a watch, that lets everything through.
OFF = {"margin": 0.0, "max_entropy": 1.0, "escalate_entropy": np.inf, "watch": np.inf}
# A gate or watch has to close this share of the gap between thresholds alone and the cheapest route of every row.
WORTH = 0.01
# Grid points of a gate, as quantiles of its signal, and of a watch.
QUANTILES = np.linspace(0.05, 0.95, 9)
WATCHES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
# Half a unit of the last decimal is less than the slack of the gates.
DECIMALS = 12
# Shares that are added up in another order differ by less.
SHARE_SLACK = 1e-12
# Coordinate descent settles in two or three rounds.
ROUNDS = 6
# The grids are searched on so many rows, drawn at random; all rows take part in the exact sweeps that follow.
GRID_ROWS = 10_000


@dataclass(frozen=True)
class Rows:
    """What the search needs to know of n rows; costs are multiplied by the weight of the row."""

    signals: Signals
    proba: NDArray[np.floating]
    auto: Floats
    """Cost of routing the row to its top class."""
    persons: Floats
    """Shape (3, n_samples): cost of "watch", "escalate" and "clarify"."""
    weight: Floats
    """Sums to one."""
    number: float
    """How many rows of equal weight tell as much."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.weight)

    def priced(self, price: float) -> "Rows":
        """Return the rows with a price on everything that goes to a person."""
        return replace(self, persons=self.persons + price * self.weight)

    def take(self, rows: NDArray[np.intp]) -> "Rows":
        """Return some rows, which then stand for all."""
        share = self.weight[rows].sum()
        whole = self.signals
        return Rows(
            signals=Signals(whole.top[rows], whole.confidence[rows], whole.margin[rows], whole.entropy[rows]),
            proba=self.proba[rows],
            auto=self.auto[rows] / share,
            persons=self.persons[:, rows] / share,
            weight=self.weight[rows] / share,
            number=self.number * float(share),
        )


@dataclass(frozen=True)
class Numbers:
    """The numbers of a policy; a gate that is off has its value in `OFF`, and what is not watched has +inf."""

    thresholds: Floats
    watch: Floats
    margin: float = OFF["margin"]
    max_entropy: float = OFF["max_entropy"]
    escalate_entropy: float = OFF["escalate_entropy"]

    def but(self, name: str, label: int, level: float) -> "Numbers":
        """Return the numbers with one of them changed: a gate or, for a class, its watch."""
        changes: dict[str, Any] = {name: level}
        if name == "watch":
            changes[name] = self.watch.copy()
            changes[name][label] = level
        return replace(self, **changes)

    def is_off(self, name: str, label: int) -> bool:
        """Return whether a gate, or the watch of a class, lets everything through."""
        return bool(np.isinf(self.watch[label])) if name == "watch" else bool(getattr(self, name) == OFF[name])


@dataclass
class GateSearch:
    """The search on some rows.

    `given` holds the numbers that are not searched: NaN marks those that are, in arrays and in the set `free`.
    """

    rows: Rows
    given: Numbers
    free: frozenset[str]
    watch_order: str
    by_class: ScoreOrder = field(init=False)
    orders: dict[str, ScoreOrder] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        signals = self.rows.signals
        self.by_class = score_order(signals.confidence, signals.top, len(self.given.thresholds))
        fixed = self.given.thresholds[signals.top]
        self.is_fixed = ~np.isnan(fixed)
        self.has_fixed = bool(self.is_fixed.any())
        self.passes_fixed = signals.confidence >= fixed
        # The classes whose watch is searched.
        free = np.isnan(self.given.watch) & (self.watch_order != "flag")
        self.watchable: list[int] = np.flatnonzero(free).tolist()

    def priced(self, price: float) -> "GateSearch":
        """Return the search with another price; what depends on the signals only is shared."""
        search = object.__new__(GateSearch)
        search.__dict__ |= self.__dict__ | {"rows": self.rows.priced(price)}
        return search

    def fired(self, watch: Floats, without: int = -1) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return whether a watch fires for the top class, and whether one fires for another class."""
        top = self.rows.signals.top
        own, other = np.zeros((2, len(top)), dtype=bool)
        for label in np.flatnonzero(np.isfinite(watch)):
            if label != without:
                fires = self.rows.proba[:, label] >= watch[label]
                own |= fires & (top == label)
                other |= fires & (top != label)
        return own, other

    def ungated(
        self, own: NDArray[np.bool_], other: NDArray[np.bool_], escalate: float
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Return what each row costs where it is not auto-routed, and which rows a watch keeps from that."""
        none = np.zeros(len(own), dtype=bool)
        fired = none if self.watch_order == "flag" else own if self.watch_order == "top" else own | other
        watch, escalation, clarify = self.rows.persons
        cost = np.where(self.rows.signals.entropy >= escalate - SLACK, escalation, clarify)
        return np.where(fired, watch, cost), other if self.watch_order == "before" else none

    def open_rows(self, numbers: Numbers) -> NDArray[np.bool_]:
        """Return the rows that pass margin and entropy."""
        signals = self.rows.signals
        return (signals.margin >= numbers.margin - SLACK) & (signals.entropy <= numbers.max_entropy + SLACK)

    def swept(self, numbers: Numbers) -> tuple[float, Numbers]:
        """Return the least cost over all thresholds, and the numbers with them."""
        cost, barred = self.ungated(*self.fired(numbers.watch), numbers.escalate_entropy)
        delta = (self.rows.auto - cost) * (self.open_rows(numbers) & ~barred)
        given = 0.0
        if self.has_fixed:
            given = float(delta[self.is_fixed & self.passes_fixed].sum())
            delta[self.is_fixed] = 0.0
        found, change = best_thresholds(self.by_class, delta)
        thresholds = np.where(np.isnan(self.given.thresholds), found, self.given.thresholds)
        return float(cost.sum()) + given + float(change.sum()), replace(numbers, thresholds=thresholds)

    def is_auto(self, numbers: Numbers) -> NDArray[np.bool_]:
        """Return the rows that are auto-routed."""
        _, barred = self.ungated(*self.fired(numbers.watch), numbers.escalate_entropy)
        signals = self.rows.signals
        passed: NDArray[np.bool_] = signals.confidence >= numbers.thresholds[signals.top]
        return passed & self.open_rows(numbers) & ~barred

    def reviewed(self, numbers: Numbers) -> float:
        """Return the share of rows that go to a person."""
        return float(self.rows.weight[~self.is_auto(numbers)].sum())

    def found(self, numbers: Numbers) -> int:
        """Return how many numbers are found, and not given or switched off."""
        thresholds = np.count_nonzero(np.isnan(self.given.thresholds) & np.isfinite(numbers.thresholds))
        return int(thresholds) + sum(not numbers.is_off(*place) for place in self.coordinates(numbers))

    def cost(self, numbers: Numbers) -> float:
        """Return the cost of the numbers as they are."""
        cost, _ = self.ungated(*self.fired(numbers.watch), numbers.escalate_entropy)
        return float(np.where(self.is_auto(numbers), self.rows.auto, cost).sum())

    def start(self) -> Numbers:
        """Return the numbers given, with everything that is searched switched off."""
        watch = np.where(np.isnan(self.given.watch), np.inf, self.given.watch)
        changes: dict[str, Any] = {name: OFF[name] for name in self.free}
        return replace(self.given, watch=watch, **changes)

    def on_line(self, numbers: Numbers, name: str, label: int = -1) -> Numbers:
        """Return the numbers with one of them, the rest held, at its best of all values that occur."""
        signals = self.rows.signals
        if name == "watch":
            costs = []
            own, other = self.fired(numbers.watch, without=label)
            passed = self.open_rows(numbers) & (signals.confidence >= numbers.thresholds[signals.top])
            for fires in (True, False):
                on_top = (signals.top == label) & fires
                elsewhere = (signals.top != label) & fires
                cost, barred = self.ungated(own | on_top, other | elsewhere, numbers.escalate_entropy)
                costs.append(np.where(passed & ~barred, self.rows.auto, cost))
            return numbers.but(name, label, self._best(f"watch {label}", costs[0] - costs[1]))
        cost, barred = self.ungated(*self.fired(numbers.watch), numbers.escalate_entropy)
        if name == "escalate_entropy":
            # A row that is auto-routed or watched costs the same with either level.
            escalated, _ = self.ungated(*self.fired(numbers.watch), -np.inf)
            clarified, _ = self.ungated(*self.fired(numbers.watch), np.inf)
            delta = np.where(self.is_auto(numbers), 0.0, escalated - clarified)
            return numbers.but(name, label, self._best(name, delta))
        loose = numbers.but(name, label, OFF[name])
        level = self._best(name, np.where(self.is_auto(loose), self.rows.auto - cost, 0.0))
        # A gate that is best closed leaves nothing to the thresholds; these can say so by themselves.
        return numbers if np.isinf(level) else numbers.but(name, label, level if name == "margin" else -level)

    def _best(self, name: str, delta: Floats) -> float:
        if name not in self.orders:
            signals = self.rows.signals
            # What the gates cannot tell apart counts as a tie.
            margin, entropy = np.round(signals.margin, DECIMALS), np.round(signals.entropy, DECIMALS)
            scores = {"margin": margin, "max_entropy": -entropy, "escalate_entropy": entropy}
            column = scores[name] if name in scores else self.rows.proba[:, int(name.split()[1])]
            self.orders[name] = score_order(column.astype(np.float64))
        return float(best_thresholds(self.orders[name], delta)[0][0])

    def descend(self, numbers: Numbers, places: list[tuple[str, int]]) -> tuple[float, Numbers]:
        """Return the numbers after exact line searches, each followed by a sweep, until none lowers the cost."""
        best = self.swept(numbers)
        for _ in range(ROUNDS):
            before = best[0]
            for place in places:
                best = self._better(best, self.on_line(best[1], *place))
            if best[0] >= before - 1e-9 * abs(before):
                break
        return best

    def coordinates(self, numbers: Numbers) -> list[tuple[str, int]]:
        """Return the gates that are searched, and the watches that are and are set."""
        watched = [("watch", label) for label in self.watchable if not numbers.is_off("watch", label)]
        return watched + [(name, -1) for name in sorted(self.free)]

    def _better(self, best: tuple[float, Numbers], numbers: Numbers) -> tuple[float, Numbers]:
        tried = self.swept(numbers)
        return tried if tried[0] < best[0] else best

    def on_grid(self, best: tuple[float, Numbers], name: str, label: int = -1) -> tuple[float, Numbers]:
        """Return the best numbers over the grid of one of them, the thresholds swept at every point."""
        levels = list(WATCHES)
        if name != "watch":
            signal = self.rows.signals.margin if name == "margin" else self.rows.signals.entropy
            levels = np.unique(np.quantile(signal, QUANTILES)).tolist()
        points = [best[1].but(name, label, level) for level in (*levels, OFF[name])]
        for point in points:
            best = self._better(best, point)
        return best

    def promising(self) -> tuple[tuple[float, Numbers], float, list[int]]:
        """Return the start of a search, the worth of a number, and the classes whose watch alone has it, best first."""
        best = self.swept(self.start())
        floor = float(np.minimum(self.rows.auto, self.rows.persons.min(axis=0)).sum())
        worth = WORTH * (best[0] - floor)
        if "escalate_entropy" in self.free:
            best = self.on_grid(best, "escalate_entropy")
        alone = sorted((self.on_grid(best, "watch", label)[0], label) for label in self.watchable)
        return best, worth, [label for cost, label in alone if best[0] - cost > worth]

    def search(self) -> tuple[float, Numbers]:
        """Return the best numbers found, without those that gain too little."""
        best, worth, labels = self.promising()
        for label in labels:
            tried = self.on_grid(best, "watch", label)
            if "escalate_entropy" in self.free:
                tried = self.on_grid(tried, "escalate_entropy")
            best = tried if tried[0] < best[0] - worth else best
        for _ in range(ROUNDS):
            before = best[0]
            for name, label in self.coordinates(best[1]):
                best = self.on_grid(best, name, label)
            if best[0] >= before - worth:
                break
        best = self.descend(best[1], self.coordinates(best[1]))
        while True:
            # The least useful number goes first, since what is left may make up for it.
            set_now = [place for place in self.coordinates(best[1]) if not best[1].is_off(*place)]
            without = [self._without(best[1], *place) for place in set_now]
            cheapest = min(without, key=lambda result: result[0], default=(np.inf, best[1]))
            if cheapest[0] > best[0] + worth:
                return best
            best = cheapest

    def _without(self, numbers: Numbers, name: str, label: int) -> tuple[float, Numbers]:
        """Return the numbers with one switched off, after a round of line searches for those that are still set."""
        best = self.swept(numbers.but(name, label, OFF[name]))
        for place in self.coordinates(best[1]):
            if not best[1].is_off(*place):
                best = self._better(best, self.on_line(best[1], *place))
        return best


def search_gates(
    rows: Rows, given: Numbers, free: frozenset[str], watch_order: str, max_review_rate: float | None
) -> tuple[Numbers, float, float]:
    """Find the numbers of least cost, at most this share of rows going to people.

    Parameters
    ----------
    rows : Rows
        At least one.
    given : Numbers
        The numbers; NaN marks the thresholds and watches to be found.
    free : set of str
        The gates to be found.
    watch_order : str
        The order in which watches are looked at.
    max_review_rate : float or None
        The bound. None: there is none. One row is taken off it for every number that is found: each fits these rows
        better than new ones, by about so much.

    Returns
    -------
    numbers : Numbers
        All of them. Where the bound cannot be met they send as few rows to people as they can.
    price : float
        The cost that one more row for a person would save; 0 where the bound does not bind.
    share : float
        The share of rows that go to people.
    """
    full = GateSearch(rows, given, free, watch_order)
    small = full
    if len(rows) > GRID_ROWS:
        drawn = np.random.default_rng(0).choice(len(rows), GRID_ROWS, replace=False)
        small = GateSearch(rows.take(np.sort(drawn)), given, free, watch_order)

    best = small.search()[1]
    if small is not full:
        best = full.descend(best, [place for place in full.coordinates(best) if not best.is_off(*place)])[1]
    if max_review_rate is None or max_review_rate >= 1.0:
        return best, 0.0, full.reviewed(best)
    bound = max(max_review_rate - full.found(best) / rows.number, 0.0)
    if full.reviewed(best) <= bound + SHARE_SLACK:
        return best, 0.0, full.reviewed(best)
    prices = review_prices(small.rows)
    # Which watches are worth a search depends on the price, but not by so much that each step had to look for them.
    guess = float(np.quantile(prices, 1.0 - bound))
    small.watchable = sorted({*small.promising()[2], *small.priced(guess).promising()[2]})
    low, high, ends = 0, len(prices) - 1, [best, small.priced(prices[-1]).search()[1]]
    while high - low > 1 and high > low * 1.01:
        middle = (low + high) // 2
        numbers = small.priced(prices[middle]).search()[1]
        if small.reviewed(numbers) <= bound + SHARE_SLACK:
            high, ends[1] = middle, numbers
        else:
            low, ends[0] = middle, numbers
    # The share falls in steps, as gates come and go with the price; what a step leaves is for the thresholds to use.
    prices = review_prices(rows)
    results = [_within(full, numbers, prices, bound) for numbers in ends]

    def rank(result: tuple[Numbers, float]) -> tuple[float, float]:
        return max(full.reviewed(result[0]), bound + SHARE_SLACK), full.cost(result[0])

    best, price = min(results, key=rank)
    return best, price, full.reviewed(best)


def review_prices(rows: Rows) -> Floats:
    """Return the prices from which single rows no longer go to a person, ascending; the last one is above them all."""
    gains = (rows.auto - rows.persons.min(axis=0)) / rows.weight
    gains = np.unique(np.maximum(gains, 0.0))
    return np.append(gains, gains[-1] + max(gains[-1], 1.0) * 1e-6)


def _within(search: GateSearch, numbers: Numbers, prices: Floats, max_review_rate: float) -> tuple[Numbers, float]:
    """Return the numbers with the thresholds of the least price at which the bound is met, and that price."""

    def swept(price: float) -> Numbers:
        return search.priced(price).swept(numbers)[1]

    low, high = 0, len(prices) - 1
    while low < high:
        middle = (low + high) // 2
        if search.reviewed(swept(prices[middle])) <= max_review_rate + SHARE_SLACK:
            high = middle
        else:
            low = middle + 1
    return swept(prices[high]), float(prices[high])
