import datetime as dt
import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from skroute import RoutePolicy, RoutingClassifier
from skroute.exceptions import SkrouteWarning
from skroute.metrics import routing_cost, routing_report
from skroute.metrics._compare import compare_policies

CLASSES = ["attack", "unlock", "vpn"]
ROUTES = ("auto", "watch", "escalate", "clarify")
COSTS = {
    true: {action: 0.0 if action == true else 5.0 for action in CLASSES}
    | {"watch": 1.0, "escalate": 1.5, "clarify": 0.5 + (true == "vpn")}
    for true in CLASSES
}


class Elsewhere:
    """A policy of somebody else: it may auto-route a row to another class than its top one."""

    def __init__(self, seed, classes=CLASSES):
        self.seed, self.classes_ = seed, np.array(classes)

    def explain(self, proba):
        # From the rows alone, so that a part of the rows is treated as within all of them.
        table = RoutePolicy().fit(proba, classes=self.classes_).explain(proba)
        digits = (np.asarray(proba)[:, 0] * 1e9).astype(int) + self.seed
        return type(table)(
            **(
                table._columns()
                | {"route": np.array(ROUTES)[digits % 4], "label": self.classes_[digits // 4 % len(self.classes_)]}
            )
        )


def policies_of(seed):
    rows = [[1 / 3, 1 / 3, 1 / 3]]
    return {
        "old": RoutePolicy(0.6, max_entropy=None).fit(rows, classes=CLASSES),
        "new": RoutePolicy(0.6, thresholds={"attack": 0.9}, max_entropy=None, watch={"attack": 0.2}).fit(
            rows, classes=CLASSES
        ),
        "other": Elsewhere(seed),
    }


def rows_of(n_rows, seed):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet([0.5, 0.5, 0.5], size=n_rows)
    truth = np.array([rng.choice(CLASSES, p=row) for row in proba])
    return proba, truth, rng.choice(["email", "phone"], size=n_rows), rng.integers(0, 3, size=n_rows)


samples = st.tuples(st.integers(2, 60), st.integers(0, 10**6))


def brute_force(before, after, truth, weight):
    """Count the moves of one policy row by row."""
    moves, matrix, moved = {}, dict.fromkeys([(a, b) for a in ROUTES for b in ROUTES], 0.0), 0.0
    for i, w in enumerate(weight):
        matrix[before.route[i], after.route[i]] += w
        same = before.route[i] == after.route[i]
        if same and (after.route[i] != "auto" or before.label[i] == after.label[i]):
            continue
        moved += w
        entry = moves.setdefault((truth[i], before.route[i], after.route[i]), [0.0, 0.0, 0.0])
        wrong = [table.route[i] == "auto" and table.label[i] != truth[i] for table in (before, after)]
        for place, amount in enumerate((1.0, *wrong)):
            entry[place] += w * amount
    return moves, matrix, moved


@given(samples, st.booleans())
@settings(max_examples=60, deadline=None)
def test_everything_equals_counting_row_by_row(sample, weighted):
    proba, truth, group, weight = rows_of(*sample)
    weight = np.maximum(weight, [1, *[0] * (len(truth) - 1)])
    policies = policies_of(sample[1])
    comparison = compare_policies(
        policies, proba, truth, by=group, costs=COSTS, sample_weight=weight if weighted else None
    )
    weight = weight.astype(float) if weighted else np.ones(len(truth))
    names = [None, *sorted(set(group[weight > 0]))]
    assert comparison.group.tolist() == [name for name in names for _ in policies]
    assert comparison.policy.tolist() == list(policies) * len(names)
    for row in comparison.to_records():
        some = ((group == row["group"]) | (row["group"] is None)) & (weight > 0)
        table, first = (policies[name].explain(proba[some]) for name in (row["policy"], "old"))
        w = weight[some]
        assert row["total"] == w.sum()
        for route in ROUTES:
            assert row[route] == pytest.approx(w[table.route == route].sum() / w.sum())
        report = routing_report(truth[some], table, classes=CLASSES, sample_weight=w)
        expected = [report.wrong[0], report.error[0], report.error_low[0], report.error_high[0]]
        assert_allclose([row[name] for name in ("wrong", "error", "error_low", "error_high")], expected)
        assert row["cost"] == pytest.approx(routing_cost(truth[some], table, costs=COSTS, sample_weight=w))
        moves, matrix, moved = brute_force(first, table, truth[some], w)
        assert row["moved"] == pytest.approx(moved / w.sum())
        found = comparison.moves(row["policy"], row["group"])
        assert found.matrix.tolist() == [[matrix[a, b] for b in ROUTES] for a in ROUTES]
        assert {
            (m["label"], m["before"], m["after"]): [m["rows"], m["wrong_before"], m["wrong_after"]]
            for m in found.to_records()
        } == moves
        assert np.all(np.diff(found.rows) <= 0)
        by_class = comparison.report(row["policy"], row["group"])
        assert_array_equal(by_class.missed, report.missed)
        assert by_class.label.tolist() == [None, *CLASSES]


@given(samples)
@settings(max_examples=30, deadline=None)
def test_whole_weights_are_repetitions(sample):
    proba, truth, group, weight = rows_of(*sample)
    weight[0] = 1
    policies, some = policies_of(sample[1]), np.repeat(np.arange(len(truth)), weight)
    by_weight = compare_policies(policies, proba, truth, by=group, costs=COSTS, sample_weight=weight)
    by_rows = compare_policies(policies, proba[some], truth[some], by=group[some], costs=COSTS)
    for name, values in by_weight._columns().items():
        if values.dtype != object:
            assert_allclose(values, by_rows._columns()[name], err_msg=name)
    assert by_weight.moves("other").to_records() == by_rows.moves("other").to_records()


@pytest.fixture
def comparison():
    proba, truth, group, _ = rows_of(300, 0)
    return compare_policies(policies_of(0), proba, truth, by=group, costs=COSTS)


def test_a_policy_moves_nothing_against_itself(comparison):
    moves = comparison.moves("old")
    assert len(moves) == 0
    assert_array_equal(moves.matrix, np.diag(np.diag(moves.matrix)))
    assert comparison.moved[0] == 0.0
    assert str(moves).startswith("PolicyMoves(old to old: 0 of 300 rows moved)")


def test_moves_name_the_rows(comparison):
    proba, _, group, _ = rows_of(300, 0)
    policies = policies_of(0)
    tables = {name: policies[name].explain(proba) for name in ("old", "other")}
    changed = tables["old"].route != tables["other"].route
    changed |= (tables["other"].route == "auto") & (tables["old"].label != tables["other"].label)
    for name in (None, *np.unique(group)):
        there = np.ones(300, dtype=bool) if name is None else group == name
        moves = comparison.moves("other", name)
        assert_array_equal(moves.index, np.flatnonzero(changed & there))
        assert len(moves.index) == moves.rows.sum()
    # Rows without weight are left out, and keep their numbers.
    weight = np.arange(300) % 3
    weighted = compare_policies(policies, proba, by=group, sample_weight=weight)
    assert_array_equal(weighted.moves("other").index, np.flatnonzero(changed & (weight > 0)))
    assert "true class" in str(moves)
    assert "top class" in str(compare_policies(policies, proba).moves("other"))
    assert moves.to_records()[0].keys() == {"label", "before", "after", "rows", "wrong_before", "wrong_after"}


def test_errors_put_the_classes_of_all_policies_side_by_side(comparison):
    errors = comparison.errors
    assert len(errors) == 3 * 4 * 3
    assert errors.label[:12].tolist() == [label for label in [None, *CLASSES] for _ in range(3)]
    for row in errors.to_records():
        report = comparison.report(row["policy"], row["group"])
        place = report.label.tolist().index(row["label"])
        assert (row["wrong"], row["auto"], row["missed"]) == (
            report.wrong[place],
            report.auto[place],
            report.missed[place],
        )
    assert repr(errors) == "ClassErrors(3 policies, 3 classes)"
    assert "group" not in compare_policies(policies_of(0), np.eye(3), CLASSES).errors.to_records()[0]


def turned_rows(policies, proba, label):
    before, after = (policy.explain(proba) for policy in policies.values())
    moved = (before.route != after.route) | ((after.route == "auto") & (before.label != after.label))
    return np.sum(moved & (np.array(CLASSES)[proba.argmax(axis=1)] == label))


def test_without_labels_there_are_routes_and_moves_of_top_classes():
    proba, _, _, _ = rows_of(200, 1)
    comparison = compare_policies(policies_of(1), proba)
    assert list(comparison.to_records()[0]) == ["policy", "total", *ROUTES, "moved"]
    moves = comparison.moves("new")
    assert list(moves.to_records()[0]) == ["label", "before", "after", "rows"]
    old, new = (policies_of(1)[name].explain(proba) for name in ("old", "new"))
    top = np.array(CLASSES)[proba.argmax(axis=1)]
    chosen = (old.route == "auto") & (new.route == "watch") & (top == "unlock")
    (record,) = [m for m in moves.to_records() if (m["label"], m["before"], m["after"]) == ("unlock", "auto", "watch")]
    assert record["rows"] == chosen.sum() > 0
    turned = {"other": Elsewhere(1), "old": policies_of(1)["old"]}
    moves = compare_policies(turned, proba).moves("old")
    for label in CLASSES:
        assert moves.rows[moves.label == label].sum() == turned_rows(turned, proba, label)
    for ask in (lambda: comparison.errors, lambda: comparison.report("new")):
        with pytest.raises(ValueError, match="needs true labels: pass y to compare_policies"):
            ask()


def test_every_form_shows_the_same(comparison):
    assert repr(comparison).startswith("PolicyComparison(300 rows, 2 groups; auto-routed: old ")
    lines = str(comparison).splitlines()
    assert lines[1].split() == [
        *["group", "policy", "rows", *ROUTES, "moved", "wrong", "error", "95%", "interval", "cost", "per", "row"],
    ]
    assert len(lines) == 2 + 9
    assert len(comparison) == len(comparison.to_pandas()) == len(comparison.to_polars()) == 9
    assert json.loads(json.dumps(comparison.to_records()))[0]["group"] is None
    assert [line.split()[7] == "-" for line in lines[2:]] == [True, False, False] * 3
    assert str(comparison.errors).splitlines()[1].split() == (
        ["group", "class", "policy", "auto", "wrong", "error", "95%", "interval", "missed"]
    )
    assert str(comparison.errors).splitlines()[2].split()[3:5] == [
        f"{comparison.errors.auto[0]:g}",
        f"{comparison.errors.wrong[0]:g}",
    ]
    assert "missed: rows of the class" in comparison.errors._repr_html_()
    moves = comparison.moves("new", "phone")
    assert str(moves).splitlines()[1].split() == ["old", "\\", "new", *ROUTES]
    assert "rows  wrong before  wrong after" in str(moves)
    for thing in (comparison, moves, comparison.errors):
        assert thing._repr_html_().startswith("<div")
        assert thing.to_polars().to_dicts() == thing.to_records()
        assert "None" not in str(thing)


def test_of_many_groups_the_first_rows_are_shown():
    comparison = compare_policies(policies_of(0), np.eye(3)[[0] * 50], by=range(50))
    assert len(str(comparison).splitlines()) == 2 + 39 + 1
    assert str(comparison).endswith("(114 more rows)")
    assert "(114 more rows)" in comparison._repr_html_()


def test_of_many_classes_no_class_is_cut_in_the_middle():
    proba = np.eye(60)
    policies = {name: RoutePolicy(level).fit(proba) for name, level in (("old", 0.9), ("new", 0.8), ("other", 0.7))}
    errors = compare_policies(policies, proba, np.arange(60)).errors
    lines = str(errors).splitlines()
    assert lines[100].split()[:2] == ["31", "other"]
    assert lines[101] == "(84 more rows)"
    assert "(84 more rows)" in errors._repr_html_()


def test_days_are_named_as_days_and_found_by_their_text():
    proba, truth, _, _ = rows_of(6, 0)
    days = pd.Series(pd.to_datetime(["2026-01-02", "2026-01-01"] * 3))
    comparison = compare_policies(policies_of(0), proba, truth, by=days)
    assert comparison.group[3] == dt.date(2026, 1, 1)
    assert comparison.moves("new", "2026-01-02").matrix.sum() == 3
    assert comparison.moves("new", dt.date(2026, 1, 2)).matrix.sum() == 3
    assert "2026-01-01  old" in str(comparison)
    hours = compare_policies(policies_of(0), proba, truth, by=days + pd.Timedelta("1h"))
    assert hours.group[3] == dt.datetime(2026, 1, 1, 1)


def test_columns_are_matched_whatever_the_order_of_classes():
    proba, truth, _, _ = rows_of(100, 2)
    old = RoutePolicy(0.7, max_entropy=None).fit(proba, classes=CLASSES)
    turned = RoutePolicy(0.7, max_entropy=None).fit(proba, classes=CLASSES[::-1])
    comparison = compare_policies({"old": old, "turned": turned}, proba, truth)
    assert comparison.moved.tolist() == [0.0, 0.0]
    frame = pl.DataFrame(proba[:, ::-1], schema=CLASSES[::-1])
    assert compare_policies({"old": old}, frame, truth).to_records() == [comparison.to_records()[0]]


def test_a_label_that_the_policies_do_not_know_is_always_wrong():
    proba = np.array([[0.98, 0.01, 0.01], [0.98, 0.01, 0.01], [0.4, 0.3, 0.3]])
    with pytest.warns(SkrouteWarning, match=r"no class of the policies: 'phishing' \(2 rows\)\. Their rows are wrong"):
        comparison = compare_policies(policies_of(0), proba, ["attack", "phishing", "phishing"])
    assert comparison.wrong[0] == 1
    assert comparison.report("old").label.tolist() == [None, *CLASSES, "phishing"]
    assert comparison.report("old").missed[-1] == 1


def test_one_warning_names_the_most_frequent_unknown_labels_and_what_they_may_be():
    proba = np.eye(3)[[0] * 9]
    y = ["attack", "phishing", *["Unlock"] * 3, "vnp", "vnp", "mail", "attak"]
    with pytest.warns(SkrouteWarning) as caught:
        compare_policies(policies_of(0), proba, y, by=[1, 2, 3] * 3, sample_weight=[1, 0, *[1] * 7])
    (warning,) = caught
    assert warning.filename == __file__
    assert str(warning.message) == (
        "y holds labels that are no class of the policies: 'Unlock' (3 rows; did you mean 'unlock'?), 'vnp' (2 rows; "
        "did you mean 'vpn'?), 'attak' (1 row; did you mean 'attack'?) and 1 more. Their rows are wrong wherever they "
        "are auto-routed."
    )


def test_labels_that_match_by_their_text_are_known():
    policy = RoutePolicy().fit(np.eye(3), classes=[1, 2, 3])
    assert compare_policies({"policy": policy}, np.eye(3), ["1", "2", "3"]).wrong.tolist() == [0]


def test_importances_of_one_group_may_be_whole_by_chance():
    proba, truth, _, _ = rows_of(80, 4)
    group, weight = np.arange(80) % 2, np.where(np.arange(80) % 2, 2.0, 0.5)
    comparison = compare_policies(policies_of(0), proba, truth, by=group, sample_weight=weight)
    alone = routing_report(truth[1::2], policies_of(0)["old"].explain(proba[1::2]))
    row = comparison.to_records()[6]
    assert (row["group"], row["policy"]) == (1, "old")
    assert row["error_high"] == pytest.approx(alone.error_high[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policies": {}}, "dict of name to fitted policy"),
        ({"policies": RoutePolicy()}, "dict of name to fitted policy"),
        ({"policies": {1: RoutePolicy()}}, "dict of name to fitted policy"),
        ({"policies": {"a": RoutingClassifier()}}, "RoutingClassifier; pass its policy_"),
        ({"policies": {"a": LogisticRegression()}}, r"policy with explain\(\), got LogisticRegression\."),
        (
            {"policies": policies_of(0) | {"b": Elsewhere(0, ["attack", "mail", "vpn"])}},
            "'b' and 'old' differ in mail, unlock",
        ),
        ({"proba": np.ones((4, 3))}, "must sum to 1"),
        ({"proba": np.empty((0, 3)), "y": None}, "at least one row"),
        ({"y": CLASSES}, "y must have one value a row: 4 rows, got 3"),
        ({"y": ["attack", "unlock", "vpn", None]}, "without missing values"),
        ({"y": ["x", "y", "z", "z"]}, "must name the classes"),
        ({"by": ["a"]}, "by must have one value a row: 4 rows, got 1"),
        ({"by": ["a", "a", "b", None]}, "by must"),
        ({"by": np.array(["2026-01-01"] * 3 + ["NaT"], dtype="M8[ns]")}, "by must not hold NaT; row 3"),
        ({"costs": COSTS, "y": None}, "costs needs true labels"),
        ({"costs": {"attack": {}}}, "costs"),
        ({"sample_weight": [1, 1, 1, -1]}, "not negative"),
        ({"sample_weight": [0, 0, 0, 0]}, "positive weight"),
    ],
)
def test_bad_input_is_named(change, message):
    given = {"policies": policies_of(0), "proba": np.eye(3)[[0, 1, 2, 0]], "y": [*CLASSES, "vpn"]} | change
    with pytest.raises(ValueError, match=message):
        compare_policies(**given)


def test_an_unfitted_policy_is_named():
    with pytest.raises(NotFittedError, match=r"policies\['new'\] is not fitted"):
        compare_policies({"old": Elsewhere(0), "new": RoutePolicy()}, np.eye(3))


def test_an_unknown_policy_or_group_is_named(comparison):
    with pytest.raises(ValueError, match="one of the policies old, new, other, got 'older'"):
        comparison.moves("older")
    with pytest.raises(ValueError, match="None or one of email, phone, got 'fax'"):
        comparison.report("new", "fax")
    with pytest.raises(ValueError, match="the groups in by"):
        compare_policies(policies_of(0), np.eye(3)).moves("new", "fax")
