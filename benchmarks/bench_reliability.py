"""How much faster is reliability measured in one pass than by the tools at hand, and with how much memory?

Peers: sklearn.calibration.calibration_curve, called once a class; the ECE of netcal; relplot.smECE; and for the first
two the same steps by hand, in plain NumPy without checks. Inputs are the same: whole labels 0..K-1, probabilities in
float64 and C order. Each peer gets them in the form it takes, and finding the top label counts in both. Ours includes
all checks of the input, the peers do what they do. relplot knows confidences only, so that its goal is for a log of
these; with the search for the top label on both sides, the figure is told beside it.

Run with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; only the ratios mean anything on a shared machine. Where netcal
cannot be imported, the goal is one against its steps by hand.
"""  # noqa: D400

import sys
from typing import Any

import numpy as np
from _common import compare, environment, optional, parser, repeated, report
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve

from skroute import reliability_table
from skroute.metrics import calibration_error, smooth_calibration_error

N_BINS = 15
# Rows, classes, and the goals for the table.
TABLES = [(1_000_000, 3, 8), (1_000_000, 20, 12), (200_000, 77, 25)]
ERRORS = [(1_000_000, 3), (200_000, 20), (30_000, 77)]
QUICK = 50
# Calls for so many rows in all are timed as one: a single short one tells more of the machine than of the code.
SHORT_ROWS = 300_000
LOG = "smooth error, log"


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


def curves_by_hand(y: NDArray[np.intp], proba: NDArray[np.float64]) -> list[tuple[NDArray[np.float64], ...]]:
    """Return what `calibration_curve` returns for every class, without its checks."""
    edges, curves = np.linspace(0.0, 1.0, N_BINS + 1)[1:-1], []
    for c in range(proba.shape[1]):
        stated = proba[:, c]
        bins = np.searchsorted(edges, stated)
        count = np.bincount(bins, minlength=N_BINS)
        sums = [np.bincount(bins, values, N_BINS) for values in (y == c, stated)]
        curves.append(tuple(part[count > 0] / count[count > 0] for part in sums))
    return curves


def time_tables(n_rows: int, n_classes: int, goal: float, n_rounds: int) -> list[dict[str, Any]]:
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
    return compare(
        f"table of all classes, {n_rows} x {n_classes}",
        ours,
        {"calibration_curve": peer, "by hand": lambda: curves_by_hand(y, proba)},
        2 * n_rounds,
        goals={"calibration_curve": goal},
    )


def _spread(curve: tuple[NDArray[np.float64], ...], count: NDArray[np.int64]) -> NDArray[np.float64]:
    figures = np.full((2, len(count)), np.nan)
    figures[:, count > 0] = curve
    return figures


def time_calibration_error(n_rows: int, n_classes: int, n_rounds: int) -> list[dict[str, Any]]:
    """Compare the error of top labels with netcal's."""
    y, proba = make_data(n_rows, n_classes)
    netcal = optional("netcal.metrics")

    def ours() -> float:
        return calibration_error(y, proba, n_bins=N_BINS)

    by_hand = "ECE by hand, as netcal does it"
    peers = {by_hand: lambda: netcal_like_ece(proba, y)}
    if netcal:
        peers = {"netcal ECE": lambda: float(netcal.ECE(N_BINS).measure(proba, y)), **peers}
    for peer in peers.values():
        np.testing.assert_allclose(ours(), peer(), atol=1e-6)
    goals, times = {"netcal ECE" if netcal else by_hand: 3}, max(1, SHORT_ROWS // n_rows)
    calls = {name: repeated(peer, times) for name, peer in peers.items()}
    what = f"top-label error, {n_rows} x {n_classes}"
    return compare(what, repeated(ours, times), calls, n_rounds, goals=goals, repeats=times)


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
        LOG: (
            lambda: smooth_calibration_error(y, y_pred=top, confidence=confidence),
            lambda: relplot.smECE(confidence, right),
        ),
    }
    times = max(1, SHORT_ROWS // n_rows)
    return [
        line
        for name, (ours, peer) in pairs.items()
        for line in compare(
            f"{name}, {n_rows} x {n_classes}", repeated(ours, times), {"relplot.smECE": repeated(peer, times)},
            n_rounds, goals={"relplot.smECE": 20} if name == LOG else {}, repeats=times,
        )
    ]  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__).parse_args(argv)
    factor = QUICK if options.quick else 1
    cases = [line for n, k, goal in TABLES for line in time_tables(n // factor, k, goal, options.rounds)]
    for n_rows, n_classes in ERRORS:
        cases += time_calibration_error(n_rows // factor, n_classes, options.rounds)
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
