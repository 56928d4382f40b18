"""The data sets of the benchmark of calibration quality, each in three parts that share no row."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.model_selection import train_test_split

__all__ = ["SETS", "DataSet", "Parts", "load_parts", "load_recorded"]

N_CAL, N_TEST = 5000, 8000
TABLE_MODELS = ("lr", "svc", "gnb", "rf", "hgb", "mlp")
KDD_NOT_FEATURES = ["label", "split", "attack", "difficulty"]


class Parts(NamedTuple):
    """Rows for the base model, rows for the calibrators, and rows that are only scored; labels are codes."""

    X_base: Any
    y_base: NDArray[np.intp]
    X_cal: Any
    y_cal: NDArray[np.intp]
    X_test: Any
    y_test: NDArray[np.intp]


@dataclass(frozen=True)
class DataSet:
    """How a data set is made, and what is done with it.

    Parameters
    ----------
    make : callable
        Called with the seed, or with the file where there is one.
    models : tuple of str
        Base models, or recorded networks.
    n_base : int
        Rows for the base model.
    n_seeds, n_quick : int
        Seeds of the full and of the quick run; a quick run leaves out a set with 0.
    quick_models : tuple of str
        Base models of the quick run; empty means all.
    file : str, default=""
        File in the folder of data; empty for what is bundled or generated.
    text : bool, default=False
        Whether rows are texts.
    score_on : {"test", "train"}, default="test"
        Which split is scored; of "train", the rows that the base model did not see.
    shifted : bool, default=False
        Whether the scored rows are distributed unlike those to calibrate with, on purpose.
    """

    make: Callable[..., Any]
    models: tuple[str, ...]
    n_base: int
    n_seeds: int
    n_quick: int
    quick_models: tuple[str, ...] = ()
    file: str = ""
    text: bool = False
    score_on: str = "test"
    shifted: bool = False

    @property
    def recorded(self) -> bool:
        """Whether the models are not fitted here: their probabilities are the data."""
        return self.file.endswith(".npz")


def _digits_long_tail(seed: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    X, y = load_digits(return_X_y=True)
    kept = _long_tail(y, 8.0, np.random.default_rng(seed))
    return X[kept], y[kept]


def _long_tail(y: NDArray[Any], ratio: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return rows such that the share of class k falls geometrically, down to 1 / ratio for the last one."""
    chance = ratio ** (-y / y.max())
    return np.flatnonzero(rng.random(len(y)) < chance)


