"""How much is auto-routed under a promise for each class, and is the promise kept: ours, MAPIE's and scikit-fallback's?

The promise is a precision of every class, with 90 % confidence. In each of ten draws a base model is fitted on one part
of the data, a temperature (not for the synthetic case) on 1000 rows of a second one, and each method chooses its
thresholds on the certificate rows, from the same probabilities; all figures come from the remaining rows.

- synthetic: 60 % / 37 % / 3 %, logistic regression on 2000 rows, raw probabilities, 40,000 rows to measure.
- it_tickets: 8 classes of texts; base model on the train split, certificate on the valid split, measured on the test
  split, which is like it.
- clinc150: 10 domains and what belongs to none of them, texts; nsl_kdd: 5 classes of network records. Both test splits
  are shifted on purpose. So train and valid split are pooled and parted at random, and the test split is only reported.

Methods, a threshold for each class or one for all:

- skroute: CertifiedPolicy without margin and entropy gates, each class with 90 %; "joint": all classes at once;
  "reference": the scores of the 1000 rows say where to look, which makes the guarantee exact.
- MAPIE: MultiClassificationLTTController on the precisions of all classes, which it promises at once. "defaults" is
  what it does unasked. "least abstention": best_predict_param_choice=abstention_rate, and p-values that are NaN (no row
  predicted) count as 1. "frequent classes": the same for classes with rows enough, as far as the 1000 rows tell; the
  others are left out by hand and never auto-routed. "split sequence": fwer_method="split_fixed_sequence", with an order
  that is learned on the 1000 rows, among thresholds where these rows have every class. "one a class, by hand" is none
  of its features: a controller for each class with 90 % ("joint": with the risk divided), and each class takes the
  threshold of its own controller.
- skfb (scikit-fallback): no guarantees; its tuners maximise a score by cross-validation, here the coverage if no class
  has more error than the target, and else minus the worst error. "multi": MultiThresholdFallbackClassifierCV. "multi,
  best candidate": the best of the same candidates, see the page. "one": ThresholdFallbackClassifierCV. "rate":
  RateFallbackClassifierCV at the coverage that skroute joint has on the certificate rows.

Run with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 and mapie, scikit-fallback and pandas installed.
"""  # noqa: D400

import json
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from _common import environment, parser
from _guarantees_methods import METHODS, Rows
from _guarantees_report import measure, page
from _quality_data import SETS
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.datasets import make_classification
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

REPOSITORY = Path(__file__).resolve().parents[1]
N_DRAWS, N_QUICK = 10, 2
N_BASE, N_ORDER, N_CERTIFICATE = 8000, 1000, 4000


class Draw(NamedTuple):
    """Rows apart from the certificate, those of the certificate, those to measure with, and shifted ones."""

    order: Rows
    certificate: Rows
    rest: Rows
    shifted: Rows | None


class Case(NamedTuple):
    """How a draw is made, and which sizes and precisions are asked for."""

    draw: Callable[[int, Path], tuple[Draw, list[str]]]
    sizes: tuple[int, ...]
    precisions: tuple[float, ...]


@cache
def _synthetic_rows() -> Rows:
    X, y = make_classification(
        60_000, n_features=10, n_informative=8, n_classes=3, weights=[0.6, 0.37, 0.03], random_state=0, class_sep=1.2
    )
    return Rows(LogisticRegression(max_iter=500).fit(X[:2000], y[:2000]).predict_proba(X), y)


def draw_synthetic(seed: int, folder: Path) -> tuple[Draw, list[str]]:
    proba, y = _synthetic_rows()
    rows = 2000 + np.random.default_rng(seed).permutation(18_000)
    order, certificate, rest = rows[:N_ORDER], rows[N_ORDER : N_ORDER + 8000], np.arange(20_000, 60_000)
    return Draw(*(Rows(proba[part], y[part]) for part in (order, certificate, rest)), None), ["60 %", "37 %", "3 %"]


@cache
def _file(name: str, folder: Path) -> tuple[Any, NDArray[np.intp], NDArray[Any], list[str]]:
    path = folder / SETS[name].file
    if name == "clinc150":
        table = pd.read_csv(path, keep_default_na=False)
        X, labels, split = (table[column].to_numpy(object) for column in ("text", "domain", "split"))
    else:
        X, labels, split = SETS[name].make(path)
    classes, y = np.unique(labels.astype(str), return_inverse=True)
    return X, y, split, classes.tolist()


