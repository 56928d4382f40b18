"""Results as tables: one set of named columns, shown as text, HTML, pandas, polars or records."""

import copy
import html
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

__all__ = [
    "RowTable",
    "Sheet",
    "Tabular",
    "count_text",
    "counted",
    "interval_text",
    "level_text",
    "more_text",
    "share_text",
]

# In HTML, cells up to so many characters stay on one line; longer ones wrap, at a width that can be read.
ONE_LINE = 40
SHORT, LONG = "white-space:nowrap", "min-width:16em;max-width:28em;overflow-wrap:anywhere"


@dataclass(frozen=True)
class Sheet:
    """What a result shows of itself, laid out as text or as HTML.

    Attributes
    ----------
    header : sequence of str
        Names of the columns.
    rows : sequence of sequence of str
        The cells.
    words : collection of str
        The columns that hold words, flush left; the others hold numbers, flush right.
    caption, note : str
        Lines above and below the table.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Collection[str]
    caption: str = ""
    note: str = ""

    def text(self) -> str:
        """Return aligned text."""
        # A line break in a label would break the line of the table.
        rows = [[re.sub(r"\s", " ", cell) for cell in row] for row in (self.header, *self.rows)]
        widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
        sides = [str.rjust if flush else str.ljust for flush in self._right()]
        lines = [
            "  ".join(side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*filter(None, [self.caption]), *lines, *filter(None, [self.note])])

    def html(self) -> str:
        """Return HTML that needs no style sheet; everything is escaped, and no "$" is taken for a formula."""

        def line(text: str) -> str:
            style = "white-space:pre-line;overflow-wrap:anywhere"
            return f'<div style="{style}">{html.escape(text)}</div>' if text else ""

        def cells(tag: str, texts: Sequence[str]) -> str:
            return "".join(
                f'<{tag} style="padding:0.1em 0.6em;text-align:{"right" if flush else "left"};'
                f'{SHORT if len(text) <= ONE_LINE else LONG}">{html.escape(text)}</{tag}>'
                for text, flush in zip(texts, self._right(), strict=True)
            )

        body = "".join(f"<tr>{cells('td', row)}</tr>" for row in self.rows)
        return (
            f'<div class="tex2jax_ignore mathjax_ignore">{line(self.caption)}<table style="margin:0 0 0.5em">'
            f"<thead><tr>{cells('th', self.header)}</tr></thead><tbody>{body}</tbody></table>{line(self.note)}</div>"
        )

    def _right(self) -> list[bool]:
        return [bool(self.rows) and name not in self.words for name in self.header]


class Tabular:
    """Mixin for results that are a set of equally long, named columns.

    A subclass says what the columns are in `_columns`, from which length and exports follow, and what it shows of them
    in `_shown`, from which text and HTML follow.
    """

    def _columns(self) -> Mapping[str, Any]:
        """Return the columns by name, in reading order."""
        raise TypeError(f"{type(self).__name__} must say what its columns are.")

    def _shown(self) -> Sheet:
        """Return what text and HTML show."""
        raise TypeError(f"{type(self).__name__} must say what it shows.")

    def __str__(self) -> str:
        """Return the table as text."""
        return self._shown().text()

    def _repr_html_(self) -> str:
        return self._shown().html()

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


class RowTable(Tabular):
    """Mixin for tables with an entry for each row that was asked about; a dataclass with a field `index`."""

    index: Any

    def indexed_like(self, rows: Any) -> Self:
        """Return the table with the index of the frame or Series that the rows came in, if it has one of its length."""
        index: Any = getattr(rows, "index", None) if hasattr(rows, "iloc") else None
        if not hasattr(index, "equals") or len(index) != len(self):
            return self
        # Of whatever constructor.
        table = copy.copy(self)
        object.__setattr__(table, "index", index)
        return table

    def _asked(self, rows: Any) -> Any:
        """Return a slice, a mask or numbers of rows as NumPy takes them."""
        if not hasattr(rows, "iloc"):
            return rows
        asked = np.asarray(rows)
        # pandas has masks of objects, and of a dtype of its own.
        flags = [isinstance(item, bool | np.bool_) for item in asked.flat] if asked.dtype == object else [False]
        if all(flags):
            asked = asked.astype(np.bool_)
        elif any(flags):
            raise ValueError("A mask must say True or False of every row; mask.fillna(False) fills in what is missing.")
        if asked.dtype == np.bool_ and self.index is not None and not self.index.equals(rows.index):
            raise ValueError(
                "A mask must have the index of the rows, in the same order; the one given has another. Align it, "
                "mask.loc[table.index], or pass mask.to_numpy() if its order is that of the rows."
            )
        return asked

    def _index_of(self, rows: Any) -> Any:
        """Return the index of some rows; None where there is none."""
        return None if self.index is None else self.index[np.atleast_1d(np.arange(len(self))[rows])]

    def to_pandas(self) -> Any:
        """Return the table as a pandas DataFrame, with the index of the frame that the rows came in (needs pandas)."""
        return _optional("pandas").DataFrame(dict(self._columns()), index=self.index)


def _optional(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        raise ImportError(f"to_{name}() needs {name}: pip install {name}") from None


def _plain(values: Any) -> list[Any]:
    """Return the values as Python objects (NumPy scalars inside an object array included)."""
    return [value.item() if isinstance(value, np.generic) else value for value in np.asarray(values).tolist()]


def counted(value: float, one: str, many: str = "") -> str:
    """Return a number of things with their name: "1 row", "2 rows"."""
    return f"{count_text(value)} {one if value == 1 else many or f'{one}s'}"


def count_text(value: float) -> str:
    """Return a number of rows, or their weight: all digits of a whole number, else one decimal; "-" for NaN."""
    return "-" if math.isnan(value) else f"{value:.{0 if value % 1 == 0 else 1}f}"


def share_text(value: float, rounded: Callable[[float], float] = round) -> str:
    """Return a share in percent with one decimal, "-" for NaN; bounds are rounded by `math.ceil` or `math.floor`."""
    # To a millionth of the last digit first: a share of 0.057 is 57.00000000000001 thousandths.
    return "-" if math.isnan(value) else f"{rounded(round(1000 * float(value), 6)) / 10:.1f}%"


def interval_text(low: float, high: float) -> str:
    """Return an interval of a share, rounded outwards."""
    return "-" if math.isnan(low) else f"{share_text(low, math.floor)} to {share_text(high, math.ceil)}"


def level_text(share: float) -> str:
    """Return a share that somebody chose as it was given: 0.9999 is not 100%."""
    return f"{100 * share:.10g}%"


def more_text(n_hidden: int) -> str:
    """Return the line on the rows that are not shown; empty where there are none."""
    return f"({n_hidden} more row{'s' if n_hidden > 1 else ''})" if n_hidden > 0 else ""
