"""Binned calibration error: how far stated probabilities are from observed frequencies."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._validation import check_count, check_option, shown
from skroute.metrics._pairs import blocks, read_pairs, sum_by
from skroute.reliability._bins import BIN_LIMIT, assign_bins, quantile_edges, uniform_edges

__all__ = ["calibration_error"]

OWNER = "calibration_error"


def calibration_error(
    y_true: Any,
    y_prob: Any = None,
    *,
    y_pred: Any = None,
    confidence: Any = None,
    classes: Any = None,
    kind: str = "top-label",
    norm: str = "l1",
    n_bins: int = 15,
    strategy: str = "uniform",
    debias: bool = False,
    sample_weight: Any = None,
    weights: str = "auto",
) -> float:
    """Measure how far stated probabilities are from observed frequencies, in bins.

    One figure for a whole model; `skroute.reliability_table` says where it comes from, with its uncertainty. Never
    select a model by it alone: predicting the base rate everywhere has no calibration error. Log loss must stand
    beside it.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like or frame of shape (n_samples, n_classes) or (n_samples,), default=None
        Probabilities. One dimension is the probability of ``classes[1]``.
    y_pred, confidence : array-like of shape (n_samples,), default=None
        Predicted labels and the confidence in each, where a log holds no probabilities; "top-label" only.
    classes : array-like of shape (n_classes,), default=None
        The class of each column. None: the names of a frame's columns, else the sorted labels of `y_true`.
    kind : {"top-label", "classwise"}, default="top-label"
        "top-label": the confidence in the predicted class against how often it is right. "classwise": the
        probability of each class against how often it is the true one, averaged over the classes.
    norm : {"l1", "l2", "max"}, default="l1"
        Weighted mean of the gaps over the bins ("l1", the expected calibration error), root of the weighted mean of
        their squares ("l2"), or the largest gap ("max").
    n_bins : int, default=15
        Number of bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        Equally wide bins, or bins that hold equal shares of the rows.
    debias : bool, default=False
        Subtract what chance alone contributes; for "l2" only.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative.
    weights : {"auto", "frequency", "importance"}, default="auto"
        What the weights mean for `debias`. "frequency": a row of weight 3 stands for three equal rows. "importance": it
        counts three times as much and is still one row, so that chance follows the effective number of rows. "auto":
        frequencies if all weights are whole numbers, else importances.

    Returns
    -------
    error : float
        In [0, 1]; 0 is best.

    Raises
    ------
    ValueError
        If a parameter or an input is not as described.

    See Also
    --------
    skroute.reliability_table : The gaps behind the figure, by class and bin.
    smooth_calibration_error : The same without bins.

    Notes
    -----
    Bins are left-closed, the last one closed on both sides, as in `reliability_table`; other libraries close them on
    the right, which differs only for values on an edge. "top-label" pools all predicted classes, which is what is
    commonly called the ECE [1]_; for one class at a time, see the table. "classwise" is the mean over the classes of
    the errors or, for "l2", the root of the mean of their squares ([2]_, where it is called marginal).

    The debiased "l2" subtracts ``accuracy * (1 - accuracy) / (n - 1)`` from the squared gap of each bin of n rows, and
    is cut at 0; with importances n is the effective number (sum w)^2 / sum w^2. A bin of one row says nothing about
    chance and is left as it is.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017,
       arXiv:1706.04599.
    .. [2] A. Kumar, P. Liang, T. Ma, "Verified uncertainty calibration", NeurIPS 2019, arXiv:1909.10155.

    Examples
    --------
    >>> from skroute.metrics import calibration_error
    >>> y_true = ["a"] * 6 + ["b"] * 4
    >>> calibration_error(y_true, y_pred=["a"] * 10, confidence=[0.9] * 10)
    0.3...
    """
    check_option(norm, ("l1", "l2", "max"), "norm", OWNER)
    check_option(strategy, ("uniform", "quantile"), "strategy", OWNER)
    n_bins = check_count(n_bins, "n_bins", OWNER, most=BIN_LIMIT)
    if not isinstance(debias, (bool, np.bool_)):
        raise ValueError(f"The 'debias' parameter of {OWNER} must be True or False. Got {shown(debias)} instead.")
    if debias and norm != "l2":
        raise ValueError(
            f"debias=True of {OWNER} needs norm='l2', for which the bias has a closed form; got {shown(norm)}."
        )
    pairs = read_pairs(
        y_true, y_prob, y_pred=y_pred, confidence=confidence, classes=classes, kind=kind,
        sample_weight=sample_weight, weights=weights, owner=OWNER,
    )  # fmt: skip
    errors = []
    for stated, right in pairs.parts():
        edges = uniform_edges(n_bins) if strategy == "uniform" else quantile_edges(stated, n_bins, pairs.weight)
        squared = debias and not pairs.repeats
        share, gap, noise = _gaps(stated, right, pairs.weight, edges, squared=squared)
        if norm == "max":
            errors.append(np.abs(gap).max())
        elif norm == "l1":
            errors.append(share @ np.abs(gap))
        else:
            errors.append(share @ (gap**2 - noise * debias))
    if norm == "max":
        return float(np.max(errors))
    mean = float(np.mean(errors))
    return mean if norm == "l1" else float(np.sqrt(max(mean, 0.0)))


def _gaps(
    stated: NDArray[np.float64],
    right: NDArray[np.bool_],
    weight: NDArray[np.float64] | None,
    edges: NDArray[np.float64],
    *,
    squared: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return share of the weight, gap, and expected square of the gap by chance, of every bin that holds a row.

    Chance follows the weight of a bin or, where `squared`, its effective number of rows.
    """
    n_bins = len(edges) - 1
    # Weight of wrong rows, weight of right rows, stated mass, and squared weights of every bin.
    wrong, hits, mass, squares = np.zeros((4, n_bins))
    for rows in blocks(len(stated)):
        bins, values = assign_bins(stated[rows], edges), stated[rows]
        part = None if weight is None else weight[rows]
        # One histogram of bin and outcome together.
        outcomes = np.bincount(bins * 2 + right[rows], part, 2 * n_bins).reshape(n_bins, 2)
        wrong += outcomes[:, 0]
        hits += outcomes[:, 1]
        mass += sum_by(bins, values if part is None else part * values, n_bins)
        if squared and part is not None:
            squares += sum_by(bins, part**2, n_bins)
    total = wrong + hits
    filled = total > 0.0
    total, accuracy, confidence = total[filled], hits[filled] / total[filled], mass[filled] / total[filled]
    n_rows = total**2 / squares[filled] if squared else total
    noise = np.where(n_rows > 1.0, accuracy * (1.0 - accuracy) / np.maximum(n_rows - 1.0, 1e-300), 0.0)
    return total / total.sum(), accuracy - confidence, noise
