"""What a fit has to say, once, about the data it was given."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._tabular import counted
from skroute._validation import listed
from skroute._warn_caller import warn_caller
from skroute.exceptions import RareClassWarning

__all__ = ["warn_of_lost_weights", "warn_of_rare_classes"]


def warn_of_rare_classes(
    classes: NDArray[Any], codes: NDArray[np.intp], unseen: NDArray[np.bool_], n_folds: int
) -> None:
    """Name the classes with fewer rows than folds, and those that some model or calibrator never saw."""
    counts = np.bincount(codes, minlength=len(classes))
    rare = (counts > 0) & (counts < n_folds)
    if not (rare | unseen).any():
        return
    named = [f"{label!r} ({counted(count, 'row')})" for label, count in zip(classes.tolist(), counts, strict=True)]

    def those(chosen: NDArray[np.bool_]) -> str:
        return listed(name for name, is_chosen in zip(named, chosen, strict=True) if is_chosen)

    message = ""
    if rare.any():
        message += (
            f"Classes with fewer rows than the {n_folds} folds, spread as far as they go, and measured on as few: "
            f"{those(rare)}. "
        )
    if unseen.any():
        message += (
            "Classes missing from a training fold or from the calibration rows, which are never auto-routed: "
            f"{those(unseen)}. "
        )
    warn_caller(message.rstrip(), RareClassWarning)


def warn_of_lost_weights(estimator: Any) -> None:
    """Say that the weights do not reach the classifier."""
    warn_caller(
        f"Since {type(estimator).__name__} does not appear to accept sample_weight, sample weights will only be used "
        "for the calibration itself. Enable metadata routing to pass them through a Pipeline.",
        UserWarning,
    )
