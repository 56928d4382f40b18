"""The policy whose thresholds come with a guarantee for each class."""

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skroute._column_doubt import doubt_columns
from skroute._frames import check_proba
from skroute._signature import with_signature
from skroute._validation import (
    check_classes,
    check_sample_weight,
    counts_rows,
    label_positions,
    listed,
    shown,
)
from skroute._warn_caller import warn_caller
from skroute.exceptions import UncertifiedClassWarning
from skroute.policies._binomial import check_confidence, check_target_share
from skroute.policies._certificates import Certificates, read_records
from skroute.policies._statements import GatedRows, state_error, state_nothing, state_recall
from skroute.routing._base_policy import BasePolicy
from skroute.routing._gates import Gates
from skroute.routing._json import to_json
from skroute.routing._policy import RoutePolicy
from skroute.routing._policy_numbers import GATES

__all__ = ["CertifiedPolicy"]

REST = "*"
# The numbers in force, as JSON names them.
LEARNED = ("thresholds", "watch", *GATES)


class CertifiedPolicy(BasePolicy):
    """Find for each class the lowest threshold at which its error is shown to be small.

    With probability `confidence` over the rows it is fitted on, at most `max_error` of the rows that are auto-routed to
    the class, through all gates, are wrong. Each class has a certificate of its own: one that cannot be certified is
    never auto-routed, is named, and holds nothing up for the others. `min_recall` asks for the opposite as well: that
    rows of a class which must not be missed are watched, if they are not auto-routed to it.

    Parameters
    ----------
    max_error : float or dict of class to float, default=0.05
        Largest share, in (0, 0.5], of wrong rows among those auto-routed to a class. In a dict, the key ``"*"`` stands
        for the classes not named, which are never auto-routed without it. Entries are parameters,
        ``max_error__<class>``.
    min_recall : dict of class to float, default=None
        Least share, in (0, 1), of a class's rows that are watched or auto-routed to it. Needs the watch order "before"
        or "flag". Entries are parameters, ``min_recall__<class>``.
    confidence : float, default=0.90
        Probability, in [0.5, 1), with which each statement holds.
    joint : bool, default=False
        Whether all statements are to hold at once with that probability.
    thresholds : dict of class to float, default=None
        Thresholds that are given, in [0, 1] or +inf: they are kept, and nothing is guaranteed of these classes.
    margin : float or None, default=0.30
        Least difference of the two largest probabilities, in [0, 1]. None switches the gate off.
    max_entropy : float or None, default=0.45
        Largest normalised entropy, in [0, 1]. None switches the gate off.
    escalate_entropy : float or None, default=0.80
        Normalised entropy, in [0, 1], from which a row that is not automatic escalates. None: no row does.
    watch : dict of class to float, default=None
        Watch levels that are given, in [0, 1]: they are kept, whatever `min_recall` asks for.
    watch_order : {"before", "after", "flag", "top"}, default="before"
        When watches are looked at, as in `RoutePolicy`.
    candidates : float, default=None
        Probability, in [0.5, 1), with which `candidate_sets` shall hold the true class, as in `RoutePolicy`.
    candidates_by_class : bool, default=False
        Whether that shall hold within every true class.

    Attributes
    ----------
    certificates_ : Certificates
        What is guaranteed of each class, in numbers and in words.
    classes_ : ndarray of shape (n_classes,)
        The class of each column.
    thresholds_ : dict of class to float
        The threshold of every class; +inf: never auto-routed.
    watch_ : dict of class to float
        The watch level of every watched class; 0: everything is watched.
    margin_, max_entropy_, escalate_entropy_, watch_order_ : float, None or str
        The other gates, as given.

    See Also
    --------
    RoutePolicy : The same gates, with the numbers as given.
    labels_needed : How many rows a certificate takes.

    Notes
    -----
    Errors among the rows at and above a fixed threshold are binomial, so the exact binomial p-value tests each one. The
    thresholds are tested one after the other, downward from the one that is most likely to pass, until the first that
    fails; by fixed-sequence testing no correction for their number is needed [1]_. With `reference` in `fit`, grid and
    start follow from those independent rows and the guarantee is exact, whatever the shape of the error. Without it
    they follow from the scores of the same rows; in simulations of 2000 draws a cell no violation rate was
    significantly above ``1 - confidence``, but there is no proof. Recall levels are order statistics, which are exact.

    The promise is for rows like those it was fitted on. It does not survive a change of the classes' shares, duplicates
    that stand on both sides of a split, nor thresholds or gates that were tuned on the same rows.

    References
    ----------
    .. [1] A. Angelopoulos et al., "Learn then test: calibrating predictive algorithms to achieve risk control",
       arXiv:2110.01052, 2021. P. Bauer, "Multiple testing in clinical trials", Statistics in Medicine 10, 1991.

    Examples
    --------
    >>> import numpy as np
    >>> from skroute import CertifiedPolicy
    >>> rng = np.random.default_rng(0)
    >>> proba = rng.dirichlet([0.3, 0.3, 0.3], size=3000)
    >>> y = (proba.cumsum(axis=1) < rng.random((3000, 1))).sum(axis=1)
    >>> policy = CertifiedPolicy(max_error=0.1).fit(proba, y)
    >>> policy.certificates_
    Certificates(3 of 3 statements certified at confidence 0.9)
    >>> print(policy.certificates_.statements()[0])
    0: at most 10% wrong; ... of ... were (90% confidence, approximate)
    """

    _keyed_params = ("thresholds", "watch", "max_error", "min_recall")

    @with_signature
    def __init__(
        self,
        max_error: float | Mapping[Any, float] = 0.05,
        *,
        min_recall: Mapping[Any, float] | None = None,
        confidence: float = 0.90,
        joint: bool = False,
        thresholds: Mapping[Any, float] | None = None,
        margin: float | None = 0.30,
        max_entropy: float | None = 0.45,
        escalate_entropy: float | None = 0.80,
        watch: Mapping[Any, float] | None = None,
        watch_order: str = "before",
        candidates: float | None = None,
        candidates_by_class: bool = False,
    ) -> None:
        self.max_error = max_error
        self.min_recall = min_recall
        self.confidence = confidence
        self.joint = joint
        self.thresholds = thresholds
        self.margin = margin
        self.max_entropy = max_entropy
        self.escalate_entropy = escalate_entropy
        self.watch = watch
        self.watch_order = watch_order
        self.candidates = candidates
        self.candidates_by_class = candidates_by_class

    def fit(
        self, proba: Any, y: Any = None, *, classes: Any = None, sample_weight: Any = None, reference: Any = None,
        weights: str = "auto",
    ) -> Self:  # fmt: skip
        """Certify every class.

        Parameters
        ----------
        proba : array-like or frame of shape (n_samples, n_classes)
            Rows of probabilities that neither model nor calibrator has learned from.
        y : array-like of shape (n_samples,)
            True labels.
        classes : array-like of shape (n_classes,), default=None
            The class of each column. None: the column names of a frame, else the sorted labels in `y` where there is
            one for each column.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.
        reference : array-like or frame of shape (n_reference, n_classes), default=None
            Probabilities of other rows, for example unlabelled ones. They say where to look, which makes the
            guarantee exact, provided that neither model nor calibrator has learned from the rows of `proba`.
        weights : {"auto", "frequency", "importance"}, default="auto"
            What the weights mean: so many equal rows each, or the importance of one row, which is bet on (none is
            taken to be heavier than the heaviest given) and takes more rows. "auto": frequencies if all are whole. A
            row that was reviewed with probability 0.02 has the whole weight 50 and is no 50 rows: pass "importance".

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a parameter is out of its range, a label is not a class, `y` is missing, or rows are not probabilities.
        """
        numbers = self._numbers()
        if y is None:
            raise ValueError(f"{type(self).__name__}.fit needs y: errors cannot be counted without labels.")
        values, labels, codes = self._read(proba, y, classes)
        given_thresholds, given_watch = self._by_class("thresholds", labels), self._by_class("watch", labels)
        max_error, min_recall = self._targets("max_error", labels), self._targets("min_recall", labels)
        weight = check_sample_weight(sample_weight, len(values))
        if weight is not None and not weight.any():
            raise ValueError("sample_weight must be positive in at least one row, got zeros only.")
        weights = "frequency" if counts_rows(weights, weight, type(self).__name__) else "importance"
        if codes is not None and weight is not None:
            kept = weight > 0.0
            values, codes, weight = values[kept], codes[kept], weight[kept]
        other = None if reference is None else check_proba(reference, classes=labels, name="reference")[0]
        if other is not None and len(other) and np.array_equal(other, values):
            raise ValueError("reference must hold other rows than proba; these are the same. Leave it out instead.")
        if codes is not None:
            doubt_columns(values, codes, weight, labels)
        known = labels.tolist()
        asked = [label for label in known if label in max_error and label not in given_thresholds]
        watched = [label for label in min_recall if label not in given_watch]
        risk = (1.0 - float(self.confidence)) / (max(len(asked) + len(watched), 1) if self.joint else 1)

        records, watch = [], dict(given_watch)
        for label, target in min_recall.items():
            if label in given_watch:
                record = state_nothing(label, "given", given_watch[label], "recall")
            else:
                place, is_exact = known.index(label), other is not None
                record = state_recall(label, place, target, values, codes, weight, weights, risk, is_exact)
            records.append(record)
            watch[label] = record["threshold"]
        open_gates = self._open_gates(labels, watch, numbers)
        rows, reference_rows = (
            GatedRows(open_gates, values, weight),
            None if other is None else GatedRows(open_gates, other),
        )
        thresholds: dict[Any, float] = {}
        errors = []
        for place, label in enumerate(known):
            if label in given_thresholds or label not in max_error:
                given = label in given_thresholds
                record = state_nothing(label, "given" if given else "no_target", given_thresholds.get(label, math.inf))
            else:
                scores = None if reference_rows is None else reference_rows.confidence[reference_rows.of(place)]
                record = state_error(label, place, max_error[label], rows, codes, weight, weights, risk, scores)
            errors.append(record)
            thresholds[label] = record["threshold"]
        self._install(labels, thresholds, watch, numbers)
        self.certificates_ = Certificates.from_records(errors + records, self.confidence, numbers["watch_order"])
        self._learn_candidates(values, codes, weight)
        self._warn()
        return self

    def check(self, classes: Any) -> None:
        """Check every number, and the classes that they name, before anything is fitted.

        Parameters
        ----------
        classes : array-like of shape (n_classes,)
            All classes.

        Raises
        ------
        ValueError
            If a number is out of its range, or a label in one of the dicts is not a class.
        """
        super().check(classes)
        labels = check_classes(classes)
        for name in ("max_error", "min_recall"):
            self._targets(name, labels)

    def hold_back(self, labels: Any) -> None:
        """Never auto-route some classes, and take back what was certified of them.

        Parameters
        ----------
        labels : array-like of shape (n_labels,)
            Some of the classes of the fitted policy.
        """
        super().hold_back(labels)
        held = [
            self.classes_.tolist()[i] for i in label_positions(np.atleast_1d(labels).tolist(), self.classes_, "labels")
        ]
        if held:
            records = [
                state_nothing(record["label"], "held_back", math.inf)
                if record["kind"] == "error" and record["label"] in held
                else record
                for record in self.certificates_.to_records()
            ]
            found = self.certificates_
            self.certificates_ = Certificates.from_records(records, found.confidence, found.watch_order)

    def _numbers(self) -> dict[str, Any]:
        numbers = super()._numbers()
        owner = type(self).__name__
        check_confidence(self.confidence, f"The 'confidence' parameter of {owner}")
        if not isinstance(self.joint, (bool, np.bool_)):
            raise ValueError(
                f"The 'joint' parameter of {owner} must be True or False. Got {shown(self.joint)} instead."
            )
        for name in ("max_error", "min_recall"):
            targets = getattr(self, name)
            if isinstance(targets, Mapping):
                for label, target in targets.items():
                    check_target_share(target, name, f"The '{name}[{label!r}]' parameter of {owner}")
            elif name == "max_error":
                check_target_share(targets, name, f"The 'max_error' parameter of {owner}")
            elif targets is not None:
                raise ValueError(
                    f"The 'min_recall' parameter of {owner} must be a dict of class to value or None, "
                    f"got {shown(targets)}."
                )
        if self.min_recall and numbers["watch_order"] not in ("before", "flag"):
            raise ValueError(
                f"The 'min_recall' parameter of {owner} needs watch_order 'before' or 'flag': where watches come after "
                f"automatic routing, rows routed elsewhere are missed. Got watch_order={shown(self.watch_order)}."
            )
        return numbers

    def _targets(self, name: str, classes: NDArray[Any]) -> dict[Any, float]:
        """Return the target of every class that has one."""
        targets = getattr(self, name)
        if not isinstance(targets, Mapping):
            return {} if targets is None else dict.fromkeys(classes.tolist(), float(targets))
        rest = targets.get(REST) if name == "max_error" else None
        named = {label: target for label, target in targets.items() if label != REST or name != "max_error"}
        found = {} if rest is None else dict.fromkeys(classes.tolist(), float(rest))
        return found | self._match(named, name, classes)

    def _open_gates(self, classes: NDArray[Any], watch: dict[Any, float], numbers: dict[str, Any]) -> Gates:
        """Return the gates with no threshold: what passes them is auto-routed by a threshold alone."""
        return Gates(
            thresholds=np.zeros(len(classes)),
            watch=np.array([watch.get(label, math.inf) for label in classes.tolist()]),
            **numbers,
        )

    def _warn(self) -> None:
        for target, level in (("max_error", "thresholds"), ("min_recall", "watch")):
            targets, given = getattr(self, target), {str(label) for label in getattr(self, level) or {}}
            both = [label for label in (targets if isinstance(targets, Mapping) else {}) if str(label) in given]
            if both:
                warn_caller(
                    f"{target} and {level} both name {listed(map(repr, both))}: the level that is given holds, and "
                    "nothing is guaranteed of it. Leave one of the two out.",
                    UncertifiedClassWarning,
                )
        reasons, blocked = self.certificates_.short_reasons(), self.certificates_.blocked_by()
        if blocked:
            consequence = (
                "While everything is watched, no row is left for other classes. Give "
                f"{listed(blocked)} a level in watch= instead of min_recall, which is for classes with more rows."
            )
        else:
            consequence = (
                "A class without certificate is never auto-routed. Its rows are those on which it is on top and that "
                "pass all gates but the threshold."
            )
        if reasons:
            warn_caller(
                f"Not certified: {listed(reasons)}. {consequence} certificates_ (of a router, policy_.certificates_) "
                "tells the figures, certificates_.labels_needed() how many more rows it takes; a larger max_error for "
                "the class takes fewer, a CostPolicy none.",
                UncertifiedClassWarning,
            )

    def _learned(self) -> dict[str, Any]:
        numbers = {name: getattr(self, f"{name}_") for name in LEARNED}
        records = [
            {name: None if value != value else to_json(value) for name, value in record.items()}
            for record in self.certificates_.to_records()
        ]
        return numbers | {"confidence": self.certificates_.confidence, "certificates": records}

    def _restore(self, classes: NDArray[Any], learned: dict[str, Any]) -> None:
        names = (*LEARNED, "confidence", "certificates")
        if set(learned) != set(names):
            raise ValueError(
                f"data['learned'] of {type(self).__name__} must hold {', '.join(names)}; got "
                f"{listed(learned) or 'none of them'}."
            )
        check_confidence(learned["confidence"], "data['learned']['confidence']")
        given = RoutePolicy(**{name: learned[name] for name in LEARNED})
        numbers = given._numbers()
        found, watch = given._by_class("thresholds", classes), given._by_class("watch", classes)
        lacking = [label for label in classes.tolist() if label not in found]
        if lacking:
            raise ValueError(f"data['learned']['thresholds'] must hold every class; it lacks {listed(lacking)}.")
        thresholds = {label: found[label] for label in classes.tolist()}
        records = read_records(learned["certificates"], classes, "data['learned']['certificates']")
        for i, record in enumerate(records):
            levels = thresholds if record["kind"] == "error" else watch
            level = levels.get(record["label"], math.inf)
            if level != record["threshold"]:
                # A number that was edited in the file is the user's own.
                records[i] = state_nothing(record["label"], "given", level, record["kind"])
        certificates = Certificates.from_records(records, learned["confidence"], numbers["watch_order"])
        self._install(classes, thresholds, watch, numbers)
        self.certificates_ = certificates
