"""How much faster are calibrators fitted than by scikit-learn and by plain NumPy and SciPy, and is it the same optimum?

One class at a time for isotonic and sigmoid, all classes for temperature. scikit-learn's calibrators are fitted alone,
without the classifier around them, as CalibratedClassifierCV would fit them. By hand: an argsort and SciPy's
isotonic_regression; a minimiser of SciPy with the loss and its gradient in NumPy; a bounded search for the temperature.
The isotonic function must be scikit-learn's to 1e-12, and the losses must agree to 1e-8. Shrunk isotonic fits are
another function, which nobody else has: their time stands beside, without a goal. So does one np.sort of the scores,
and so do the defaults of both libraries, fitted to stored scores and around a classifier of texts: ours is a pool of
methods, "auto", and scikit-learn's is "sigmoid".
Isotonic fits of 100,000 rows take a few milliseconds, and are timed ten at once.

Run with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; only the ratios mean anything on a shared machine.
"""  # noqa: D400

import sys
from typing import Any

import numpy as np
from _common import compare, environment, parser, peak_memory, repeated, report, rounds, timed
from _replays import calibrated_pair, calibrators_of, normalise
from bench_reliability import make_data
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize, minimize_scalar
from scipy.special import expit, log_softmax
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skroute import RoutingClassifier
from skroute.calibration import IsotonicCalibrator, SigmoidCalibrator, TemperatureCalibrator
from skroute.datasets import make_tickets

Values = NDArray[np.float64]

# Rows, and times faster than scikit-learn.
ISOTONIC = [(100_000, 12), (1_000_000, 20)]
SIGMOID = [(100_000, 8), (1_000_000, 11)]
# Rows, classes, and the same.
TEMPERATURE = [(1_000_000, 3, 8), (100_000, 20, 8), (100_000, 77, 8)]
SHRINKAGE = 5.0
# Fits of up to so many rows take a few milliseconds, and are timed so many at once.
SHORT, TIMES_SHORT = 100_000, 10
# Rows and classes of stored scores, and tickets, to which the defaults are fitted.
DEFAULT, TICKETS = [(20_000, 3), (20_000, 20), (20_000, 77)], 6000
QUICK = 10
SAME_LOSS = 1e-8


def one_class(n_rows: int, *, margins: bool) -> tuple[Values, NDArray[np.intp]]:
    """Return scores of one class, probabilities or margins, and labels that they are not quite right about."""
    rng = np.random.default_rng(0)
    raw = 2.0 * rng.normal(size=n_rows) - 1.0
    y = (rng.random(n_rows) < expit(0.7 * raw + 0.3 * np.sin(2.0 * raw))).astype(np.intp)
    return (raw if margins else expit(raw)), y


def theirs_of(method: str) -> Any:
    """Return the calibrator that scikit-learn fits for a method, not yet fitted."""
    y, proba = make_data(300, 3)
    return clone(calibrators_of(calibrated_pair(method, proba, y)[0])[0])


def isotonic_by_hand(scores: Values, y: NDArray[np.intp]) -> tuple[Values, Values]:
    """Return where the function is known, and its values there; for scores that are all distinct."""
    order = np.argsort(scores)
    return scores[order], isotonic_regression(y[order].astype(np.float64)).x


def time_isotonic(n_rows: int, goal: float, n_rounds: int) -> list[dict[str, Any]]:
    """Compare isotonic fits without shrinkage; and tell the time of shrunk ones, and in sorts."""
    scores, y = one_class(n_rows, margins=False)
    calls = {
        "ours": lambda: IsotonicCalibrator().fit(scores, y),
        "shrunk": lambda: IsotonicCalibrator(shrinkage=SHRINKAGE).fit(scores, y),
        "scikit-learn": lambda: IsotonicRegression(out_of_bounds="clip").fit(scores, y),
        "by hand": lambda: isotonic_by_hand(scores, y),
        "np.sort": lambda: np.sort(scores),
    }
    where = np.concatenate([scores, np.linspace(0.0, 1.0, 10_001)])
    found, expected = calls["ours"]().predict(where), calls["scikit-learn"]().predict(where)
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(np.interp(where, *calls["by hand"]()), expected, rtol=0.0, atol=1e-12)
    times = TIMES_SHORT if n_rows <= SHORT else 1
    seconds = rounds({name: repeated(call, times) for name, call in calls.items()}, n_rounds)
    memory = {name: peak_memory(call) for name, call in calls.items()}

    def line(what: str, ours: str, peer: str, **goals: Any) -> dict[str, Any]:
        case = f"fit {what}, {n_rows} rows / {peer}"
        pair = seconds[ours], seconds[peer]
        return timed(case, *pair, ours_mb=memory[ours], peer_mb=memory[peer], repeats=times, **goals)

    return [
        line("isotonic", "ours", "scikit-learn", goal=goal),
        line("isotonic", "ours", "by hand"),
        line("isotonic, shrunk", "shrunk", "scikit-learn"),
        line("isotonic", "ours", "np.sort", at_most=True),
        line("isotonic, shrunk", "shrunk", "np.sort", at_most=True),
    ]


