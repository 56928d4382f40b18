import itertools
import json
import math
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import plain_entropy, unhurried

from skroute import PolicyAudit, RoutePolicy
from skroute.exceptions import DeadGateWarning
from skroute.routing._audit import least_entropy, most_entropy

# The searches below run over every row whose probabilities are multiples of 1 / STEPS.
STEPS = 10_000
CLASSES = [2, 3, 4, 5, 10]

# Numbers on a grid of hundredths: no bound of an entropy gate lies on it.
hundredths = st.integers(0, 100).map(lambda i: i / 100)


@cache
def searched(top, n_classes, cap, sign, steps=STEPS):
    """Least (sign 1) or most (sign -1) normalised entropy of a lattice row with this top and others <= cap.

    A dynamic program over the classes: it tries every row of the lattice and assumes nothing of its shape.
    """
    share = np.arange(1, steps + 1) / steps
    terms = sign * np.concatenate([[0.0], -share * np.log2(share)])
    rest = steps - top
    best = np.full(rest + 1, np.inf)
    best[: cap + 1] = terms[: min(cap, rest) + 1]
    for _ in range(n_classes - 2):
        following = np.full(rest + 1, np.inf)
        for atom in range(min(cap, rest) + 1):
            np.minimum(following[atom:], best[: rest + 1 - atom] + terms[atom], out=following[atom:])
        best = following
    return sign * (best[rest] + terms[top]) / math.log2(n_classes)


def edges(bound, steps=STEPS):
    """Return the lattice points under and over a bound."""
    return math.floor(bound * steps), math.ceil(bound * steps)


def max_entropy_bounds(level, n_classes, margin=None):
    audit = RoutePolicy(max_entropy=level, margin=margin).audit(n_classes)
    return audit.of("max_entropy")


# Bounds


@pytest.mark.parametrize(
    ("n_classes", "needs", "at_most"),
    [(2, 0.9059, 0.7570), (3, 0.8043, 0.6584), (4, 0.6840, 0.6022), (5, 0.4972, 0.5651), (10, 0.4122, 0.4766)],
)
def test_bounds_of_the_default_entropies(n_classes, needs, at_most):
    audit = RoutePolicy().audit(n_classes)
    assert audit.of("max_entropy").lower == pytest.approx(needs, abs=1e-4)
    assert audit.of("escalate_entropy").upper == pytest.approx(at_most, abs=1e-4)


@pytest.mark.parametrize("n_classes", CLASSES)
def test_a_search_over_the_simplex_finds_the_same_confidence_that_entropy_needs(n_classes):
    under, over = edges(max_entropy_bounds(0.45, n_classes).lower)
    assert searched(under, n_classes, under, 1) > 0.45 >= searched(over, n_classes, over, 1)


@pytest.mark.parametrize("level", [0.45, 0.80])
@pytest.mark.parametrize("n_classes", CLASSES)
def test_a_search_over_the_simplex_finds_the_same_confidence_that_makes_entropy_sure(n_classes, level):
    steps = STEPS if n_classes < 5 else 1000
    under, over = edges(max_entropy_bounds(level, n_classes).upper, steps)
    # The lattice holds the even spread only to within 1 / steps, which costs entropy of the order of its square.
    assert searched(under, n_classes, under, -1, steps) > level - 1e-5
    assert searched(over, n_classes, over, -1, steps) <= level


@pytest.mark.parametrize("margin", [0.1, 0.3, 0.45])
@pytest.mark.parametrize(("n_classes", "level"), [(2, 0.9), (3, 0.8), (4, 0.7), (5, 0.6), (10, 0.5)])
def test_a_search_finds_the_same_confidence_that_margin_and_entropy_need_together(n_classes, level, margin):
    steps = 1000 if n_classes == 10 else 2000
    numbers = {"margin": margin, "max_entropy": level}
    both = RoutePolicy(0.0, **numbers).audit(n_classes).of("threshold").note
    for top in range(math.ceil(steps / n_classes), steps + 1, 20):
        cap = top - round(margin * steps)
        feasible = cap >= 0 and cap * (n_classes - 1) >= steps - top
        if feasible:
            least = least_entropy(top / steps, n_classes, margin)
            assert least == pytest.approx(searched(top, n_classes, cap, 1, steps), abs=1e-9)
    bound = float(both.split()[-1])
    under, over = (round(bound * steps) + shift for shift in (-1, 1))
    passes = [
        (top - round(margin * steps)) * (n_classes - 1) >= steps - top
        and searched(top, n_classes, top - round(margin * steps), 1, steps) <= level
        for top in (under, over)
    ]
    assert passes == [False, True]


