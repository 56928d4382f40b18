"""From the word that a user writes to the calibrator that it stands for."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from skroute._validation import shown
from skroute.calibration._identity import IdentityCalibrator
from skroute.calibration._per_class import ONE_VS_REST, PerClassCalibrator
from skroute.calibration._pooled import PooledCalibrator
from skroute.calibration._scaling import MatrixCalibrator, VectorCalibrator
from skroute.calibration._scores import fill_unscored, forget_unscored
from skroute.calibration._softmax import pass_rows
from skroute.calibration._temperature import TemperatureCalibrator

__all__ = [
    "METHODS",
    "fit_calibrator",
    "make_calibrator",
    "part_rows",
    "predict_blocks",
    "predict_calibrated",
    "predict_finite",
    "take_unseen_proba",
    "wants_proba",
]

# Passes that are calibrated in a row and then routed: so many values outweigh the calls, and hardly fill memory. Blocks
# that are calibrated in one pass stay together: in products of another length the last bit may be another.
PASSES = 3
# Of many classes a pass is large already.
MOST_VALUES = 2**19

JOINT = {
    "auto": PooledCalibrator,
    "temperature": TemperatureCalibrator,
    "vector": VectorCalibrator,
    "matrix": MatrixCalibrator,
    "none": IdentityCalibrator,
}
METHODS = ("auto", "temperature", "vector", "matrix", "sigmoid", "isotonic", "beta", "none")


def make_calibrator(method: Any, kind: str = "auto") -> Any:
    """Return an unfitted calibrator for all classes.

    Parameters
    ----------
    method : str, calibrator or dict of class to either
        A name in `METHODS`; an object with ``fit`` and ``predict_proba`` for all classes, or with ``fit`` and
        ``predict`` for one; or a dict of those that serve one class.
    kind : {"auto", "proba", "scores"}, default="auto"
        What the scores will be, for methods that are names and for calibrators of ours that would have to find out.

    Returns
    -------
    calibrator : object with ``fit`` and ``predict_proba``

    Raises
    ------
    ValueError
        If the method is none of these.
    """
    if isinstance(method, str) and method in JOINT:
        return JOINT[method](kind=kind)
    if isinstance(method, Mapping) or (isinstance(method, str) and method in ONE_VS_REST):
        return PerClassCalibrator(_told(method, kind), kind=kind)
    if not isinstance(method, (str, type)) and hasattr(method, "fit"):
        if hasattr(method, "predict_proba"):
            return clone(_told(method, kind))
        if hasattr(method, "predict"):
            return PerClassCalibrator(_told(method, kind), kind=kind)
    raise ValueError(
        f"The 'method' parameter of RoutingClassifier must be one of {', '.join(map(repr, METHODS))}, a calibrator "
        f"object, or a dict of class to a one-vs-rest method. Got {shown(method)} instead."
    )


def _told(method: Any, kind: str) -> Any:
    """Return calibrators that need not find out, each by the fold that it gets, what the scores are."""
    if isinstance(method, Mapping):
        return {label: _told(one, kind) for label, one in method.items()}
    ours = isinstance(method, (PerClassCalibrator, *JOINT.values(), *ONE_VS_REST.values()))
    if kind == "auto" or not ours:
        return method
    params = method.get_params(deep=False)
    changes = {"kind": kind} if params.get("kind") == "auto" else {}
    if "calibrators" in params:
        changes["calibrators"] = _told(params["calibrators"], kind)
    return clone(method).set_params(**changes) if changes else method


def wants_proba(method: Any) -> bool:
    """Tell whether a method keeps the model's own probabilities for some class, so that they must be asked for."""
    if isinstance(method, PerClassCalibrator):
        return wants_proba(method.calibrators)
    if isinstance(method, Mapping):
        return any(wants_proba(kind) for kind in method.values())
    return isinstance(method, IdentityCalibrator) or (isinstance(method, str) and method == "none")


def fit_calibrator(
    calibrator: Any,
    scores: NDArray[np.float64],
    codes: NDArray[np.intp],
    classes: NDArray[Any],
    sample_weight: NDArray[np.float64] | None,
    folds: NDArray[np.intp] | None = None,
) -> Any:
    """Fit a clone of a calibrator of ours, or of somebody else's, on scores with one column a class.

    One that cross-fits itself takes over the folds, if given, so that rows which belong together stay together.
    """
    params: dict[str, Any] = {}
    if folds is not None and has_fit_parameter(calibrator, "folds"):
        params["folds"] = folds
    if sample_weight is not None and has_fit_parameter(calibrator, "sample_weight"):
        params["sample_weight"] = sample_weight
    if has_fit_parameter(calibrator, "classes"):
        return clone(calibrator).fit(scores, classes[codes], classes=classes, **params)
    return clone(calibrator).fit(fill_unscored(scores), codes, **params)


def take_unseen_proba(fitted: Any) -> NDArray[np.float64] | None:
    """Take from a calibrator that cross-fits itself its probabilities of the rows it was fitted on; None from others.

    Taken away, because a fitted classifier is pickled and cached, and these are as large as the data.
    """
    found: NDArray[np.float64] | None = vars(fitted).pop("oof_proba_", None)
    return found


def part_rows(n_columns: int) -> int:
    """Return how many rows of so many columns are calibrated and then routed at once."""
    a_pass = pass_rows(n_columns)
    return a_pass * max(min(PASSES, MOST_VALUES // (a_pass * n_columns)), 1)


def predict_finite(calibrator: Any, scores: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the probabilities of scores that a fitted calibrator of ours has found to be finite; None where not.

    Who would look first reads all scores twice, which takes a tenth of the time of a quick calibrator.
    """
    # Not what is derived from these.
    if type(calibrator) not in (TemperatureCalibrator, PerClassCalibrator):
        return None
    found: NDArray[np.float64] | None = calibrator._predict_finite(scores)
    return found


def predict_blocks(
    calibrator: Any, scores: NDArray[np.float64], look: Callable[[slice], None]
) -> Iterator[NDArray[np.float64]]:
    """Yield the probabilities of a fitted calibrator of ours some rows at a time: to the last bit those of all rows.

    What is to `look` at rows does so before they are calibrated, unless the calibrator finds all their scores finite.
    """
    size = part_rows(scores.shape[1])
    if len(scores) > size and isinstance(calibrator, PerClassCalibrator):
        # What it has to prepare depends on the number of all rows.
        yield from calibrator.predict_blocks(scores, size, look)
        return
    # A row that is left over goes with its predecessors: by itself it would be calibrated in another way.
    starts = range(0, max(len(scores) - 1, 1), size)
    for start in starts:
        rows = slice(start, len(scores) if start == starts[-1] else start + size)
        found = predict_finite(calibrator, scores[rows])
        if found is None:
            look(rows)
            found = calibrator.predict_proba(scores[rows])
        yield found


def predict_calibrated(calibrator: Any, scores: NDArray[np.float64], classes: NDArray[Any]) -> NDArray[np.float64]:
    """Return the probabilities of a fitted calibrator, of ours or of somebody else's, one column for every class."""
    if has_fit_parameter(calibrator, "classes"):
        ours: NDArray[np.float64] = calibrator.predict_proba(scores)
        return ours
    proba = np.asarray(calibrator.predict_proba(fill_unscored(scores)), dtype=np.float64)
    known = getattr(calibrator, "classes_", None)
    if known is not None and len(known) < len(classes):
        # It was fitted on codes, and not every class was among them.
        placed = np.zeros((len(proba), len(classes)))
        placed[:, known] = proba
        proba = placed
    return forget_unscored(proba, scores)
