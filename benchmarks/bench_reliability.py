"""How much faster is reliability measured in one pass than by the tools at hand, and with how much memory?

Peers: sklearn.calibration.calibration_curve, called once a class; the ECE of netcal; relplot.smECE. Inputs are the
same: whole labels 0..K-1, probabilities in float64 and C order. Each peer gets them in the form it takes, and finding
the top label counts in both. Ours includes all checks of the input, the peers do what they do.

Run with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; only the ratios mean anything on a shared machine. Where netcal
cannot be imported, its ECE is replaced by the same NumPy steps, written anew, and the case says so.
"""  # noqa: D400

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from _common import environment, optional, parser, peak_memory, ratio, report, rounds
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve

from skroute import reliability_table
from skroute.metrics import calibration_error, smooth_calibration_error

N_BINS = 15
# Rows, classes, and the goals for the table.
TABLES = [(1_000_000, 3, 8), (1_000_000, 20, 12), (200_000, 77, 25)]
ERRORS = [(1_000_000, 3), (200_000, 20), (30_000, 77)]
QUICK = 50


def make_data(n_rows: int, n_classes: int, seed: int = 0) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return labels and calibrated probabilities: most rows sure, some between two classes, few between all."""
    rng = np.random.default_rng(seed)
    proba = np.empty((n_rows, n_classes))
    y = np.empty(n_rows, dtype=np.intp)
    for start in range(0, n_rows, 50_000):
        rows = slice(start, min(start + 50_000, n_rows))
        n = rows.stop - rows.start
        place, sort = np.arange(n), rng.random(n)
        logits = rng.normal(size=(n, n_classes))
        first = rng.integers(0, n_classes, n)
        second = (first + rng.integers(1, n_classes, n)) % n_classes
        logits[place, first] += np.where(sort < 0.85, np.log(n_classes) + 4.0, 1.5)
        logits[place, second] += np.where((sort >= 0.6) & (sort < 0.85), np.log(n_classes) + 3.5, 0.0)
        np.exp(logits, out=logits)
        proba[rows] = logits / logits.sum(axis=1, keepdims=True)
        y[rows] = (proba[rows].cumsum(axis=1)[:, :-1] < rng.random((n, 1))).sum(axis=1)
    return y, proba


def netcal_like_ece(proba: NDArray[np.float64], y: NDArray[np.intp]) -> float:
    """Return the ECE by the steps of netcal: argmax, digitized confidences, and three binned means."""
    top = proba.argmax(axis=1)
    confidence = np.take_along_axis(proba, top[:, np.newaxis], axis=1)[:, 0]
    right = (top == y).astype(np.float64)
    bins = np.clip(np.digitize(confidence, np.linspace(0.0, 1.0, N_BINS + 1), right=True) - 1, 0, N_BINS - 1)
    count = np.bincount(bins, minlength=N_BINS)
    sums = [np.bincount(bins, values, N_BINS) for values in (confidence, right)]
    accuracy, stated = (np.divide(s, count, out=np.zeros(N_BINS), where=count > 0) for s in (sums[1], sums[0]))
    return float(np.abs(accuracy - stated) @ count / len(y))


def compare(case: str, ours: Callable[[], Any], peer: Callable[[], Any], goal: float, n_rounds: int) -> dict[str, Any]:
    """Return one line of the result."""
    seconds = rounds({"ours": ours, "peer": peer}, n_rounds)
    return {
        "case": case,
        **ratio(seconds["peer"], seconds["ours"]),
        "goal": goal,
        "ours_ms": 1e3 * float(np.median(seconds["ours"])),
        "ours_mb": peak_memory(ours),
        "peer_mb": peak_memory(peer),
    }


def time_tables(n_rows: int, n_classes: int, goal: float, n_rounds: int) -> dict[str, Any]:
    """Compare the table of all classes with one curve a class; both must hold the same figures."""
    y, proba = make_data(n_rows, n_classes)

    def ours() -> Any:
        return reliability_table(y, proba, kind="classwise", n_bins=N_BINS)

    def peer() -> Any:
        return [calibration_curve(y == c, proba[:, c], n_bins=N_BINS) for c in range(n_classes)]

    table = ours()
    for c, curve in enumerate(peer()):
        found = table.of(c)
        np.testing.assert_allclose((found.accuracy, found.confidence), _spread(curve, found.count), atol=1e-11)
    return compare(f"table of all classes, {n_rows} x {n_classes} / calibration_curve", ours, peer, goal, n_rounds)


def _spread(curve: tuple[NDArray[np.float64], ...], count: NDArray[np.int64]) -> NDArray[np.float64]:
    figures = np.full((2, len(count)), np.nan)
    figures[:, count > 0] = curve
    return figures


def time_calibration_error(n_rows: int, n_classes: int, n_rounds: int) -> dict[str, Any]:
    """Compare the error of top labels with netcal's."""
    y, proba = make_data(n_rows, n_classes)
    netcal = optional("netcal.metrics")

    def ours() -> float:
        return calibration_error(y, proba, n_bins=N_BINS)

    def peer() -> float:
        return float(netcal.ECE(N_BINS).measure(proba, y)) if netcal else netcal_like_ece(proba, y)

    np.testing.assert_allclose(ours(), peer(), atol=1e-6)
    name = "netcal ECE" if netcal else "ECE as netcal does it"
    return compare(f"top-label error, {n_rows} x {n_classes} / {name}", ours, peer, 3, n_rounds)


def time_smooth_error(n_rows: int, n_classes: int, n_rounds: int, relplot: Any) -> list[dict[str, Any]]:
    """Compare the smooth error with relplot's: from probabilities, and from confidences that are known already."""
    y, proba = make_data(n_rows, n_classes)
    top = proba.argmax(axis=1)
    confidence = proba.max(axis=1)
    right = (top == y).astype(np.float64)

    def peer_from_proba() -> float:
        top = proba.argmax(axis=1)
        return float(relplot.smECE(proba[np.arange(len(y)), top], (top == y).astype(np.float64)))

    pairs = {
        "smooth error": (lambda: smooth_calibration_error(y, proba), peer_from_proba),
        "smooth error, log": (
            lambda: smooth_calibration_error(y, y_pred=top, confidence=confidence),
            lambda: relplot.smECE(confidence, right),
        ),
    }
    return [
        compare(f"{name}, {n_rows} x {n_classes} / relplot.smECE", ours, peer, 20, n_rounds)
        for name, (ours, peer) in pairs.items()
    ]


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__).parse_args(argv)
    factor = QUICK if options.quick else 1
    cases = [time_tables(n // factor, k, goal, options.rounds) for n, k, goal in TABLES]
    cases += [time_calibration_error(n // factor, k, options.rounds) for n, k in ERRORS]
    relplot = optional("relplot")
    if relplot:
        for n_rows, n_classes in ERRORS:
            cases += time_smooth_error(n_rows // factor, n_classes, options.rounds, relplot)
    absent = [name for name in ("netcal.metrics", "relplot") if optional(name) is None]
    if absent:
        print(f"absent, or not importable: {', '.join(absent)}", file=sys.stderr)
    report(cases, environment("netcal", "relplot", "torch"), as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
