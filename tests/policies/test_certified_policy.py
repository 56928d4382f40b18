import copy
import json
import math
import pickle
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from strategies import WATCH_ORDERS, gates, rows

from skroute import CertifiedPolicy, RoutePolicy
from skroute.exceptions import DeadGateWarning, UncertifiedClassWarning
from skroute.policies._certify import certify_class
from skroute.policies._recall import watch_level

CLASSES = ["attack", "unlock", "vpn"]
OPEN = {"margin": None, "max_entropy": None}


def draw(n_rows=1500, classes=CLASSES, seed=0, spread=0.3):
    """Return calibrated probabilities and labels drawn from them."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(len(classes), spread), size=n_rows)
    codes = (proba.cumsum(axis=1)[:, :-1] < rng.random((n_rows, 1))).sum(axis=1)
    return proba, np.array(classes)[codes]


def quietly(policy, *data, **more):
    """Fit, whether or not some class is not certified."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncertifiedClassWarning)
        return policy.fit(*data, **more)


def gated(policy, proba):
    """Tell which rows pass everything but the threshold, by a policy that has none."""
    given = {name: getattr(policy, f"{name}_") for name in ("margin", "max_entropy", "escalate_entropy", "watch_order")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeadGateWarning)
        plain = RoutePolicy(0.0, watch=policy.watch_, **given).fit(proba, classes=policy.classes_)
    return plain.decide(proba) == "auto"


def expected(policy, proba, y, label, target, *, reference=None, weight=None, weights="auto", risk=None):
    """Certify one class on the rows that pass all gates."""
    place = policy.classes_.tolist().index(label)

    def part(values):
        return gated(policy, values) & (np.argmax(values, axis=1) == place)

    chosen = part(proba)
    return certify_class(
        proba[chosen].max(axis=1),
        np.asarray(y)[chosen] != label,
        max_error=target,
        risk=1.0 - policy.confidence if risk is None else risk,
        reference=None if reference is None else reference[part(reference)].max(axis=1),
        weight=None if weight is None else weight[chosen],
        weights=weights,
    )


def state(policy):
    """Return all that a fit has learned, in a form that can be compared."""
    return {name: repr(value) for name, value in vars(policy).items() if name.endswith("_")}


# The thresholds


@pytest.mark.parametrize("watch_order", WATCH_ORDERS)
@pytest.mark.parametrize("watch", [None, {"vpn": 0.1}, {"vpn": 0.1, "attack": math.inf}])
@pytest.mark.parametrize("open_gates", [{}, OPEN, {"margin": 0.8, "max_entropy": None}])
@pytest.mark.parametrize("with_reference", [False, True])
def test_thresholds_are_those_of_the_rows_that_pass_all_gates(watch_order, watch, open_gates, with_reference):
    proba, y = draw()
    reference = draw(seed=1)[0] if with_reference else None
    policy = CertifiedPolicy(0.1, watch=watch, watch_order=watch_order, **open_gates)
    quietly(policy, proba, y, reference=reference)
    routed = pd.Series(proba.argmax(axis=1)[policy.decide(proba) == "auto"]).value_counts()
    for place, label in enumerate(CLASSES):
        found = expected(policy, proba, y, label, 0.1, reference=reference)
        record = policy.certificates_.of(label)
        assert policy.thresholds_[label] == record["threshold"] == found.threshold
        for name in ("rows", "rows_needed", "routed", "errors", "status", "upper_bound", "p_value"):
            assert record[name] == getattr(found, name)
        n_routed = routed.get(place, 0)
        assert n_routed == (record["routed"] if record["status"] == "certified" else 0)
        assert record["coverage"] == pytest.approx(n_routed / (proba.argmax(axis=1) == place).sum())


@settings(deadline=None, max_examples=25)
@given(data=st.data(), n_classes=st.integers(2, 4))
def test_any_gates_and_rows_give_the_thresholds_of_the_definition(data, n_classes):
    numbers = data.draw(gates(n_classes))
    proba = np.repeat(data.draw(rows(n_classes)), data.draw(st.integers(1, 30)), axis=0)
    y = np.resize(data.draw(st.lists(st.integers(0, n_classes - 1), min_size=1, max_size=5)), len(proba))
    watch = dict(enumerate(numbers.pop("watch")))
    del numbers["thresholds"]
    policy = quietly(CertifiedPolicy(0.2, watch=watch, **numbers), proba, y, classes=range(n_classes))
    for label in range(n_classes):
        assert policy.thresholds_[label] == expected(policy, proba, y, label, 0.2).threshold
    auto = policy.decide(proba) == "auto"
    assert auto.sum() == sum(r["routed"] for r in policy.certificates_.to_records() if r["status"] == "certified")


