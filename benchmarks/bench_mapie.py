"""Answer whether certificates of one class cover at least as much as MAPIE's at the same promise, and how fast.

The cells of `sim_certificates.py`. MAPIE's `BinaryClassificationController` gets the rows of the class as a binary
problem: "predict positive" is "route", precision is one minus the share of wrong rows, and recall is the second
objective, so that it routes as much as it can. It runs as it comes (Bonferroni-Holm over 100 thresholds), and as
fixed-sequence test from the highest of them down. Violations, coverage as a share of the oracle's, and draws without a
certificate; the mean milliseconds of a call. Cells in which MAPIE covers more are marked; a difference within 2.5
standard errors of itself is not one.

    python benchmarks/bench_mapie.py [--draws N] [--quick] [--json]
"""

import json
import logging
import time
import warnings

import _common
import numpy as np
from sim_certificates import RATES, RISK, ROWS, TARGETS, Truth, draw_class

from skroute.policies._certify import certify_class

DRAWS, QUICK = 200, 5
GRID = np.linspace(0.99, 0.0, 100)


def positive(scores):
    """Return the two columns that a binary classifier would."""
    return np.column_stack([1.0 - scores[:, 0], scores[:, 0]])


def mapie_threshold(controller, scores, wrong, max_error, **options):
    """Return the threshold that MAPIE finds; +inf where it finds none."""
    found = controller(
        positive, "precision", 1.0 - max_error, confidence_level=1.0 - RISK, best_predict_param_choice="recall",
        **options,
    )  # fmt: skip
    with warnings.catch_warnings():
        # It warns where it finds none, which is counted here.
        warnings.simplefilter("ignore")
        found.calibrate(scores[:, None], (~wrong).astype(int))
    return np.inf if found.best_predict_param is None else float(found.best_predict_param)


def methods(controller, scores, wrong, others, max_error):
    """Return every method as a call that gives its threshold."""
    return {
        "skroute, reference": lambda: (
            certify_class(scores, wrong, max_error=max_error, risk=RISK, reference=others).threshold
        ),
        "skroute, own scores": lambda: certify_class(scores, wrong, max_error=max_error, risk=RISK).threshold,
        "MAPIE, Holm": lambda: mapie_threshold(controller, scores, wrong, max_error),
        "MAPIE, fixed sequence": lambda: mapie_threshold(
            controller, scores, wrong, max_error, fwer_method="fixed_sequence", list_predict_params=GRID
        ),
    }


def cell(controller, name, max_error, n_rows, draws):
    """Return what every method does in the same draws of one cell."""
    truth, judged, seconds = Truth(RATES[name], max_error), {}, {}
    for seed in range(draws):
        rows = draw_class(RATES[name], max_error, n_rows, np.random.default_rng((seed, n_rows)))
        for method, call in methods(controller, *rows, max_error).items():
            start = time.perf_counter()
            threshold = call()
            seconds.setdefault(method, []).append(time.perf_counter() - start)
            judged.setdefault(method, []).append(truth.judge(threshold))
    results = {method: np.array(outcome) for method, outcome in judged.items()}
    for method, outcome in results.items():
        violation, coverage, none = outcome.mean(axis=0)
        # Of ours less theirs, in the same draws.
        gains = [results[ours][:, 1] - outcome[:, 1] for ours in results if ours.startswith("sk") and method[0] == "M"]
        beaten = [gain.mean() < -2.5 * gain.std() / np.sqrt(draws) - 1e-12 for gain in gains]
        yield {
            "max_error": max_error, "scores": name, "rows": n_rows, "method": method, "violation": violation,
            "coverage": coverage, "none": none, "ms": 1e3 * float(np.median(seconds[method])), "ahead": any(beaten),
        }  # fmt: skip


def main():
    options = _common.parser(__doc__)
    options.add_argument("--draws", type=int, default=DRAWS, help="draws a cell (default: %(default)s)")
    arguments = options.parse_args()
    module = _common.optional("mapie.risk_control")
    if module is None:
        raise SystemExit("MAPIE is not installed.")
    logging.disable(logging.CRITICAL)
    draws = QUICK if arguments.quick else arguments.draws
    machine = _common.environment("mapie") | {"draws": draws, "risk": RISK}
    print(json.dumps(machine))
    if not arguments.json:
        print("violation / coverage of the oracle's / without certificate / ms; * where MAPIE covers more than ours")
    for max_error in TARGETS:
        for name in RATES:
            for n_rows in ROWS:
                for case in cell(module.BinaryClassificationController, name, max_error, n_rows, draws):
                    if arguments.json:
                        print(json.dumps(case, default=float))
                        continue
                    figures = (
                        f"{case['violation']:.3f} / {case['coverage']:.2f} / {case['none']:.2f} / {case['ms']:.2f}"
                    )
                    mark = " *" if case["ahead"] else ""
                    print(f"{max_error:>5} {name:17}{n_rows:>5} {case['method']:22} {figures}{mark}", flush=True)


if __name__ == "__main__":
    main()