def platt_loss(parameters: Values, scores: Values, target: Values) -> tuple[float, Values]:
    """Return the mean loss of ``expit(-(a * score + b))``, and its gradient."""
    raw = -(parameters[0] * scores + parameters[1])
    residual = expit(raw) - target
    loss = np.logaddexp(0.0, raw) - target * raw
    return float(loss.mean()), -np.array([residual @ scores, residual.sum()]) / len(scores)


def time_sigmoid(n_rows: int, goal: float, n_rounds: int) -> list[dict[str, Any]]:
    """Compare sigmoids of one class."""
    scores, y = one_class(n_rows, margins=True)
    theirs = theirs_of("sigmoid")
    n_positive = int(y.sum())
    target = np.where(y == 1, (n_positive + 1.0) / (n_positive + 2.0), 1.0 / (n_rows - n_positive + 2.0))

    def by_hand() -> Values:
        start = np.array([0.0, np.log((n_rows - n_positive + 1.0) / (n_positive + 1.0))])
        best: Values = minimize(platt_loss, start, (scores, target), "BFGS", jac=True, options={"gtol": 1e-7}).x
        return best

    peers = {"scikit-learn": lambda: clone(theirs).fit(scores, y), "by hand": by_hand}
    fits = [SigmoidCalibrator().fit(scores, y), peers["scikit-learn"]()]
    losses = [platt_loss(np.array(ab), scores, target)[0] for ab in [*((f.a_, f.b_) for f in fits), by_hand()]]
    np.testing.assert_allclose(losses, min(losses), rtol=0.0, atol=SAME_LOSS)
    return compare(
        f"fit sigmoid, {n_rows} rows",
        lambda: SigmoidCalibrator().fit(scores, y),
        peers,
        n_rounds,
        goals={"scikit-learn": goal},
    )


def temperature_loss(beta: float, proba: Values, y: NDArray[np.intp]) -> float:
    log_proba = log_softmax(beta * np.log(proba + 1e-12), axis=1)
    return -float(log_proba[np.arange(len(y)), y].mean())


def time_temperature(n_rows: int, n_classes: int, goal: float, n_rounds: int) -> list[dict[str, Any]]:
    """Compare temperatures of all classes."""
    y, proba = make_data(n_rows, n_classes)
    proba = normalise(proba**1.5)
    theirs = theirs_of("temperature")

    def by_hand() -> float:
        logits, rows = np.log(proba + 1e-12), np.arange(n_rows)
        found = minimize_scalar(
            lambda log_beta: -log_softmax(np.exp(log_beta) * logits, axis=1)[rows, y].mean(), bounds=(-10.0, 10.0)
        )
        return float(np.exp(found.x))

    peers = {"scikit-learn": lambda: clone(theirs).fit(proba, y), "by hand": by_hand}
    betas = [TemperatureCalibrator().fit(proba, y).beta_, peers["scikit-learn"]().beta_, by_hand()]
    losses = [temperature_loss(beta, proba, y) for beta in betas]
    np.testing.assert_allclose(losses, min(losses), rtol=0.0, atol=SAME_LOSS)
    return compare(
        f"fit temperature, {n_rows} x {n_classes}",
        lambda: TemperatureCalibrator().fit(proba, y),
        peers,
        n_rounds,
        goals={"scikit-learn": goal},
    )


def time_default(n_rows: int, n_classes: int, n_rounds: int) -> list[dict[str, Any]]:
    """Compare the defaults of both libraries on stored scores."""
    y, proba = make_data(n_rows, n_classes)
    proba = normalise(proba**1.5)
    theirs, ours = calibrated_pair("auto", proba, y)
    return compare(
        f"fit auto (the default), {n_rows} x {n_classes}",
        lambda: clone(ours).fit(proba, y),
        {"scikit-learn, sigmoid (its default)": lambda: clone(theirs).fit(proba, y)},
        n_rounds,
    )


def time_whole(n_rows: int, n_rounds: int) -> list[dict[str, Any]]:
    """Compare the defaults of both libraries around a classifier of texts, its five fits and its last one included."""
    tickets = make_tickets(n_rows, random_state=0)
    texts = make_pipeline(TfidfVectorizer(), LogisticRegression(C=5.0, solver="newton-cg"))
    theirs = CalibratedClassifierCV(texts, ensemble=False)
    return compare(
        f"fit all around a classifier of {n_rows} texts, auto (the default)",
        lambda: RoutingClassifier(clone(texts)).fit(tickets.data, tickets.target),
        {"scikit-learn, sigmoid (its default)": lambda: clone(theirs).fit(tickets.data, tickets.target)},
        n_rounds,
    )


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__).parse_args(argv)
    factor = QUICK if options.quick else 1
    cases = []
    for n_rows, goal in ISOTONIC:
        cases += time_isotonic(n_rows // factor, goal, options.rounds)
    for n_rows, goal in SIGMOID:
        cases += time_sigmoid(n_rows // factor, goal, options.rounds)
    for n_rows, n_classes, goal in TEMPERATURE:
        cases += time_temperature(n_rows // factor, n_classes, goal, options.rounds)
    for n_rows, n_classes in DEFAULT:
        cases += time_default(n_rows // factor, n_classes, options.rounds)
    cases += time_whole(TICKETS // factor, options.rounds)
    report(cases, environment(), as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