def test_classes_that_cannot_be_certified_are_never_auto_routed_and_hold_nothing_up():
    proba, y = draw()
    y[proba.argmax(axis=1) == 0] = "vpn"
    with pytest.warns(UncertifiedClassWarning, match=r"^Not certified: attack \(\d+ of \d+ wrong at best\)\. A class"):
        policy = CertifiedPolicy(0.1).fit(proba, y, classes=CLASSES)
    assert policy.thresholds_["attack"] == math.inf
    assert policy.certificates_.status.tolist() == ["not_attained", "certified", "certified"]
    assert not (policy.decide(proba)[proba.argmax(axis=1) == 0] == "auto").any()
    assert policy.explain([[1.0, 0.0, 0.0]]).route.tolist() != ["auto"]


def test_float32_rows_are_certified_at_thresholds_that_they_meet():
    proba, y = draw()
    policy = quietly(CertifiedPolicy(0.1), proba.astype(np.float32), y)
    routed = policy.decide(proba.astype(np.float32)) == "auto"
    assert routed.sum() == policy.certificates_.routed[policy.certificates_.status == "certified"].sum() > 0


# Targets


def test_one_target_serves_all_classes():
    assert quietly(CertifiedPolicy(0.2), *draw()).certificates_.target.tolist() == [0.2] * 3


def test_unnamed_classes_are_never_auto_routed_without_a_star():
    policy = CertifiedPolicy({"vpn": 0.1}).fit(*draw())
    assert policy.certificates_.status.tolist() == ["no_target", "no_target", "certified"]
    assert [policy.thresholds_[label] for label in CLASSES[:2]] == [math.inf] * 2
    assert np.isnan(policy.certificates_.target[:2]).all()


def test_a_star_stands_for_the_classes_not_named():
    policy = quietly(CertifiedPolicy({"vpn": 0.1, "*": 0.2}), *draw())
    assert policy.certificates_.target.tolist() == [0.2, 0.2, 0.1]
    one_by_one = quietly(CertifiedPolicy(dict(zip(CLASSES, [0.2, 0.2, 0.1], strict=True))), *draw())
    assert one_by_one.thresholds_ == policy.thresholds_


def test_nothing_asked_is_nothing_certified_and_no_warning():
    policy = CertifiedPolicy({}).fit(*draw())
    assert set(policy.decide(draw()[0])) == {"clarify", "escalate"}
    assert repr(policy.certificates_) == "Certificates(0 of 3 certified at confidence 0.9)"


def test_a_laxer_target_never_raises_a_threshold_of_the_same_start():
    proba, y = draw(4000)
    reference = draw(seed=1)[0]
    strict, lax = (quietly(CertifiedPolicy(e), proba, y, reference=reference).thresholds_ for e in (0.03, 0.2))
    assert all(lax[label] < strict[label] for label in CLASSES)


def test_numbers_that_are_not_floats_serve_as_well():
    data = draw()
    plain = quietly(CertifiedPolicy(0.125, confidence=0.875), *data)
    other = quietly(CertifiedPolicy(Fraction(1, 8), confidence=Fraction(7, 8), joint=np.False_), *data)
    assert other.thresholds_ == plain.thresholds_
    assert repr(other.certificates_) == repr(plain.certificates_)
    assert json.dumps(other.to_dict()["learned"]) == json.dumps(plain.to_dict()["learned"])


def test_given_thresholds_are_kept_and_promise_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        policy = CertifiedPolicy(0.1, thresholds={"attack": 0.55, "vpn": math.inf}).fit(*draw())
    assert (policy.thresholds_["attack"], policy.thresholds_["vpn"]) == (0.55, math.inf)
    assert policy.certificates_.status.tolist() == ["given", "certified", "given"]
    assert policy.certificates_.guarantee.tolist() == ["none", "approximate", "none"]


# Recall


@pytest.mark.parametrize("watch_order", ["before", "flag"])
def test_watch_levels_are_those_of_the_rows_of_the_class(watch_order):
    proba, y = draw()
    policy = quietly(CertifiedPolicy(0.1, min_recall={"attack": 0.95}, watch_order=watch_order), proba, y)
    own = y == "attack"
    found = watch_level(proba[own, 0], max_miss=0.05, risk=0.1)
    record = policy.certificates_.of("attack", "recall")
    assert policy.watch_ == {"attack": found.level}
    assert (record["status"], record["target"], record["threshold"]) == ("certified", 0.95, found.level)
    assert (record["rows"], record["routed"], record["errors"]) == (own.sum(), own.sum(), found.rank - 1)
    assert record["coverage"] == pytest.approx(np.mean(proba[~own, 0] >= found.level))
    caught = policy.explain(proba[own]).watch == "attack" if watch_order == "flag" else None
    if watch_order == "before":
        routes = policy.decide(proba[own])
        caught = (routes == "watch") | ((routes == "auto") & (proba[own].argmax(axis=1) == 0))
    assert (~caught).sum() == found.rank - 1


