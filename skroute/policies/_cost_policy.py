"""The policy that routes at the least expected cost."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from skroute._column_doubt import doubt_columns
from skroute._frames import check_proba
from skroute._signature import with_signature
from skroute._validation import (
    check_amount,
    check_level,
    check_option,
    check_sample_weight,
    counts_rows,
    listed,
    shown,
)
from skroute.policies._actions import choice_table, choose, row_costs
from skroute.policies._cost_fit import GATES_FOUND
from skroute.policies._cost_rules import FitRows, find_actions, find_gates
from skroute.policies._costs import RoutingCosts, as_costs
from skroute.routing._base_policy import BasePolicy
from skroute.routing._gates import AUTO, WATCH, WATCH_ORDERS, Decision
from skroute.routing._policy import RoutePolicy
from skroute.routing._policy_numbers import GATES
from skroute.routing._route_table import RouteTable

__all__ = ["CostPolicy"]

RULES = ("bayes", "thresholds")
SOURCES = ("proba", "labels")
LEARNED = ("rule", "thresholds", "watch", *GATES, "expected_cost", "shadow_price")
FOUND = "auto"


class CostPolicy(BasePolicy):
    """Route at the least expected cost, given what every action costs for every true class.

    Two rules. "bayes" takes for each row the action of least expected cost under its probabilities; with calibrated
    probabilities no rule is cheaper. "thresholds" finds the thresholds, gates and watches of least cost, for a desk
    that wants to read its policy as numbers; it costs somewhat more.

    Parameters
    ----------
    costs : RoutingCosts, dict of dict or DataFrame
        True class -> action -> cost, as `RoutingCosts` takes it.
    rule : {"bayes", "thresholds"}, default="bayes"
        How routes are chosen.
    max_review_rate : float or None, default=None
        Largest expected share of rows, in [0, 1], that go to people ("watch", "escalate" or "clarify"). None: no bound.
    thresholds : dict of class to float, default=None
        Thresholds that are kept as given, in [0, 1]; +inf: never auto-route. Those of the other classes are found.
        Entries are parameters, ``thresholds__<class>``.
    margin, max_entropy, escalate_entropy : float, None or "auto", default="auto"
        Gates as in `RoutePolicy`; None switches a gate off. "auto": found by the rule "thresholds", off under "bayes".
    watch : dict of class to float, default=None
        Watch levels that are kept as given, in [0, 1]; +inf: not watched. Those of the other classes are found by the
        rule "thresholds". Entries are parameters, ``watch__<class>``.
    watch_order : {"before", "after", "flag", "top"}, default="before"
        The order in which watches are looked at, as in `RoutePolicy`.
    cost_source : {"proba", "labels"}, default="proba"
        What `fit` counts as the cost of a row: its expectation under the row's probabilities, which needs calibrated
        ones and no `y`; or what it costs for its label in `y`. The rule "bayes" always decides by probabilities;
        "labels" then only changes `expected_cost_`.
    candidates : float, default=None
        Probability, in [0.5, 1), with which `candidate_sets` shall hold the true class, as in `RoutePolicy`.
    candidates_by_class : bool, default=False
        Whether that shall hold within every true class.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class of each column.
    costs_ : RoutingCosts
        The costs of these classes.
    thresholds_ : dict of class to float
        The threshold of every class. Under "bayes" those not given are bounds that follow from the costs: no row with
        a smaller probability of the class is auto-routed to it.
    watch_ : dict of class to float
        The watch level of every watched class.
    margin_, max_entropy_, escalate_entropy_ : float or None
        The other gates.
    watch_order_ : str
        The order in which watches are looked at.
    rule_ : str
        The rule that was fitted.
    expected_cost_ : float
        Mean cost of a row of `fit`, without the shadow price.
    shadow_price_ : float
        The cost that one more row for a person would save, where `max_review_rate` binds, else 0. It is added to
        the cost of everything that goes to a person.

    See Also
    --------
    skroute.RoutePolicy : The gates, with the numbers as given.
    skroute.metrics.routing_cost : Measures what routes cost.

    Notes
    -----
    A row p costs ``p @ C`` in expectation, C being the matrix of costs. "bayes" [1]_ may auto-route a row to another
    class than its top one, where a mistake there is cheaper; `explain` then gives that class as its label. Equal costs
    go to a person, to "clarify" first. Numbers that are given come before costs: a row that the gates given send to
    "watch" or "escalate" goes there, and one that they stop otherwise goes to the cheapest person.

    In the table of `explain` under "bayes" the reason of a row that goes to a person is "never" (the class that it
    would cost least to route it to is never auto-routed), "confidence" (its top class is less likely than the
    threshold, so that the costs rule out to route it there), "margin", "entropy" or "watch" (a number that was given),
    or "cost" (a person is cheaper than any class). That of an auto row is "passed", or "cost" where it is routed to
    another class than its top one. Threshold and gate are those of the row's label, confidence that of the top class.

    For fixed gates the thresholds of least cost are found exactly, for all classes in one sweep. The gates and the
    watches are searched on grids and by exact line searches; one that closes less than a hundredth of the gap
    between thresholds alone and the cheapest action of each row is left out. A class that no threshold makes cheaper
    to route gets +inf.

    The bound on reviews is met by a price on them (a Lagrange multiplier): the expected share is at most
    `max_review_rate` among the rows of `fit`, and among new ones within sampling error. Classes held back after `fit`
    come on top. Under "thresholds" the share stays below the bound: it falls in steps, and one row is taken off the
    bound for every number that is found, since each fits the rows of `fit` better than new ones, by about so much.

    References
    ----------
    .. [1] Chow, C. K. (1970). On optimum recognition error and reject tradeoff. IEEE Transactions on Information
       Theory, 16(1), 41-46.

    Examples
    --------
    >>> from skroute.policies import CostPolicy, RoutingCosts
    >>> costs = RoutingCosts.from_defaults(["unlock", "security"], wrong={"unlock": 5, "security": 200}, review=3)
    >>> proba = [[0.999, 0.001], [0.97, 0.03], [0.3, 0.7], [0.6, 0.4]]
    >>> policy = CostPolicy(costs).fit(proba, classes=["unlock", "security"])
    >>> policy.decide(proba).tolist()
    ['auto', 'clarify', 'auto', 'clarify']
    >>> {label: round(level, 3) for label, level in policy.thresholds_.items()}
    {'unlock': 0.985, 'security': 0.4}
    >>> readable = CostPolicy(costs, rule="thresholds").fit(proba, classes=["unlock", "security"])
    >>> readable.thresholds_
    {'unlock': 0.999, 'security': 0.7}
    """

    _keyed_params = ("thresholds", "watch")

    costs_: RoutingCosts
    rule_: str
    expected_cost_: float
    shadow_price_: float

    @with_signature
    def __init__(
        self,
        costs: Any,
        *,
        rule: str = "bayes",
        max_review_rate: float | None = None,
        thresholds: Mapping[Any, float] | None = None,
        margin: float | str | None = FOUND,
        max_entropy: float | str | None = FOUND,
        escalate_entropy: float | str | None = FOUND,
        watch: Mapping[Any, float] | None = None,
        watch_order: str = "before",
        cost_source: str = "proba",
        candidates: float | None = None,
        candidates_by_class: bool = False,
    ) -> None:
        self.costs = costs
        self.rule = rule
        self.max_review_rate = max_review_rate
        self.thresholds = thresholds
        self.margin = margin
        self.max_entropy = max_entropy
        self.escalate_entropy = escalate_entropy
        self.watch = watch
        self.watch_order = watch_order
        self.cost_source = cost_source
        self.candidates = candidates
        self.candidates_by_class = candidates_by_class

    def check(self, classes: Any) -> None:
        """Check every number, and that the costs and the dicts fit the classes, before anything is fitted.

        Parameters
        ----------
        classes : array-like of shape (n_classes,)
            All classes.

        Raises
        ------
        ValueError
            If a parameter is not valid, a class has no costs, or a label in one of the dicts is not a class.
        """
        super().check(classes)
        as_costs(self.costs).matrix(classes)

    def fit(self, proba: Any, y: Any = None, *, classes: Any = None, sample_weight: Any = None) -> Self:
        """Find the numbers of least cost.

        Parameters
        ----------
        proba : array-like or frame of shape (n_samples, n_classes)
            Rows of probabilities, each summing to one within 5e-3.
        y : array-like of shape (n_samples,), default=None
            True labels; needed where ``cost_source="labels"``.
        classes : array-like of shape (n_classes,), default=None
            The class of each column. None: the column names of a frame, else the sorted labels in `y` where there is
            one for each column, else 0 to n_classes - 1.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative: how many rows each row stands for.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a parameter is not valid, a class has no costs, there is no row, no weight is positive, labels are needed
            and not given, the rows are not probabilities, or the numbers given send more rows to people than
            `max_review_rate` allows.
        """
        numbers = self._numbers()
        values, labels, codes = self._read(proba, y, classes)
        costs = as_costs(self.costs).of(labels)
        if self.cost_source == "labels" and codes is None:
            raise ValueError("cost_source='labels' needs the labels y; cost_source='proba' does not.")
        weight = check_sample_weight(sample_weight, len(values))
        weight = np.ones(len(values)) if weight is None else weight
        if not weight.any():
            raise ValueError("CostPolicy needs at least one row of positive weight to fit.")
        if not weight.all():
            some = weight > 0.0
            values, weight, codes = values[some], weight[some], None if codes is None else codes[some]
        if codes is not None:
            doubt_columns(values, codes, weight, labels)
        counts, weight = weight, weight / weight.sum()
        number = counts.sum() if counts_rows("auto", counts, "CostPolicy") else 1.0 / (weight @ weight)
        truth = codes if self.cost_source == "labels" else None
        given = {name: self._by_class(name, labels) for name in self._keyed_params} | numbers
        rows = FitRows(values, truth, weight, float(number), costs.matrix(labels), labels.tolist())
        if self.rule == "bayes":
            found, price = find_actions(rows, given, self.max_review_rate)
        else:
            free = frozenset(name for name in GATES_FOUND if getattr(self, name) == FOUND)
            found, price = find_gates(rows, given, free, self.max_review_rate)
        self._install(labels, found["thresholds"], found["watch"], found)
        self.costs_, self.rule_, self.shadow_price_ = costs, self.rule, price
        decision, label = self._decided(values)
        actions = np.where(decision.route == AUTO, label, len(labels) + decision.route - WATCH)
        self.expected_cost_ = float(weight @ row_costs(values, truth, rows.matrix, actions))
        self._learn_candidates(values, codes, counts)
        return self

    def explain(self, proba: Any) -> RouteTable:
        """Choose the route of every row and say what led to it.

        Parameters
        ----------
        proba : array-like or frame of shape (n_samples, n_classes)
            Rows of probabilities. Named columns of a frame are matched to the classes.

        Returns
        -------
        table : RouteTable
            Route, label, signals, gates and reason of every row; under "bayes" as the notes of the class say.

        Raises
        ------
        ValueError
            If the rows are not probabilities of the classes; the message names the first bad row.
        """
        check_is_fitted(self)
        if self.rule_ == "thresholds":
            return super().explain(proba)
        values, _ = check_proba(proba, classes=self.classes_)
        matrix = self.costs_.matrix(self.classes_)
        table = choice_table(values, matrix, self._gates(), self.shadow_price_, self.classes_)
        return table.indexed_like(proba)

    def _decision(self, proba: Any) -> Decision:
        if self.rule_ == "thresholds":
            return super()._decision(proba)
        values, _ = check_proba(proba, classes=self.classes_)
        return self._decided(values)[0]

    def _follows_gates(self) -> bool:
        return self.rule_ == "thresholds"

    def _decided(self, values: NDArray[np.floating]) -> tuple[Decision, NDArray[np.intp]]:
        """Return the decision, and the class that each row is routed to if its route is auto."""
        if self.rule_ == "thresholds":
            decision = self._gates().decide(values)
            return decision, decision.signals.top
        choice = choose(values, self.costs_.matrix(self.classes_), self._gates())
        return replace(choice.gated, route=choice.route(self.shadow_price_)), choice.cheapest.label

    def _numbers(self) -> dict[str, Any]:
        """Check all parameters that name no class; return the gates, one that is to be found as None."""
        owner = type(self).__name__
        check_option(self.rule, RULES, "rule", owner)
        self._check_candidates()
        check_option(self.cost_source, SOURCES, "cost_source", owner)
        check_level(self.max_review_rate, "max_review_rate", owner, optional=True)
        numbers: dict[str, Any] = {"watch_order": check_option(self.watch_order, WATCH_ORDERS, "watch_order", owner)}
        for name in GATES_FOUND:
            value = getattr(self, name)
            if isinstance(value, str) and value != FOUND:
                raise ValueError(
                    f"The {name!r} parameter of {owner} must be a number in [0, 1], None or 'auto'. Got {shown(value)} "
                    "instead."
                )
            numbers[name] = None if isinstance(value, str) else check_level(value, name, owner, optional=True)
        return numbers

    def _learned(self) -> dict[str, Any]:
        return {name: getattr(self, f"{name}_") for name in LEARNED}

    def _restore(self, classes: NDArray[Any], learned: dict[str, Any]) -> None:
        if set(learned) != set(LEARNED):
            raise ValueError(f"data['learned'] must hold {', '.join(LEARNED)}; got {listed(learned)}.")
        given = RoutePolicy(**{name: learned[name] for name in ("thresholds", "watch", *GATES)})
        numbers = given._numbers()
        thresholds = given._by_class("thresholds", classes)
        missing = [label for label in classes.tolist() if label not in thresholds]
        if missing:
            raise ValueError(f"data['learned']['thresholds'] must hold every class; it lacks {listed(missing)}.")
        rule = check_option(learned["rule"], RULES, "rule", type(self).__name__)
        price = check_amount(learned["shadow_price"], "shadow_price", type(self).__name__)
        costs = as_costs(self.costs).of(classes)
        self._install(
            classes,
            {label: thresholds[label] for label in classes.tolist()},
            given._by_class("watch", classes),
            numbers,
        )
        self.costs_, self.rule_, self.shadow_price_ = costs, rule, price
        self.expected_cost_ = float(learned["expected_cost"])
