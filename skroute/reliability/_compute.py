"""From labels and probabilities to a reliability table."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skroute._validation import (
    RANGE_TOLERANCE,
    check_classes,
    check_count,
    check_level,
    check_option,
    check_proba,
    check_sample_weight,
    column,
    encode_labels,
    listed,
)
from skroute.reliability._bins import assign_bins, quantile_edges, read_edges, uniform_edges
from skroute.reliability._sums import STATISTICS, block_sums
from skroute.reliability._table import ReliabilityTable

__all__ = ["reliability_table"]

OWNER = "reliability_table"
KINDS = ("top-label", "classwise")
STRATEGIES = ("uniform", "quantile")
# Rows are taken in blocks: temporaries stay in the cache, and partial sums stay far under their exact range.
BLOCK = 2**16
# Wide enough for any purpose, and narrow enough for exact sums of squares to stay small.
WEIGHT_RANGE = (1e-20, 1e20)


def reliability_table(
    y_true: ArrayLike,
    y_prob: Any = None,
    *,
    y_pred: ArrayLike | None = None,
    confidence: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    kind: str = "top-label",
    n_bins: int | ArrayLike = 10,
    strategy: str = "uniform",
    min_count: int = 50,
    confidence_level: float = 0.95,
    tolerance: float = 0.05,
    sample_weight: ArrayLike | None = None,
) -> ReliabilityTable:
    """Compare stated confidence with observed accuracy, for all classes together and for each of them.

    Use it before acting on probabilities: a model that is well calibrated overall can still promise far too much on
    one class. The labels must not have served to fit the model or its calibration.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        The verified labels.
    y_prob : array-like or frame of shape (n_samples, n_classes) or (n_samples,), default=None
        Probabilities; rows sum to one. One dimension is the probability of the second class.
    y_pred : array-like of shape (n_samples,), default=None
        Predicted labels, where a log holds no probabilities. Needs `confidence`, and the kind "top-label".
    confidence : array-like of shape (n_samples,), default=None
        Confidence in [0, 1] of each predicted label.
    classes : array-like of shape (n_classes,), default=None
        The class of each column. None takes the column names of a frame, else the sorted labels in `y_true`, which must
        be as many as there are columns. Without `y_prob`, None takes the sorted labels in `y_true` and `y_pred`.
    kind : {"top-label", "classwise"}, default="top-label"
        What the rows of class c count. "top-label": rows whose first largest probability is that of c; how often is the
        prediction c right when it is made with this confidence? "classwise": all rows; how often is c the true class
        when its probability is this one? There, the group of all classes counts every pair of row and class.
    n_bins : int or array-like of shape (n_bins + 1,), default=10
        Number of bins, or their edges, ascending from 0 to 1, such as the `edges` of another table.
    strategy : {"uniform", "quantile"}, default="uniform"
        Equally wide bins, or bins that hold equal shares of all confidences (fewer than `n_bins` of them where
        confidences are equal). Without effect where `n_bins` gives the edges.
    min_count : int, default=50
        Rows of positive weight under which the verdict on a bin is "insufficient".
    confidence_level : float, default=0.95
        Level of the intervals, in [0, 1].
    tolerance : float, default=0.05
        Gap, in [0, 1], that is accepted however certain it is.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights: 0, or in [1e-20, 1e20]. Rows of weight 0 count nowhere.

    Returns
    -------
    table : ReliabilityTable
        For each group and bin: edges, count, weight, mean confidence, observed accuracy with its exact interval, gap
        and verdict. Tables of equal layout add.

    Raises
    ------
    ValueError
        If a parameter or an input is not as described; the message names it and the first bad row.

    See Also
    --------
    exact_interval : The interval of one proportion.

    Notes
    -----
    The gap is observed accuracy minus mean confidence. The verdict is "insufficient" under `min_count` rows,
    "overconfident" or "underconfident" where the gap exceeds `tolerance` and the interval excludes the mean confidence,
    and "calibrated" otherwise; that last one says that nothing speaks against the bin, not that it is proved.

    A group is marked inverted where some bin is significantly more accurate than a bin of higher confidence. The test
    compares all pairs of bins with at least `min_count` rows; it marks anything at all in at most 5 % of the tables
    whose accuracy falls nowhere.

    With weights, intervals and marks rest on the effective number of rows ``sum(w)**2 / sum(w**2)`` [2]_, which makes
    them approximate. Equal weights leave them exact.

    References
    ----------
    .. [1] C. Gupta, A. Ramdas, "Top-label calibration and multiclass-to-binary reductions", ICLR 2022,
       arXiv:2107.08353.
    .. [2] L. Kish, "Survey Sampling", Wiley, 1965.

    Examples
    --------
    Of 300 tickets that were called an incident with confidence 0.80, 156 were one:

    >>> from skroute.reliability import reliability_table
    >>> y_true = ["incident"] * 156 + ["request"] * 144
    >>> table = reliability_table(y_true, y_pred=["incident"] * 300, confidence=[0.80] * 300)
    >>> print(table.worst())
    label     bin         count  confidence  accuracy        interval     gap        verdict
    incident  [0.8, 0.9)    300       0.800     0.520  0.462 to 0.578  -0.280  overconfident
    """
    kind = check_option(kind, KINDS, "kind", OWNER)
    strategy = check_option(strategy, STRATEGIES, "strategy", OWNER)
    bins = read_edges(n_bins, OWNER)
    settings: dict[str, Any] = {
        "min_count": check_count(min_count, "min_count", OWNER),
        "confidence_level": check_level(confidence_level, "confidence_level", OWNER),
        "tolerance": check_level(tolerance, "tolerance", OWNER),
    }
    labels, truth, top, values = _read(y_true, y_prob, y_pred, confidence, classes, kind)
    weight = check_sample_weight(sample_weight, len(truth))
    if weight is not None:
        counted = _counted(weight)
        truth, values, weight = truth[counted], values[counted], weight[counted]
        top = None if top is None else top[counted]
    edges = _edges(bins, strategy, values, weight) if isinstance(bins, int) else bins
    if top is None:
        parts = [_sums(None, values[:, c], truth == c, weight, edges, 1) for c in range(len(labels))]
        sums = np.concatenate(parts, axis=1)
    else:
        sums = _sums(top, values, truth == top, weight, edges, len(labels))
    return ReliabilityTable(labels, kind, edges, **settings, sums=sums)


def _read(
    y_true: Any, y_prob: Any, y_pred: Any, confidence: Any, classes: Any, kind: str
) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[np.intp] | None, NDArray[Any]]:
    """Return the classes, the true and the top class of every row as positions, and what is to be binned.

    That is the confidence in the top class or, for the kind "classwise", all probabilities; then no class is on top.
    """
    y_true = column(y_true, "y_true")
    if not len(y_true):
        raise ValueError("y_true must hold at least one row, got none.")
    if y_prob is None:
        return _read_log(y_true, y_pred, confidence, classes, kind)
    if y_pred is not None or confidence is not None:
        raise ValueError(f"{OWNER} takes either y_prob, or y_pred and confidence; got both. Leave one out.")
    proba, labels = check_proba(y_prob, classes=classes, name="y_prob", binary_column=True)
    _check_length(proba, "y_prob", y_true)
    if labels is None:
        labels = _distinct(y_true, "y_true")
        if len(labels) != proba.shape[1]:
            raise ValueError(
                f"y_true holds {len(labels)} classes ({listed(labels.tolist())}), but y_prob has {proba.shape[1]} "
                "columns: pass classes=, the class of each column."
            )
    truth = encode_labels(y_true, labels, "y_true")
    return (labels, truth, None, proba) if kind == "classwise" else (labels, truth, *_top(proba))


def _read_log(
    y_true: NDArray[Any], y_pred: Any, confidence: Any, classes: Any, kind: str
) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[np.intp], NDArray[Any]]:
    if y_pred is None or confidence is None:
        raise ValueError(f"{OWNER} needs y_prob, or y_pred and confidence together; got neither in full.")
    if kind != "top-label":
        raise ValueError(f"The kind {kind!r} needs y_prob; with y_pred and confidence, kind must be 'top-label'.")
    y_pred, values = column(y_pred, "y_pred"), _check_confidence(confidence)
    _check_length(y_pred, "y_pred", y_true)
    _check_length(values, "confidence", y_true)
    if classes is None:
        found = [_distinct(y_true, "y_true"), _distinct(y_pred, "y_pred")]
        classes = _distinct(np.concatenate(found), "y_true and y_pred")
        if len(classes) < 2:
            raise ValueError(f"y_true and y_pred hold one class only ({classes[0]}): pass classes=, all the classes.")
    labels = check_classes(classes)
    return labels, encode_labels(y_true, labels, "y_true"), encode_labels(y_pred, labels, "y_pred"), values


def _check_length(values: NDArray[Any], name: str, y_true: NDArray[Any]) -> None:
    if len(values) != len(y_true):
        raise ValueError(f"{name} must have one row a label: {len(y_true)} labels in y_true, got {len(values)} rows.")


def _check_confidence(confidence: Any) -> NDArray[np.float64]:
    try:
        values = column(confidence, "confidence").astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError("confidence must be one number in [0, 1] a row.") from None
    bad = np.flatnonzero(~((values >= -RANGE_TOLERANCE) & (values <= 1.0 + RANGE_TOLERANCE)))
    if bad.size:
        raise ValueError(f"confidence must be finite and lie in [0, 1], got {values[bad[0]]} in row {bad[0]}.")
    return np.clip(values, 0.0, 1.0)


def _distinct(labels: NDArray[Any], name: str) -> NDArray[Any]:
    """Return the sorted distinct labels."""
    try:
        distinct = np.unique(labels)
    except TypeError:
        raise ValueError(f"{name} must hold labels of one type, without missing values.") from None
    if distinct.dtype.kind == "f" and np.isnan(distinct).any():
        raise ValueError(f"{name} must not hold NaN; row {int(np.flatnonzero(np.isnan(labels))[0])} does.")
    return distinct


def _top(proba: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Return the position and the value of the first maximum of every row."""
    top = proba.argmax(axis=1)
    return top, np.take_along_axis(proba, top[:, np.newaxis], axis=1)[:, 0]


