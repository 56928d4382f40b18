"""Texts and labels from a file."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._validation import listed
from skroute.cli._errors import CommandError, extra

__all__ = ["read_texts", "shortened"]

LONGEST_LABEL = 200
WORD = re.compile(r"[^\W\d_]{2,}")


def read_texts(path: str, text: str, label: str) -> tuple[NDArray[np.object_], NDArray[np.str_], int]:
    """Read a text column and a label column.

    Parameters
    ----------
    path : str
        A csv, csv.gz or parquet file.
    text, label : str
        Names of the two columns.

    Returns
    -------
    texts, labels : ndarray of shape (n_rows,)
        Rows that have a label; a missing text is empty.
    n_dropped : int
        Rows without a label.

    Raises
    ------
    CommandError
        If the file or a column is missing, the file is empty or unreadable, or the text column holds no text.
    """
    frame = _read_frame(Path(path))
    for name in (text, label):
        if name not in frame.columns:
            hint = " (the separator must be a comma)" if frame.width == 1 else ""
            columns = listed(map(shortened, frame.columns))
            raise CommandError(f"{path} has no column {name!r}; its columns are {columns}{hint}")
    if not frame.height:
        raise CommandError(f"{path} holds no rows")
    labels = _strings(frame[label])
    texts = _strings(frame[text])
    labelled = np.array([bool(value.strip()) for value in labels])
    if not labelled.any():
        raise CommandError(f"column {label!r} of {path} holds no labels")
    texts = texts[labelled]
    if not any(WORD.search(value) for value in texts):
        raise CommandError(f"column {text!r} of {path} holds no text")
    longest = max(map(len, labels[labelled]))
    if longest > LONGEST_LABEL:
        raise CommandError(f"column {label!r} of {path} holds labels of up to {longest} characters; is it the text?")
    return texts, labels[labelled].astype(str), int((~labelled).sum())


def shortened(text: Any, length: int = 40) -> str:
    """Return a label or column name fit for a terminal: it may be a whole ticket, or hold control characters."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text)[: length + 1])
    return text if len(text) <= length else f"{text[:length]}..."


def _read_frame(path: Path) -> Any:
    polars = extra("polars")
    name = path.name.lower()
    try:
        if not path.is_file():
            raise CommandError(f"there is no file {path}")
        if not path.stat().st_size:
            raise CommandError(f"{path} is empty")
        if name.endswith(".parquet"):
            return polars.read_parquet(path)
        if name.endswith((".csv", ".csv.gz")):
            # Everything as text: a label such as 007 keeps its zeros.
            return polars.read_csv(path, infer_schema=False)
    except CommandError:
        raise
    except Exception as error:
        # polars raises errors of its own, of the system and of the decompressor; to the user all mean the same.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CommandError(f"{path} cannot be read: {reason}") from None
    raise CommandError(f"{path} is of an unknown kind; use .csv, .csv.gz or .parquet")


def _strings(series: Any) -> NDArray[np.object_]:
    return np.array(["" if value is None else str(value) for value in series.to_list()], dtype=object)
