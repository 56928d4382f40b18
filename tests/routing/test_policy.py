import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from strategies import WATCH_ORDERS, gates, levels, n_classes, plain_route, rows, unhurried

from skroute import RoutePolicy
from skroute.datasets import load_lesson
from skroute.exceptions import DeadGateWarning

LESSON = load_lesson()
ROUTES = {"auto", "watch", "escalate", "clarify"}
UNIFORM = [[1 / 3] * 3]


def fitted(numbers, classes):
    """Fit a policy with numbers in the order of the classes, some of which may be dead."""
    by_class = {name: dict(zip(classes, numbers[name], strict=True)) for name in ("thresholds", "watch")}
    policy = RoutePolicy(**numbers | by_class)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeadGateWarning)
        return policy.fit(np.full((1, len(classes)), 1 / len(classes)), classes=classes)


def autos(proba, numbers):
    return fitted(numbers, range(proba.shape[1])).decide(proba) == "auto"


def with_strictly_one_top(proba):
    ordered = np.sort(proba, axis=1)
    return proba[ordered[:, -1] > ordered[:, -2]]


# The lesson


def test_lesson_rows_take_their_routes():
    policy = RoutePolicy().fit(LESSON.proba, classes=LESSON.classes)
    assert policy.decide(LESSON.proba).tolist() == LESSON.route
    assert LESSON.route == ["clarify", "escalate", "auto", "escalate", "escalate", "escalate", "auto"]


@pytest.mark.parametrize(
    ("watch_order", "second", "monday"),
    [
        ("before", "watch", "watch"),
        ("after", "watch", "watch"),
        ("flag", "escalate", "escalate"),
        ("top", "escalate", "watch"),
    ],
)
def test_lesson_rows_take_their_routes_with_the_watch(watch_order, second, monday):
    policy = RoutePolicy(watch=LESSON.watch, watch_order=watch_order).fit(LESSON.proba, classes=LESSON.classes)
    routes = policy.decide(LESSON.proba).tolist()
    assert routes == LESSON.route_with_watch[watch_order]
    assert routes == ["clarify", "escalate", "auto", second, monday, "escalate", "auto"]


@pytest.mark.parametrize("margin", [0.30, 0.60])
def test_thresholds_and_margin_of_the_second_lesson_give_the_same_routes(margin):
    policy = RoutePolicy(thresholds=LESSON.thresholds, margin=margin)
    with pytest.warns(DeadGateWarning):
        policy.fit(LESSON.proba, classes=LESSON.classes)
    assert policy.thresholds_ == {"account_unlock": 0.80, "vpn_issue": 0.72, "security_incident": 0.60}
    assert policy.decide(LESSON.proba).tolist() == LESSON.route


# Laws


@unhurried
@given(data=st.data(), n_classes=n_classes)
def test_routes_equal_the_plain_definition_and_the_explanation(data, n_classes):
    proba, numbers = data.draw(rows(n_classes)), data.draw(gates(n_classes))
    policy = fitted(numbers, range(n_classes))
    routes = policy.decide(proba).tolist()
    assert routes == [plain_route(row, **numbers) for row in proba]
    table = policy.explain(proba)
    assert routes == table.route.tolist()
    assert [column.tolist() for column in policy.routes_and_labels(proba)] == [routes, table.label.tolist()]
    assert set(routes) <= ROUTES


@unhurried
@given(data=st.data(), n_classes=n_classes, raised=levels)
def test_raising_a_threshold_never_adds_an_auto_route(data, n_classes, raised):
    proba, numbers = data.draw(rows(n_classes)), data.draw(gates(n_classes))
    which = data.draw(st.sets(st.integers(0, n_classes - 1)))
    stricter = [max(t, raised) if i in which else t for i, t in enumerate(numbers["thresholds"])]
    assert (autos(proba, numbers) >= autos(proba, numbers | {"thresholds": stricter})).all()


@unhurried
@given(data=st.data(), n_classes=n_classes, level=levels)
def test_a_larger_margin_or_a_smaller_entropy_never_adds_an_auto_route(data, n_classes, level):
    proba, numbers = data.draw(rows(n_classes)), data.draw(gates(n_classes))
    margin, max_entropy = numbers["margin"], numbers["max_entropy"]
    wider = level if margin is None else max(margin, level)
    sharper = level if max_entropy is None else min(max_entropy, level)
    lax = autos(proba, numbers)
    assert (lax >= autos(proba, numbers | {"margin": wider})).all()
    assert (lax >= autos(proba, numbers | {"max_entropy": sharper})).all()


@unhurried
@given(data=st.data(), n_classes=n_classes)
def test_permuting_rows_permutes_routes(data, n_classes):
    proba, numbers = data.draw(rows(n_classes)), data.draw(gates(n_classes))
    policy, order = fitted(numbers, range(n_classes)), data.draw(st.permutations(range(len(proba))))
    assert policy.decide(proba[order]).tolist() == policy.decide(proba)[order].tolist()


