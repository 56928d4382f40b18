"""The check of every row of a matrix of probabilities, block by block, so that it can share a pass with other work."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "RANGE_TOLERANCE",
    "SUM_SLACK",
    "SUM_TOLERANCE",
    "WHOLE_COLUMNS",
    "are_added_alone",
    "bits_of",
    "block_length",
    "check_rows",
    "check_unit",
    "checked",
    "clean_blocks",
    "column_sums",
    "finite_sums",
    "long_sums",
    "places_of",
    "reduce_columns",
    "row_sums",
    "two_columns",
]

# Recorded probabilities are often rounded to two or three digits, so their sums stray this far from one.
SUM_TOLERANCE = 5e-3
# A row rounded to three digits can be off by exactly the tolerance, give or take the noise of its sum.
SUM_SLACK = SUM_TOLERANCE + 1e-6
# float32 softmax exceeds [0, 1] by a few units in the last place; more than this is a mistake, not rounding.
RANGE_TOLERANCE = 1e-6
# Within this a row may have been rounded; farther from one, its values are something else than probabilities.
ROUNDED_SUM = 0.1
# Whole percentages of some classes add up to 100 but for so much.
PERCENT_SLACK = 2.0
# Complements of at least this size are rounded to the digits that a float of the type holds for sure.
LEAST_ROUNDED, DECIMALS = 1e-9, {"float32": 7, "float64": 15}
# Values in a block: few enough to stay in the cache while they are looked at several times.
BLOCK = 2**17
# The flags of a word. So many flags, of which such a share is set, are looked at by whole words.
WORD_BITS = 3
MANY_FLAGS, LEAST_SET, MOST_SET = 2**15, 0.015, 0.1
# Up to so many columns these are added, from so many on the rows, one by one.
FEW_COLUMNS, MANY_COLUMNS = 3, 18
# Up to so many that were turned stay whole: whatever is done with them is done with one after the other.
WHOLE_COLUMNS = 4
CLOSE_TO_ONE = 1e-3
# Up to so many sums, Python finds the least and the largest before NumPy has begun.
FEW_SUMS = 64


def block_length(n_columns: int) -> int:
    """Return how many rows of so many columns make a block that stays in the cache."""
    return max(BLOCK // n_columns, 1)


def clean_blocks(
    values: NDArray[np.floating], name: str, n_rows: int | None = None
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield the rows in blocks, each checked, and clipped to [0, 1] where it leaves it by rounding.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_classes)
        float32 or float64. It is not written to.
    name : str
        What the messages call the matrix.
    n_rows : int, default=None
        Rows of a block; None takes as many as stay in the cache.

    Yields
    ------
    rows : slice
    block : ndarray of shape (n_rows, n_classes)
        A view, or a copy where values had to be clipped.

    Raises
    ------
    ValueError
        If a row is not finite, leaves [0, 1] or does not sum to one. The message names the first such row.
    """
    size = block_length(values.shape[1]) if n_rows is None else n_rows
    for start in range(0, len(values), size):
        rows = slice(start, min(start + size, len(values)))
        block = values[rows]
        within = bool(bits_of(block).max() <= bits_of(np.ones(1, block.dtype))[0])
        yield rows, checked(block, row_sums(block), within, values, name)


def bits_of(values: NDArray[np.floating]) -> NDArray[np.unsignedinteger]:
    """Return the bits of float32 or float64 as whole numbers."""
    return values.view(np.uint32 if values.dtype == np.float32 else np.uint64)


def checked(
    block: NDArray[np.floating], sums: NDArray[np.float64], within: bool, values: NDArray[np.floating], name: str
) -> NDArray[Any]:
    """Return a block of `values`, clipped where it is not `within` [0, 1]; refuse rows that are no probabilities."""
    if not within and not (block.min() >= -RANGE_TOLERANCE and block.max() <= 1.0 + RANGE_TOLERANCE):
        _refuse(values, name)
    if len(sums) <= FEW_SUMS:
        few = sums.tolist()
        least, most = min(few, default=1.0), max(few, default=1.0)
    else:
        least, most = np.minimum.reduce(sums), np.maximum.reduce(sums)
    if not (least >= 1.0 - SUM_SLACK and most <= 1.0 + SUM_SLACK):
        _refuse(values, name)
    if within:
        return block
    clipped: NDArray[Any] = np.clip(block, 0.0, 1.0)
    # Not -0.0, which has the largest bits of all.
    clipped += 0.0
    return clipped


