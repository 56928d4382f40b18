"""What was asked before in this process, found again by comparing all of it."""

from dataclasses import dataclass
from typing import Any

from skroute.classifier._contents import Contents

__all__ = ["Memo"]


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