def _counted(weight: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the rows of positive weight."""
    counted = weight > 0
    low, high = WEIGHT_RANGE
    bad = np.flatnonzero(counted & ((weight < low) | (weight > high)))
    if bad.size:
        raise ValueError(
            f"sample_weight must be 0 or lie in [{low:g}, {high:g}], got {weight[bad[0]]} in row {bad[0]}."
        )
    if not counted.any():
        raise ValueError("sample_weight must be positive in at least one row, got zeros only.")
    return counted


def _edges(n_bins: int, strategy: str, values: NDArray[Any], weight: NDArray[np.float64] | None) -> NDArray[np.float64]:
    if strategy == "uniform":
        return uniform_edges(n_bins)
    if weight is not None and values.ndim == 2:
        weight = np.repeat(weight, values.shape[1])
    return quantile_edges(values.ravel(), n_bins, weight)


def _sums(
    group: NDArray[np.intp] | None,
    values: NDArray[Any],
    right: NDArray[np.bool_],
    weight: NDArray[np.float64] | None,
    edges: NDArray[np.float64],
    n_groups: int,
) -> NDArray[np.object_]:
    """Return the sums of every group and bin, shape (5, n_groups, n_bins); None puts all rows into one group."""
    n_bins = len(edges) - 1
    total = np.zeros((len(STATISTICS), n_groups * n_bins), dtype=object)
    for start in range(0, len(values), BLOCK):
        rows = slice(start, start + BLOCK)
        block = values[rows].astype(np.float64)
        codes = assign_bins(block, edges)
        if group is not None:
            codes += group[rows] * n_bins
        part = None if weight is None else weight[rows]
        total = total + block_sums(codes, block, right[rows], part, n_groups * n_bins)
    return total.reshape(len(STATISTICS), n_groups, n_bins)
