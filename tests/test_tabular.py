import builtins
import json
import math
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from skroute._tabular import (
    Sheet,
    Tabular,
    count_text,
    counted,
    interval_text,
    level_text,
    more_text,
    share_text,
)


class Fruit(Tabular):
    def __init__(self, n_rows=3):
        self.n_rows = n_rows

    def _columns(self):
        columns = {
            "name": np.array(["fig", "plum", "pear"]),
            "count": np.array([1, 2, 3]),
            "weight": [0.5, float("nan"), np.float32(0.25)],
            "ripe": np.array([True, False, True]),
            "note": np.array([None, np.int64(7), np.str_("x")], dtype=object),
        }
        return {name: values[: self.n_rows] for name, values in columns.items()}


def test_length_is_the_number_of_rows():
    assert [len(Fruit(n)) for n in (0, 2, 3)] == [0, 2, 3]


def test_records_are_plain_python():
    records = Fruit().to_records()
    assert records[0] == {"name": "fig", "count": 1, "weight": 0.5, "ripe": True, "note": None}
    assert [type(value) for value in records[2].values()] == [str, int, float, bool, str]
    assert type(records[1]["note"]) is int
    assert json.loads(json.dumps(records[2])) == records[2]
    assert Fruit(0).to_records() == []


def test_pandas_keeps_names_order_and_types():
    frame = Fruit().to_pandas()
    assert list(frame) == ["name", "count", "weight", "ripe", "note"]
    assert [frame[name].dtype.kind for name in ("count", "weight", "ripe")] == ["i", "f", "b"]
    assert frame["name"].tolist() == ["fig", "plum", "pear"]
    assert Fruit(0).to_pandas().shape == (0, 5)


def test_polars_holds_what_pandas_holds():
    frame = Fruit(2).to_polars()
    assert frame.columns == list(Fruit().to_pandas())
    assert frame["count"].to_list() == [1, 2]
    assert frame["note"].to_list() == [None, 7]
    assert Fruit(0).to_polars().shape == (0, 5)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_missing_library_is_named(library, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == library:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=rf"to_{library}\(\) needs {library}: pip install {library}"):
        getattr(Fruit(), f"to_{library}")()


def test_a_table_must_say_its_columns():
    class Nothing(Tabular):
        pass

    with pytest.raises(TypeError, match="Nothing must say what its columns are"):
        len(Nothing())
    with pytest.raises(TypeError, match="Nothing must say what it shows"):
        str(Nothing())


def sheet(header, rows, words=(), **lines):
    return Sheet(header, rows, words, **lines)


def test_text_is_aligned_without_trailing_blanks():
    text = sheet(["name", "kind", "n"], [["fig", "a", "10"], ["banana", "bb", "7"]], ["name", "kind"]).text()
    assert text.splitlines() == ["name    kind   n", "fig     a     10", "banana  bb     7"]
    assert sheet(["a", "bb"], [["long", ""]], ["a"]).text().splitlines() == ["a     bb", "long"]
    assert sheet(["a", "b"], [], ["a"]).text() == "a  b"


def test_text_has_caption_and_note():
    lines = sheet(["a"], [["1"]], caption="above", note="below").text().splitlines()
    assert lines == ["above", "a", "1", "below"]


def test_a_line_break_in_a_cell_does_not_break_the_table():
    assert sheet(["a", "n"], [["two\nlines", "1"]], ["a"]).text().splitlines() == ["a          n", "two lines  1"]


def sides(table):
    cells = [cell for row in table.iter("tr") for cell in row]
    return [re.search("text-align:(left|right)", cell.get("style"))[1] for cell in cells]


def test_html_escapes_every_cell_and_has_caption_and_note():
    html = sheet(["<i>", "n"], [["<b>&", "1.5"]], ["<i>"], caption="x < y", note="(2 more)").html()
    table = ET.fromstring(html)
    assert [cell.text for cell in table.iter() if cell.text] == ["x < y", "<i>", "n", "<b>&", "1.5", "(2 more)"]
    assert sides(table) == ["left", "right"] * 2
    assert len(list(ET.fromstring(sheet(["a"], []).html()))) == 1


@pytest.mark.parametrize("cells", [["2fa_reset", "1"], ["infrastructure", "1"], ["2024", "-"], ["-", "never"]])
def test_a_column_is_aligned_by_its_name_and_not_by_what_stands_in_it(cells):
    assert sides(ET.fromstring(sheet(["class", "n"], [cells], ["class"]).html())) == ["left", "right"] * 2
    assert sides(ET.fromstring(sheet(["class", "n"], [], ["class"]).html())) == ["left", "left"]


def test_html_wraps_long_cells_only_and_keeps_out_of_the_page():
    html = sheet(["a", "b"], [["x" * 40, "x" * 41]], caption="one\ntwo").html()
    short, long = (cell.get("style") for cell in ET.fromstring(html).iter("td"))
    assert "nowrap" in short
    assert "nowrap" not in long
    assert "max-width" in long
    assert "pre-line" in html
    # JupyterLab centres tables, and MathJax typesets what stands between two dollars.
    assert '<table style="margin:0 0 ' in html
    assert ET.fromstring(html).get("class") == "tex2jax_ignore mathjax_ignore"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (2_401_500.0, "2401500"), (np.float64(1609.04), "1609.0"), (0.25, "0.2"), (math.nan, "-")],
)
def test_counts_show_all_digits_and_weights_one_decimal(value, text):
    assert count_text(value) == text


def test_things_are_counted_with_their_name():
    assert [counted(n, "row") for n in (0, 1, 2, 1.5)] == ["0 rows", "1 row", "2 rows", "1.5 rows"]
    assert [counted(n, "class", "classes") for n in (1, 2)] == ["1 class", "2 classes"]
    assert [more_text(n) for n in (-3, 0, 1, 2)] == ["", "", "(1 more row)", "(2 more rows)"]


def test_shares_have_one_decimal_and_bounds_are_rounded_away():
    assert [share_text(value) for value in (0, 0.0417, np.float64(2 / 3), 1, math.nan)] == (
        ["0.0%", "4.2%", "66.7%", "100.0%", "-"]
    )
    assert [share_text(value, math.ceil) for value in (0.0411, 0.057, 0.05, 1.0)] == ["4.2%", "5.7%", "5.0%", "100.0%"]
    assert interval_text(0.0129, 0.0301) == "1.2% to 3.1%"
    assert interval_text(math.nan, math.nan) == "-"
    assert [level_text(share) for share in (0.05, 0.9999, 0.07)] == ["5%", "99.99%", "7%"]
