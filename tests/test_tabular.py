import builtins
import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from skroute._tabular import Tabular, html_table, text_table


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


def test_text_is_aligned_without_trailing_blanks():
    text = text_table(["name", "kind", "n"], [["fig", "a", "10"], ["banana", "bb", "7"]])
    assert text.splitlines() == ["name    kind   n", "fig     a     10", "banana  bb     7"]
    assert text_table(["a", "bb"], [["long", ""]]).splitlines() == ["a     bb", "long"]
    assert text_table(["a", "b"], []) == "a  b"


def test_html_escapes_every_cell_and_aligns_it():
    html = html_table(["<i>", "n"], [["<b>&", "1.5"]], caption="x < y")
    table = ET.fromstring(html)
    assert [cell.text for cell in table.iter() if cell.text] == ["x < y", "<i>", "n", "<b>&", "1.5"]
    sides = [cell.get("style") for row in table.iter("tr") for cell in row]
    assert [side.split(":")[-1] for side in sides] == ["left", "right"] * 2
    assert "caption" not in html_table(["a"], [])
