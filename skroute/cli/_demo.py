"""The main job from end to end: fit on tickets, measure each class, compare global with class-specific thresholds."""

import argparse
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from skroute import CertifiedPolicy, RoutePolicy, RoutingClassifier, reliability_table
from skroute._validation import listed
from skroute.calibration._methods import METHODS
from skroute.cli import _demo_text
from skroute.cli._errors import CommandError, extra
from skroute.cli._read import read_texts, shortened
from skroute.datasets import make_tickets
from skroute.exceptions import DeadGateWarning, UncertifiedClassWarning
from skroute.metrics import routing_report
from skroute.routing import RouteTable

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "run"]

SUMMARY = "fit, measure and route help-desk tickets, generated or from a file"
DESCRIPTION = (
    "Fit TF-IDF and logistic regression inside a RoutingClassifier, show how far each class can be trusted before and "
    "after calibration, and compare one global threshold with class-specific ones learned from data. Without FILE it "
    "runs on generated tickets."
)

SAMPLES = 20_000
# Fewer tuning rows than this say too little about an error of a few per cent.
LEAST_ROWS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``skroute demo``."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="csv, csv.gz or parquet; default: generated tickets")
    parser.add_argument("--text", metavar="COLUMN", help="text column of FILE (default: text)")
    parser.add_argument("--label", metavar="COLUMN", help="label column of FILE (default: label)")
    parser.add_argument("--method", choices=METHODS, default="auto", help="calibration (default: auto)")
    wrong = "largest share wrong among the rows auto-routed to a class (default: 0.05)"
    parser.add_argument("--max-error", type=float, default=0.05, metavar="SHARE", help=wrong)
    parser.add_argument("--samples", type=int, metavar="N", help=f"generated tickets (default: {SAMPLES})")
    parser.add_argument("--seed", type=int, default=0, help="seed of the tickets and of the split (default: 0)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="folds fitted in parallel (default: 1)")


@dataclass(frozen=True)
class Tickets:
    """Texts and labels, with the rows to train, to tune thresholds and to test on."""

    source: str
    texts: NDArray[np.object_]
    labels: NDArray[Any]
    n_dropped: int
    train: NDArray[np.intp]
    tune: NDArray[np.intp]
    test: NDArray[np.intp]


def run(arguments: argparse.Namespace) -> None:
    """Run the demonstration and print it."""
    progress = _demo_text.Progress()
    _check(arguments)
    with warnings.catch_warnings(record=True) as caught, progress:
        warnings.simplefilter("always")
        # Which numbers are dead is a lesson of its own; here the class-specific thresholds come from the data.
        warnings.simplefilter("ignore", DeadGateWarning)
        # Classes without a certificate are listed below.
        warnings.simplefilter("ignore", UncertifiedClassWarning)
        progress.step("Reading tickets")
        tickets = _tickets(arguments)
        progress.step(f"Fitting {len(tickets.train)} tickets, {len(np.unique(tickets.labels))} classes")
        router = _fit(tickets, arguments)
        progress.step(f"Tuning thresholds on {len(tickets.tune)} more")
        y_tune = tickets.labels[tickets.tune]
        tuning = router.explain_route(tickets.texts[tickets.tune])
        threshold = lowest_threshold(y_tune, tuning, arguments.max_error)
        certified = CertifiedPolicy(arguments.max_error)
        certified.fit(router.predict_proba(tickets.texts[tickets.tune]), y_tune, classes=router.classes_)
        progress.step(f"Measuring on {len(tickets.test)} others")
        proba = router.predict_proba(tickets.texts[tickets.test])
        before = router.estimator_.predict_proba(tickets.texts[tickets.test])
        y_test = tickets.labels[tickets.test]
        policies = {"global": RoutePolicy(threshold).fit(proba, classes=router.classes_), "by class": certified}
        reports = {
            name: routing_report(y_test, policy.explain(proba), classes=router.classes_)
            for name, policy in policies.items()
        }
        tables = [reliability_table(y_test, p, classes=router.classes_).summary() for p in (before, proba)]
    _demo_text.show(tickets, router, tables, policies, reports, arguments.max_error, [str(w.message) for w in caught])


def _check(arguments: argparse.Namespace) -> None:
    if not 0.0 < arguments.max_error < 1.0:
        raise CommandError(f"--max-error must be more than 0 and less than 1, got {arguments.max_error:g}")
    if not 0 <= arguments.seed < 2**32:
        raise CommandError(f"--seed must lie between 0 and 2**32 - 1, got {arguments.seed}")
    if arguments.jobs == 0:
        raise CommandError("--jobs must be a number of workers, or -1 for one a core, got 0")
    if arguments.file is None and (arguments.text or arguments.label):
        raise CommandError("--text and --label name columns of FILE, but no FILE is given")
    if arguments.file is not None and arguments.samples is not None:
        raise CommandError("--samples is a number of generated tickets, but FILE is given")
    if arguments.samples is not None and arguments.samples < 200:
        raise CommandError(f"--samples must be at least 200, got {arguments.samples}")


def _tickets(arguments: argparse.Namespace) -> Tickets:
    if arguments.file is None:
        made = make_tickets(arguments.samples or SAMPLES, random_state=arguments.seed)
        source, texts, labels, dropped = "generated tickets", np.array(made.data, dtype=object), made.target, 0
    else:
        source = arguments.file
        texts, labels, dropped = read_texts(source, arguments.text or "text", arguments.label or "label")
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise CommandError(f"{source} holds a single class, {shortened(classes[0])}; there is nothing to tell apart")
    if counts.min() < 2:
        lone = [shortened(label) for label in classes[counts < 2]]
        raise CommandError(
            f"{source} has classes with one row: {listed(lone)}; give each at least 2, to train and to test, or leave "
            "it out"
        )
    # Generated tickets are free, so that there can be enough of the rare class to measure it.
    test_share = 0.5 if arguments.file is None else 0.2
    return Tickets(source, texts, labels, dropped, *_split(labels, arguments.seed, test_share))


def _split(
    labels: NDArray[Any], seed: int, test_share: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Keep a share of every class to test, a fifth to tune, the rest to train; train and test are never empty."""
    random = np.random.default_rng(seed)
    parts: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        n_test = max(1, round(test_share * len(rows)))
        n_test = min(n_test, len(rows) - 1)
        n_tune = min(round(0.2 * len(rows)), len(rows) - n_test - 1)
        for part, chosen in zip(parts, np.split(rows, [len(rows) - n_test - n_tune, len(rows) - n_test]), strict=True):
            part.append(chosen)
    # In random order, as the rows to test are: folds in the order of a file would be another question.
    train, tune, test = (random.permutation(np.concatenate(part)) for part in parts)
    return train, tune, test


def _fit(tickets: Tickets, arguments: argparse.Namespace) -> RoutingClassifier:
    # A word of a small file may well occur only once.
    least_documents = 2 if len(tickets.train) >= 1000 else 1
    model: Pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=least_documents, sublinear_tf=True),
        LogisticRegression(C=5.0, solver="newton-cg", max_iter=1000),
    )
    router = RoutingClassifier(model, method=arguments.method, n_jobs=arguments.jobs)
    # Threads of BLAS fight each other over matrices as small as these, on some machines for tens of seconds.
    with extra("threadpoolctl").threadpool_limits(1):
        try:
            router.fit(tickets.texts[tickets.train], tickets.labels[tickets.train])
        except ValueError as error:
            # Too few rows to cross-fit, or texts without a word in common.
            raise CommandError(f"{tickets.source} cannot be fitted: {error}") from None
    return router


def lowest_threshold(y_true: NDArray[Any], routes: RouteTable, max_error: float) -> float:
    """Return the lowest threshold for all classes at which at most `max_error` of the automatic rows are wrong.

    Counted among the rows that pass the other gates; +inf where no threshold leaves `LEAST_ROWS` such rows. It
    describes those rows and promises nothing for new ones.
    """
    rows = routes.passed_margin & routes.passed_entropy
    order = np.argsort(-routes.confidence[rows], kind="stable")
    confidence = routes.confidence[rows][order]
    wrong = np.cumsum((y_true != routes.label)[rows][order])
    count = np.arange(1, len(order) + 1)
    # Equal confidences pass together, so a threshold stands at the last of them.
    last = np.append(confidence[1:] < confidence[:-1], True)[: len(order)]
    good = np.flatnonzero(last & (count >= LEAST_ROWS) & (wrong <= max_error * count))
    return float(confidence[good[-1]]) if good.size else np.inf