@unhurried
@given(data=st.data(), n_classes=n_classes)
def test_permuting_columns_with_their_classes_keeps_routes_where_one_class_is_on_top(data, n_classes):
    proba, numbers = with_strictly_one_top(data.draw(rows(n_classes))), data.draw(gates(n_classes))
    order = data.draw(st.permutations(range(n_classes)))
    permuted = numbers | {name: [numbers[name][i] for i in order] for name in ("thresholds", "watch")}
    straight, turned = fitted(numbers, range(n_classes)), fitted(permuted, order)
    assert turned.decide(proba[:, order]).tolist() == straight.decide(proba).tolist()
    assert turned.explain(proba[:, order]).label.tolist() == straight.explain(proba).label.tolist()


@unhurried
@given(data=st.data(), n_classes=n_classes)
def test_renaming_classes_renames_labels_and_nothing_else(data, n_classes):
    proba, numbers = data.draw(rows(n_classes)), data.draw(gates(n_classes))
    names = [f"class {i}" for i in range(n_classes)]
    numbered, named = (fitted(numbers, classes).explain(proba) for classes in (range(n_classes), names))
    assert named.label.tolist() == [names[i] for i in numbered.label]
    assert named.watch.tolist() == [None if i is None else names[i] for i in numbered.watch]
    for field in ("route", "confidence", "threshold", "margin", "entropy", "reason"):
        assert getattr(named, field).tolist() == getattr(numbered, field).tolist()


# Parameters


@pytest.mark.parametrize("value", [True, 80, -0.1, math.nan, "x", None, [0.8], -math.inf, 1 + 1e-9])
def test_threshold_must_be_a_level(value):
    with pytest.raises(ValueError, match=r"'threshold' parameter of RoutePolicy must be a number in \[0, 1\] or \+inf"):
        RoutePolicy(value).fit(UNIFORM)


@pytest.mark.parametrize("name", ["margin", "max_entropy", "escalate_entropy"])
@pytest.mark.parametrize("value", [True, 80, -0.1, math.nan, math.inf, "x"])
def test_gates_must_be_levels_or_none(name, value):
    with pytest.raises(ValueError, match=rf"'{name}' parameter of RoutePolicy must be a number in \[0, 1\] or None"):
        RoutePolicy(**{name: value}).fit(UNIFORM)


@pytest.mark.parametrize("name", ["thresholds", "watch"])
@pytest.mark.parametrize("value", [True, 80, -0.1, math.nan, "x", None])
def test_levels_of_single_classes_are_checked_and_named(name, value):
    with pytest.raises(ValueError, match=rf"The '{name}' parameter of RoutePolicy for 1 must be .*Got {value!r}"):
        RoutePolicy(**{name: {1: value}}).fit(UNIFORM)


@pytest.mark.parametrize("name", ["thresholds", "watch"])
@pytest.mark.parametrize("value", [[0.8, 0.8, 0.8], 0.8, "x"])
def test_levels_of_single_classes_must_be_a_dict(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of RoutePolicy must be a dict"):
        RoutePolicy(**{name: value}).fit(UNIFORM)


@pytest.mark.parametrize("value", ["Before", "first", None, 0, ["before"]])
def test_watch_order_must_be_known(value):
    with pytest.raises(ValueError, match=r"'watch_order' .* 'before', 'after', 'flag', 'top'"):
        RoutePolicy(watch_order=value).fit(UNIFORM)


@pytest.mark.parametrize("name", ["thresholds", "watch"])
def test_an_unknown_class_is_named_with_the_closest_one(name):
    policy = RoutePolicy(**{name: {"vpn_isue": 0.9}})
    with pytest.raises(ValueError, match=rf"'{name}'.*'vpn_isue', which is not a class. Did you mean 'vpn_issue'\?"):
        policy.fit(LESSON.proba, classes=LESSON.classes)


def test_a_class_named_by_value_and_by_text_is_named_twice():
    with pytest.raises(ValueError, match="names one class twice"):
        RoutePolicy(thresholds={1: 0.9, "1": 0.95}).fit(UNIFORM)


@pytest.mark.parametrize(
    ("change", "fit"),
    [
        ({"margin": 80}, {}),
        ({"thresholds": {"nobody": 0.9}}, {}),
        ({"watch": {"nobody": 0.9}}, {}),
        ({}, {"proba": [[0.5, 0.6, 0.7]]}),
        ({}, {"y": ["a", "b"]}),
        ({}, {"classes": ["a", "b"]}),
    ],
)
def test_a_failed_fit_leaves_the_earlier_one_as_it_was(change, fit):
    policy = RoutePolicy(watch=LESSON.watch).fit(LESSON.proba, classes=LESSON.classes)
    before = {name: value for name, value in vars(policy).items() if name.endswith("_")}
    policy.set_params(**change)
    with pytest.raises(ValueError):
        policy.fit(**{"proba": LESSON.proba, "classes": LESSON.classes} | fit)
    assert {name: value for name, value in vars(policy).items() if name.endswith("_")} == before
    assert policy.decide(LESSON.proba).tolist() == LESSON.route_with_watch["before"]


@pytest.mark.parametrize("method", ["decide", "explain", "routes_and_labels"])
def test_deciding_needs_a_fit(method):
    with pytest.raises(NotFittedError):
        getattr(RoutePolicy(), method)(UNIFORM)


def test_set_params_changes_nothing_until_the_next_fit():
    policy = RoutePolicy().fit(LESSON.proba, classes=LESSON.classes)
    policy.set_params(margin=None, max_entropy=None, threshold=0.5)
    assert policy.decide(LESSON.proba).tolist() == LESSON.route
    routes = policy.fit(LESSON.proba, classes=LESSON.classes).decide(LESSON.proba).tolist()
    assert routes == ["auto", "auto", "auto", "escalate", "escalate", "escalate", "auto"]


# Classes


def test_classes_come_from_the_labels_where_there_is_one_a_column():
    policy = RoutePolicy().fit(np.eye(3), ["vpn", "unlock", "security"])
    assert policy.classes_.tolist() == ["security", "unlock", "vpn"]


def test_classes_count_from_zero_where_nothing_names_them():
    assert RoutePolicy().fit(np.eye(3)).classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("name", "level"), [("thresholds", 0.9), ("watch", 0.2)])
