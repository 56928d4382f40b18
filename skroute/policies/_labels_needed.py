"""How many verified rows a certificate needs."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from skroute._validation import check_count, check_level
from skroute.policies._binomial import check_confidence, check_share, check_target, fewest_rows

__all__ = ["labels_needed"]

# Numbers of errors whose power is looked at together.
BLOCK = 256
# Beyond this no desk counts, and rows are no longer exact in float64.
MOST_ERRORS = 1e12


def labels_needed(
    max_error: float, *, confidence: float = 0.90, error: float = 0.0, power: float = 0.8, rows: int = 0
) -> float:
    """Return how many more verified rows of a class its certificate needs.

    Count the rows that the policy would auto-route to the class and whose true class is verified. A certificate for a
    larger share of the traffic takes rows with more errors among them: `error` says how many of the rows routed to the
    class are in truth wrong.

    Parameters
    ----------
    max_error : float
        Largest share of wrong rows that is to be certified, in (0, 1).
    confidence : float, default=0.90
        Probability with which the certificate has to hold, in [0.5, 1).
    error : float, default=0.0
        True share of wrong rows above the threshold, in [0, 1].
    power : float, default=0.8
        Least probability that the test passes, in [0, 1].
    rows : int, default=0
        Verified rows at hand.

    Returns
    -------
    rows : int or inf
        Rows still needed, 0 where those at hand suffice: with this number, and with any larger one, the test passes
        with at least the probability `power`. ``math.inf`` where `error` is not below `max_error`, or by less than
        labels can tell: then only a better model, a higher threshold or a larger `max_error` helps.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Notes
    -----
    The test is the exact binomial one of `certify_class` at one threshold. Its power rises in saw teeth: another row
    adds a chance of error, until there are enough of them for one more error to be allowed. The answer lies behind the
    last tooth that reaches below `power`.

    Examples
    --------
    >>> labels_needed(0.05)
    45
    >>> labels_needed(0.05, error=0.02), labels_needed(0.05, error=0.02, rows=200)
    (209, 9)
    >>> labels_needed(0.05, error=0.05)
    inf
    """
    risk = 1.0 - check_confidence(confidence, "The 'confidence' parameter of labels_needed")
    max_error = check_share(max_error, "The 'max_error' parameter of labels_needed")
    check_target(max_error, risk)
    check_count(rows, "rows", "labels_needed", least=0)
    check_level(error, "error", "labels_needed")
    check_level(power, "power", "labels_needed")
    if error >= max_error or (power == 1.0 and error > 0.0):
        return math.inf

    def short(errors: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return where the power is too small just before one more error is allowed, at the foot of the tooth."""
        right = fewest_rows(errors + 1.0, max_error, risk) - 1.0 - errors
        return np.asarray(special.betaincc(errors + 1.0, right, error) < power if error > 0.0 else errors < 0.0)

    block = np.arange(BLOCK, dtype=np.float64)
    high = 1.0
    while short(np.array([high]))[0]:
        high *= 2.0
        if high > MOST_ERRORS:
            return math.inf
    low = high / 2.0 if high > 1.0 else 0.0
    while high - low > 1.0:
        middle = math.floor((low + high) / 2.0)
        low, high = (middle, high) if short(np.array([middle]))[0] else (low, middle)
    # The feet of the teeth do not rise evenly either, so that neighbours are looked at on both sides.
    near = np.maximum(0.0, high - BLOCK // 2) + block
    last = near[short(near)]
    first = last[-1] + 1.0 if len(last) else near[0]
    return max(0, int(fewest_rows(first, max_error, risk)) - rows)
