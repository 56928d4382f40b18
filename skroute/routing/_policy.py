"""The policy that takes its numbers as given."""

import inspect
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Self

from numpy.typing import NDArray

from skroute._column_doubt import doubt_columns
from skroute._signature import with_signature
from skroute._validation import check_level, check_sample_weight, shown
from skroute.routing._base_policy import BasePolicy
from skroute.routing._dead_gates import warn_of_dead_gates
from skroute.routing._policy_numbers import GATES

__all__ = ["RoutePolicy"]


class RoutePolicy(BasePolicy):
    """Route rows of probabilities by class thresholds, margin, entropy and watches, with the numbers as given.

    A row is routed automatically to its top class when it passes three gates: its confidence reaches the threshold of
    that class, its margin to the runner-up reaches `margin`, and its normalised entropy is at most `max_entropy`. A
    watch stops it when a watched class is likely enough, whatever the top class is. What is not automatic goes to a
    person: "watch" for a fired watch, "escalate" where the probabilities are spread out, "clarify" for the rest.

    Parameters
    ----------
    threshold : float, default=0.80
        Least confidence for automatic routing, in [0, 1], of every class not named in `thresholds`; +inf: never.
    thresholds : dict of class to float, default=None
        Thresholds of single classes. Each entry is a parameter of its own, ``thresholds__<class>``, in `set_params`
        and in searches. Labels match by value or by their text.
    margin : float or None, default=0.30
        Least difference of the two largest probabilities, in [0, 1]. None switches the gate off.
    max_entropy : float or None, default=0.45
        Largest normalised entropy, in [0, 1]. None switches the gate off.
    escalate_entropy : float or None, default=0.80
        Normalised entropy, in [0, 1], from which a row that is not automatic escalates. None: no row does.
    watch : dict of class to float, default=None
        A watch fires for a class when its probability reaches this level, in [0, 1]; +inf: never. Entries are
        parameters, ``watch__<class>``.
    watch_order : {"before", "after", "flag", "top"}, default="before"
        "before": a watch that fires for a class other than the top one stops automatic routing. "after": only rows
        that are not automatic are watched. "flag": watches are reported and change no route. "top": as "after", but
        only a watch for the top class counts.
    candidates : float, default=None
        Probability, in [0.5, 1), with which `candidate_sets` shall hold the true class: of all rows, and of those
        that are not automatic. It is learned from the labels in `fit`. None: no sets.
    candidates_by_class : bool, default=False
        Whether that shall hold within every true class; a class of n rows needs (n + 1) `candidates` <= n.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class of each column.
    thresholds_ : dict of class to float
        The threshold of every class.
    watch_ : dict of class to float
        The watch level of every watched class.
    margin_, max_entropy_, escalate_entropy_ : float or None
        The other gates.
    watch_order_ : str
        The order in which watches are looked at.
    candidates_ : CandidateSets or None
        The least probability of a label in a row's set.

    See Also
    --------
    skroute.RoutingClassifier : Calibrates a classifier and routes by a policy.

    Notes
    -----
    Entropy is H(p) / log(n_classes) of the renormalised row, where n_classes counts all classes that the model knows.
    Confidence and watches compare the values as given; margin and entropy are compared with a slack of 1e-12, since
    their last digits are rounding noise. float32 rows are widened first, without change of value.

    Gates imply each other: for three classes ``max_entropy=0.45`` already needs a confidence of .8043. `audit` tells,
    for every number, whether it can still change a route, and `fit` warns of numbers that differ from the defaults
    and cannot.

    Examples
    --------
    >>> from skroute import RoutePolicy
    >>> policy = RoutePolicy(watch={"security_incident": 0.34})
    >>> proba = [[0.974, 0.022, 0.004], [0.58, 0.21, 0.21], [0.576, 0.386, 0.039], [0.45, 0.21, 0.34]]
    >>> policy.fit(proba, classes=["account_unlock", "vpn_issue", "security_incident"]).decide(proba).tolist()
    ['auto', 'escalate', 'clarify', 'watch']
    """

    _keyed_params = ("thresholds", "watch")

    @with_signature
    def __init__(
        self,
        threshold: float = 0.80,
        *,
        thresholds: Mapping[Any, float] | None = None,
        margin: float | None = 0.30,
        max_entropy: float | None = 0.45,
        escalate_entropy: float | None = 0.80,
        watch: Mapping[Any, float] | None = None,
        watch_order: str = "before",
        candidates: float | None = None,
        candidates_by_class: bool = False,
    ) -> None:
        self.threshold = threshold
        self.thresholds = thresholds
        self.margin = margin
        self.max_entropy = max_entropy
        self.escalate_entropy = escalate_entropy
        self.watch = watch
        self.watch_order = watch_order
        self.candidates = candidates
        self.candidates_by_class = candidates_by_class

    def fit(self, proba: Any, y: Any = None, *, classes: Any = None, sample_weight: Any = None) -> Self:
        """Check the numbers and match them to the classes; only candidate sets are learned.

        Parameters
        ----------
        proba : array-like or frame of shape (n_samples, n_classes)
            Rows of probabilities, each summing to one within 5e-3.
        y : array-like of shape (n_samples,), default=None
            True labels; needed for `candidates`, else only checked.
        classes : array-like of shape (n_classes,), default=None
            The class of each column. None: the column names of a frame, else the sorted labels in `y` where there is
            one for each column, else 0 to n_classes - 1.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights for `candidates`, not negative; else ignored.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a number is out of its range, a label in `thresholds` or `watch` is not a class, the rows are not
            probabilities, or `candidates` is given and `y` is not.
        """
        self._numbers()
        values, labels, codes = self._read(proba, y, classes)
        # Before anything is set, because a fit that fails leaves the policy as it was.
        weight = None if self.candidates is None else check_sample_weight(sample_weight, len(values))
        if codes is not None and (sample_weight is None or weight is not None):
            doubt_columns(values, codes, weight, labels)
        self._settle(labels)
        self._learn_candidates(values, codes, weight)
        # The defaults are meant to serve every number of classes; only a number that somebody chose is a mistake.
        own: type = type(self)
        # A subclass may leave parameters out.
        defaults = _defaults(RoutePolicy) | _defaults(own)
        chosen = {name for name in GATES + ("threshold",) if getattr(self, name) != defaults[name]}
        warn_of_dead_gates(self.audit(), chosen, self._by_class("thresholds", labels))
        return self

    def _numbers(self) -> dict[str, Any]:
        owner = type(self).__name__
        if isinstance(self.threshold, Mapping):
            raise ValueError(
                f"The 'threshold' parameter of {owner} is one number for all classes; those of single classes go to "
                f"thresholds. Got {shown(self.threshold)}."
            )
        return super()._numbers() | {"threshold": check_level(self.threshold, "threshold", owner, unbounded=True)}

    def _learned(self) -> None:
        return None

    def _in_force(self) -> dict[str, Any]:
        levels, changed = {"thresholds": self.thresholds_, "watch": self.watch_}, {}
        for name, found in levels.items():
            try:
                given = self._by_class(name, self.classes_)
            except ValueError:
                # Parameters set since are not those of these classes.
                changed[name] = found
                continue
            if name == "thresholds":
                # What only follows from `threshold` is left to it.
                found = {label: level for label, level in found.items() if level != self.threshold or label in given}
            if found != given:
                changed[name] = found
        return super()._in_force() | changed

    def _settle(self, labels: NDArray[Any]) -> None:
        """Put the numbers in force."""
        numbers = self._numbers()
        thresholds = dict.fromkeys(labels.tolist(), numbers["threshold"]) | self._by_class("thresholds", labels)
        self._install(labels, thresholds, self._by_class("watch", labels), numbers)

    def _restore(self, classes: NDArray[Any], learned: dict[str, Any]) -> None:
        if learned:
            raise ValueError(f"data must hold nothing learned for RoutePolicy, got {list(learned)}.")
        # Without a warning of dead gates: whoever wrote the file was told when it was fitted.
        self._settle(classes)


@lru_cache(maxsize=16)
def _defaults(policy: type) -> dict[str, Any]:
    """Return the default of every parameter: a search over policies fits hundreds of them."""
    return {name: parameter.default for name, parameter in inspect.signature(policy).parameters.items()}
