"""How labels and numbers come in: what NumPy would misread is refused."""

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skroute._validation import check_classes, check_sample_weight, column, distinct_labels


@pytest.mark.parametrize("make", [list, tuple])
def test_beside_text_other_labels_stay_what_they_are(make):
    assert column(make(["a", math.nan]), "y").dtype == object
    assert column(make(["a", 1]), "y").tolist() == ["a", 1]
    assert column([["a"], [1]], "y").tolist() == ["a", 1]
    assert column(make(["a", np.str_("b")]), "y").dtype == "<U1"
    assert column(make([b"a", b"b"]), "y").dtype == "S1"


@pytest.mark.parametrize(
    "missing", [None, math.nan, pd.NA, pd.NaT, np.datetime64("NaT", "ns"), np.array("NaT", dtype="m8[ns]")[()]]
)
def test_missing_classes_are_refused(missing):
    with pytest.raises(ValueError, match="classes must not hold missing labels"):
        check_classes(np.array(["a", missing], dtype=object))


@pytest.mark.parametrize("unit", ["D", "ns"])
def test_a_missing_time_is_no_class(unit):
    times = np.array(["2026-01-01", "NaT"], dtype=f"M8[{unit}]")
    with pytest.raises(ValueError, match="classes must not hold missing labels"):
        check_classes(times)
    with pytest.raises(ValueError, match="y must not hold NaT; row 1 does"):
        distinct_labels(times)


def test_containers_that_would_be_misread_are_refused():
    with pytest.raises(ValueError, match=r"y must hold its values, got a LazyFrame; pass y\.collect\(\)"):
        column(pl.LazyFrame({"y": ["a"]}), "y")
    with pytest.raises(ValueError, match="y must hold rows of equal length, got a list of unequal ones"):
        column([["a"], ["b", "c"]], "y")
    masked = np.ma.masked_array([1, 2], mask=[False, True])
    with pytest.raises(ValueError, match="y must not hold masked values; fill them, or leave out their rows"):
        column(masked, "y")
    assert column(masked[:1], "y").tolist() == [1]


def test_numbers_beyond_floats_and_texts_among_objects_are_no_weights():
    for weight in ([10**400, 1], np.array(["1", "2"], dtype=object), ["1", None]):
        with pytest.raises(ValueError, match="sample_weight must hold real numbers, got object values"):
            check_sample_weight(weight, 2)
