"""What became of the rows, class by class: routed, wrong among them, held for a person, missed."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._tabular import Sheet, Tabular, count_text, counted, interval_text, level_text, share_text
from skroute._validation import check_classes, check_level, check_sample_weight, counts_rows, encode_labels
from skroute.metrics._truth import align_labels, read_routed
from skroute.reliability import exact_interval
from skroute.routing import RouteTable

__all__ = ["LEVEL", "RoutingReport", "routing_report"]

# Of the intervals, unless another level is asked for.
LEVEL = 0.95
LEGEND = """\
auto, wrong, error: rows routed to the class; rows and the other columns: rows of the class
missed: rows of the class that were auto-routed to another one"""


@dataclass(frozen=True, eq=False, repr=False)
class RoutingReport(Tabular):
    """Figures of routing: the first entry counts all rows, then one entry for each class.

    Attributes
    ----------
    label : ndarray of object of shape (1 + n_classes,)
        None for all rows together, then the classes.
    total : ndarray of float
        Rows whose true class this is (their weight, where weights are given).
    auto : ndarray of float
        Rows auto-routed to the class, whatever their true class.
    wrong : ndarray of float
        Those of them whose true class is another one.
    error : ndarray of float
        ``wrong / auto``, NaN where nothing was auto-routed.
    error_low, error_high : ndarray of float
        Exact interval of `error`.
    watched, escalated, clarified : ndarray of float
        Rows of the class with these routes.
    missed : ndarray of float
        Rows of the class that were auto-routed to another one.
    confidence_level : float
        Of the interval; no column of the table.
    """

    label: NDArray[np.object_]
    total: NDArray[np.float64]
    auto: NDArray[np.float64]
    wrong: NDArray[np.float64]
    error: NDArray[np.float64]
    error_low: NDArray[np.float64]
    error_high: NDArray[np.float64]
    watched: NDArray[np.float64]
    escalated: NDArray[np.float64]
    clarified: NDArray[np.float64]
    missed: NDArray[np.float64]
    confidence_level: float = LEVEL

    @property
    def coverage(self) -> float:
        """The share of all rows that is auto-routed, in [0, 1]."""
        return float(self.auto[0] / self.total[0])

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "confidence_level"}

    def __repr__(self) -> str:
        """Return one line: how much is automatic and how much of that is wrong."""
        wrong = f", {share_text(self.error[0])} of them wrong" if self.auto[0] else ""
        return (
            f"RoutingReport({counted(self.total[0], 'row')}, {len(self) - 1} classes: "
            f"{share_text(self.coverage)} auto-routed{wrong})"
        )

    def _shown(self) -> Sheet:
        held = ("watched", "escalated", "clarified", "missed")
        rows = []
        for row in self.to_records():
            name = "(all)" if row["label"] is None else str(row["label"])
            error = [share_text(row["error"]), interval_text(row["error_low"], row["error_high"])]
            routed, others = ([count_text(row[key]) for key in keys] for keys in (("total", "auto", "wrong"), held))
            rows.append([name, *routed, *error, *others])
        header = ["class", "rows", "auto", "wrong", "error", f"{level_text(self.confidence_level)} interval", *held]
        return Sheet(header, rows, words=("class",), caption=repr(self), note=LEGEND)


def routing_report(
    y_true: Any,
    routes: RouteTable,
    *,
    classes: Any = None,
    sample_weight: Any = None,
    weights: str = "auto",
    confidence_level: float = LEVEL,
) -> RoutingReport:
    """Count, for each class, what was auto-routed, what of it was wrong, and what was held for a person.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    routes : RouteTable
        What `explain_route` or `policy.explain` gave for the same rows.
    classes : array-like of shape (n_classes,), default=None
        The classes to report. None: the sorted labels of `y_true` and of the routes.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative; counts are then sums of weights.
    weights : {"auto", "frequency", "importance"}, default="auto"
        What the weights mean for intervals. "frequency": a row of weight 3 stands for three equal rows. "importance":
        it counts three times as much and is still one row, so that the interval follows the effective number of rows.
        "auto": frequencies if all weights are whole numbers, else importances.
    confidence_level : float, default=0.95
        Of the interval of the error, in [0.5, 1].

    Returns
    -------
    report : RoutingReport

    Raises
    ------
    ValueError
        If there is no row, or none with a weight, lengths differ, or a label is not one of `classes`.

    Notes
    -----
    The interval is Clopper-Pearson's. With importances it uses the effective number of rows (sum w)^2 / sum w^2 and is
    approximate.

    Examples
    --------
    >>> from skroute import RoutePolicy
    >>> from skroute.metrics import routing_report
    >>> policy = RoutePolicy().fit([[0.5, 0.5]], classes=["unlock", "vpn"])
    >>> report = routing_report(["unlock", "vpn", "vpn"], policy.explain([[0.97, 0.03], [0.99, 0.01], [0.4, 0.6]]))
    >>> report
    RoutingReport(3 rows, 2 classes: 66.7% auto-routed, 50.0% of them wrong)
    """
    check_level(confidence_level, "confidence_level", "routing_report", low=0.5)
    y_true = read_routed(y_true, routes)
    labels = (
        np.unique(np.concatenate(align_labels(y_true, routes.label))) if classes is None else check_classes(classes)
    )
    truth, routed = encode_labels(y_true, labels, "y_true"), encode_labels(routes.label, labels, "routes.label")
    weight = check_sample_weight(sample_weight, len(y_true))
    route = routes.route
    if weight is not None:
        kept = weight > 0.0
        if not kept.any():
            raise ValueError("sample_weight must be positive in at least one row.")
        truth, routed, route, weight = truth[kept], routed[kept], route[kept], weight[kept]
    repeats = counts_rows(weights, weight, "routing_report")

    def by(codes: NDArray[np.intp], rows: NDArray[np.bool_], power: int = 1) -> Any:
        """Sum (powers of) weights over all rows, then over those of each class."""
        values = np.ones(len(rows)) if weight is None else weight**power
        sums = np.bincount(codes[rows], weights=values[rows], minlength=len(labels))
        return np.concatenate([[values[rows].sum()], sums])

    auto = route == "auto"
    wrong = auto & (truth != routed)
    n_wrong = by(routed, wrong)
    # As a sum, so that rounding cannot make the wrong rows outweigh all rows.
    n_auto = by(routed, auto & ~wrong) + n_wrong
    with np.errstate(invalid="ignore", divide="ignore"):
        error = n_wrong / n_auto
        effective = np.nan_to_num(n_auto if repeats else n_auto**2 / by(routed, auto, power=2))
    low, high = exact_interval(np.nan_to_num(error) * effective, effective, confidence_level=confidence_level)
    return RoutingReport(
        label=np.array([None, *labels.tolist()], dtype=object),
        total=by(truth, np.full(len(truth), fill_value=True)),
        auto=n_auto,
        wrong=n_wrong,
        error=error,
        error_low=low,
        error_high=high,
        watched=by(truth, route == "watch"),
        escalated=by(truth, route == "escalate"),
        clarified=by(truth, route == "clarify"),
        missed=by(truth, wrong),
        confidence_level=confidence_level,
    )
