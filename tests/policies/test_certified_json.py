import copy
import json
import math
import pickle
import warnings

import numpy as np
import pytest
from policies.certified_helpers import CLASSES, OPEN, draw, quietly
from sklearn.base import clone

from skroute import CertifiedPolicy


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
    assert repr(again.certificates_) == repr(policy.certificates_)
    assert repr(policy.certificates_) == "Certificates(3 of 3 statements certified at confidence 0.9)"
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
        ({"confidence": 0.3}, "'confidence'.*at least 0.5"),
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


@pytest.mark.parametrize(
    ("name", "message"), [("classes", "'classes' beside what was learned"), ("learned", "got none of them")]
)
def test_half_of_a_fitted_policy_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        CertifiedPolicy.from_dict({key: part for key, part in FILE.items() if key != name})


def test_copies_decide_alike():
    proba, y = draw()
    policy = quietly(CertifiedPolicy({"*": 0.1}, min_recall={"vpn": 0.8}), proba, y)
    for again in (pickle.loads(pickle.dumps(policy)), copy.deepcopy(policy), quietly(clone(policy), proba, y)):
        assert again.decide(proba).tolist() == policy.decide(proba).tolist()
        assert str(again.certificates_) == str(policy.certificates_)
    assert not hasattr(clone(policy), "classes_")


def test_numbers_of_any_type_are_written():
    policy = quietly(CertifiedPolicy(np.longdouble("0.1"), confidence=np.longdouble("0.9")), *draw())
    assert json.loads(json.dumps(policy.to_dict()))["params"]["confidence"] == pytest.approx(0.9)


@pytest.mark.parametrize("risk", [None, "inf", 0.0, 1.0, 2.0, -1.0])
def test_a_risk_that_is_no_probability_is_refused(risk):
    for status in ("certified", "not_attained", "too_few_rows"):
        changed = FILE["learned"] | _record(risk=risk, status=status)
        with pytest.raises(ValueError, match=r"\['risk'\] must lie in \(0, 1\)"):
            CertifiedPolicy.from_dict(FILE | {"learned": changed})