def check_unit(values: NDArray[np.floating], name: str) -> NDArray[Any]:
    """Return numbers that must lie in [0, 1], shape (n,): themselves, or clipped where they leave it by rounding."""
    if not len(values) or bits_of(values).max() <= bits_of(np.ones(1, values.dtype))[0]:
        return values
    bad = np.flatnonzero(~((values >= -RANGE_TOLERANCE) & (values <= 1.0 + RANGE_TOLERANCE)))
    if bad.size:
        raise ValueError(f"{name} must hold finite probabilities in [0, 1]; row {bad[0]} holds {values[bad[0]]}.")
    clipped: NDArray[Any] = np.clip(values, 0.0, 1.0)
    return clipped


def two_columns(second: NDArray[np.floating]) -> NDArray[Any]:
    """Return the probabilities of two classes from those of the second, in [0, 1]."""
    first = 1.0 - second
    # The complement of 0.9 must be 0.1 as it is read from text, and not the float below it, in the bin below. Where it
    # is tiny no edge of a bin is near, but a logarithm would notice the digits that rounding takes.
    rounded = np.round(first, DECIMALS[first.dtype.name])
    return np.column_stack([np.where(first < LEAST_ROUNDED, first, rounded), second])


def check_rows(values: NDArray[np.floating], name: str) -> NDArray[Any]:
    """Return the matrix with all rows checked, itself where nothing had to be clipped."""
    clipped = [not np.may_share_memory(block, values) for _, block in clean_blocks(values, name)]
    return np.clip(values, 0.0, 1.0) if any(clipped) else values