@pytest.mark.parametrize("n_classes", CLASSES)
def test_the_search_confirms_both_extremes_of_entropy(n_classes):
    # Every rest is a multiple of 36, and so of every n_classes - 1: the lattice holds the even spread.
    steps = 360
    for top in range(steps, math.ceil(steps / n_classes) - 1, -36):
        least, most = (searched(top, n_classes, top, sign, steps) for sign in (1, -1))
        assert least_entropy(top / steps, n_classes) == pytest.approx(least, abs=1e-9)
        assert most_entropy(top / steps, n_classes) == pytest.approx(most, abs=1e-9)


@pytest.mark.parametrize("n_classes", CLASSES)
@pytest.mark.parametrize("margin", [0.05, 0.3, 0.9])
def test_margin_bounds_hold_and_are_reached(n_classes, margin):
    entry = RoutePolicy(margin=margin).audit(n_classes).of("margin")
    proba = np.random.default_rng(0).dirichlet(np.full(n_classes, 0.4), size=20_000)
    second, first = np.sort(proba, axis=1)[:, -2:].T
    passes = first - second >= margin
    assert first[passes].min() >= entry.lower
    assert first[~passes].max() < entry.upper
    # The spread row reaches the lower bound, the row of two atoms the upper one.
    assert entry.lower - (1 - entry.lower) / (n_classes - 1) == pytest.approx(margin)
    assert entry.upper - (1 - entry.upper) == pytest.approx(margin)


@pytest.mark.parametrize("n_classes", [2, 3, 6, 300])
@pytest.mark.parametrize("level", [0.0, 5e-324, 1e-16, math.nextafter(1, 0), 1.0])
def test_numbers_next_to_the_ends_have_bounds_in_order(n_classes, level):
    audit = RoutePolicy(level, margin=level, max_entropy=level, escalate_entropy=level).audit(n_classes)
    for gate in ("margin", "max_entropy", "escalate_entropy"):
        entry = audit.of(gate)
        # Entropy is flat at the uniform row: an ulp of it is 1e-8 of confidence.
        assert 1 / n_classes - 1e-7 <= entry.lower <= entry.upper + 1e-7 <= 1 + 2e-7


# Verdicts


def atoms(top, cap, n_classes):
    """Return a row with this top whose rest is packed into atoms of at most `cap`; None where it does not fit."""
    row, rest = [top], 1.0 - top
    for _ in range(n_classes - 1):
        row.append(min(cap, rest))
        rest -= row[-1]
    return None if rest > 1e-12 else row


def extreme_rows(n_classes, tops, margin):
    """Rows at the ends of what each top allows: two atoms, packed (with and without ties), evenly spread."""
    shapes = []
    for top in tops:
        caps = (1 - top, top, top - 1e-9, top - margin, (1 - top) / (n_classes - 1))
        shapes += [atoms(top, cap, n_classes) for cap in caps if 0 <= cap <= top]
    rows = np.array([row for row in shapes if row is not None])
    return np.vstack([np.roll(rows, shift, axis=1) for shift in range(n_classes)] + [np.eye(n_classes)])


def quiet_fit(n_classes, numbers):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeadGateWarning)
        return RoutePolicy(**numbers).fit(np.eye(n_classes))


def without(numbers, entry):
    """Return the numbers with that of one audit entry taken away."""
    if entry.gate == "threshold":
        return numbers | {"thresholds": numbers["thresholds"] | {entry.label: 0.0}}
    if entry.gate == "watch":
        return numbers | {"watch": {k: v for k, v in numbers["watch"].items() if k != entry.label}}
    return numbers | {entry.gate: None}


