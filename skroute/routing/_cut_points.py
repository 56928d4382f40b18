"""Where confidence alone decides a gate, whatever the rest of the row looks like.

With K classes, a row that sums to s, and the share p = max / s of its top class, entropy is Schur-concave: it lies
between its value with the rest packed into as few atoms as fit and its value with the rest spread evenly, and both fall
as p grows (`_audit` has the closed forms). So each entropy gate has two cut points:

    below the first, every row's entropy is over the level;    from the second on, every row's is under it.

The runner-up lies between (s - max) / (K - 1) and s - max, which gives the margin gate its two cut points.
"""

from functools import lru_cache

from skroute._rows import SUM_SLACK
from skroute.routing._audit import entropy_needs, entropy_sure

__all__ = ["HALF", "MOST_SUM", "entropy_cuts", "margin_cuts"]

# A checked row sums to one within SUM_SLACK. The rest covers the rounding of its sum.
SPREAD = SUM_SLACK + 1e-5
HALF = (1.0 + SPREAD) / 2.0
# Of many values that were clipped, each by a millionth, the sum can be larger than it was when it was checked. From so
# much on, cut points say nothing.
MOST_SUM = 1.0 + SUM_SLACK + 5e-6
# The bounds of the entropy are known to 1e-8, the entropies that the plain code computes to 1e-11; gates have a slack
# of 1e-12.
NOISE = 1e-7


@lru_cache(maxsize=1024)
def entropy_cuts(level: float | None, n_classes: int) -> tuple[float, float]:
    """Return the confidence below which every entropy is over the level, and from which every one is under it.

    Confidence is as given and the bounds hold for shares, which differ from it by the sum of the row. A gate that is
    switched off, level None, is never in doubt.
    """
    if level is None:
        return 0.0, 0.0
    low, high = entropy_needs(level + NOISE, n_classes), entropy_sure(level - NOISE, n_classes)
    return low * (1.0 - SPREAD), high * (1.0 + SPREAD)


def margin_cuts(level: float | None, n_classes: int) -> tuple[float, float]:
    """Return the confidence below which every margin is under the level, and from which every one reaches it."""
    if level is None or level <= 0.0:
        return 0.0, 0.0
    # max - (s - max) / (K - 1) < level  and  max - (s - max) >= level, at the sum s that asks for most.
    return ((level - NOISE) * (n_classes - 1) + 1.0 - SPREAD) / n_classes, (level + 1.0 + SPREAD) / 2.0