def test_learned_watches_hold_rows_back_from_other_classes_before_errors_are_counted():
    proba, y = draw()
    policy = quietly(CertifiedPolicy(0.1, min_recall={"attack": 0.8}, **OPEN), proba, y)
    held = (proba[:, 0] >= policy.watch_["attack"]) & (proba.argmax(axis=1) != 0)
    assert held.any()
    rows_of_others = policy.certificates_.rows[1:3]
    tops = np.bincount(proba[~held].argmax(axis=1))[1:]
    assert rows_of_others.tolist() == tops.tolist()


def test_too_few_rows_for_a_level_watch_everything_and_are_named_first():
    proba, y = draw(300)
    rare = np.flatnonzero(y == "attack")[20:]
    keep = np.setdiff1d(np.arange(300), rare)
    with pytest.warns(UncertifiedClassWarning) as caught:
        policy = CertifiedPolicy(0.1, min_recall={"attack": 0.95}).fit(proba[keep], y[keep], classes=CLASSES)
    assert str(caught[0].message).startswith("Not certified: recall of attack (20 of 45 rows needed, everything is wat")
    assert policy.watch_ == {"attack": 0.0}
    assert set(policy.decide(proba[proba.argmax(axis=1) != 0])) == {"watch"}
    assert policy.certificates_.of("attack", "recall")["guarantee"] == "none"


def test_given_watches_win_and_say_so():
    policy = quietly(CertifiedPolicy(0.1, min_recall={"attack": 0.9}, watch={"attack": 0.25, "vpn": 0.5}), *draw())
    assert policy.watch_ == {"attack": 0.25, "vpn": 0.5}
    record = policy.certificates_.of("attack", "recall")
    assert (record["status"], record["threshold"], record["guarantee"]) == ("given", 0.25, "none")


@pytest.mark.parametrize("watch_order", ["after", "top"])
def test_recall_needs_watches_that_nothing_goes_around(watch_order):
    with pytest.raises(ValueError, match=r"'min_recall'.*needs watch_order 'before' or 'flag'.*Got watch_order="):
        CertifiedPolicy(min_recall={"vpn": 0.9}, watch_order=watch_order).fit(*draw())
    assert CertifiedPolicy({}, min_recall={}, watch_order=watch_order).fit(*draw()).watch_ == {}


# Joint statements and the reference


def test_joint_statements_share_the_risk():
    proba, y = draw()
    settings = {"thresholds": {"unlock": 0.9}, "min_recall": {"attack": 0.8}}
    policy = quietly(CertifiedPolicy(0.1, joint=True, **settings), proba, y)
    # Two errors and one recall: what is given needs no risk.
    assert np.nanmax(np.abs(policy.certificates_.risk - 0.1 / 3)) < 1e-15
    assert policy.thresholds_["vpn"] == expected(policy, proba, y, "vpn", 0.1, risk=(1.0 - 0.9) / 3).threshold
    level = watch_level(proba[y == "attack", 0], max_miss=1.0 - 0.8, risk=(1.0 - 0.9) / 3).level
    assert policy.watch_["attack"] == level
    assert policy.certificates_.of("attack")["rows_needed"] > 22


def test_reference_makes_the_guarantee_exact():
    proba, y = draw()
    policy = quietly(CertifiedPolicy(0.1, min_recall={"vpn": 0.8}), proba, y, reference=draw(seed=1)[0])
    assert policy.certificates_.guarantee.tolist() == ["exact"] * 4
    approximate = quietly(CertifiedPolicy(0.1, min_recall={"vpn": 0.8}), proba, y)
    assert approximate.certificates_.guarantee.tolist() == ["approximate"] * 4


def test_a_class_that_the_reference_lacks_is_no_exact_one():
    """Where no reference row says where to look, the rows themselves do."""
    proba, y = draw()
    reference = np.array([[0.97, 0.02, 0.01], [0.99, 0.01, 0.0]] * 40)
    certificates = quietly(CertifiedPolicy(0.1), proba, y, reference=reference).certificates_
    assert certificates.guarantee.tolist() == ["exact", "approximate", "approximate"]
    none = quietly(CertifiedPolicy(0.1), proba, y, reference=np.empty((0, 3))).certificates_
    assert none.guarantee.tolist() == ["approximate"] * 3


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ([[0.5, 0.5]], "reference must have one column a class"),
        ([[0.9, 0.9, 0.9]], "reference"),
        ([[math.nan, 0.5, 0.5]], "reference"),
        (pd.DataFrame([[0.2, 0.3, 0.5]], columns=["attack", "unlock", "wpn"]), "The columns of reference must be"),
    ],
)
def test_reference_must_hold_probabilities_of_the_classes(reference, message):
    with pytest.raises(ValueError, match=message):
        CertifiedPolicy(0.1).fit(*draw(), reference=reference)


# Weights


