"""What a calibrator of all classes learned, class by class, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._tabular import Sheet, Tabular, count_text
from skroute.calibration._links import Link
from skroute.calibration._vector_fit import VectorScaling

__all__ = ["ABSENT", "CalibrationSummary", "summarise"]

# A class whose own parameters are mostly the prior's is said to follow the shared temperature.
MOSTLY_PRIOR = 0.5
ABSENT = "absent: no row of it was seen, its probability is a guess"


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

    def __repr__(self) -> str:
        """Return the text, which is what a reader at the prompt wants."""
        return str(self)

    def _shown(self) -> Sheet:
        return Sheet(
            header=["class", "rows", "temperature", "slope", "bias", "shrinkage", "note"],
            rows=[_cells(record) for record in self.to_records()],
            words=("class", "note"),
            caption=self.heading,
        )


def _cells(record: dict[str, Any]) -> list[str]:
    # What stands for a class without rows is what the prior left there, and was not learned.
    own = [
        "-" if record["rows"] == 0.0 or np.isnan(record[name]) else f"{record[name]:{form}}"
        for name, form in (("slope", ".3f"), ("bias", "+.3f"), ("shrinkage", ".2f"))
    ]
    rows, temperature = count_text(record["rows"]), f"{record['temperature']:.3f}"
    return [str(record["label"]), rows, temperature, *own, record["note"]]


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
            notes.append("few rows: held back towards the shared temperature")
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
