"""Do candidate sets hold the true class as often as promised, and how large are they beside those of others?

Simulation: the share of new rows whose set holds the true class, averaged over many draws of the rows to learn from;
all rows together, and within each class (the least of the classes). Split conformal sets promise k / (n + 1), where k =
ceil((n + 1) coverage), and give just that where the accuracy is below it and there are no ties.

Data (--data): TF-IDF and logistic regression on the rows marked as train; levels from random halves of those marked as
valid. Scores are chosen between on the other halves; sets are reported for the rows marked as test. Peers: MAPIE and
crepes, where they are installed.

    python benchmarks/sim_candidates.py [--quick] [--data FOLDER]
"""  # noqa: D400

import argparse
import math
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
from _common import optional
from sklearn.base import BaseEstimator, ClassifierMixin

from skroute import RoutePolicy
from skroute.routing._candidates import fit_candidates, learn_candidates

SEED = 0
DRAWS, QUICK = 2000, 200
NEW_ROWS = 500
SHARES, EASE = np.array([0.4, 0.3, 0.2, 0.1]), np.array([1.3, 1.1, 0.9, 0.7])
SETS = {"it_tickets": "it_tickets.csv.gz", "clinc150": "clinc150.csv.gz"}
HALVES, QUICK_HALVES = 20, 3
# Beyond so many classes, a peer that goes through them one by one takes hours.
MOST_CLASSES = {"crepes, by class": 50}
COVERAGES = (0.9, 0.95)


def draw_rows(n_rows, sharpness, rng):
    """Return probabilities that are off (too bold) and codes of true classes, of four classes of unequal size."""
    codes = rng.choice(len(SHARES), size=n_rows, p=SHARES)
    # The rarer a class, the harder it is to tell.
    scores = rng.normal(size=(n_rows, len(SHARES))) + (sharpness * EASE[codes])[:, None] * np.eye(len(SHARES))[codes]
    weights = np.exp(1.5 * scores)
    return weights / weights.sum(axis=1, keepdims=True), codes


def cover(n_rows, coverage, sharpness, draws, *, by_class=False, decimals=None, weighted=False):
    """Return coverage of all rows and of each class, shape (draws, 1 + n_classes), and the mean size of a set."""
    rng = np.random.default_rng(SEED)
    held, sizes = np.empty((draws, 1 + len(SHARES))), np.empty(draws)
    for draw in range(draws):
        proba, codes = draw_rows(n_rows + NEW_ROWS, sharpness, rng)
        if decimals is not None:
            proba = proba.round(decimals)
        # Rows drawn by chance, each with the inverse of its chance as weight.
        chance = 0.2 + 0.8 * proba[:, 0] if weighted else np.ones(len(proba))
        known = rng.random(len(proba)) < chance
        known[n_rows:] = False
        weight = 1.0 / chance[known] if weighted else None
        candidates = fit_candidates(proba[known], codes[known], coverage=coverage, by_class=by_class, weight=weight)
        members = candidates.sets(proba[n_rows:])
        right = members[np.arange(NEW_ROWS), codes[n_rows:]]
        with np.errstate(invalid="ignore"):
            by = np.bincount(codes[n_rows:], right, len(SHARES)) / np.bincount(codes[n_rows:], minlength=len(SHARES))
        held[draw], sizes[draw] = [right.mean(), *by], members.sum(axis=1).mean()
    return held, sizes


def promised(n_rows, coverage):
    """Return the coverage that split conformal sets of n rows promise."""
    return min(math.ceil((n_rows + 1) * Fraction(str(coverage))) / (n_rows + 1), 1.0)


def simulate(draws):
    print(f"Coverage over {draws} draws: mean (standard error); the least of four classes of shares {SHARES}.")
    print(f"{'rows':>5} {'target':>7} {'case':22} {'promised':>8} {'all':>16} {'least class':>16} {'size':>6}")
    cases = {
        "marginal": {},
        "by class": {"by_class": True},
        "ties (one decimal)": {"decimals": 1},
        "by class, ties": {"by_class": True, "decimals": 1},
        "inverse chances": {"weighted": True},
        "accuracy above target": {"sharpness": 8.0},
    }
    for n_rows in (50, 200, 1000):
        for coverage in COVERAGES:
            for name, options in cases.items():
                held, sizes = cover(n_rows, coverage, options.get("sharpness", 1.5), draws, **_without(options))
                mean, error = np.nanmean(held, axis=0), np.nanstd(held, axis=0) / math.sqrt(draws)
                least = 1 + int(np.argmin(mean[1:]))
                cells = [f"{mean[i]:.4f} ({error[i]:.4f})" for i in (0, least)]
                print(
                    f"{n_rows:5} {coverage:7.2f} {name:22} {promised(n_rows, coverage):8.4f} {cells[0]:>16} "
                    f"{cells[1]:>16} {sizes.mean():6.2f}",
                    flush=True,
                )