def row_sums(block: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the sums of rows, as fast as they are read: NumPy's own sum along short rows pays for every row.

    Those of float32 are sums in float32 where all of them are close to one: within 1e-3 and what rounding adds, which
    no tolerance for sums notices.
    """
    # What has no sum is refused by whoever asked.
    with np.errstate(invalid="ignore", over="ignore"):
        return finite_sums(block)


def are_added_alone(n_columns: int) -> bool:
    """Return whether the `row_sums` of rows of so many columns are the same, to the last bit, among any other rows."""
    return n_columns <= FEW_COLUMNS or n_columns >= MANY_COLUMNS


def finite_sums(block: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the `row_sums` of rows that are known to have some."""
    return _in_double(_sums(block), block)


def long_sums(rows: NDArray[np.floating], ones: NDArray[np.floating], sums: NDArray[np.float64]) -> None:
    """Write the sums of long rows, given as many ones: faster than `row_sums` where rows come from memory.

    Their last bits may depend on the rows beside.
    """
    if rows.dtype == np.float64:
        np.matmul(rows, ones, out=sums)
    else:
        sums[:] = _in_double(rows @ ones, rows)


def column_sums(columns: NDArray[np.floating], block: NDArray[np.floating], sums: NDArray[np.float64]) -> None:
    """Write the `row_sums` of rows that were turned into columns, shape (..., n_columns, n_rows of a strip)."""
    total = sums if columns.dtype == np.float64 else np.empty(sums.shape, columns.dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        reduce_columns(np.add, columns, total)
        if total is not sums:
            sums[:] = _in_double(total, block)


def reduce_columns(combine: np.ufunc, columns: NDArray[Any], out: NDArray[Any]) -> None:
    """Write what columns of strips combine to, one after the other: ``combine.reduce`` along the last axis but one."""
    if columns.ndim == 2 and 1 < len(columns) <= WHOLE_COLUMNS:
        # NumPy's own begins with a copy of the first.
        combine(columns[0], columns[1], out=out)
        for column in columns[2:]:
            combine(out, column, out=out)
    else:
        # Not from the last to the first: NumPy 2.0 leaves one out.
        columns = columns[..., ::-1, :] if columns.strides[-2] < 0 else columns
        combine.reduce(columns, axis=-2, out=out.reshape(*columns.shape[:-2], -1))


def _in_double(sums: NDArray[Any], block: NDArray[np.floating]) -> NDArray[np.float64]:
    if sums.dtype == np.float64:
        return sums
    # NaN is close to nothing.
    close = bool(sums.min(initial=1.0) >= 1.0 - CLOSE_TO_ONE and sums.max(initial=1.0) <= 1.0 + CLOSE_TO_ONE)
    return sums.astype(np.float64) if close else _sums(block.astype(np.float64))


def _sums(block: NDArray[Any]) -> NDArray[Any]:
    n_rows, n_columns = block.shape
    if not block.flags.c_contiguous:
        return block @ np.ones(n_columns, dtype=block.dtype)
    if n_columns >= MANY_COLUMNS:
        sums: NDArray[Any] = np.einsum("ij->i", block)
        return sums
    if n_columns <= FEW_COLUMNS:
        sums = block[:, 0].copy()
        for c in range(1, n_columns):
            sums += block[:, c]
        return sums
    # Products of narrow matrices are slow, those of two rows end to end are not.
    sums, even = np.empty(n_rows, dtype=block.dtype), n_rows // 2 * 2
    pairs, adder = block[:even].reshape(-1, 2 * n_columns), np.repeat(np.eye(2, dtype=block.dtype), n_columns, axis=0)
    np.matmul(pairs, adder, out=sums[:even].reshape(-1, 2))
    sums[even:] = block[even:].sum(axis=1)
    return sums


def places_of(flags: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return ``np.flatnonzero(flags)``: of many flags, by whole words where that is quicker.

    Up to a tenth set, NumPy lets the processor guess the next flag, which pays for each one that comes as a surprise.
    """
    # The first of them speak for all.
    n_set = np.count_nonzero(flags[:MANY_FLAGS])
    if len(flags) < MANY_FLAGS or not LEAST_SET * MANY_FLAGS < n_set < MOST_SET * MANY_FLAGS:
        return np.flatnonzero(flags)
    whole = len(flags) >> WORD_BITS << WORD_BITS
    words = flags[:whole].view(np.uint64)
    some = np.flatnonzero(words != 0)
    within = np.flatnonzero(words.take(some).view(bool))
    # Quotient and remainder, whose division would take longer than all the rest.
    places: NDArray[np.intp] = (some.take(within >> WORD_BITS) << WORD_BITS) + (within & (2**WORD_BITS - 1))
    rest = np.flatnonzero(flags[whole:])
    return np.append(places, rest + whole) if rest.size else places


def _refuse(values: NDArray[Any], name: str) -> None:
    """Name the first value that is no probability or, if there is none, the first row that does not sum to one."""
    inside = (values >= -RANGE_TOLERANCE) & (values <= 1.0 + RANGE_TOLERANCE)
    sums = row_sums(values)
    if not inside.all():
        row, place = (int(i) for i in np.argwhere(~inside)[0])
        raise ValueError(
            f"{name} must hold finite probabilities in [0, 1]; row {row} holds {values[row, place]} in column {place}"
            f"{_hint(values, inside, sums)}."
        )
    bad = np.flatnonzero(np.abs(sums - 1.0) > SUM_SLACK)
    if bad.size:
        rounded = abs(sums[bad[0]] - 1.0) <= ROUNDED_SUM
        hint = "; divide each row by its sum if they were rounded" if rounded else ""
        raise ValueError(
            f"The rows of {name} must sum to 1 within {SUM_TOLERANCE:g}; row {bad[0]} sums to {sums[bad[0]]:.6g}{hint}."
        )


def _hint(values: NDArray[Any], inside: NDArray[np.bool_], sums: NDArray[np.float64]) -> str:
    """Say what the matrix looks like, if most of its rows agree; one bad row among good ones is a fault of its own."""
    if not np.isfinite(sums).all():
        return ""
    in_percent = (values.min(axis=1) >= 0.0) & (np.abs(sums - 100.0) <= PERCENT_SLACK)
    if in_percent.mean() > 0.5:
        return "; these look like percentages: divide them by 100"
    strange = ~inside.all(axis=1) | (np.abs(sums - 1.0) > ROUNDED_SUM)
    if strange.mean() > 0.5:
        return "; these look like scores, not probabilities: pass what predict_proba returns"
    return ""
