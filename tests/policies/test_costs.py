import copy
import json
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone

from skroute import RoutePolicy
from skroute.metrics import routing_cost
from skroute.policies import CostPolicy, RoutingCosts

TABLE = {
    "unlock": {"unlock": 0, "vpn": 5, "watch": 4, "escalate": 8, "clarify": 3},
    "vpn": {"vpn": 0, "unlock": 20, "clarify": 3, "watch": -1, "escalate": 2.5},
}
VALUES = [[0, 5, 4, 8, 3], [20, 0, -1, 2.5, 3]]
ACTIONS = ["unlock", "vpn", "watch", "escalate", "clarify"]


def changed(label, **costs):
    table = copy.deepcopy(TABLE)
    table[label] |= costs
    return table


def without(label, action):
    table = copy.deepcopy(TABLE)
    del table[label][action]
    return table


FRAMES = {
    "pandas, index": pd.DataFrame(VALUES, index=["unlock", "vpn"], columns=ACTIONS),
    "pandas, other order": pd.DataFrame(VALUES, index=["unlock", "vpn"], columns=ACTIONS)[ACTIONS[::-1]],
    "pandas, first column": pd.DataFrame(VALUES, columns=ACTIONS).assign(true=["unlock", "vpn"])[["true", *ACTIONS]],
    "polars": pl.DataFrame(VALUES, schema=ACTIONS, orient="row").select(pl.Series("true", ["unlock", "vpn"]), pl.all()),
}


@pytest.mark.parametrize("table", [TABLE, *FRAMES.values()], ids=["dict", *FRAMES])
def test_dicts_and_frames_give_one_table(table):
    costs = RoutingCosts(table)
    assert costs == RoutingCosts(TABLE) == TABLE
    assert costs.matrix(["unlock", "vpn"]).tolist() == VALUES
    assert costs.matrix(["vpn", "unlock"]).tolist() == [[0, 20, -1, 2.5, 3], [5, 0, 4, 8, 3]]


@pytest.mark.parametrize("labels", [[0, 1], [3, 7], [True, False]])
def test_classes_that_are_no_text(labels):
    frame = pd.DataFrame(VALUES, index=labels, columns=[*labels, *ACTIONS[2:]])
    costs = RoutingCosts(frame)
    assert costs.matrix(labels).tolist() == VALUES == costs.matrix([str(label) for label in labels]).tolist()
    restored = RoutingCosts.from_dict(json.loads(json.dumps(costs.to_dict())))
    assert restored == costs
    assert restored.classes.tolist() == labels


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (3, "must be a dict"),
        ({}, "at least two classes"),
        ({"unlock": TABLE["unlock"], "vpn": 3}, r"costs\['vpn'\] must be a dict"),
        (TABLE | {"watch": TABLE["vpn"]}, "named like actions: watch"),
        (changed("unlock", mail=1) | {"vpn": TABLE["vpn"] | {"mail": 2}}, "row for every class; mail"),
        (without("vpn", "clarify"), r"costs\['vpn'\] lacks clarify"),
        (without("vpn", "unlock"), r"costs\['vpn'\] lacks unlock"),
        (changed("vpn", clarfy=3), "names 'clarfy'.*Did you mean 'clarify'"),
        (pd.DataFrame(VALUES, index=["unlock", "vpn"], columns=[*ACTIONS[:4], "clarfy"]), "Did you mean 'clarify'"),
        (changed("vpn", watch=np.nan), r"costs\['vpn'\] has no finite number for watch \(nan\)"),
        (changed("vpn", watch=np.inf), r"watch \(inf\)"),
        (changed("vpn", watch="4"), r"watch \('4'\)"),
        (changed("vpn", watch=True), r"watch \(True\)"),
        (pd.DataFrame(VALUES, index=["vpn", "vpn"], columns=ACTIONS), "distinct"),
        (pd.DataFrame(VALUES, index=["unlock", "vpn"], columns=[*ACTIONS[:4], "watch"]), "one column an action"),
    ],
)
def test_bad_tables_are_refused_by_name(table, words):
    with pytest.raises(ValueError, match=words):
        RoutingCosts(table)


def test_all_faults_are_named_at_once():
    table = without("unlock", "watch") | {"vpn": TABLE["vpn"] | {"escalate": np.nan, "clarify": None}}
    with pytest.raises(ValueError, match=r"\['unlock'\] lacks watch; .*\['vpn'\].*clarify \(None\), escalate \(nan\)"):
        RoutingCosts(table)


def test_matrix_needs_every_class_and_leaves_out_the_others():
    costs = RoutingCosts.from_defaults(["a", "b", "c"])
    assert costs.matrix(["c", "a"]).tolist() == [[0, 10, 1, 1, 1], [10, 0, 1, 1, 1]]
    with pytest.raises(ValueError, match="lacks d"):
        costs.matrix(["a", "d"])


