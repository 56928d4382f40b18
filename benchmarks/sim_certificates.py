"""Answer whether certificates are wrong as rarely as promised, and how much of what is possible they certify.

One class, scores expit(2 + 1.5 z) with z standard normal, and an error rate that is a function of the score: as the
scores say (calibrated); as their tempered logits say (overconfident); 2 % above the target everywhere (flat: the worst
case); 2.5 times the target in the top 5 % (bad top); crossing the target many times (oscillating, fast and slow). The
true error rate above every threshold is integrated, not sampled. For each number of rows: the share of draws whose
certified threshold has a true error rate above the target, with its standard error; the mean routed share of true
certificates over that of the oracle, which knows the error rates; the share of draws without a certificate. Violations
above the promised risk by more than 2.5 standard errors are marked, and so are certificates from too few rows.

Then the watch levels: how often the missed share of the class exceeds its bound, how much is missed, and how many rows
of other classes are watched, for scores with and without ties.

    python benchmarks/sim_certificates.py [--draws N] [--quick] [--json]
"""

import json
import math

import _common
import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from skroute.policies._binomial import rows_needed
from skroute.policies._certify import certify_class
from skroute.policies._recall import watch_level

RISK = 0.1
TARGETS = (0.05, 0.2)
ROWS = (30, 60, 150, 500, 2000)
CLASS_ROWS = (10, 19, 30, 45, 60, 100, 200, 1000)
MAX_MISS = 0.05
DRAWS, QUICK = 2000, 50

NORMAL = np.linspace(-7.0, 7.0, 200001)
SCORES, DENSITY = expit(2.0 + 1.5 * NORMAL), np.exp(-(NORMAL**2) / 2.0)
TOP = expit(2.0 + 1.5 * ndtri(0.95))


def oscillating(period):
    def rate(scores, max_error):
        wave = np.sign(np.sin(0.4 * np.pi * scores / period / (1.05 - scores)))
        return max_error * (1.01 + wave)

    return rate


RATES = {
    "calibrated": lambda scores, max_error: 1.0 - scores,
    "overconfident": lambda scores, max_error: 1.0 - expit(0.6 * logit(np.clip(scores, 1e-12, 1.0 - 1e-12))),
    "flat": lambda scores, max_error: np.full_like(scores, 1.02 * max_error),
    "bad top": lambda scores, max_error: np.where(scores > TOP, 2.5 * max_error, 1.0 - scores),
    "oscillating fast": oscillating(0.05),
    "oscillating slow": oscillating(0.3),
}


class Truth:
    """Error rate and routed share of every threshold, and the largest share that an oracle may route."""

    def __init__(self, rate, max_error):
        wrong = np.cumsum((DENSITY * rate(SCORES, max_error))[::-1])[::-1]
        mass = np.cumsum(DENSITY[::-1])[::-1]
        self.max_error, self.error, self.coverage = max_error, wrong / mass, mass / mass[0]
        allowed = self.coverage[self.error <= max_error]
        self.oracle = float(allowed.max(initial=0.0))

    def judge(self, threshold):
        """Return violation, coverage as a share of the oracle's, and whether there is no certificate."""
        if threshold == np.inf:
            return 0.0, 0.0, 1.0
        place = np.searchsorted(SCORES, threshold)
        if self.error[place] > self.max_error + 1e-9:
            return 1.0, 0.0, 0.0
        return 0.0, self.coverage[place] / self.oracle, 0.0


def draw_class(rate, max_error, n_rows, rng):
    """Return scores and errors of the rows, and scores of twice as many others."""
    scores = expit(2.0 + 1.5 * rng.standard_normal(n_rows))
    return scores, rng.random(n_rows) < rate(scores, max_error), expit(2.0 + 1.5 * rng.standard_normal(2 * n_rows))


