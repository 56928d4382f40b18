"""Scores packed with their labels into numbers that one sort brings into order, and that tell both again.

The bits of a float are its sign and its magnitude, and magnitudes below two leave the highest bit of theirs unused. So
to double the bits of the magnitude loses nothing, and gives room for the label. What comes out are the bits of floats
again, in the same order, and finite ones as long as magnitudes are below 1.5. To sort these is several times as fast
as to find the order of the scores and then to bring all columns into it.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Packed", "pack"]

# Magnitudes below can be packed.
LIMIT = 1.5
BITS_OF_LIMIT = np.full(1, LIMIT).view(np.uint64)[0]
SIGN, ONE = np.uint64(2**63), np.uint64(1)
# Exponents of two: of the least float with all its digits, and of what scores are divided by at most.
LEAST_EXPONENT, MOST_EXPONENT = -1022, 1000
# Fewer rows with signs are in order before they are packed.
FEW = 2**11
# Rows that are packed at once, so that they stay in the cache.
BLOCK = 2**15


class Packed(NamedTuple):
    """Rows in ascending order of their scores; equal ones in the order of their labels."""

    key: NDArray[np.uint64]
    label: NDArray[np.bool_]
    exponent: int
    """Of the power of two by which the scores were divided."""

    def scores(self, which: NDArray[np.intp] | slice = slice(None)) -> NDArray[np.float64]:
        """Return the scores of some rows, or of all."""
        key = self.key[which]
        if self.exponent or (len(key) and self.key[0] & SIGN):
            return ((key & ~SIGN) >> ONE | key & SIGN).view(np.float64) * 2.0**self.exponent
        return (key >> ONE).view(np.float64)


def pack(scores: NDArray[np.float64], label: NDArray[np.bool_], *, as_floats: bool) -> Packed | None:
    """Return scores, packed with their labels, in ascending order; None where that takes longer or would lose digits.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Finite; at least one. -0.0 counts as 0.0.
    label : ndarray of shape (n_samples,)
    as_floats : bool
        Whether keys that need not be sorted as floats are all the same, as is quicker on some processors.
    """
    key = _unsigned_keys(scores, label)
    if key is not None:
        (key.view(np.float64) if as_floats else key).sort()
        return Packed(key, _lowest_bits(key).view(np.bool_), 0)
    if len(scores) < FEW:
        return None
    exponent = max(math.frexp(max(scores.max(), -scores.min()))[1], 0)
    key = _signed_keys(scores, label, exponent) if exponent <= MOST_EXPONENT else None
    if key is None:
        return None
    key.view(np.float64).sort()
    lowest = _lowest_bits(key)
    negative = int(np.searchsorted(key.view(np.float64), 0.0))
    lowest[:negative] ^= 1
    return Packed(key, lowest.view(np.bool_), exponent)


def _unsigned_keys(scores: NDArray[np.float64], label: NDArray[np.bool_]) -> NDArray[np.uint64] | None:
    """Return twice the bits of every score and its label; None unless all lie in [0, 1.5)."""
    key, bits = np.empty(len(scores), dtype=np.uint64), scores.view(np.uint64)
    for start in range(0, len(key), BLOCK):
        rows = slice(start, start + BLOCK)
        some, block = bits[rows], key[rows]
        # In one look, unless there is a sign.
        if some.max() >= BITS_OF_LIMIT and not 0.0 <= scores[rows].min() <= scores[rows].max() < LIMIT:
            return None
        # Quicker than adding labels to what is there, which NumPy does piece by piece. The sign of -0.0 drops out.
        block[:] = label[rows]
        block += some
        block += some
    return key


def _signed_keys(scores: NDArray[np.float64], label: NDArray[np.bool_], exponent: int) -> NDArray[np.uint64] | None:
    """Return the same with signs, of scores divided by a power of two; None where one would lose digits by that."""
    key, inverse = np.empty(len(scores), dtype=np.uint64), 2.0**-exponent
    least = np.full(1, 2.0 ** (exponent + LEAST_EXPONENT)).view(np.uint64)[0] << ONE
    for start in range(0, len(key), BLOCK):
        rows = slice(start, start + BLOCK)
        # Not -0.0.
        some, block = scores[rows] + 0.0, key[rows]
        bits = some.view(np.uint64)
        if exponent:
            np.left_shift(bits, ONE, out=block)
            block -= ONE
            # Zero, which loses nothing, is the largest number of all now.
            if block.min() < least - ONE:
                return None
            some *= inverse
        np.left_shift(bits, ONE, out=block)
        # Of equal negative scores, those with the label have the lesser magnitude.
        negative = some < 0.0
        block |= label[rows] ^ negative
        bits &= SIGN
        block |= bits
    return key


def _lowest_bits(key: NDArray[np.uint64]) -> NDArray[np.uint8]:
    lowest = key.astype(np.uint8)
    lowest &= 1
    return lowest