def test_defaults_by_class_and_by_person():
    review = {"watch": 1, "escalate": 2, "clarify": 3}
    costs = RoutingCosts.from_defaults([1, 2, 3], wrong={2: 200, "*": 5}, review=review)
    assert costs.matrix([1, 2, 3]).tolist() == [[0, 5, 5, 1, 2, 3], [200, 0, 200, 1, 2, 3], [5, 5, 0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"wrong": {"a": 3}}, "'wrong' must give a cost to b"),
        ({"wrong": {"c": 3, "*": 1}}, "names 'c'"),
        ({"wrong": np.nan}, "'wrong' must be a finite cost of at least 0"),
        ({"wrong": {"a": -3, "*": 1}}, r"at least 0, .* got 'a' \(-3\)\. Gains go into a table"),
        ({"wrong": 10**400}, "finite cost"),
        ({"review": -1}, "'review' must be a finite cost of at least 0"),
        ({"review": {"watch": 1}}, "'review' must give a cost to escalate, clarify"),
    ],
)
def test_bad_defaults_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        RoutingCosts.from_defaults(["a", "b"], **changes)


def test_table_is_a_read_only_mapping_that_copies_and_shows_itself():
    costs = RoutingCosts(TABLE)
    assert list(costs) == ["unlock", "vpn"]
    costs["vpn"]["vpn"] = 9
    assert costs["vpn"]["vpn"] == 0
    assert pickle.loads(pickle.dumps(costs)) == copy.deepcopy(costs) == clone(CostPolicy(costs)).costs == costs
    assert costs != RoutingCosts(changed("vpn", watch=4))
    assert repr(costs) == "RoutingCosts(2 classes: unlock, vpn; costs from -1 to 20)"
    assert "<th" in costs._repr_html_()
    caption, header, *_, note = str(costs).splitlines()
    assert caption == repr(costs)
    assert header.split() == ["true", "class", *ACTIONS]
    assert note == "rows: true class; columns: where it is routed"
    assert note in costs._repr_html_()


@pytest.mark.parametrize(
    ("wrong", "review", "cells"),
    [
        (2_500_000, 1, ["0", "2500000", "1"]),
        (7.5, 8.25, ["0.0", "7.5", "8.25"]),
        (1 / 3, 0.001, ["0.00", "0.33", "0.001"]),
        (2.125, 1e-4 / 3, ["0.00", "2.12", "0.000033"]),
    ],
)
def test_a_column_of_costs_has_the_decimals_that_it_needs(wrong, review, cells):
    costs = RoutingCosts.from_defaults(["a", "b"], wrong=wrong, review=review)
    assert str(costs).splitlines()[2].split()[1:4] == cells


def test_dict_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="to_dict"):
        RoutingCosts.from_dict(TABLE)


def test_routing_cost_takes_the_table():
    table = RoutePolicy().fit([[0.5, 0.5]], classes=["unlock", "vpn"]).explain([[0.97, 0.03], [0.4, 0.6]])
    assert table.route.tolist() == ["auto", "escalate"]
    assert routing_cost(["vpn", "unlock"], table, costs=RoutingCosts(TABLE)) == 14


TURNED = {
    "index": (pd.DataFrame(TABLE), lambda frame: frame.T, "frame.T"),
    "first column": (
        pd.DataFrame(TABLE).rename_axis("action").reset_index(),
        lambda frame: frame.set_index("action").T,
        "frame.set_index('action').T",
    ),
    "polars": (
        pl.DataFrame(pd.DataFrame(TABLE).rename_axis("action").reset_index().to_dict("list")),
        lambda frame: frame.transpose(include_header=True, column_names="action"),
        "frame.transpose(include_header=True, column_names='action')",
    ),
}


@pytest.mark.parametrize(("frame", "turn", "advice"), TURNED.values(), ids=TURNED)
def test_a_transposed_frame_is_told_how_to_turn(frame, turn, advice):
    with pytest.raises(
        ValueError, match=r"a row for each true class and a column for each action; .*looks transposed"
    ) as caught:
        RoutingCosts(frame)
    assert str(caught.value).endswith(f": pass {advice}.")
    assert RoutingCosts(turn(frame)) == TABLE


def test_a_transposed_dict_is_told_to_turn():
    with pytest.raises(ValueError, match="dict of true class to dict of action to cost; this one looks transposed"):
        RoutingCosts(pd.DataFrame.from_dict(TABLE, orient="index").to_dict())


def test_rows_of_a_frame_are_not_shown():
    with pytest.raises(ValueError, match=r"costs\['unlock'\] must be a dict of action to cost, got a Series\.$"):
        RoutingCosts(pd.DataFrame(TABLE).to_dict("series"))