@st.composite
def policies(draw, n_classes, watch=True):
    labels = list(range(n_classes))
    levels = st.lists(hundredths | st.just(math.inf), min_size=n_classes, max_size=n_classes)
    thresholds = draw(levels | hundredths.map(lambda t: [t] * n_classes))
    numbers = {name: draw(st.none() | hundredths) for name in ("margin", "max_entropy", "escalate_entropy")}
    numbers["watch_order"] = draw(st.sampled_from(["before", "after", "flag", "top"]))
    numbers["watch"] = draw(st.dictionaries(st.sampled_from(labels), hundredths)) if watch else {}
    return numbers | {"thresholds": dict(zip(labels, thresholds, strict=True))}


@unhurried
@given(data=st.data(), n_classes=st.integers(2, 5))
def test_a_dead_number_never_changes_a_route(data, n_classes):
    numbers = data.draw(policies(n_classes))
    policy = quiet_fit(n_classes, numbers)
    audit = policy.audit()
    bounds = [bound for entry in audit.gates for bound in (entry.lower, entry.upper)]
    near = [bound + shift for bound in bounds if 0 <= bound <= 1 for shift in (-1e-7, 1e-7)]
    tops = [top for top in [*np.linspace(0, 1, 41), *near] if 1 / n_classes <= top <= 1]
    random = np.random.default_rng(0).dirichlet(np.full(n_classes, 0.5), size=300)
    proba = np.vstack([extreme_rows(n_classes, tops, numbers["margin"] or 0.0), random])
    for entry in audit.dead:
        assert quiet_fit(n_classes, without(numbers, entry)).decide(proba).tolist() == policy.decide(proba).tolist()


def witnesses(entry, n_classes, numbers):
    """Return rows on the wrong side of a gate's bound that every other gate finds as good as can be."""
    if entry.gate == "escalate_entropy":
        return extreme_rows(n_classes, [1 / n_classes + 1e-8], 0.0)
    if entry.gate == "watch":
        tops = [1 - entry.value - 1e-9] if entry.value < 0.5 else [entry.value]
        return extreme_rows(n_classes, tops, numbers["margin"] or 0.0)
    return extreme_rows(n_classes, [entry.upper - 1e-7], numbers["margin"] or 0.0)


@unhurried
@given(data=st.data(), n_classes=st.integers(2, 5))
def test_a_live_number_has_a_row_whose_route_it_changes(data, n_classes):
    numbers = data.draw(policies(n_classes, watch=False))
    policy = quiet_fit(n_classes, numbers)
    for entry in policy.audit().gates:
        if entry.status == "live":
            proba = witnesses(entry, n_classes, numbers)
            assert (quiet_fit(n_classes, without(numbers, entry)).decide(proba) != policy.decide(proba)).any(), entry


@unhurried
@given(data=st.data(), n_classes=st.integers(2, 5), level=st.integers(1, 100).map(lambda i: i / 100))
def test_a_live_watch_that_goes_first_has_a_row_whose_route_it_changes(data, n_classes, level):
    numbers = data.draw(policies(n_classes, watch=False)) | {"watch": {1: level}, "watch_order": "before"}
    policy = quiet_fit(n_classes, numbers)
    entry = policy.audit().of("watch", 1)
    if entry.status == "live":
        proba = witnesses(entry, n_classes, numbers)
        assert (quiet_fit(n_classes, without(numbers, entry)).decide(proba) != policy.decide(proba)).any()


def test_numbers_at_infinity_are_never_and_none_is_off():
    policy = RoutePolicy(math.inf, margin=None, max_entropy=None, escalate_entropy=None, watch={"a": math.inf})
    statuses = {entry.gate: entry.status for entry in policy.audit(3).gates}
    assert statuses == {
        "threshold": "never",
        "margin": "off",
        "max_entropy": "off",
        "escalate_entropy": "off",
        "watch": "never",
    }
    assert all(math.isnan(policy.audit(3).of(name).value) for name in ("margin", "max_entropy", "escalate_entropy"))


def test_a_watch_in_flag_order_is_off_and_one_on_auto_rows_only_is_dead():
    statuses = [
        RoutePolicy(watch={"a": level}, watch_order=order).audit(3).of("watch", "a").status
        for order, level in itertools.product(["before", "flag"], [0.34, 0.95])
    ]
    assert statuses == ["live", "dead", "off", "off"]