def certificates(draws):
    for max_error in TARGETS:
        for name, rate in RATES.items():
            truth = Truth(rate, max_error)
            for n_rows in ROWS:
                found = {"reference": [], "own scores": []}
                for seed in range(draws):
                    scores, wrong, others = draw_class(rate, max_error, n_rows, np.random.default_rng((seed, n_rows)))
                    for start, reference in (("reference", others), ("own scores", None)):
                        certified = certify_class(scores, wrong, max_error=max_error, risk=RISK, reference=reference)
                        found[start].append(truth.judge(certified.threshold))
                for start, judged in found.items():
                    violation, coverage, none = np.mean(judged, axis=0)
                    enough = n_rows >= rows_needed(max_error, RISK)
                    yield {
                        "max_error": max_error, "scores": name, "start": start, "rows": n_rows,
                        "violation": violation, "se": math.sqrt(violation * (1.0 - violation) / draws),
                        "coverage": coverage, "none": none, "oracle": truth.oracle,
                        "holds": violation <= RISK + 2.5 * math.sqrt(RISK * (1.0 - RISK) / draws)
                        and (enough or none == 1.0),
                    }  # fmt: skip


def watch_levels(draws):
    for tied in (False, True):
        for n_rows in CLASS_ROWS:
            rng = np.random.default_rng(n_rows)
            missed, watched = [], []
            for _ in range(draws):
                scores = expit(2.0 * rng.standard_normal(n_rows))
                scores = np.round(scores, 1) if tied else scores
                level = watch_level(scores, max_miss=MAX_MISS, risk=RISK).level
                # A rounded score lies below the level where the score itself lies half a step lower.
                edge = np.clip(level - 0.05 * tied, 0.0, 1.0)
                missed.append(ndtr(logit(edge) / 2.0))
                watched.append(1.0 - ndtr((logit(edge) + 4.0) / 1.5))
            violation = float(np.mean(np.array(missed) > MAX_MISS))
            yield {
                "rows": n_rows, "ties": tied, "violation": violation,
                "se": math.sqrt(violation * (1.0 - violation) / draws), "missed": float(np.mean(missed)),
                "watched": float(np.mean(watched)),
                "holds": violation <= RISK + 2.5 * math.sqrt(RISK * (1.0 - RISK) / draws),
            }  # fmt: skip


def print_certificates(cases):
    print("violation+-se / coverage of the oracle's / without certificate; ! where a promise is broken")
    print(f"{'target':>6} {'scores':17}{'oracle':>7} {'start':11}" + "".join(f"{f'{n} rows':>21}" for n in ROWS))
    for first in range(0, len(cases), 2 * len(ROWS)):
        block = cases[first : first + 2 * len(ROWS)]
        for start in ("reference", "own scores"):
            row = [case for case in block if case["start"] == start]
            cells = "".join(
                f"{case['violation']:>8.3f}+-{case['se']:.3f}/{case['coverage']:.2f}/{case['none']:.2f}"[1:].rjust(20)
                + (" " if case["holds"] else "!")
                for case in row
            )
            print(f"{row[0]['max_error']:>6} {row[0]['scores']:17}{row[0]['oracle']:>7.2f} {start:11}{cells}")


def print_watch_levels(cases):
    print(f"\nWatch levels, at most {MAX_MISS} missed but for {RISK}: P(more missed)+-se, mean missed, others watched")
    for case in cases:
        print(
            f"{case['rows']:>6} rows {'ties' if case['ties'] else '    '} {case['violation']:.3f}+-{case['se']:.3f}"
            f"{'' if case['holds'] else '!'} {case['missed']:.3f} {case['watched']:.2f}"
        )


def main():
    options = _common.parser(__doc__)
    options.add_argument("--draws", type=int, default=DRAWS, help="draws a cell (default: %(default)s)")
    arguments = options.parse_args()
    draws = QUICK if arguments.quick else arguments.draws
    shown, watches = list(certificates(draws)), list(watch_levels(draws))
    if arguments.json:
        for line in (_common.environment() | {"draws": draws, "risk": RISK}, *shown, *watches):
            print(json.dumps(line, default=float))
        return
    print(f"{draws} draws a cell, risk {RISK}")
    print_certificates(shown)
    print_watch_levels(watches)


if __name__ == "__main__":
    main()
