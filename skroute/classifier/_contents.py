"""All that a value holds, as bytes: by these it is told whether two fits or two requests are the same."""

import hashlib
import io
import pickle
import pickletools
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Contents"]

# Words in a block: comparing ends with the first block that differs; smaller ones cost more in calls than they save.
BLOCK = 2**17
# One word in so many is looked at first: the training rows of two folds may differ late, and mostly do in one of these.
STEP = 2**12
# A part of more bytes is kept as its digest. To compare costs a twentieth of hashing, but takes a copy of the data.
LARGE = 2**24

Part = bytes | NDArray[np.uint8]


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
            views = [np.frombuffer(buffer.raw(), dtype=np.uint8) for buffer in buffers]
        except Exception as error:
            raise pickle.PicklingError(str(error) or type(error).__name__) from error
        pickled = stream.getvalue()
        if b"__main__" in pickled and _names_main(pickled):
            # Pickled by name only: redefined in the session, it would be taken for its old self.
            raise pickle.PicklingError("defined in __main__")
        parts = [np.frombuffer(pickled, dtype=np.uint8), *views]
        return cls([hashlib.sha256(part.data).digest() if len(part) > LARGE else part for part in parts])

    def digest(self) -> str:
        """Return what stands for the contents in the name of a file."""
        total = hashlib.sha256()
        for part in self._parts:
            # With its length, so that no two lists of parts run together to the same bytes.
            total.update(len(part).to_bytes(8, "little"))
            total.update(part if isinstance(part, bytes) else part.data)
        return total.hexdigest()

    @property
    def nbytes(self) -> int:
        """Their size in bytes."""
        return sum(part.nbytes if isinstance(part, np.ndarray) else len(part) for part in self._parts)

    def copied(self) -> "Contents":
        """Return the contents as they are now, whatever is written into the value later."""
        return Contents([part.copy() if isinstance(part, np.ndarray) else part for part in self._parts])

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
    whole = len(first) // 8 * 8
    words = first[:whole].view(np.uint64), second[:whole].view(np.uint64)
    looks = [slice(None, None, STEP), *(slice(start, start + BLOCK) for start in range(0, len(words[0]), BLOCK))]
    return all(np.array_equal(words[0][look], words[1][look]) for look in looks) and np.array_equal(
        first[whole:], second[whole:]
    )
