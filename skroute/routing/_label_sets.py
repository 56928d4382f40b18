"""The answer to a row that no route settles: the labels that may be the true one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._tabular import RowTable, Sheet, counted, more_text
from skroute.routing._candidates import CandidateSets

__all__ = ["LabelSets", "label_sets"]

SHOWN_ROWS, SHOWN_LABELS = 10, 8


@dataclass(frozen=True, eq=False, repr=False)
class LabelSets(RowTable):
    """For every row the labels that may be the true one, the most probable first.

    It has a length; ``sets[i]`` is the list of labels of row i, and a slice, mask or indices select rows. As a table
    it has the columns labels, proba (both lists) and size.

    Attributes
    ----------
    coverage : float
        The probability with which a set holds the true class.
    classes : ndarray of shape (n_classes,)
        All classes.
    starts : ndarray of int of shape (n_samples + 1,)
        Row i has the entries from ``starts[i]`` to ``starts[i + 1]`` of `codes` and `proba`.
    codes : ndarray of int of shape (n_labels,)
        Positions in `classes`, row after row.
    proba : ndarray of float of shape (n_labels,)
        Their probabilities.
    index : pandas.Index or None
        Of the frame or Series that the rows came in, kept by `to_pandas`. None: they are numbered.

    Examples
    --------
    >>> import numpy as np
    >>> from skroute.routing._candidates import CandidateSets
    >>> from skroute.routing._label_sets import label_sets
    >>> candidates = CandidateSets(0.95, False, np.array([0.2]), np.array([500.0]))
    >>> proba = np.array([[0.386, 0.576, 0.038], [0.022, 0.974, 0.004]])
    >>> sets = label_sets(candidates, proba, np.array(["account_unlock", "vpn_issue", "security"]))
    >>> sets
    LabelSets(2 rows: 1.50 labels a row, 1 to 2; hold the true class with probability 0.95)
    >>> sets[0]
    ['vpn_issue', 'account_unlock']
    """

    coverage: float
    classes: NDArray[Any]
    starts: NDArray[np.intp]
    codes: NDArray[np.intp]
    proba: NDArray[np.floating]
    index: Any = field(default=None, kw_only=True)

    @property
    def sizes(self) -> NDArray[np.intp]:
        """The number of labels of each row, at least 1, shape (n_samples,)."""
        return np.diff(self.starts)

    def tolist(self) -> list[list[Any]]:
        """Return the labels of every row."""
        return self._split(self.classes[self.codes].tolist())

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.starts) - 1

    def __getitem__(self, rows: Any) -> Any:
        """Return the list of labels of one row, or the sets of some rows: a slice, a mask or indices."""
        if isinstance(rows, (int, np.integer)):
            row = range(len(self))[rows]
            return self.classes[self.codes[self.starts[row] : self.starts[row + 1]]].tolist()
        rows = self._asked(rows)
        chosen = np.arange(len(self))[rows]
        starts = np.concatenate([[0], np.cumsum(self.sizes[chosen])])
        entries = np.arange(starts[-1]) + np.repeat(self.starts[chosen] - starts[:-1], self.sizes[chosen])
        codes, proba = self.codes[entries], self.proba[entries]
        return LabelSets(self.coverage, self.classes, starts, codes, proba, index=self._index_of(rows))

    def __iter__(self) -> Iterator[list[Any]]:
        """Iterate over the lists of labels."""
        return iter(self.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the lists of labels, shape (n_samples,): NumPy would make a matrix of lists of equal length."""
        if copy is False:
            raise ValueError("LabelSets cannot be an array without a copy.")
        return np.asarray(_objects(self.tolist()), dtype=dtype)

    def _split(self, values: list[Any]) -> list[list[Any]]:
        return [values[start:end] for start, end in pairwise(self.starts.tolist())]

    def _columns(self) -> dict[str, Any]:
        proba = self._split(self.proba.tolist())
        return {"labels": _objects(self.tolist()), "proba": _objects(proba), "size": self.sizes}

    def __repr__(self) -> str:
        """Return one line: how many labels the rows have."""
        sizes = self.sizes
        brief = f": {sizes.mean():.2f} labels a row, {sizes.min()} to {sizes.max()}" if len(self) else ""
        rows = counted(len(self), "row")
        return f"LabelSets({rows}{brief}; hold the true class with probability {self.coverage:g})"

    def _shown(self) -> Sheet:
        first = self[:SHOWN_ROWS]
        entries = zip(first.classes[first.codes].tolist(), first.proba.tolist(), strict=True)
        # A line of HTML does not end between a label and its number.
        texts = first._split([f"{label}\N{NO-BREAK SPACE}({proba:.3f})" for label, proba in entries])
        return Sheet(
            header=["size", "labels"],
            rows=[[str(len(row)), _line(row)] for row in texts],
            words=("labels",),
            caption=repr(self),
            note=more_text(len(self) - SHOWN_ROWS),
        )


def _objects(lists: list[list[Any]]) -> NDArray[Any]:
    objects = np.empty(len(lists), dtype=object)
    # Entry by entry, for the same reason.
    for i, values in enumerate(lists):
        objects[i] = values
    return objects


def _line(entries: list[str]) -> str:
    more = len(entries) - SHOWN_LABELS
    return "; ".join(entries[:SHOWN_LABELS]) + (f" and {more} more" if more > 0 else "")


def label_sets(candidates: CandidateSets, proba: NDArray[np.floating], classes: NDArray[Any]) -> LabelSets:
    """Put the sets of rows into labels.

    Parameters
    ----------
    candidates : CandidateSets
        What says which classes stand in a set.
    proba : ndarray of shape (n_samples, n_classes)
        Checked probabilities.
    classes : ndarray of shape (n_classes,)
        The class of each column.

    Returns
    -------
    sets : LabelSets
        Labels of equal probability in the order of the classes.
    """
    rows, codes = np.nonzero(candidates.sets(proba))
    values = proba[rows, codes]
    order = np.lexsort([-values, rows])
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(proba)))])
    return LabelSets(candidates.coverage, classes, starts, codes[order], values[order])
