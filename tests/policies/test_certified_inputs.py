import copy
import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
from policies.certified_helpers import CLASSES, draw, expected, quietly, state
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skroute import CertifiedPolicy
from skroute.policies._recall import watch_level

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


def test_no_class_is_taken_to_hold_only_the_heavy_rows_that_were_drawn_of_it():
    """Rows of weight 30 are mostly wrong and rare: a class of which none was drawn must not look certain."""
    certified = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        proba = rng.dirichlet(np.full(3, 0.3), 1500)
        heavy = rng.random(1500) < 0.003
        wrong = rng.random(1500) < np.where(heavy, 0.6, 0.01)
        weight = np.where(heavy, 30.0, 1.0) + 0.01 * rng.random(1500)
        # By weight, .059 of any rows are wrong.
        policy = quietly(CertifiedPolicy(0.05), proba, (proba.argmax(axis=1) + wrong) % 3, sample_weight=weight)
        certified += "certified" in policy.certificates_.status
    assert certified <= 1


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
        ({"confidence": 0.05}, r"must be at least 0\.5, got 0\.05: .* For a risk of 0\.05 give 0\.95\."),
        (
            {"max_error": 0.95},
            r"must be at most 0\.5, got 0\.95: it is the share .* For 0\.95 .* give 0\.05",
        ),
        ({"max_error": {"vpn": 0.95}}, r"'max_error\['vpn'\]' parameter .* at most 0\.5"),
        ({"confidence": 1 - 1e-13}, "must be at most 1 - 1e-12"),
        ({"max_error": 1e-320}, "at least 1e-12, got .*: no number of rows could show less"),
        ({"confidence": 10**400}, "'confidence' parameter of CertifiedPolicy must be a number strictly"),
        ({"joint": "yes"}, "'joint' parameter of CertifiedPolicy must be True or False"),
        ({"joint": 1}, "'joint'"),
        ({"joint": None}, "'joint'"),
        ({"min_recall": 0.9}, "'min_recall' parameter of CertifiedPolicy must be a dict of class to value or None"),
        ({"min_recall": {"*": 0.9}}, "'min_recall'.*names '\\*', which is not a class"),
        ({"min_recall": {"atack": 0.9}}, "'min_recall'.*Did you mean 'attack'"),
        ({"max_error": {"vpm": 0.1}}, "'max_error'.*names 'vpm', which is not a class. Did you mean 'vpn'"),
        ({"thresholds": {"unlok": 0.1}}, "'thresholds'.*Did you mean 'unlock'"),
        ({"watch": {"unlok": 0.1}}, "'watch'.*Did you mean 'unlock'"),
        ({"thresholds": {"vpn": 1.1}}, "'thresholds' parameter of CertifiedPolicy for 'vpn' must"),
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