def _without(options):
    return {name: value for name, value in options.items() if name != "sharpness"}


class Recorded(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose features are its probabilities."""

    def __init__(self, n_classes=2):
        self.n_classes = n_classes

    def fit(self, X, y):
        """Do nothing."""
        return self

    @property
    def classes_(self):
        """All codes."""
        return np.arange(self.n_classes)

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, X):
        """Return the features."""
        return X

    def predict(self, X):
        """Return the top class."""
        return np.argmax(X, axis=1)


def least_ambiguous(proba, codes, new, coverage):
    """Return sets by 1 - p alone, the top class added afterwards."""
    scores = 1.0 - proba[np.arange(len(proba)), codes]
    return with_top(1.0 - new <= _quantile(scores, coverage), new)


def adaptive(proba, codes, new, coverage, penalty=0.0, free=0):
    """Return adaptive sets (APS), or regularised ones (RAPS), without chance: by what more probable classes sum to."""

    def scores(values):
        order = np.argsort(-values, axis=1, kind="stable")
        ranks = np.argsort(order, axis=1, kind="stable")
        ordered = np.take_along_axis(values, order, axis=1)
        ahead = np.take_along_axis(np.cumsum(ordered, axis=1) - ordered, ranks, axis=1)
        return ahead + penalty * np.maximum(ranks + 1 - free, 0)

    level = _quantile(scores(proba)[np.arange(len(proba)), codes], coverage)
    return with_top(scores(new) <= level, new)


def with_top(members, proba):
    """Return the sets with the top class in each."""
    members[np.arange(len(proba)), proba.argmax(axis=1)] = True
    return members


def _quantile(scores, coverage):
    k = math.ceil((len(scores) + 1) * Fraction(str(coverage)))
    return np.sort(scores)[k - 1] if k <= len(scores) else np.inf


def ours(proba, codes, new, coverage, by_class=False):
    return fit_candidates(proba, codes, coverage=coverage, by_class=by_class).sets(new)


def mapie_sets(proba, codes, new, coverage, score="lac"):
    peer = optional("mapie.classification")
    model = peer.SplitConformalClassifier(
        Recorded(proba.shape[1]), confidence_level=coverage, conformity_score=score, prefit=True, random_state=SEED
    )
    model.conformalize(proba, codes)
    return model.predict_set(new)[1][:, :, 0].astype(bool)


def crepes_sets(proba, codes, new, coverage, by_class=False):
    model = optional("crepes").WrapClassifier(Recorded(proba.shape[1]))
    model.calibrate(proba, codes, class_cond=by_class)
    return np.asarray(model.predict_set(new, labels=False, confidence=coverage, smoothing=False)).astype(bool)


METHODS = {
    "ours": ours,
    "LAC, top added": least_ambiguous,
    "APS": adaptive,
    "RAPS .01": lambda *rows: adaptive(*rows, penalty=0.01, free=2),
    "RAPS .1": lambda *rows: adaptive(*rows, penalty=0.1, free=2),
    "ours, by class": lambda *rows: ours(*rows, by_class=True),
}
PEERS = {
    "MAPIE lac": ("mapie", mapie_sets),
    "MAPIE aps": ("mapie", lambda *rows: mapie_sets(*rows, score="aps")),
    "MAPIE raps": ("mapie", lambda *rows: mapie_sets(*rows, score="raps")),
    "crepes": ("crepes", crepes_sets),
    "crepes, by class": ("crepes", lambda *rows: crepes_sets(*rows, by_class=True)),
}


def recorded(path):
    """Return probabilities and codes of the rows marked as valid and as test."""
    import pandas as pd
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    table = pd.read_csv(path, keep_default_na=False)
    table = table[table["label"] != "oos"]
    parts = {split: table[table["split"] == split] for split in ("train", "valid", "test")}
    model = make_pipeline(TfidfVectorizer(sublinear_tf=True, min_df=2), LogisticRegression(max_iter=300))
    model.fit(parts["train"]["text"], parts["train"]["label"].to_numpy())
    codes = {name: np.searchsorted(model.classes_, part["label"].to_numpy()) for name, part in parts.items()}
    return *(model.predict_proba(parts[name]["text"]) for name in ("valid", "test")), codes["valid"], codes["test"]


def figures(members, codes, n_classes):
    """Return coverage, mean size, share of empty sets, and the least and the tenth percentile over classes."""
    right = members[np.arange(len(codes)), codes]
    rows = np.bincount(codes, minlength=n_classes)
    by = np.bincount(codes, right, n_classes)[rows > 0] / rows[rows > 0]
    return [right.mean(), members.sum(axis=1).mean(), (~members.any(axis=1)).mean(), by.min(), np.quantile(by, 0.1)]


def compare(name, path, n_halves):
    valid, test, valid_codes, test_codes = recorded(path)
    n_classes = valid.shape[1]
    print(
        f"\n{name}: {n_classes} classes, {len(valid)} valid rows in random halves, {len(test)} test rows, "
        f"test accuracy {np.mean(test.argmax(axis=1) == test_codes):.3f}; mean (spread over {n_halves} halves)"
    )
    methods = METHODS | {
        peer: call
        for peer, (module, call) in PEERS.items()
        if optional(module) and n_classes <= MOST_CLASSES.get(peer, n_classes)
    }
    header = ["other half: coverage", "size", "test: coverage", "size", "empty", "least class", "10 % of classes"]
    print(f"{'target':>6} {'method':18} " + " ".join(f"{cell:>20}" for cell in header))
    for coverage in COVERAGES:
        for method, call in methods.items():
            rng, found = np.random.default_rng(SEED), []
            for _ in range(n_halves):
                order = rng.permutation(len(valid))
                half, rest = np.split(order, [len(order) // 2])
                new = np.concatenate([valid[rest], test])
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    members = call(valid[half], valid_codes[half], new, coverage)
                chosen = figures(members[: len(rest)], valid_codes[rest], n_classes)
                found.append(chosen[:2] + figures(members[len(rest) :], test_codes, n_classes))
            cells = [f"{m:.4f} ({s:.4f})" for m, s in zip(np.mean(found, axis=0), np.std(found, axis=0), strict=True)]
            print(f"{coverage:6.2f} {method:18} " + " ".join(f"{cell:>20}" for cell in cells), flush=True)
    held_rows(valid, valid_codes, test, test_codes)


def held_rows(valid, valid_codes, test, test_codes):
    """Print what sets are worth on the rows that the default policy does not route automatically."""
    policy = RoutePolicy().fit(valid)
    known, held = policy.decide(valid) != "auto", policy.decide(test) != "auto"
    print(f"Rows that are not automatic under the default policy: {held.mean():.1%} of test; all valid rows.")
    for coverage in COVERAGES:
        for by_class in (False, True):
            for name, rows in (("all rows", None), ("held rows as well", known)):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    learned = learn_candidates(
                        valid, valid_codes, policy.classes_, coverage=coverage, by_class=by_class, held=rows
                    )
                members = learned.sets(test)
                of_held = figures(members[held], test_codes[held], valid.shape[1])
                of_all = figures(members, test_codes, valid.shape[1])
                print(
                    f"{coverage:6.2f} {'by class, ' * by_class}for {name}: on such rows {of_held[0]:.4f}, size "
                    f"{of_held[1]:.2f}, least class {of_held[3]:.4f}; on all rows {of_all[0]:.4f}, {of_all[1]:.2f}, "
                    f"{of_all[3]:.4f}; classes in every set: {np.sum(learned.levels == 0.0)}"
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few draws and halves: whether it runs")
    parser.add_argument("--data", type=Path, help="folder that holds the data sets; without it, only the simulation")
    options = parser.parse_args()
    simulate(QUICK if options.quick else DRAWS)
    for name, file in SETS.items() if options.data else ():
        compare(name, options.data / file, QUICK_HALVES if options.quick else HALVES)


if __name__ == "__main__":
    main()
