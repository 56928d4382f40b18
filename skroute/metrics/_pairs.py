"""Stated probabilities beside what happened: the common input of all figures of calibration."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._validation import check_option, check_sample_weight, counts_rows
from skroute.reliability._read import read_outcomes

__all__ = ["KINDS", "Pairs", "blocks", "read_pairs", "sum_by"]

KINDS = ("top-label", "classwise")
# Rows taken at once where temporaries should stay in the cache.
BLOCK = 2**16


@dataclass(frozen=True)
class Pairs:
    """Stated probabilities and outcomes.

    Attributes
    ----------
    stated : ndarray of shape (n_rows,) or (n_rows, n_classes)
        Confidence in the top class or, classwise, the probability of every class.
    truth : ndarray of shape (n_rows,)
        Position of the true class.
    top : ndarray of shape (n_rows,) or None
        Position of the top class; None classwise.
    weight : ndarray of shape (n_rows,) or None
        Positive weights.
    repeats : bool
        Whether the weights count equal rows; else they are importances, the largest of them 1.
    classes : ndarray of shape (n_classes,)
        The classes.
    """

    stated: NDArray[np.floating]
    truth: NDArray[np.intp]
    top: NDArray[np.intp] | None
    weight: NDArray[np.float64] | None
    repeats: bool
    classes: NDArray[Any]

    def parts(self) -> list[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
        """Return stated probability and outcome: one pair of arrays or, classwise, one for every class."""
        if self.top is not None:
            return [(self.stated.astype(np.float64, copy=False), self.truth == self.top)]
        return [(self.stated[:, c].astype(np.float64), self.truth == c) for c in range(len(self.classes))]

    def weights(self) -> NDArray[np.float64]:
        """Return the weights, ones where none were given."""
        return np.ones(len(self.truth)) if self.weight is None else self.weight

    def effective_weights(self) -> NDArray[np.float64]:
        """Return the weights; importances scaled to add up to the effective number of rows (Kish)."""
        weight = self.weights()
        return weight if self.repeats else weight * (weight.sum() / (weight @ weight))

    def of(self, position: int) -> "Pairs":
        """Return the rows whose top class stands at a position."""
        rows = self.top == position
        weight = None if self.weight is None else self.weight[rows]
        truth = self.truth[rows]
        return replace(self, stated=self.stated[rows], truth=truth, top=np.full_like(truth, position), weight=weight)


def read_pairs(
    y_true: Any,
    y_prob: Any,
    *,
    y_pred: Any = None,
    confidence: Any = None,
    classes: Any = None,
    kind: str = "top-label",
    sample_weight: Any = None,
    weights: str = "auto",
    owner: str,
) -> Pairs:
    """Check labels, probabilities (or a log of predictions and confidences) and weights; drop rows without weight."""
    check_option(kind, KINDS, "kind", owner)
    labels, truth, top, stated = read_outcomes(y_true, y_prob, y_pred, confidence, classes, kind)
    weight = check_sample_weight(sample_weight, len(truth))
    if weight is not None and not (weight > 0.0).all():
        kept = weight > 0.0
        if not kept.any():
            raise ValueError("sample_weight must be positive in at least one row, got zeros only.")
        truth, stated, weight = truth[kept], stated[kept], weight[kept]
        top = None if top is None else top[kept]
    repeats = counts_rows(weights, weight, owner)
    if weight is not None and not repeats:
        # Importances have no unit. In this one, equal weights are ones, and give the figures of no weights.
        weight = weight / weight.max()
    return Pairs(stated, truth, top, weight, repeats, labels)


def blocks(n_rows: int) -> Iterator[slice]:
    """Yield slices that part so many rows between them."""
    for start in range(0, n_rows, BLOCK):
        yield slice(start, min(start + BLOCK, n_rows))


def sum_by(groups: NDArray[np.integer], values: NDArray[Any], n_groups: int = 0) -> NDArray[np.float64]:
    """Return the sum of the values in each group, shape (n_groups,) or longer."""
    return np.bincount(groups, weights=values, minlength=n_groups).astype(np.float64, copy=False)
