import math

import numpy as np
import pytest
from policies.certified_helpers import CLASSES, OPEN, draw, quietly

from skroute import CertifiedPolicy
from skroute.exceptions import UncertifiedClassWarning
from skroute.policies._recall import watch_level


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
    assert str(caught[0].message).startswith("Not certified: recall of attack (20 rows, 45 needed, everything is wat")
    assert policy.watch_ == {"attack": 0.0}
    assert set(policy.decide(proba[proba.argmax(axis=1) != 0])) == {"watch"}
    assert policy.certificates_.of("attack", "recall")["guarantee"] == "none"


def test_given_watches_win_and_say_so():
    policy = CertifiedPolicy(0.3, min_recall={"attack": 0.9}, watch={"attack": 0.25, "vpn": 0.5})
    with pytest.warns(UncertifiedClassWarning, match="min_recall and watch both name 'attack': the level"):
        policy.fit(*draw())
    assert policy.watch_ == {"attack": 0.25, "vpn": 0.5}
    record = policy.certificates_.of("attack", "recall")
    assert (record["status"], record["threshold"], record["guarantee"]) == ("given", 0.25, "none")


@pytest.mark.parametrize("watch_order", ["after", "top"])
def test_recall_needs_watches_that_nothing_goes_around(watch_order):
    with pytest.raises(ValueError, match=r"'min_recall'.*needs watch_order 'before' or 'flag'.*Got watch_order="):
        CertifiedPolicy(min_recall={"vpn": 0.9}, watch_order=watch_order).fit(*draw())
    assert CertifiedPolicy({}, min_recall={}, watch_order=watch_order).fit(*draw()).watch_ == {}


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
