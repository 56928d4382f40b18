"""What was asked before in this process, found again by comparing all of it."""

import hashlib
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Contents", "Memo"]

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
    a pickle restores: types, dtypes, shapes, orders, column names, an index; and equal values of another history may
    differ, which costs a miss and no more.
    """

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts

    @classmethod
    def of(cls, value: Any) -> "Contents | None":
        """Return the contents of a value; None where its pickle does not tell all, or there is none."""
        buffers: list[pickle.PickleBuffer] = []
        try:
            pickled = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
            views = [np.frombuffer(buffer.raw(), dtype=np.uint8) for buffer in buffers]
        except Exception:
            return None
        if b"__main__" in pickled:
            # Pickled by name only: redefined in the session, it would be taken for its old self.
            return None
        parts = [np.frombuffer(pickled, dtype=np.uint8), *views]
        return cls([hashlib.sha256(part.data).digest() if len(part) > LARGE else part for part in parts])

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


@dataclass(frozen=True)
class _Entry:
    owner: Any
    contents: Contents
    value: Any
    nbytes: int


class Memo:
    """Values of the last contents that were asked for, bounded by bytes and by number.

    Threads need no lock: the entries are one tuple that is replaced and never changed. At worst, of two threads that
    replace it at once, one forgets what the other has kept.

    Parameters
    ----------
    max_bytes : int
        Most bytes of contents and values together.
    max_entries : int
        Most values.
    """

    def __init__(self, max_bytes: int, max_entries: int) -> None:
        self.max_bytes = max_bytes
        self.max_entries = max_entries
        self._entries: tuple[_Entry, ...] = ()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return sum(entry.nbytes for entry in self._entries)

    def find(self, owner: Any, contents: Contents) -> Any:
        """Return what an owner kept for equal contents, or None."""
        for entry in self._entries:
            if entry.owner == owner and entry.contents.equal(contents):
                self._put_first(entry)
                return entry.value
        return None

    def keep(self, owner: Any, contents: Contents, value: Any, nbytes: int) -> None:
        """Keep a value of so many bytes for an owner and contents, which must be copied; forget the least used ones."""
        self._put_first(_Entry(owner, contents, value, nbytes + contents.nbytes))

    def forget(self, value: Any) -> None:
        """Forget one value."""
        self._entries = tuple(entry for entry in self._entries if entry.value is not value)

    def _put_first(self, entry: _Entry) -> None:
        room = self.max_bytes
        kept: list[_Entry] = []
        for other in (entry, *self._entries):
            # What is too large is left out, and does not take the place of the others.
            if other.nbytes <= room and len(kept) < self.max_entries and not (kept and other is entry):
                kept.append(other)
                room -= other.nbytes
        self._entries = tuple(kept)