@pytest.mark.parametrize("min_recall", [None, {"vpn": 0.8}])
def test_whole_weights_are_repetitions(min_recall):
    proba, y = draw(600)
    weight = np.random.default_rng(1).integers(0, 4, size=600)
    policy = CertifiedPolicy(0.1, min_recall=min_recall)
    weighted = quietly(clone(policy), proba, y, sample_weight=weight)
    repeated = quietly(clone(policy), np.repeat(proba, weight, axis=0), np.repeat(y, weight))
    assert state(weighted) == state(repeated)
    assert weighted.certificates_.to_pandas().equals(repeated.certificates_.to_pandas())


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_rows_of_weight_zero_do_not_count(scale):
    proba, y = draw(900)
    weight = np.where(np.arange(900) % 3, scale, 0.0)
    weighted = quietly(CertifiedPolicy(0.1), proba, y, sample_weight=weight)
    dropped = quietly(CertifiedPolicy(0.1), proba[weight > 0], y[weight > 0])
    assert weighted.thresholds_ == dropped.thresholds_
    np.testing.assert_allclose(weighted.certificates_.coverage, dropped.certificates_.coverage)
    assert weighted.certificates_.routed.tolist() == dropped.certificates_.routed.tolist()


def test_other_weights_are_importances():
    proba, y = draw(3000)
    weight = np.random.default_rng(1).uniform(0.2, 0.9, size=3000)
    policy = quietly(CertifiedPolicy(0.1, min_recall={"vpn": 0.8}), proba, y, sample_weight=weight)
    routed, top = policy.decide(proba) == "auto", proba.argmax(axis=1)
    for place, label in enumerate(CLASSES):
        found = expected(policy, proba, y, label, 0.1, weight=weight, weights="importance")
        record = policy.certificates_.of(label)
        assert (record["status"], record["threshold"]) == ("certified", found.threshold)
        # Counts are of rows, the coverage is by weight.
        assert record["routed"] == (routed & (top == place)).sum()
        share = weight[routed & (top == place)].sum() / weight[top == place].sum()
        assert record["coverage"] == pytest.approx(share)
    level = watch_level(
        proba[y == "vpn", 2], max_miss=1.0 - 0.8, risk=1.0 - 0.9, weight=weight[y == "vpn"], weights="importance"
    )
    record = policy.certificates_.of("vpn", "recall")
    assert (policy.watch_["vpn"], record["rows"], record["routed"]) == (level.level, level.rows, (y == "vpn").sum())
    assert record["errors"] == (proba[y == "vpn", 2] < level.level).sum()


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(1500), "sample_weight must be positive in at least one row"),
        (np.full(1500, -1.0), "sample_weight must be finite and not negative"),
        (np.full(1500, math.nan), "sample_weight must be finite and not negative"),
        (np.ones(3), "1500 rows, got 3 weights"),
        (["a"] * 1500, "sample_weight must hold real numbers"),
    ],
)
def test_weights_are_checked(weight, message):
    with pytest.raises(ValueError, match=message):
        CertifiedPolicy().fit(*draw(), sample_weight=weight)


# Labels and containers


@pytest.mark.parametrize("classes", [["a", "b", "c"], [3, 1, 2], [-1, 0, 10], [0.5, 1.5, 2.5], ["1", "2", "é <b>"]])
def test_labels_of_any_type_give_the_same_thresholds(classes):
    plain = quietly(CertifiedPolicy({"attack": 0.1, "*": 0.2}), *draw(), classes=CLASSES)
    named = quietly(CertifiedPolicy({classes[0]: 0.1, "*": 0.2}), draw()[0], draw(classes=classes)[1], classes=classes)
    assert list(named.thresholds_) == classes
    assert list(named.thresholds_.values()) == list(plain.thresholds_.values())
    assert named.certificates_.label.tolist() == classes


def test_boolean_labels_and_their_text_name_classes():
    proba, y = draw(classes=[False, True])
    policies = [quietly(CertifiedPolicy({key: 0.1}), proba, y) for key in (True, "True")]
    assert policies[0].thresholds_ == policies[1].thresholds_
    assert list(policies[0].thresholds_) == [False, True]
    assert policies[0].certificates_.status.tolist() == ["no_target", "certified"]


@pytest.mark.parametrize(
    "frame",
    [
        lambda values, names: pd.DataFrame(values, columns=names),
        lambda values, names: pl.DataFrame(values, schema=names),
    ],
)
def test_columns_of_frames_are_found_by_name(frame):
    proba, y = draw()
    order = [2, 0, 1]
    turned = frame(proba[:, order], [CLASSES[i] for i in order])
    plain = quietly(CertifiedPolicy(0.1), proba, y, reference=proba[::-1])
    framed = quietly(CertifiedPolicy(0.1), turned, pd.Series(y), classes=CLASSES, reference=turned[::-1])
    assert framed.thresholds_ == plain.thresholds_
    by_columns = quietly(CertifiedPolicy(0.1), turned, y.tolist(), reference=proba[::-1][:, order])
    assert by_columns.thresholds_ == plain.thresholds_
    assert by_columns.classes_.tolist() == ["vpn", "attack", "unlock"]


# Few rows


