"""What a calibrator of all classes learned, class by class, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._tabular import Tabular, html_table, text_table
from skroute.calibration._links import Link
from skroute.calibration._vector_fit import VectorScaling

__all__ = ["ABSENT", "CalibrationSummary", "summarise"]

# A class whose own parameters are mostly the prior's is said to follow the shared temperature.
MOSTLY_PRIOR = 0.5
ABSENT = "absent: never seen, so it is rare; do not act on it"


@dataclass(frozen=True)
class CalibrationSummary(Tabular):
    """What a calibrator learned for each class; arrays of shape (n_classes,).

    Attributes
    ----------
    label : ndarray
        The class.
    rows : ndarray
        Rows of the class (their weight, where weights are given) among those that it was fitted on.
    temperature : ndarray
        The temperature that all classes share: above 1 the model was over-confident, below 1 under-confident.
    slope, bias : ndarray
        The class's own factor on, and addition to, the log-probability. 1 and 0 leave the shared temperature.
    shrinkage : ndarray
        How much of slope and bias is prior and not data, in [0, 1]: 1 where the class has no say of its own. NaN where
        it is not known.
    note : ndarray of str
        Why a class was treated as it was.
    heading : str
        What concerns all classes: how scores were read, and what each member of a pool is worth.
    """

    label: NDArray[Any]
    rows: NDArray[np.float64]
    temperature: NDArray[np.float64]
    slope: NDArray[np.float64]
    bias: NDArray[np.float64]
    shrinkage: NDArray[np.float64]
    note: NDArray[np.str_]
    heading: str

    def _columns(self) -> dict[str, Any]:
        names = ("label", "rows", "temperature", "slope", "bias", "shrinkage", "note")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        """Return the heading and the table as text."""
        return f"{self.heading}\n{text_table(*self._cells())}"

    def __repr__(self) -> str:
        """Return the text, which is what a reader at the prompt wants."""
        return str(self)

    def _repr_html_(self) -> str:
        return html_table(*self._cells(), caption=self.heading)

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        cells = [
            [str(label), f"{rows:g}", f"{temperature:.3f}", f"{slope:.3f}", f"{bias:+.3f}", _share(shrinkage), note]
            for label, rows, temperature, slope, bias, shrinkage, note in zip(*self._columns().values(), strict=True)
        ]
        return ["class", "rows", "temperature", "slope", "bias", "shrinkage", "note"], cells


def _share(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def summarise(
    classes: NDArray[Any],
    class_weight: NDArray[np.float64],
    link: Link,
    vector: VectorScaling,
    curves: Sequence[Any] | None = None,
    *,
    about: Sequence[str] = (),
) -> CalibrationSummary:
    """Put what vector scaling (and, in a pool, the curves) learned into words; `about` adds lines to the heading."""
    shrinkage = vector.shrinkage.mean(axis=0)
    notes = []
    for k, rows in enumerate(class_weight):
        if rows == 0.0:
            notes.append(ABSENT)
        elif shrinkage[k] > MOSTLY_PRIOR:
            notes.append("few rows: close to the shared temperature")
        elif curves is not None and curves[k] is None:
            notes.append("own slope and bias; too few rows for a curve")
        else:
            notes.append("own slope and bias" + (" and curve" if curves is not None else ""))
    n_classes = len(classes)
    return CalibrationSummary(
        label=classes,
        rows=class_weight,
        temperature=np.full(n_classes, 1.0 / link.beta),
        slope=1.0 + vector.extra,
        bias=vector.bias,
        shrinkage=shrinkage,
        note=np.array(notes),
        heading="\n".join([link.in_words(), *about]),
    )