def _breast(seed: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    X, y = load_breast_cancer(return_X_y=True)
    return X, y


def _blobs(n_classes: int, weights: NDArray[np.float64], **options: Any) -> Callable[[int], Any]:
    def make(seed: int) -> Any:
        return make_classification(
            20_000,
            24,
            n_redundant=4,
            n_classes=n_classes,
            weights=list(weights / weights.sum()),
            flip_y=0.02,
            random_state=200 + seed,
            **options,
        )

    return make


def _texts(n_classes: int) -> Callable[[int], Any]:
    """Return a maker of short texts: mixtures of a class's topic and a common one, long tail 40:1, 3 % wrong labels."""

    def make(seed: int) -> Any:
        n_rows, n_words, purity = 16_000, 1500, 0.42
        rng = np.random.default_rng(2000 + seed)
        prior = 40.0 ** (-np.arange(n_classes) / (n_classes - 1))
        prior /= prior.sum()
        common = rng.dirichlet(np.full(n_words, 0.08))
        topics = rng.dirichlet(np.full(n_words, 0.02), size=n_classes)
        # Every class resembles another one, or none would be mistaken for it.
        topics = 0.7 * topics + 0.3 * topics[rng.integers(0, n_classes, n_classes)]
        y = rng.choice(n_classes, n_rows, p=prior)
        lengths = np.maximum(3, rng.poisson(11, n_rows))
        on_topic = rng.beta(4 * purity, 4 * (1 - purity), n_rows)
        texts = np.empty(n_rows, dtype=object)
        for i in range(n_rows):
            n_topic = rng.binomial(lengths[i], on_topic[i])
            words = np.r_[
                rng.choice(n_words, n_topic, p=topics[y[i]]), rng.choice(n_words, lengths[i] - n_topic, p=common)
            ]
            texts[i] = " ".join(f"w{word}" for word in words)
        wrong = rng.random(n_rows) < 0.03
        return texts, np.where(wrong, rng.choice(n_classes, n_rows, p=prior), y)

    return make


def _read_texts(path: Path) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    # The words "none" and "null" occur.
    table = pd.read_csv(path, keep_default_na=False)
    return table["text"].to_numpy(object), table["label"].to_numpy(), table["split"].to_numpy()


def _read_connections(path: Path) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    table = pd.read_csv(path, low_memory=False)
    features = table.drop(columns=[name for name in KDD_NOT_FEATURES if name in table])
    # Counts of bytes and seconds span nine decades, and none is negative.
    numbers = np.log1p(features.select_dtypes("number").to_numpy(np.float64))
    words = pd.get_dummies(features.select_dtypes(exclude="number")).to_numpy(np.float64)
    return np.hstack([numbers, words]), table["label"].to_numpy(), table["split"].to_numpy()


def _read_network(path: Path, model: str, tail: float) -> Callable[[int], Any]:
    """Return a maker of recorded probabilities and labels of the first half (to calibrate) and of the second one."""
    records = np.load(path)
    proba = np.clip(records[model].astype(np.float64), 0.0, 1.0)
    proba /= proba.sum(axis=1, keepdims=True)
    y = records[f"{model.split('_')[0]}_label"].astype(np.intp)

    def make(seed: int) -> Any:
        rng = np.random.default_rng(300 + seed)
        kept = _long_tail(y, tail, rng)
        cal, test = kept[kept < 5000], kept[kept >= 5000]
        cal = rng.permutation(cal)
        return proba[cal], y[cal], proba[test], y[test]

    return make


def _network(tail: float) -> Callable[[Path, str], Callable[[int], Any]]:
    return lambda path, model: _read_network(path, model, tail)


FIVE = _blobs(5, np.array([0.60, 0.25, 0.10, 0.04, 0.01]), n_informative=10, n_clusters_per_class=2, class_sep=0.9)
TWENTY = _blobs(20, 30.0 ** (-np.arange(20) / 19), n_informative=14, n_clusters_per_class=1, class_sep=1.2)
TEXT_MODELS, CIFAR10 = ("lr", "svc", "mnb"), ("c10_lenet5", "c10_wrn16_4")
NSL, CIFAR = "nsl_kdd.csv.gz", "cifar_problogs.npz"
SETS = {
    "it_tickets": DataSet(_read_texts, (*TEXT_MODELS, "mlp"), 8000, 3, 1, file="it_tickets.csv.gz", text=True),
    # Out-of-scope texts are 18 % of the test rows and 1 % of all others.
    "clinc150": DataSet(
        _read_texts, TEXT_MODELS, 9000, 2, 1, ("svc", "mnb"), file="clinc150.csv.gz", text=True, shifted=True
    ),
    "banking77": DataSet(_read_texts, TEXT_MODELS, 5000, 2, 1, ("svc", "mnb"), file="banking77.csv.gz", text=True),
    # A sixth of its test rows are attacks that no other part holds, which no calibrator can know.
    "nsl_kdd": DataSet(_read_connections, TABLE_MODELS, 10_000, 3, 1, file=NSL, shifted=True),
    "nsl_kdd_same": DataSet(_read_connections, TABLE_MODELS, 10_000, 3, 1, file=NSL, score_on="train"),
    "kdd99_10pct": DataSet(_read_connections, TABLE_MODELS, 20_000, 2, 1, ("lr", "gnb"), file="kdd99_10pct.csv.gz"),
    "cifar10": DataSet(_network(1.0), CIFAR10, 0, 3, 1, file=CIFAR),
    "cifar10_lt": DataSet(_network(8.0), CIFAR10, 0, 3, 1, file=CIFAR),
    "cifar100": DataSet(_network(1.0), ("c100_wrn16_4",), 0, 2, 1, file=CIFAR),
    "digits_lt": DataSet(_digits_long_tail, TABLE_MODELS, 250, 5, 2),
    "breast": DataSet(_breast, TABLE_MODELS, 150, 5, 2),
    "mc5": DataSet(FIVE, TABLE_MODELS, 2500, 3, 1, ("lr", "gnb", "rf", "hgb")),
    "mc20": DataSet(TWENTY, TABLE_MODELS, 2500, 3, 1, ("svc", "gnb", "mlp")),
    "tickets8": DataSet(_texts(8), (*TEXT_MODELS, "rf"), 2500, 3, 1, text=True),
    "tickets30": DataSet(_texts(30), (*TEXT_MODELS, "rf"), 2500, 3, 1, ("lr", "svc"), text=True),
}


@lru_cache(maxsize=2)
def _load(name: str, folder: Path) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[Any]]:
    X, labels, split = SETS[name].make(folder / SETS[name].file)
    return X, np.unique(labels, return_inverse=True)[1], split


def load_parts(name: str, seed: int, folder: Path) -> Parts:
    """Return the parts of a data set. Rows marked as test are scored and never used for anything else."""
    data, rng = SETS[name], np.random.default_rng(100 + seed)
    if data.file:
        X, y, split = _load(name, folder)
        train, valid, test = (np.flatnonzero(split == part) for part in ("train", "valid", "test"))
        base, spare = train_test_split(train, train_size=data.n_base, stratify=y[train], random_state=seed)
        # Where the rows that are meant for calibration are too few, those join that the base model did not see.
        cal = rng.permutation(valid if len(valid) >= N_CAL else np.r_[valid, spare])
        test = test if data.score_on == "test" else spare
    else:
        X, y = data.make(seed)
        base, rest = train_test_split(np.arange(len(y)), train_size=data.n_base, stratify=y, random_state=seed)
        rest = rng.permutation(rest)
        n_cal = N_CAL if len(rest) > 2 * N_CAL else 200
        cal, test = rest[:n_cal], rest[n_cal:]
    known = np.unique(y[base])
    cal, test = (rows[np.isin(y[rows], known)] for rows in (cal[:N_CAL], rng.permutation(test)[:N_TEST]))
    codes = np.searchsorted(known, y)
    return Parts(X[base], codes[base], X[cal], codes[cal], X[test], codes[test])


def load_recorded(name: str, model: str, seed: int, folder: Path) -> Any:
    """Return probabilities and labels to calibrate with, then those to score with, of a recorded network."""
    return SETS[name].make(folder / SETS[name].file, model)(seed)