def test_rare_classes_give_one_warning_and_no_error():
    classes = [f"class {i:02}" for i in range(40)]
    proba, y = draw(300, classes, spread=0.05)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        policy = CertifiedPolicy(min_recall={"class 39": 0.9}).fit(proba, y, classes=classes)
    (warning,) = caught
    assert warning.category is UncertifiedClassWarning
    assert warning.filename == __file__
    assert "recall of class 39" in str(warning.message)
    assert "and 33 more" in str(warning.message)
    assert set(policy.thresholds_.values()) == {math.inf}


def test_a_class_absent_from_y_is_not_certified():
    proba, y = draw()
    kept = y != "unlock"
    with pytest.warns(UncertifiedClassWarning, match=r"recall of unlock \(0 of 22 rows needed"):
        policy = CertifiedPolicy({"*": 0.2}, min_recall={"unlock": 0.9}, watch_order="flag").fit(
            proba[kept], y[kept], classes=CLASSES
        )
    record = policy.certificates_.of("unlock")
    assert record["status"] == "not_attained"
    assert record["errors"] == record["routed"]
    assert policy.certificates_.labels_needed()["unlock"] == math.inf


@pytest.mark.parametrize("n_rows", [0, 1])
def test_none_or_one_row_certifies_nothing(n_rows):
    with pytest.warns(UncertifiedClassWarning, match=r"attack \(0 of 45 rows needed\)"):
        policy = CertifiedPolicy().fit(np.tile([[0.0, 1.0, 0.0]], (n_rows, 1)), ["unlock"] * n_rows, classes=CLASSES)
    assert policy.certificates_.rows.tolist() == [0, n_rows, 0]
    assert policy.certificates_.coverage.tolist() == [0, 0, 0]


def test_rows_that_no_gate_lets_pass_certify_nothing():
    with pytest.warns(UncertifiedClassWarning):
        policy = CertifiedPolicy(margin=1.0).fit(*draw())
    assert policy.certificates_.rows.tolist() == [0, 0, 0]
    assert set(policy.decide(draw()[0])) <= {"clarify", "escalate"}


@pytest.mark.parametrize("max_error", [0.05, 0.2])
def test_exactly_the_rows_needed_without_an_error_certify(max_error):
    needed = math.ceil(math.log(0.1) / math.log1p(-max_error))
    for n_rows, status in [(needed - 1, "too_few_rows"), (needed, "certified")]:
        proba = np.tile([[0.98, 0.02]], (n_rows, 1))
        policy = quietly(CertifiedPolicy({"a": max_error}), proba, ["a"] * n_rows, classes=["a", "b"])
        assert policy.certificates_.of("a")["status"] == status
        assert policy.thresholds_["a"] == (0.98 if status == "certified" else math.inf)


# Parameters


@pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, -0.1, 5, math.nan, math.inf, True, "0.1", None, [0.1], 1 + 0j])
@pytest.mark.parametrize(
    ("name", "keyed"), [("confidence", False), ("max_error", False), ("max_error", True), ("min_recall", True)]
)
def test_shares_lie_strictly_between_zero_and_one(name, keyed, value):
    policy = CertifiedPolicy(**{name: {"vpn": value} if keyed else value})
    match = rf"'{name}(\['vpn'\])?' parameter of CertifiedPolicy must be a number strictly between 0 and 1\. Got"
    with pytest.raises(ValueError, match=match):
        policy.fit(*draw())
    with pytest.raises(ValueError, match=match):
        policy.check(CLASSES)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"joint": "yes"}, "'joint' parameter of CertifiedPolicy must be True or False"),
        ({"joint": 1}, "'joint'"),
        ({"joint": None}, "'joint'"),
        ({"min_recall": 0.9}, "'min_recall' parameter of CertifiedPolicy must be a dict of class to value or None"),
        ({"min_recall": {"*": 0.9}}, "'min_recall'.*names '\\*', which is not a class"),
        ({"min_recall": {"atack": 0.9}}, "'min_recall'.*Did you mean 'attack'"),
        ({"max_error": {"vpm": 0.1}}, "'max_error'.*names 'vpm', which is not a class. Did you mean 'vpn'"),
        ({"thresholds": {"unlok": 0.1}}, "'thresholds'.*Did you mean 'unlock'"),
        ({"watch": {"unlok": 0.1}}, "'watch'.*Did you mean 'unlock'"),
        ({"thresholds": {"vpn": 1.1}}, "thresholds\\['vpn'\\]"),
        ({"thresholds": 0.5}, "'thresholds' parameter of CertifiedPolicy must be a dict"),
        ({"margin": 2}, "'margin'"),
        ({"max_entropy": math.nan}, "'max_entropy'"),
        ({"escalate_entropy": True}, "'escalate_entropy'"),
        ({"watch_order": "first"}, "'watch_order'"),
    ],
)
def test_parameters_are_checked_before_anything_is_fitted(params, message):
    for method in (lambda policy: policy.fit(*draw()), lambda policy: policy.check(CLASSES)):
        with pytest.raises(ValueError, match=message):
            method(CertifiedPolicy(**params))