def test_a_watch_that_fires_on_a_tie_is_live():
    policy = RoutePolicy(0.0, margin=None, max_entropy=None, watch={1: 0.5})
    assert policy.audit(2).of("watch", 1).status == "live"


def test_escalation_is_dead_only_where_every_row_is_auto_routed():
    ungated = {"margin": None, "max_entropy": None}
    assert RoutePolicy(0.3, **ungated).audit(3).of("escalate_entropy").status == "dead"
    no_question_left = RoutePolicy(0.4, **ungated).audit(3).of("escalate_entropy")
    assert no_question_left.status == "live"
    assert no_question_left.note.endswith("none is left to clarify")


def test_a_watch_says_whether_it_can_hold_back_an_auto_row():
    policy = RoutePolicy(watch={"a": 0.05, "b": 0.34})
    audit = policy.audit(3)
    assert audit.of("watch", "a").note == ""
    assert "cannot hold back an auto row" in audit.of("watch", "b").note
    # The most certain row under the first watch.
    assert plain_entropy([0.95, 0.05, 0.0]) < 0.45 < plain_entropy([0.66, 0.34, 0.0])
    assert audit.of("watch", "b").upper == pytest.approx(0.66)


# The audit as an object


def test_the_number_of_classes_is_that_of_the_fit_where_not_given():
    policy = RoutePolicy().fit(np.eye(4))
    assert policy.audit().n_classes == 4
    assert policy.audit(2).n_classes == 2
    assert policy.audit().of("max_entropy") == RoutePolicy().audit(4).of("max_entropy")


@pytest.mark.parametrize("n_classes", [0, 1, True, 2.5, math.inf, "3", [3]])
def test_the_number_of_classes_must_be_a_count(n_classes):
    with pytest.raises(ValueError, match="n_classes"):
        RoutePolicy().audit(n_classes)


def test_the_audit_of_an_unfitted_policy_checks_its_numbers():
    with pytest.raises(ValueError, match="'margin'"):
        RoutePolicy(margin=30).audit(3)


def test_an_entry_is_found_by_label_or_its_text_and_else_is_a_key_error():
    audit = RoutePolicy(thresholds={1: 0.95}).fit(np.eye(3)).audit()
    assert audit.of("threshold", 1) is audit.of("threshold", "1")
    with pytest.raises(KeyError, match="No gate 'threshold' for class 7"):
        audit.of("threshold", 7)


def test_the_audit_is_a_table():
    audit = RoutePolicy(watch={"<b>": 0.2}, max_entropy=None).audit(3)
    assert isinstance(audit, PolicyAudit)
    assert len(audit) == len(audit.gates) == 5
    assert isinstance(audit.to_pandas(), pd.DataFrame)
    assert audit.to_polars()["gate"].to_list() == audit.to_pandas()["gate"].tolist()
    assert json.loads(json.dumps(audit.to_records()))[4]["label"] == "<b>"
    assert repr(audit) == "PolicyAudit(5 numbers for 3 classes, 1 can never change a route)"
    assert str(audit).splitlines()[1].split() == ["gate", "class", "value", "lower", "upper", "status", "note"]
    assert "&lt;b&gt;" in audit._repr_html_()
    assert "<b>" not in audit._repr_html_()


def test_the_audit_shows_bounds_where_there_are_any():
    audit = RoutePolicy(thresholds={0: np.inf, 1: 0.9}, max_entropy=None).fit(np.eye(3)).audit()
    cells = {tuple(line.split()[:2]): line.split()[2:6] for line in str(audit).splitlines()[2:8]}
    assert cells["threshold", "0"] == ["never", "-", "-", "never"]
    assert cells["threshold", "1"][:3] == ["0.9000", "-", "-"]
    assert cells["margin", "(all)"][:3] == ["0.3000", "0.5333", "0.6500"]
    assert cells["max_entropy", "(all)"] == ["-", "-", "-", "off"]
    for text in (str(audit), audit._repr_html_()):
        assert "always fail where the confidence is below lower" in text
