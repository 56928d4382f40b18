"""From labels and probabilities to a reliability table."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skroute._validation import (
    check_count,
    check_level,
    check_option,
    check_sample_weight,
    counts_rows,
)
from skroute.reliability._bins import assign_bins, quantile_edges, read_edges, uniform_edges
from skroute.reliability._classwise import MOST_BINS, classwise_sums
from skroute.reliability._read import read_outcomes
from skroute.reliability._sums import STATISTICS, block_sums
from skroute.reliability._table import KINDS, ReliabilityTable

__all__ = ["reliability_table"]

OWNER = "reliability_table"
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
    weights: str = "auto",
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
        Level of the intervals, in [0.5, 1].
    tolerance : float, default=0.05
        Gap, in [0, 1], that is accepted however certain it is.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights: 0, or in [1e-20, 1e20]. Rows of weight 0 count nowhere.
    weights : {"auto", "frequency", "importance"}, default="auto"
        What the weights mean for counts, intervals, verdicts and marks. "frequency": a row of weight 3 stands for three
        equal rows. "importance": it counts three times as much and is still one row, so that the uncertainty follows
        the effective number of rows. "auto": frequencies if all weights are whole numbers (of 2**53 rows at most), else
        importances.

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

    Sums are kept exactly, with confidences rounded to units of 2**-41 first, so that tables add to the last bit
    whatever the split; mean confidences are given to twelve decimals.

    A group is marked inverted where some bin is significantly more accurate than a bin of higher confidence. The test
    compares all pairs of bins with at least `min_count` rows; it marks anything at all in at most 5 % of the tables
    whose accuracy falls nowhere.

    With importances, intervals and marks rest on the effective number of rows ``sum(w)**2 / sum(w**2)`` [2]_, which
    makes them approximate, whatever the scale of the weights. Pass `weights` where parts of the same rows are to add up
    to the table of all of them, and a part may hold whole numbers by chance.

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
    ReliabilityRows(1 entry: 1 overconfident, 0 underconfident)
    class     bin         rows  confidence  accuracy        interval     gap  verdict
    incident  [0.8, 0.9)   300       0.800     0.520  0.462 to 0.578  -0.280  overconfident
    """
    kind = check_option(kind, KINDS, "kind", OWNER)
    strategy = check_option(strategy, STRATEGIES, "strategy", OWNER)
    bins = read_edges(n_bins, OWNER)
    settings: dict[str, Any] = {
        "min_count": check_count(min_count, "min_count", OWNER),
        "confidence_level": check_level(confidence_level, "confidence_level", OWNER, low=0.5),
        "tolerance": check_level(tolerance, "tolerance", OWNER),
    }
    edges = (uniform_edges(bins) if strategy == "uniform" else None) if isinstance(bins, int) else bins
    # In the common case the rows of all classes are checked on the way.
    one_pass = sample_weight is None and edges is not None and len(edges) - 1 <= MOST_BINS
    labels, truth, top, values = read_outcomes(y_true, y_prob, y_pred, confidence, classes, kind, rows=not one_pass)
    weight = check_sample_weight(sample_weight, len(truth))
    if weight is not None:
        counted = _counted(weight)
        truth, values, weight = truth[counted], values[counted], weight[counted]
        top = None if top is None else top[counted]
    repeats = counts_rows(weights, weight, OWNER)
    if edges is None:
        edges = _quantile_edges(values, int(bins), weight)
    if top is not None:
        sums = _sums(top, values, truth == top, weight, edges, len(labels))
    elif weight is None and len(edges) - 1 <= MOST_BINS:
        sums = classwise_sums(values, truth, edges)
    else:
        parts = [_sums(None, values[:, c], truth == c, weight, edges, 1) for c in range(len(labels))]
        sums = np.concatenate(parts, axis=1)
    if repeats:
        # So many rows of weight one.
        by_name = dict(zip(STATISTICS, sums, strict=True))
        by_name["count"] = by_name["squared_weight"] = by_name["weight"]
        sums = np.stack([by_name[name] for name in STATISTICS])
    return ReliabilityTable(labels, kind, edges, **settings, sums=sums)


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


def _quantile_edges(values: NDArray[Any], n_bins: int, weight: NDArray[np.float64] | None) -> NDArray[np.float64]:
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
        codes: NDArray[np.integer] = assign_bins(block, edges)
        if group is not None:
            codes = group[rows] * n_bins + codes
        part = None if weight is None else weight[rows]
        total = total + block_sums(codes, block, right[rows], part, n_groups * n_bins)
    return total.reshape(len(STATISTICS), n_groups, n_bins)
