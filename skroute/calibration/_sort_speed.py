"""Whether NumPy sorts quickly here: on some processors it takes eight times as long as on others of their age."""

from functools import lru_cache
from time import perf_counter

import numpy as np

__all__ = ["sorts_quickly"]

# What is sorted to find out, and how often: so little that it takes less than one fit of as many rows.
ROWS, TIMES = 2**12, 5
# Seconds a row. Quick ones take 3 to 6 nanoseconds, slow ones 30 and more.
QUICK = 12e-9


@lru_cache(maxsize=1)
def sorts_quickly() -> bool:
    """Measure once whether a sort of integers takes less than some ways around it.

    Nothing but time may depend on the answer.
    """
    keys = np.random.default_rng(0).integers(0, 2**63, ROWS, dtype=np.uint64)
    seconds = []
    for _ in range(TIMES):
        some = keys.copy()
        start = perf_counter()
        some.sort()
        seconds.append(perf_counter() - start)
    return min(seconds) < QUICK * ROWS
