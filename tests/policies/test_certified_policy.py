import json
import math
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policies.certified_helpers import CLASSES, OPEN, draw, expected, quietly
from strategies import WATCH_ORDERS, gates, rows

from skroute import CertifiedPolicy
from skroute.exceptions import UncertifiedClassWarning
from skroute.policies._recall import watch_level

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
    with pytest.warns(
        UncertifiedClassWarning,
        match=r"^Not certified: attack \(\d+ of \d+ wrong at the first threshold tried: more than 10% possible\)\. A c",
    ):
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
    assert repr(policy.certificates_) == "Certificates(0 of 3 statements certified at confidence 0.9)"


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


# Few rows


@pytest.mark.parametrize(
    ("min_recall", "words"),
    [({"class 39": 0.9}, ["recall of class 39", "no row is left for other classes"]), (None, ["and 32 more"])],
)
def test_rare_classes_give_one_warning_and_no_error(min_recall, words):
    classes = [f"class {i:02}" for i in range(40)]
    proba, y = draw(300, classes, spread=0.05)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        policy = CertifiedPolicy(min_recall=min_recall).fit(proba, y, classes=classes)
    (warning,) = caught
    assert warning.category is UncertifiedClassWarning
    assert warning.filename == __file__
    assert all(part in str(warning.message) for part in words)
    assert set(policy.thresholds_.values()) == {math.inf}


def test_a_class_absent_from_y_is_not_certified():
    proba, y = draw()
    kept = y != "unlock"
    with pytest.warns(UncertifiedClassWarning, match=r"recall of unlock \(0 rows, 22 needed"):
        policy = CertifiedPolicy({"*": 0.2}, min_recall={"unlock": 0.9}, watch_order="flag").fit(
            proba[kept], y[kept], classes=CLASSES
        )
    record = policy.certificates_.of("unlock")
    assert record["status"] == "not_attained"
    assert record["errors"] == record["routed"]
    assert policy.certificates_.labels_needed()["unlock"] == math.inf


@pytest.mark.parametrize("n_rows", [0, 1])
def test_none_or_one_row_certifies_nothing(n_rows):
    with pytest.warns(UncertifiedClassWarning, match=r"attack \(0 rows, 45 needed\)"):
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


# Watches that stop everything


def test_a_watch_that_takes_every_row_is_told_to_be_what_stops_the_other_classes():
    proba, y = draw()
    rare = np.flatnonzero(y == "attack")
    kept = np.setdiff1d(np.arange(len(y)), rare[9:])
    policy = CertifiedPolicy(0.1, min_recall={"attack": 0.8})
    with pytest.warns(UncertifiedClassWarning, match="no row is left for other classes. Give attack a level") as caught:
        policy.fit(proba[kept], y[kept], classes=CLASSES)
    others = [label for label in CLASSES if label != "attack"]
    assert not any(f"{label} (" in str(caught[0].message) for label in others)
    certificates = policy.certificates_
    assert certificates.blocked_by() == ["attack"]
    assert certificates.labels_needed() == {"attack": 2.0}
    for label in others:
        assert f"{label}: not certified, everything is watched for want of rows of attack" in "\n".join(
            certificates.statements()
        )
    again = CertifiedPolicy.from_dict(policy.to_dict())
    assert again.certificates_.blocked_by() == ["attack"]


@pytest.mark.parametrize("given", [{}, {"vpn": 0.5, "unlock": 0.5}])
def test_a_watch_that_only_flags_stops_no_other_class(given):
    proba, y = draw()
    kept = np.setdiff1d(np.arange(len(y)), np.flatnonzero(y == "attack")[9:])
    policy = CertifiedPolicy(0.1, min_recall={"attack": 0.8}, watch_order="flag", thresholds=given)
    quietly(policy, proba[kept], y[kept], classes=CLASSES)
    assert (policy.decide(proba) == "auto").any()
    for found in (policy, CertifiedPolicy.from_dict(policy.to_dict())):
        assert found.certificates_.blocked_by() == []
        assert "for want of rows" not in "".join(found.certificates_.statements())