@pytest.mark.parametrize("name", ["thresholds", "watch", "max_error", "min_recall"])
def test_a_class_named_by_value_and_by_text_is_named_twice(name):
    proba, y = draw(classes=[0, 1, 2])
    with pytest.raises(ValueError, match=f"'{name}' parameter names one class twice"):
        CertifiedPolicy(**{name: {1: 0.1, "1": 0.2}}).fit(proba, y)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((draw()[0],), r"CertifiedPolicy.fit needs y: errors cannot be counted without labels"),
        ((draw()[0], draw()[1][:-1]), "1500 rows, got 1499 labels"),
        ((draw()[0], np.where(draw()[1] == "vpn", "lan", draw()[1])), "'lan', which is not a class"),
        ((draw()[0], [None, *draw()[1][1:]]), "y must"),
        ((draw()[0] * 2, draw()[1]), "proba"),
        ((np.where(draw()[0] == draw()[0][5, 1], math.nan, draw()[0]), draw()[1]), "row 5"),
        ((draw()[0][:, :2], draw()[1]), "one column a class"),
        ((draw()[0][0], draw()[1]), "shape"),
        (("no rows", draw()[1]), "proba"),
    ],
)
def test_data_are_checked_and_a_failed_fit_leaves_the_earlier_one(data, message):
    policy = quietly(CertifiedPolicy(0.1), *draw())
    before = state(policy)
    with pytest.raises(ValueError, match=message):
        policy.fit(*data, classes=CLASSES)
    assert state(policy) == before


def test_labels_that_do_not_name_every_column_ask_for_classes():
    with pytest.raises(ValueError, match="y holds 2 classes for 3 columns of proba; pass classes="):
        CertifiedPolicy().fit(np.eye(3), ["a", "b", "b"])


@pytest.mark.parametrize("method", ["decide", "explain"])
def test_deciding_needs_a_fit(method):
    with pytest.raises(NotFittedError):
        getattr(CertifiedPolicy(), method)([[0.5, 0.5]])
    with pytest.raises(NotFittedError):
        CertifiedPolicy().hold_back(["a"])


def test_entries_are_parameters():
    policy = CertifiedPolicy({"vpn": 0.1, "*": 0.2}, thresholds={"attack": 0.9})
    names = policy.get_params()
    assert (names["max_error__vpn"], names["max_error__*"], names["thresholds__attack"]) == (0.1, 0.2, 0.9)
    changed = clone(policy).set_params(max_error__vpn=0.3, thresholds__attack=0.5, min_recall__vpn=0.9, watch__vpn=0.4)
    assert changed.max_error == {"vpn": 0.3, "*": 0.2}
    assert (changed.min_recall, changed.watch, changed.thresholds) == ({"vpn": 0.9}, {"vpn": 0.4}, {"attack": 0.5})
    assert policy.max_error == {"vpn": 0.1, "*": 0.2}
    with pytest.raises(ValueError, match="max_error__vpn needs max_error to be a dict"):
        CertifiedPolicy().set_params(max_error__vpn=0.1)
    with pytest.raises(ValueError, match="confidence has no entries"):
        CertifiedPolicy().set_params(confidence__vpn=0.1)


def test_fit_does_not_write_to_what_it_was_given():
    proba, y = draw()
    weight = np.arange(1500) % 2
    given = {"max_error": {"vpn": 0.1}, "thresholds": {"attack": 0.9}, "watch": {"attack": 0.4}, "min_recall": None}
    before = copy.deepcopy((proba, y, weight, given))
    policy = CertifiedPolicy(**given).fit(proba, y, sample_weight=weight, reference=proba)
    policy.hold_back(CLASSES)
    assert (proba == before[0]).all()
    assert (y == before[1]).all()
    assert (weight == before[2]).all()
    assert given == before[3]


# Holding back


def test_classes_held_back_lose_their_certificates():
    policy = quietly(CertifiedPolicy(0.1, min_recall={"vpn": 0.8}), *draw())
    before = policy.certificates_.to_records()
    policy.set_params(confidence=0.5)
    policy.hold_back([])
    assert policy.certificates_.to_records()[0] == before[0]
    policy.hold_back(np.array(["vpn"]))
    assert policy.thresholds_["vpn"] == policy.certificates_.of("vpn")["threshold"] == math.inf
    assert policy.certificates_.of("vpn")["status"] == "held_back"
    assert policy.certificates_.of("vpn", "recall")["status"] == "certified"
    assert policy.certificates_.confidence == 0.9
    assert policy.certificates_.to_records()[:2] == before[:2]
    assert "vpn" not in policy.certificates_.labels_needed()
    with pytest.raises(ValueError, match="'lan', which is not a class"):
        policy.hold_back(["lan"])


# Files


