"""Base models, fitted once; their scores on rows that they never saw are kept in files."""

import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _quality_data import SETS, load_parts, load_recorded
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

__all__ = ["FORESTS", "Scores", "build_scores", "load_scores", "score_file"]

# The models whose probabilities hold exact zeros.
FORESTS = ("rf",)


class Scores(NamedTuple):
    """Scores of one base model, one column a class, for calibration and for the verdict."""

    cal: NDArray[np.float64]
    y_cal: NDArray[np.intp]
    test: NDArray[np.float64]
    y_test: NDArray[np.intp]
    kind: str


def make_model(name: str, text: bool, seed: int) -> Any:
    """Return an unfitted base model."""
    if text:
        return make_pipeline(TfidfVectorizer(sublinear_tf=True, min_df=2), *_text_steps(name, seed))
    return {
        "lr": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
        "svc": lambda: make_pipeline(StandardScaler(), LinearSVC(C=0.1, dual=False)),
        # Columns that are constant within a class would drown all others.
        "gnb": lambda: make_pipeline(StandardScaler(), GaussianNB(var_smoothing=0.1)),
        "rf": lambda: RandomForestClassifier(100, random_state=seed),
        # Without a penalty it falls apart where a class has a few rows.
        "hgb": lambda: HistGradientBoostingClassifier(max_iter=60, l2_regularization=1.0, random_state=seed),
        "mlp": lambda: make_pipeline(StandardScaler(), MLPClassifier((64,), max_iter=60, random_state=seed)),
    }[name]()


def _text_steps(name: str, seed: int) -> list[Any]:
    return {
        "lr": lambda: [LogisticRegression(C=10.0, max_iter=200)],
        "svc": lambda: [LinearSVC()],
        "mnb": lambda: [MultinomialNB(alpha=0.1)],
        "rf": lambda: [RandomForestClassifier(100, random_state=seed)],
        "mlp": lambda: [
            TruncatedSVD(100, random_state=seed),
            StandardScaler(),
            MLPClassifier((64,), max_iter=30, random_state=seed),
        ],
    }[name]()


def score_file(cache: Path, name: str, model: str, seed: int) -> Path:
    """Return where the scores of a base model are kept."""
    return cache / "scores" / f"{name}__{model}__{seed}.npz"


def build_scores(cache: Path, name: str, model: str, seed: int, folder: Path) -> str:
    """Fit a base model and keep its scores; return a line about it."""
    start = time.perf_counter()
    if SETS[name].recorded:
        scores = Scores(*load_recorded(name, model, seed, folder), "proba")
    else:
        scores = _fit_and_score(name, model, seed, folder)
    path = score_file(cache, name, model, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Under another name first, so that an interrupted run leaves no half of a file behind.
    part = path.with_suffix(".part.npz")
    np.savez(part, **scores._asdict())
    part.rename(path)
    accuracy = np.mean(scores.test.argmax(axis=1) == scores.y_test)
    return (
        f"{name} {model} seed {seed}: {scores.cal.shape[1]} classes, {len(scores.y_cal)} rows to calibrate, "
        f"{len(scores.y_test)} to score, accuracy {accuracy:.3f}, {time.perf_counter() - start:.1f} s"
    )


def _fit_and_score(name: str, model: str, seed: int, folder: Path) -> Scores:
    parts = load_parts(name, seed, folder)
    estimator = make_model(model, SETS[name].text, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(parts.X_base, parts.y_base)
    # The order in which scikit-learn's own calibration asks.
    kind = "scores" if hasattr(estimator, "decision_function") else "proba"
    respond = estimator.decision_function if kind == "scores" else estimator.predict_proba
    cal, test = (_columns(respond(X)) for X in (parts.X_cal, parts.X_test))
    return Scores(cal, parts.y_cal, test, parts.y_test, kind)


def _columns(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([-values / 2, values / 2]) if values.ndim == 1 else values


def load_scores(path: Path) -> Scores:
    """Return the scores that are kept in a file."""
    with np.load(path) as file:
        return Scores(file["cal"], file["y_cal"], file["test"], file["y_test"], str(file["kind"]))
