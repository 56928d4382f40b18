"""All that a value holds, as bytes: by these it is told whether two fits or two requests are the same."""

import hashlib
import io
import pickle
import pickletools
from typing import Any

import numpy as np

__all__ = ["Contents"]

# Of a part with more bytes, words in so many places are looked at first: the training rows of two folds may differ
# late, and mostly do in one of these. Each look costs a wait for the memory.
LONG, LOOKS = 2**18, (2**4, 2**8)
# A part of more bytes is kept as its digest. To compare costs a twentieth of hashing, but takes a copy of the data.
LARGE = 2**24

# A digest; bytes that are read in place; and such that were copied.
Part = bytes | memoryview | bytearray


class Contents:
    """All that a value holds, as bytes: equal contents are equal values, of the same layout in memory.

    The value's pickle tells it, with the buffers of its arrays beside it, which are read in place. So it tells whatever
    a pickle restores: types, dtypes, shapes, orders, column names, an index, the order of a dict; and equal values of
    another history may differ, which costs a miss and no more.
    """

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts

    @classmethod
    def of(cls, value: Any) -> "Contents":
        """Return the contents of a value.

        Raises
        ------
        PicklingError
            If its pickle does not tell all, or there is none; the message says why.
        """
        buffers: list[pickle.PickleBuffer] = []
        stream = io.BytesIO()
        try:
            _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(value)
            views = [buffer.raw() for buffer in buffers]
        except Exception as error:
            raise pickle.PicklingError(str(error) or type(error).__name__) from error
        pickled = stream.getvalue()
        if b"__main__" in pickled and _names_main(pickled):
            # Pickled by name only: redefined in the session, it would be taken for its old self.
            raise pickle.PicklingError("defined in __main__")
        parts = [memoryview(pickled), *views]
        return cls([hashlib.sha256(part).digest() if len(part) > LARGE else part for part in parts])

    def digest(self) -> str:
        """Return what stands for the contents in the name of a file."""
        total = hashlib.sha256()
        for part in self._parts:
            # With its length, so that no two lists of parts run together to the same bytes.
            total.update(len(part).to_bytes(8, "little"))
            total.update(part)
        return total.hexdigest()

    @property
    def nbytes(self) -> int:
        """Their size in bytes."""
        return sum(len(part) for part in self._parts)

    def copied(self) -> "Contents":
        """Return the contents as they are now, whatever is written into the value later."""
        return Contents([part if isinstance(part, bytes) else bytearray(part) for part in self._parts])

    def equal(self, other: "Contents") -> bool:
        """Tell whether these are the same contents."""
        return len(self._parts) == len(other._parts) and all(map(_same, self._parts, other._parts))


class _Pickler(pickle.Pickler):
    """A pickler that refuses arrays whose pickles leave out what somebody has added to them."""

    def reducer_override(self, value: Any) -> Any:
        own = isinstance(value, np.ndarray) and type(value).__reduce__ is np.ndarray.__reduce__
        if own and type(value) is not np.memmap and getattr(value, "__dict__", None):
            raise pickle.PicklingError(f"the pickle of {type(value).__name__} leaves out its attributes")
        return NotImplemented


def _names_main(pickled: bytes) -> bool:
    """Tell whether something is pickled by its name in the session, and not only a text that mentions it."""
    return any(
        str(argument).startswith("__main__ ") if opcode.name == "GLOBAL" else argument == "__main__"
        for opcode, argument, _ in pickletools.genops(pickled)
    )


def _same(first: Part, second: Part) -> bool:
    if isinstance(first, bytes) or isinstance(second, bytes):
        return isinstance(first, bytes) and isinstance(second, bytes) and first == second
    if len(first) != len(second):
        return False
    if len(first) > LONG:
        words = [np.frombuffer(part, dtype=np.uint64, count=len(part) // 8) for part in (first, second)]
        for number in LOOKS:
            step = max(len(words[0]) // number, 1)
            if (words[0][::step] != words[1][::step]).any():
                return False
    # Python compares bytearrays, but not memoryviews, as quickly as they are read.
    return (first if isinstance(first, bytearray) else bytearray(first)) == second
