"""How much faster are routes chosen in one pass than by plain NumPy, how far from one read, and with how much memory?

Peers: what one would write by hand, argmax, np.partition for the margin, np.log for the entropy and np.select for the
route, once as it is and once with scipy.special.entr; neither checks its rows. One read: the sum of the matrix, by one
thread. Ours is the kernel behind `policy.decide`, with all checks, whose routes are codes; plain code's are, too. With
their text both stand in lines of their own: it takes 32 bytes a row, which with three classes is more than the matrix
itself. Data: 60% of the rows are sure, 25% between two classes, 15% diffuse; where most rows are sure the gain is
larger, where most are diffuse it is smaller.

Run with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; only the ratios mean anything on a shared machine.
"""  # noqa: D400

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from _common import compare, environment, parser, peak_memory, repeated, report, rounds, timed
from numpy.typing import NDArray
from scipy.special import entr

from skroute import RoutePolicy
from skroute._rows import clean_blocks
from skroute.exceptions import DeadGateWarning
from skroute.routing._gate_kernel import fast_routes
from skroute.routing._gates import ROUTES

# Rows, classes, and the goals, for float64 in C order: times faster than partition and np.log, and at most so many
# reads.
SIZES = [(2_000_000, 3, 6, 15), (500_000, 20, 5, 8), (200_000, 77, 7, 4), (20_000, 1000, 9, 2.6)]
SMALL = [(n, k) for k in (3, 20, 77, 1000) for n in (1, 10, 100, 500, 501, 2000)]
FORMS = [("f8", "C"), ("f8", "F"), ("f4", "C"), ("f4", "F")]
MOST_MB = 16
QUICK, QUICK_FORMS = 10, FORMS[:2]
CODES = np.arange(len(ROUTES), dtype=np.int8)