@pytest.mark.parametrize("classes", [CLASSES, [0, 1, 2], [-1, 7, 30], [0.5, -1.0, 2.5], ["1", "2", "é <b>"]])
@pytest.mark.parametrize("n_rows", [60, 1500])
def test_a_fitted_policy_survives_strict_json(classes, n_rows):
    proba, y = draw(n_rows, classes)
    policy = CertifiedPolicy(
        {classes[0]: 0.1, "*": 0.2}, min_recall={classes[1]: 0.8}, thresholds={classes[2]: math.inf}, margin=None
    )
    quietly(policy, proba, y, classes=classes)
    text = json.dumps(policy.to_dict(), allow_nan=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = CertifiedPolicy.from_dict(json.loads(text))
    assert again.explain(proba).to_records() == policy.explain(proba).to_records()
    assert again.classes_.dtype == policy.classes_.dtype
    assert (again.thresholds_, again.watch_) == (policy.thresholds_, policy.watch_)
    assert str(again.certificates_) == str(policy.certificates_)
    assert again.certificates_.to_pandas().equals(policy.certificates_.to_pandas())
    assert again.certificates_.labels_needed() == policy.certificates_.labels_needed()
    assert json.dumps(again.to_dict(), allow_nan=False) == text


def test_an_unfitted_policy_survives_json():
    policy = CertifiedPolicy({"a": 0.1, "*": 0.2}, min_recall={"a": 0.9}, thresholds={"b": math.inf}, joint=True)
    again = CertifiedPolicy.from_dict(json.loads(json.dumps(policy.to_dict(), allow_nan=False)))
    assert again.get_params(deep=False) == policy.get_params(deep=False)
    assert not hasattr(again, "classes_")


def test_json_holds_the_gates_that_were_certified():
    """Other gates let other rows pass, of which nothing was shown."""
    proba, y = draw()
    policy = quietly(CertifiedPolicy(0.1, watch={"vpn": 0.2}), proba, y)
    routes = policy.decide(proba).tolist()
    policy.set_params(**OPEN, escalate_entropy=0.1, watch=None, watch_order="flag", confidence=0.99)
    again = CertifiedPolicy.from_dict(json.loads(json.dumps(policy.to_dict(), allow_nan=False)))
    assert again.decide(proba).tolist() == routes
    assert repr(again.certificates_) == repr(policy.certificates_) == "Certificates(3 of 3 certified at confidence 0.9)"
    assert again.get_params()["confidence"] == 0.99


def test_json_keeps_classes_that_were_held_back():
    policy = quietly(CertifiedPolicy(0.1), *draw())
    policy.hold_back(["vpn"])
    again = CertifiedPolicy.from_dict(json.loads(json.dumps(policy.to_dict(), allow_nan=False)))
    assert again.thresholds_["vpn"] == math.inf
    assert again.certificates_.statements() == policy.certificates_.statements()


@pytest.mark.parametrize("level", ["inf", 0.5])
def test_a_number_edited_in_the_file_takes_effect_and_loses_its_certificate(level):
    data = quietly(CertifiedPolicy(0.1, min_recall={"attack": 0.8}), *draw()).to_dict()
    data["learned"]["thresholds"]["vpn"] = level
    data["learned"]["watch"]["attack"] = 0.7
    policy = CertifiedPolicy.from_dict(data)
    assert (policy.thresholds_["vpn"], policy.watch_["attack"]) == (float(level), 0.7)
    assert policy.certificates_.of("vpn")["status"] == "given"
    assert policy.certificates_.of("attack", "recall")["status"] == "given"
    assert policy.certificates_.of("unlock")["status"] == "certified"


FILE = json.loads(json.dumps(quietly(CertifiedPolicy(0.1, min_recall={"vpn": 0.8}), *draw()).to_dict()))


def _record(**change):
    return {"certificates": [FILE["learned"]["certificates"][0] | change, *FILE["learned"]["certificates"][1:]]}


def _without(name):
    first, *rest = FILE["learned"]["certificates"]
    return {"certificates": [{key: value for key, value in first.items() if key != name}, *rest]}


@pytest.mark.parametrize("name", FILE["learned"])
def test_what_was_learned_must_be_whole(name):
    learned = {key: value for key, value in FILE["learned"].items() if key != name}
    with pytest.raises(ValueError, match=rf"data\['learned'\] of CertifiedPolicy must hold .*{name}"):
        CertifiedPolicy.from_dict(FILE | {"learned": learned})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surplus": 1}, "must hold"),
        ({"thresholds": 3}, "'thresholds'"),
        ({"thresholds": None}, "must hold every class"),
        ({"thresholds": {"vpn": 0.5}}, "must hold every class; it lacks attack, unlock"),
        ({"thresholds": dict.fromkeys(CLASSES)}, "thresholds"),
        ({"thresholds": dict.fromkeys(CLASSES, -0.5)}, "thresholds"),
        ({"thresholds": dict.fromkeys(CLASSES, True)}, "thresholds"),
        ({"thresholds": dict.fromkeys(CLASSES, "nan")}, "thresholds"),
        ({"thresholds": dict.fromkeys(CLASSES, math.nan)}, "thresholds"),
        ({"thresholds": dict.fromkeys([*CLASSES, "lan"], 0.5)}, "'lan', which is not a class"),
        ({"watch": {"vpn": 5}}, "watch"),
        ({"watch": {"vnp": 0.5}}, "Did you mean 'vpn'"),
        ({"margin": 30}, "'margin'"),
        ({"watch_order": "last"}, "'watch_order'"),
        ({"confidence": 1}, "'confidence'"),
        ({"confidence": "inf"}, "'confidence'"),
        ({"certificates": None}, r"data\['learned'\]\['certificates'\] must be a list of dicts"),
        ({"certificates": {}}, "must be a list of dicts"),
        ({"certificates": [1, 2, 3]}, "must be a list of dicts"),
        ({"certificates": []}, "must state the error of attack, unlock, vpn, each once"),
        ({"certificates": FILE["learned"]["certificates"][1:]}, "each once; got unlock, vpn"),
        ({"certificates": FILE["learned"]["certificates"] * 2}, "each once"),
        (_without("label"), r"\['certificates'\]\[0\] must hold label"),
        (_without("upper_bound"), "must hold"),
        (_record(surplus=1), "must hold"),
        (_record(label="lan"), "'lan', which is not a class"),
        (_record(label=["vpn"]), "not a class"),
        (_record(label=None), "not a class"),
        (_record(kind="mistake"), "kind"),
        (_record(status="proven"), "status"),
        (_record(guarantee=None), "guarantee"),
        (_record(target="small"), "target"),
        (_record(target=[0.1]), "target"),
        (_record(threshold="nan"), "threshold"),
        (_record(errors=True), "errors"),
    ],
)
def test_tampered_files_are_refused(change, message):
    assert CertifiedPolicy.from_dict(FILE).thresholds_ == CertifiedPolicy.from_dict(copy.deepcopy(FILE)).thresholds_
    with pytest.raises(ValueError, match=message):
        CertifiedPolicy.from_dict(FILE | {"learned": FILE["learned"] | change})


