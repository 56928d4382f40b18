"""What a fit has to say, once, about the data it was given."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from skroute._tabular import counted
from skroute._validation import listed
from skroute._warn_caller import warn_caller
from skroute.exceptions import GroupedRowsWarning, RareClassWarning, UnlikeFoldsWarning
from skroute.policies import Certificates

__all__ = ["warn_of_grouped_rows", "warn_of_lost_weights", "warn_of_rare_classes", "warn_of_unlike_folds"]

# Folds differ where their accuracies lie so far apart, and so seldom do by chance: told where so many right and wrong
# rows are expected of each, since the test is of large numbers.
LEAST_APART, BY_CHANCE, LEAST_EXPECTED = 0.05, 1e-6, 5.0


def warn_of_rare_classes(
    classes: NDArray[Any], codes: NDArray[np.intp], unseen: NDArray[np.bool_], n_folds: int
) -> None:
    """Name the classes with fewer rows than folds, and those that some model or calibrator never saw."""
    counts = np.bincount(codes, minlength=len(classes))
    rare = (counts > 0) & (counts < n_folds)
    if not (rare | unseen).any():
        return
    named = [f"{label!r} ({counted(int(count), 'row')})" for label, count in zip(classes.tolist(), counts, strict=True)]

    def those(chosen: NDArray[np.bool_]) -> str:
        return listed(name for name, is_chosen in zip(named, chosen, strict=True) if is_chosen)

    message = ""
    if rare.any():
        message += (
            f"Classes with fewer rows than the {n_folds} folds: {those(rare)}. What is said of them rests on as few. "
        )
    if unseen.any():
        message += (
            "Classes missing from a training fold or from the calibration rows, which are never auto-routed: "
            f"{those(unseen)}. "
        )
    warn_caller(message.rstrip(), RareClassWarning)


def warn_of_unlike_folds(n_rows: NDArray[np.intp], n_right: NDArray[np.intp]) -> None:
    """Say that folds of neighbouring rows differ by more than chance, and by more than is of no account.

    Parameters
    ----------
    n_rows, n_right : ndarray of shape (n_folds,)
        Rows of each fold, and those whose true class had the largest score.
    """
    overall = n_right.sum() / max(int(n_rows.sum()), 1)
    if n_rows.min() * min(overall, 1.0 - overall) < LEAST_EXPECTED:
        return
    accuracy = n_right / n_rows
    low, high = int(accuracy.argmin()), int(accuracy.argmax())
    if accuracy[high] - accuracy[low] < LEAST_APART:
        return
    expected = n_rows * overall
    excess = float(((n_right - expected) ** 2 / (expected * (1.0 - overall))).sum())
    if chdtrc(len(n_rows) - 1, excess) > BY_CHANCE:
        return
    warn_caller(
        f"Folds are blocks of rows in the order given, and the classifier is right in {accuracy[low]:.2f} of the rows "
        f"of fold {low + 1} of {len(n_rows)}, in {accuracy[high]:.2f} of fold {high + 1}: more than chance. "
        "Either the rows differ, or its fits do (an unstable classifier; a frozen one that has learned from some of "
        "the rows). If rows are in the order of time, expect the like of new ones; if their order means nothing, it "
        "spoils what is learned from the folds: pass cv=StratifiedKFold(5, shuffle=True, random_state=0).",
        UnlikeFoldsWarning,
    )


def warn_of_grouped_rows(policy: Any) -> None:
    """Say that what a fitted policy promises rests on rows that are independent, where several are of one group."""
    certificates, promised = getattr(policy, "certificates_", None), []
    if isinstance(certificates, Certificates) and (certificates.guarantee != "none").any():
        promised.append("certificates")
    if getattr(policy, "candidates_", None) is not None:
        promised.append("candidate sets")
    if promised:
        warn_caller(
            f"{type(policy).__name__} counts each row as evidence, but rows of one group tell less than others: its "
            f"{' and '.join(promised)} may break their promise more often than they say. Fit on one row of each group: "
            "rows = np.unique(groups, return_index=True)[1].",
            GroupedRowsWarning,
        )


def warn_of_lost_weights(estimator: Any) -> None:
    """Say that the weights do not reach the classifier."""
    warn_caller(
        f"Since {type(estimator).__name__} does not appear to accept sample_weight, sample weights will only be used "
        "for the calibration itself. Enable metadata routing to pass them through a Pipeline.",
        UserWarning,
    )