def make_proba(n_rows: int, n_classes: int, dtype: str, order: Any, seed: int = 0) -> NDArray[Any]:
    """Return rows of softmax scores, by blocks: sure, between two classes, and diffuse."""
    rng = np.random.default_rng(seed)
    proba = np.empty((n_rows, n_classes), dtype=dtype, order=order)
    step = max(1, 2_000_000 // n_classes)
    for start in range(0, n_rows, step):
        n = min(step, n_rows - start)
        place, sort = np.arange(n), rng.random(n)
        logits = rng.normal(size=(n, n_classes))
        first, second = rng.integers(0, n_classes, (2, n))
        sure, two = sort < 0.6, (sort >= 0.6) & (sort < 0.85)
        height = np.log(n_classes)
        logits[place, first] += np.select([sure, two], [5 + 2 * rng.random(n) + height, 3 + height], rng.random(n))
        logits[place, second] += np.where(two, 3 + height - 1.5 * rng.random(n), 0.0)
        np.exp(logits - logits.max(axis=1, keepdims=True), out=logits)
        proba[start : start + n] = logits / logits.sum(axis=1, keepdims=True)
    return proba


def make_policy(n_classes: int) -> RoutePolicy:
    """Return a policy with a threshold for each class, two of them low, and one or two watches."""
    thresholds = dict.fromkeys(range(n_classes), 0.8) | {1: 0.72, 2: 0.6}
    watch = {2: 0.34} if n_classes == 3 else {2: 0.3, n_classes // 2: 0.25}
    policy = RoutePolicy(
        thresholds=thresholds, watch=watch, margin=0.30, max_entropy=0.45, escalate_entropy=0.80, watch_order="before"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeadGateWarning)
        return policy.fit(np.full((1, n_classes), 1 / n_classes), classes=range(n_classes))


def log_entropy(proba: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = proba * np.log(proba)
    terms[proba == 0.0] = 0.0
    entropy: NDArray[Any] = -terms.sum(axis=1)
    return entropy


def entr_entropy(proba: NDArray[Any]) -> NDArray[Any]:
    entropy: NDArray[Any] = entr(proba).sum(axis=1)
    return entropy


def plain_codes(
    proba: NDArray[Any], policy: RoutePolicy, entropy_of: Callable[[NDArray[Any]], NDArray[Any]]
) -> NDArray[np.intp]:
    """Return the codes of the routes by plain NumPy, as one would write it by hand."""
    top = proba.argmax(axis=1)
    ordered = np.partition(proba, -2, axis=1)
    confidence = ordered[:, -1]
    entropy = entropy_of(proba) / np.log(proba.shape[1])
    thresholds = np.array(list(policy.thresholds_.values()))
    passed = (confidence >= thresholds[top]) & (confidence - ordered[:, -2] >= 0.30) & (entropy <= 0.45)
    watched = np.array(list(policy.watch_))
    fired = proba[:, watched] >= np.array(list(policy.watch_.values()))
    elsewhere = (fired & (watched != top[:, None])).any(axis=1)
    return np.select([passed & ~elsewhere, fired.any(axis=1), entropy >= 0.80], [0, 1, 2], 3)


def plain_routes(
    proba: NDArray[Any], policy: RoutePolicy, entropy_of: Callable[[NDArray[Any]], NDArray[Any]]
) -> NDArray[np.str_]:
    """Return the routes as text."""
    return np.array(ROUTES)[plain_codes(proba, policy, entropy_of)]


def time_gates(
    n_rows: int, n_classes: int, goals: tuple[float | None, float | None], form: tuple[str, str], n_rounds: int
) -> list[dict[str, Any]]:
    """Compare with two plain codes; and count ours, the kernel and its check alone in reads of the matrix."""
    proba, policy = make_proba(n_rows, n_classes, *form), make_policy(n_classes)
    gates = policy._gates()

    def ours() -> NDArray[np.str_]:
        return policy.decide(proba)

    def kernel() -> NDArray[np.int8]:
        return fast_routes(gates, proba, names=CODES)

    def by_log() -> NDArray[np.str_]:
        return plain_routes(proba, policy, log_entropy)

    def by_entr() -> NDArray[np.str_]:
        return plain_routes(proba, policy, entr_entropy)

    def codes_by_log() -> NDArray[np.intp]:
        return plain_codes(proba, policy, log_entropy)

    def check() -> int:
        return sum(1 for _ in clean_blocks(proba, "proba"))

    # Plain float32 code may differ where float32 does.
    same = float((ours() == by_entr()).mean())
    assert same == 1.0 if form[0] == "f8" else same > 0.9999
    assert (np.array(ROUTES)[kernel()] == ours()).all()
    calls = {
        "ours": ours, "kernel": kernel, "log": by_log, "entr": by_entr, "log, codes": codes_by_log, "check": check,
        "read": proba.sum,
    }  # fmt: skip
    seconds = rounds(calls, n_rounds)
    what = f"{n_rows} x {n_classes} {form[0]} {form[1]}-order"
    memory = {name: peak_memory(call, beyond_result=True) for name, call in calls.items() if name != "check"}
    peers = (
        ("gates", "kernel", "partition and np.log", "log, codes", goals[0]),
        ("gates with their text", "ours", "partition and np.log", "log", None),
        ("gates with their text", "ours", "partition and entr", "entr", None),
    )
    cases = [
        timed(f"{part}, {what} / {name}", seconds[call], seconds[peer], goal=goal, ours_mb=memory[call],
              peer_mb=memory[peer], goal_mb=None if goal is None else MOST_MB)
        for part, call, name, peer, goal in peers
    ]  # fmt: skip
    reads = (
        ("gates with their text", "ours", None),
        ("gates", "kernel", goals[1]),
        ("their check alone", "check", None),
    )
    cases += [
        timed(f"{part}, {what} / one read", seconds[name], seconds["read"], goal=goal, at_most=True)
        for part, name, goal in reads
    ]
    return cases


def time_small(n_rows: int, n_classes: int, n_rounds: int) -> list[dict[str, Any]]:
    """Compare with the plain definition of the library, on inputs for which speed is a matter of calls.

    Code by hand, which checks nothing, stands beside without a goal: of a few rows a check takes as long as the gates.
    """
    proba, policy = make_proba(n_rows, n_classes, "f8", "C"), make_policy(n_classes)
    names, repeats = np.array(ROUTES), max(1, 20_000 // (n_rows * n_classes + 500))
    plain = "plain code of the library"
    return compare(
        f"gates, {n_rows} x {n_classes} f8 C-order",
        repeated(lambda: policy.decide(proba), repeats),
        {
            plain: repeated(lambda: names[policy._decision(proba).route], repeats),
            "partition and np.log": repeated(lambda: plain_routes(proba, policy, log_entropy), repeats),
        },
        3 * n_rounds,
        goals={plain: 1},
        repeats=repeats,
    )


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__).parse_args(argv)
    cases = []
    for form in QUICK_FORMS if options.quick else FORMS:
        for n_rows, n_classes, faster, at_most in SIZES:
            size = n_rows // (QUICK if options.quick else 1)
            goals = (faster, at_most) if form == FORMS[0] else (None, None)
            cases += time_gates(size, n_classes, goals, form, options.rounds)
    for n_rows, n_classes in SMALL:
        cases += time_small(n_rows, n_classes, options.rounds)
    report(cases, environment(), as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