@pytest.mark.parametrize("label", ["vpn", 3])
def test_a_class_that_is_named_where_classes_are_numbered_asks_for_classes(name, level, label):
    policy = RoutePolicy(**{name: {"2": level, label: level}})
    numbered = "0, 1, 2, numbered because none were given: pass classes= to fit"
    with pytest.raises(ValueError, match=rf"'{name}'.* names {label!r}, which is not a class.* {numbered}"):
        policy.fit(np.eye(3))
    policy.fit(np.eye(3), classes=[1, 2, label])
    policy.fit(np.eye(3), [1, 2, label] if label == 3 else ["1", "2", label])


def test_labels_that_do_not_name_every_column_ask_for_classes():
    with pytest.raises(ValueError, match="y holds 2 classes for 3 columns of proba; pass classes="):
        RoutePolicy().fit(np.eye(3), ["a", "b", "b"])


def test_labels_must_be_classes_and_one_a_row():
    with pytest.raises(ValueError, match="'z', which is not a class"):
        RoutePolicy().fit(np.eye(3), ["a", "b", "z"], classes=["a", "b", "c"])
    with pytest.raises(ValueError, match="3 rows, got 2 labels"):
        RoutePolicy().fit(np.eye(3), ["a", "b"], classes=["a", "b", "c"])


# JSON


CLASSES = [["a", "b", "c"], [0, 1, 2], [-1, 7, 30], [0.5, -1.0, 2.5], ["1", "2", "é <b>"]]


@pytest.mark.parametrize("classes", [*CLASSES, [False, True]])
@pytest.mark.parametrize("watch_order", WATCH_ORDERS)
def test_a_fitted_policy_survives_json(classes, watch_order):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.full(len(classes), 0.3), size=200)
    policy = RoutePolicy(
        0.9,
        thresholds={classes[0]: math.inf, classes[1]: 0.95},
        watch={classes[1]: 0.25, classes[0]: math.inf},
        margin=None,
        watch_order=watch_order,
    ).fit(proba, classes=classes)
    text = json.dumps(policy.to_dict(), allow_nan=False)
    again = RoutePolicy.from_dict(json.loads(text))
    assert again.explain(proba).to_records() == policy.explain(proba).to_records()
    assert again.classes_.dtype == policy.classes_.dtype
    assert (again.thresholds_, again.watch_) == (policy.thresholds_, policy.watch_)
    assert json.dumps(again.to_dict(), allow_nan=False) == text


def test_an_unfitted_policy_survives_json():
    policy = RoutePolicy(math.inf, thresholds={"a": 0.9, "b": math.inf}, max_entropy=None, watch_order="top")
    again = RoutePolicy.from_dict(json.loads(json.dumps(policy.to_dict(), allow_nan=False)))
    assert again.get_params(deep=False) == policy.get_params(deep=False)
    assert not hasattr(again, "classes_")


