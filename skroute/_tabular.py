"""Results as tables: one set of named columns, shown as text, HTML, pandas, polars or records."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["Tabular", "html_table", "text_table"]

NUMBER = re.compile(r"[-+]?(\d|inf|nan|$)")


class Tabular:
    """Mixin for results that are a set of equally long, named columns.

    A subclass says what the columns are in `_columns`; length, exports and the HTML form follow from them.
    """

    def _columns(self) -> Mapping[str, Any]:
        """Return the columns by name, in reading order."""
        raise TypeError(f"{type(self).__name__} must say what its columns are.")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self._columns().values())))

    def to_pandas(self) -> Any:
        """Return the table as a pandas DataFrame (needs pandas)."""
        return _optional("pandas").DataFrame(dict(self._columns()))

    def to_polars(self) -> Any:
        """Return the table as a polars DataFrame (needs polars)."""
        columns = {name: _plain(values) for name, values in self._columns().items()}
        return _optional("polars").DataFrame(columns, strict=False)

    def to_records(self) -> list[dict[str, Any]]:
        """Return the table as a list of plain dicts, one a row, ready for JSON and for logs."""
        columns = self._columns()
        rows = zip(*(_plain(values) for values in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]


def _optional(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        raise ImportError(f"to_{name}() needs {name}: pip install {name}") from None


def _plain(values: Any) -> list[Any]:
    """Return the values as Python objects (NumPy scalars inside an object array included)."""
    return [value.item() if isinstance(value, np.generic) else value for value in np.asarray(values).tolist()]


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out cells as aligned text: columns of numbers flush right, the others flush left."""
    widths = [max(map(len, cells)) for cells in zip(header, *rows, strict=True)]
    right = _number_columns(header, rows)

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(cells, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join(map(line, [header, *rows]))


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "") -> str:
    """Lay out cells as an HTML table that needs no style sheet; every cell is escaped."""
    right = _number_columns(header, rows)

    def cells(tag: str, texts: Sequence[str]) -> str:
        return "".join(
            f'<{tag} style="padding:0 0.6em;text-align:{"right" if flush else "left"}">{html.escape(text)}</{tag}>'
            for text, flush in zip(texts, right, strict=True)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    title = f'<caption style="text-align:left">{html.escape(caption)}</caption>' if caption else ""
    return f"<table>{title}<thead><tr>{cells('th', header)}</tr></thead><tbody>{body}</tbody></table>"


def _number_columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[bool]:
    """Tell which columns hold numbers, intervals, or dashes for want of one."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    return [all(NUMBER.match(cell) for cell in cells) for cells in columns]
