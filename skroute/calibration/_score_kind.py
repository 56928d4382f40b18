"""What scores are: probabilities or decision values, and whether they look like what they are taken for."""

import numpy as np
from numpy.typing import NDArray

from skroute._rows import PERCENT_SLACK, RANGE_TOLERANCE, ROUNDED_SUM, SUM_SLACK, bits_of, block_length, row_sums
from skroute._validation import check_option
from skroute._warn_caller import warn_caller
from skroute.exceptions import DoubtfulScoresWarning

__all__ = ["check_range", "check_same_kind", "is_proba", "lie_in_unit"]

# What scores are: to be found out from the values, probabilities, or decision values.
KINDS = ("auto", "proba", "scores")
# So few rows of decision values may look like probabilities by chance.
LEAST_TELLING = 16


def is_proba(scores: NDArray[np.float64], kind: str, owner: str) -> bool:
    """Tell whether scores are probabilities: as told by `kind`, or all in [0, 1] with rows that sum to one.

    Rows with unknown classes count as well: what is left of them is still a distribution over the known classes. What
    looks like rounded probabilities or like percentages is refused: read as logits it would do silent harm.
    """
    if check_option(kind, KINDS, "kind", owner) != "auto":
        return kind == "proba"
    if _are_plain(scores):
        return True
    least = float(scores.min(initial=0.0))
    known = np.nan_to_num(scores, nan=0.0) if np.isnan(least) else scores
    positive = bool(known.min(initial=0.0) >= -RANGE_TOLERANCE)
    inside = positive and lie_in_unit(known)
    if known.ndim == 1 or not positive:
        return inside
    sums = row_sums(known)
    if inside and (np.abs(sums - 1.0) <= SUM_SLACK).all():
        return True
    whole, slack = (1.0, ROUNDED_SUM) if inside else (100.0, PERCENT_SLACK)
    off = np.abs(sums - whole)
    if (off <= slack).mean() > 0.5:
        row = off.argmax()
        if inside:
            beside = ", beside NaN" if np.isnan(scores[row]).any() else ""
            looks = (
                "probabilities whose rows do not all sum to 1: most nearly do, but row "
                f"{row} sums to {sums[row]:.6g}{beside}"
            )
        else:
            looks = "percentages: most rows sum to about 100"
        by_sum = "each row by its sum" if not np.isnan(least) else "each row by the sum of what is not NaN"
        raise ValueError(
            f"scores look like {looks}. Divide {by_sum if inside else 'them by 100'}; if they are "
            "something else, tell the calibrator: kind='scores'."
        )
    return False


def lie_in_unit(scores: NDArray[np.float64]) -> bool:
    """Tell whether all scores that are known lie in [0, 1], give or take what rounding adds to probabilities."""
    least, most = (find.reduce(scores, axis=None, initial=0.0) for find in (np.fmin, np.fmax))
    return bool(least >= -RANGE_TOLERANCE and most <= 1.0 + RANGE_TOLERANCE)


def _are_plain(scores: NDArray[np.float64]) -> bool:
    """Tell whether all scores lie in [0, 1], without -0.0 and NaN, and sum to one in every row if there are rows."""
    size = block_length(scores.shape[-1] if scores.ndim > 1 else 1)
    for start in range(0, len(scores), size):
        block = scores[start : start + size]
        # What has a sign or exceeds one has larger bits than one.
        if bits_of(block).max() > bits_of(np.ones(1, block.dtype))[0]:
            return False
        if block.ndim > 1 and (np.abs(row_sums(block) - 1.0) > SUM_SLACK).any():
            return False
    return True


def check_same_kind(scores: NDArray[np.float64], from_proba: bool, owner: str, row: list[float] | None = None) -> None:
    """Refuse values outside of [0, 1] where a calibrator found that its scores are probabilities; warn of the reverse.

    For one that was not told what they are. `row` holds the values of a single row, if they are at hand and finite.
    """
    if not from_proba:
        if row is None and _all_look_like_shares(scores):
            warn_caller(
                f"scores look like probabilities or percentages, but {owner} was fitted on decision values. Pass "
                "those, or fit it again on these; if all is well, tell the calibrator: kind='scores'.",
                DoubtfulScoresWarning,
            )
        return
    check_range(scores, owner, row)


def check_range(scores: NDArray[np.float64], owner: str, row: list[float] | None = None) -> None:
    """Refuse values outside of [0, 1], as `check_same_kind` does after probabilities, in an array of any shape."""
    if row is not None:
        least, most = min(row), max(row)
    else:
        least, most = np.fmin.reduce(scores, axis=None, initial=0.0), np.fmax.reduce(scores, axis=None, initial=0.0)
    # No less than a sum may be off by: what is nearer is rounding, and no other kind of score.
    if least < -SUM_SLACK or most > 1.0 + SUM_SLACK:
        raise ValueError(
            f"scores must be probabilities in [0, 1], as those that {owner} was fitted on, got "
            f"{least if least < -SUM_SLACK else most:.6g}. Divide percentages by 100; decision values take a "
            "calibrator that was fitted on such or, if it was, told so: kind='scores'."
        )


def _all_look_like_shares(scores: NDArray[np.float64]) -> bool:
    """Tell whether every one of many rows has the range and the sum of probabilities, or of percentages."""
    if len(scores) < LEAST_TELLING:
        return False
    in_percent = np.fmax.reduce(scores[:LEAST_TELLING], axis=None) > 1.0 + RANGE_TOLERANCE
    whole, slack = (100.0, PERCENT_SLACK) if in_percent else (1.0, SUM_SLACK)
    # Decision values are told by the first block as a rule.
    size = block_length(scores.shape[1])
    for start in range(0, len(scores), size):
        known = np.nan_to_num(scores[start : start + size], nan=0.0)
        within = known.min() >= 0.0 and known.max() <= whole + slack
        if not (within and (np.abs(row_sums(known) - whole) <= slack).all()):
            return False
    return True