def draw_from_file(name: str) -> Callable[[int, Path], tuple[Draw, list[str]]]:
    def draw(seed: int, folder: Path) -> tuple[Draw, list[str]]:
        X, y, split, classes = _file(name, folder)
        rng = np.random.default_rng(seed)
        train, valid, test = (np.flatnonzero(split == part) for part in ("train", "valid", "test"))
        pooled = name != "it_tickets"
        known = np.r_[train, valid] if pooled else train
        base, spare = train_test_split(known, train_size=N_BASE, stratify=y[known], random_state=seed)
        spare = rng.permutation(spare if pooled else valid)
        parts = [spare[:N_ORDER], spare[N_ORDER:][:N_CERTIFICATE]]
        parts += [spare[N_ORDER + N_CERTIFICATE :], test] if pooled else [test]
        model = LogisticRegression(C=10.0 if SETS[name].text else 1.0, max_iter=300)
        steps = TfidfVectorizer(min_df=2, sublinear_tf=True) if SETS[name].text else StandardScaler()
        pipe = make_pipeline(steps, model).fit(X[base], y[base])
        logs = [pipe.predict_log_proba(X[part]) for part in parts]
        scale = inverse_temperature(logs[0], y[parts[0]])
        found = [Rows(np.exp(log_softmax(scale * log, axis=1)), y[part]) for log, part in zip(logs, parts, strict=True)]
        return Draw(*found[:3], found[3] if pooled else None), classes

    return draw


def inverse_temperature(logs: NDArray[np.float64], y: NDArray[np.intp]) -> float:
    def loss(log_scale: float) -> float:
        return -float(log_softmax(np.exp(log_scale) * logs, axis=1)[np.arange(len(y)), y].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x))


REAL = ((2000, 4000), (0.90, 0.95))
CASES = {
    "synthetic": Case(draw_synthetic, (2000, 4000, 8000), (0.80, 0.90, 0.95)),
    **{name: Case(draw_from_file(name), *REAL) for name in ("it_tickets", "clinc150", "nsl_kdd")},
}


def run_case(name: str, n_draws: int, folder: Path) -> list[dict[str, Any]]:
    results, case = [], CASES[name]
    for seed in range(n_draws):
        draw, classes = case.draw(seed, folder)
        for n_rows in case.sizes:
            rows = draw.certificate.first(n_rows)
            for precision in case.precisions:
                for method, choose in METHODS.items():
                    start = time.perf_counter()
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        thresholds = choose(rows, draw.order, precision, seed)
                    seconds = time.perf_counter() - start
                    cell = {"case": name, "n": n_rows, "precision": precision, "method": method, "draw": seed}
                    found = {"seconds": seconds, "none": not np.isfinite(thresholds).any(), "names": classes}
                    shifted = None if draw.shifted is None else measure(draw.shifted, thresholds, precision)
                    results.append(cell | found | measure(draw.rest, thresholds, precision) | {"shifted": shifted})
        print(f"{name}, draw {seed + 1} of {n_draws}", file=sys.stderr, flush=True)
    return results


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__)
    options.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data", help="folder of data")
    options.add_argument("--cases", default=",".join(CASES), help="of " + ",".join(CASES))
    options.add_argument("--results", type=Path, help="file of results: read if it is there, else written")
    options.add_argument("--out", type=Path, help="folder of the page; docs/benchmarks if nothing is left out")
    chosen = options.parse_args(argv)
    names = chosen.cases.split(",")
    if chosen.results and chosen.results.exists():
        lines = chosen.results.read_text(encoding="utf-8").splitlines()
        found = [json.loads(line) for line in lines]
    else:
        n_draws = N_QUICK if chosen.quick else N_DRAWS
        found = [line for name in names for line in run_case(name, n_draws, chosen.data)]
        if chosen.results:
            chosen.results.write_text("".join(json.dumps(line) + "\n" for line in found), encoding="utf-8")
    machine = environment("mapie", "scikit-fallback", "scikit-routing")
    if chosen.json:
        for line in (machine, *found):
            print(json.dumps(line))
        return 0
    results = pd.DataFrame(found)
    full = results["draw"].max() + 1 == N_DRAWS and set(results["case"]) == set(CASES)
    text = page(results, machine, full=full)
    print(text)
    folder = chosen.out
    if folder is None and not chosen.quick and names == list(CASES):
        folder = REPOSITORY / "docs" / "benchmarks"
    if folder is not None:
        (folder / "guarantees.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