@pytest.mark.parametrize(
    "change",
    [
        {"policy": "RoutePolicy"},
        {"params": None},
        {"params": {"max_errors": 0.1}},
        {"params": {"max_error": 5}},
        {"params": {"confidence": "high"}},
        {"learned": 3},
        {"classes": ["attack", "vpn"]},
        {"classes": ["attack", "unlock", "vpn", "lan"]},
        {"classes": 3},
    ],
)
def test_wrong_files_are_refused(change):
    with pytest.raises(ValueError):
        CertifiedPolicy.from_dict(FILE | change)


def test_copies_decide_alike():
    proba, y = draw()
    policy = quietly(CertifiedPolicy({"*": 0.1}, min_recall={"vpn": 0.8}), proba, y)
    for again in (pickle.loads(pickle.dumps(policy)), copy.deepcopy(policy), quietly(clone(policy), proba, y)):
        assert again.decide(proba).tolist() == policy.decide(proba).tolist()
        assert str(again.certificates_) == str(policy.certificates_)
    assert not hasattr(clone(policy), "classes_")


def test_numbers_are_audited():
    audit = quietly(CertifiedPolicy(0.1, margin=0.9), *draw()).audit()
    assert audit.of("margin").value == 0.9
    assert "threshold" in str(CertifiedPolicy(thresholds={"vpn": 0.9}).audit(n_classes=3))


# The promise


@pytest.mark.parametrize("with_reference", [True, False])
def test_a_class_that_is_just_too_bad_is_rarely_certified(with_reference):
    """The error is 0.105 at every threshold: each certificate is a violation, and one in ten draws may have one."""
    draws, certified = 200, 0
    rng = np.random.default_rng(0)
    for _ in range(draws):
        top = 0.7 + 0.3 * rng.random((2, 200))
        proba, reference = np.stack([top, 1.0 - top], axis=2)
        y = np.where(rng.random(200) < 0.105, "b", "a")
        policy = CertifiedPolicy({"a": 0.1}, **OPEN)
        quietly(policy, proba, y, classes=["a", "b"], reference=reference if with_reference else None)
        certified += policy.certificates_.of("a")["status"] == "certified"
    assert certified / draws <= 0.1 + 2.5 * math.sqrt(0.09 / draws)


def test_recall_is_missed_as_rarely_as_promised():
    draws, missed = 200, 0
    rng = np.random.default_rng(0)
    for _ in range(draws):
        own = rng.random(60)
        proba = np.column_stack([own, 1.0 - own])
        policy = quietly(CertifiedPolicy({}, min_recall={"a": 0.9}), proba, ["a"] * 60, classes=["a", "b"])
        # Uniform, so that the level is the share missed.
        missed += policy.watch_["a"] > 0.1
    assert 0.0 < missed / draws <= 0.1 + 2.5 * math.sqrt(0.09 / draws)