def test_json_keeps_fitted_numbers_that_differ_from_the_parameters():
    policy = RoutePolicy(watch={"vpn_issue": 0.5}).fit(LESSON.proba, classes=LESSON.classes)
    policy.thresholds_["account_unlock"] = math.inf
    routes = policy.decide(LESSON.proba).tolist()
    policy.set_params(margin=0.99, max_entropy=None, escalate_entropy=0.1, watch=None, watch_order="flag")
    again = RoutePolicy.from_dict(json.loads(json.dumps(policy.to_dict(), allow_nan=False)))
    assert again.decide(LESSON.proba).tolist() == routes
    assert again.get_params(deep=False)["margin"] == 0.3


def test_an_edited_number_of_a_file_takes_effect():
    data = RoutePolicy().fit(LESSON.proba, classes=LESSON.classes).to_dict()
    data["params"]["thresholds"] = {"vpn_issue": "inf"}
    data["params"]["margin"] = 0.5
    policy = RoutePolicy.from_dict(data)
    assert (policy.thresholds_["vpn_issue"], policy.margin_) == (math.inf, 0.5)
    assert policy.get_params()["thresholds__vpn_issue"] == math.inf


@pytest.mark.filterwarnings("ignore::skroute.exceptions.DeadGateWarning")
def test_parameters_are_read_as_they_were_given():
    given = RoutePolicy(0.85, thresholds={LESSON.classes[0]: 0.85}, watch_order="after")
    policy = given.fit(LESSON.proba, classes=LESSON.classes)
    again = RoutePolicy.from_dict(json.loads(json.dumps(policy.to_dict())))
    assert again.get_params() == given.get_params()
    again.set_params(threshold=0.95).fit(LESSON.proba, classes=LESSON.classes)
    assert list(again.thresholds_.values()) == [0.85, 0.95, 0.95]


@pytest.mark.filterwarnings("ignore::skroute.exceptions.DeadGateWarning")
def test_a_file_holds_the_numbers_in_force_and_not_those_set_since():
    policy = RoutePolicy(0.85, margin=0.9).fit(LESSON.proba, classes=LESSON.classes)
    policy.hold_back([LESSON.classes[1]])
    policy.set_params(threshold=0.2, margin=0.1, watch={LESSON.classes[0]: 0.5})
    again = RoutePolicy.from_dict(policy.to_dict())
    assert again.thresholds_ == policy.thresholds_
    assert (again.margin_, again.watch_) == (0.9, {})
    # Not even where they name no class.
    policy.set_params(thresholds={"storage": 0.5})
    assert RoutePolicy.from_dict(policy.to_dict()).thresholds_ == policy.thresholds_


def test_reading_a_policy_does_not_repeat_its_warning():
    with pytest.warns(DeadGateWarning):
        policy = RoutePolicy(0.5).fit(LESSON.proba, classes=LESSON.classes)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        again = RoutePolicy.from_dict(policy.to_dict())
    assert again.thresholds_ == policy.thresholds_
    assert caught == []


GOOD = RoutePolicy(watch={"a": 0.3}).fit([[0.5, 0.5]], classes=["a", "b"]).to_dict()


@pytest.mark.parametrize("part", GOOD)
def test_data_must_hold_every_part(part):
    data = {name: value for name, value in GOOD.items() if name != part}
    if part == "classes":
        assert not hasattr(RoutePolicy.from_dict(data), "classes_")
    else:
        with pytest.raises(ValueError, match=r"^data"):
            RoutePolicy.from_dict(data)


@pytest.mark.parametrize(
    "wrong",
    [
        {"policy": "CostPolicy"},
        {"params": None},
        {"params": {"margins": 0.3}},
        {"params": {"margin": 80}},
        {"classes": 3},
        {"classes": []},
        {"classes": ["a"]},
        {"classes": ["a", "a"]},
        {"classes": ["b", "c"]},
        {"thresholds": 0.8},
        {"params": {"thresholds": 0.8}},
        {"params": {"thresholds": {"a": 80}}},
        {"params": {"thresholds": {"a": None}}},
        {"params": {"watch": 3}},
        {"params": {"watch": {"z": 0.3}}},
        {"params": {"watch": {"a": 30}}},
        {"params": {"margin": "x"}},
        {"params": {"watch_order": "first"}},
    ],
)
def test_wrong_data_are_refused(wrong):
    assert RoutePolicy.from_dict(GOOD).watch_ == {"a": 0.3}
    with pytest.raises(ValueError):
        RoutePolicy.from_dict(GOOD | wrong)


@pytest.mark.parametrize("data", [None, [], "RoutePolicy", {}])
def test_data_must_be_a_dict_of_a_policy(data):
    with pytest.raises(ValueError, match=r"data must be a dict as RoutePolicy.to_dict\(\) returns it"):
        RoutePolicy.from_dict(data)


def test_an_impossible_threshold_does_not_become_a_possible_one():
    data = clone(RoutePolicy(-math.inf)).to_dict()
    with pytest.raises(ValueError, match="'threshold'"):
        RoutePolicy.from_dict(data).fit(UNIFORM)
