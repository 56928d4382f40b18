import os
import subprocess
import sys
import threading

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

from skroute import RoutePolicy, RoutingClassifier
from skroute.classifier import _remembered
from skroute.classifier._cache import cached_call, is_cached
from skroute.exceptions import CacheWarning

FITS = []


class Counting(LogisticRegression):
    """A classifier that counts its fits."""

    def __init__(self, C=1.0, *, random_state=None, extra=None):
        super().__init__(C=C, random_state=random_state)
        self.extra = extra

    def fit(self, X, y, sample_weight=None, note=None):
        FITS.append(len(X))
        return super().fit(X, y, sample_weight)


class Uncopied(Counting):
    """A classifier that clones whatever it holds: a lock cannot be copied."""

    def __sklearn_clone__(self):
        return type(self)(extra=self.extra)


@pytest.fixture
def fits():
    FITS.clear()
    return FITS


def double(value, n_jobs=None, digest=""):
    FITS.append(value)
    return 2 * value


def router(memory, **settings):
    return RoutingClassifier(Counting(), **{"memory": memory, "cv": 2} | settings)


@pytest.mark.parametrize("kind", [str, lambda path: joblib.Memory(path, verbose=0)], ids=["path", "Memory"])
def test_the_same_fit_is_run_once(data, tmp_path, fits, kind):
    X, y, weight = data()
    memory = kind(str(tmp_path))
    first = router(memory).fit(X, y, weight)
    again = router(memory).fit(X.copy(), y.copy(), weight.copy())
    assert len(fits) == 3
    plain = router(None).fit(X, y, weight)
    assert len(fits) == 6
    for model in (first, again):
        assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
        assert model.reliability_ == plain.reliability_
    assert first.estimator_ is not again.estimator_


@pytest.mark.parametrize(
    "change", [{"policy": RoutePolicy(0.99)}, {"n_jobs": 1}, {"random_state": 7}, {"cv": StratifiedKFold(2)}], ids=str
)
def test_what_the_fit_does_not_depend_on_is_no_miss(data, tmp_path, fits, change):
    X, y, _ = data()
    router(str(tmp_path)).fit(X, y)
    router(str(tmp_path), **change).fit(X, y)
    assert len(fits) == 3


def changed(name, X, y, weight):
    """Return settings and data of a fit that differs from the plain one in one thing."""
    settings, fit = {}, {"X": X, "y": y, "sample_weight": weight}
    if name == "weights":
        fit["sample_weight"] = weight[::-1]
    elif name == "no weights":
        fit["sample_weight"] = None
    elif name == "labels":
        fit["y"] = np.roll(y, 1)
    elif name == "names of labels":
        fit["y"] = np.array(["a", "b", "c"])[y]
    elif name == "fit parameter":
        fit["note"] = "late"
    elif name == "folds":
        settings["cv"] = StratifiedKFold(2, shuffle=True, random_state=0)
    elif name == "C":
        settings["estimator__C"] = 0.1
    elif name == "random_state":
        settings["estimator__random_state"] = 3
    elif name == "X in place":
        X[3, 0] += 1.0
    else:
        settings |= {"method": "isotonic"} if name == "method" else {name: {"ensemble": True, "holdout": 0.2}[name]}
    return settings, fit


@pytest.mark.parametrize(
    "name",
    ["weights", "no weights", "labels", "names of labels", "fit parameter", "folds", "C", "random_state", "X in place"]
    + ["method", "ensemble", "holdout"],
)
def test_what_the_fit_depends_on_is_a_miss(data, tmp_path, fits, name):
    X, y, weight = data()
    router(str(tmp_path)).fit(X, y, weight)
    settings, fit = changed(name, X, y, weight)
    if name == "holdout":
        settings["random_state"] = 0
    cached = router(str(tmp_path)).set_params(**settings).fit(**fit)
    n_fits = 2 if name == "ensemble" else 3
    assert len(fits) == 3 + n_fits
    plain = router(None).set_params(**settings).fit(**fit)
    assert_array_equal(cached.predict_proba(X), plain.predict_proba(X))


def test_holdouts_drawn_differently_are_different_fits(data, tmp_path, fits):
    X, y, _ = data()
    for random_state in (0, 1, 0):
        router(str(tmp_path), holdout=0.2, random_state=random_state).fit(X, y)
    assert len(fits) == 6


def test_a_frozen_model_is_told_apart_from_another(data, tmp_path):
    X, y, _ = data()
    proba = []
    for C in (1e-3, 10.0):
        frozen = FrozenEstimator(LogisticRegression(C=C).fit(X, y))
        proba.append(RoutingClassifier(frozen, memory=str(tmp_path)).fit(X, y).predict_proba(X))
    assert np.abs(proba[0] - proba[1]).max() > 0.01


@pytest.mark.parametrize(
    "extra",
    [lambda: 0, threading.Lock(), FunctionTransformer(lambda X: X)],
    ids=["lambda", "lock", "nested"],
)
def test_what_cannot_be_hashed_is_fitted_without_the_cache(data, tmp_path, fits, extra):
    X, y, _ = data()
    for n_fits in (3, 6):
        model = RoutingClassifier(Uncopied(extra=extra), cv=2, memory=str(tmp_path))
        with pytest.warns(CacheWarning, match=r"cannot be told from others .* fitted without the cache"):
            model.fit(X, y)
        assert len(fits) == n_fits
    plain = RoutingClassifier(Counting(), cv=2).fit(X, y)
    assert_array_equal(model.predict_proba(X), plain.predict_proba(X))


def test_a_class_that_cannot_be_imported_is_fitted_without_the_cache(data, tmp_path):
    class Local(Counting):
        pass

    X, y, _ = data()
    with pytest.warns(CacheWarning, match="Define their classes and functions in a module"):
        RoutingClassifier(Local(), cv=2, memory=str(tmp_path)).fit(X, y)


def test_an_error_in_the_fit_is_not_taken_for_a_cache_that_fails(data, tmp_path):
    X, y, _ = data()
    with pytest.raises(ValueError, match="'C' parameter"):
        router(str(tmp_path)).set_params(estimator__C=-1.0).fit(X, y)


def test_a_call_is_told_by_its_digest_alone(tmp_path, fits):
    memory = joblib.Memory(str(tmp_path), verbose=0)
    for n_jobs in (None, 2):
        value, file = cached_call(memory, double, "one", {"value": 3, "n_jobs": n_jobs})
        assert value == 6
        assert is_cached(file)
    assert fits == [3]
    assert cached_call(memory, double, "another", {"value": 4})[0] == 8
    memory.clear(warn=False)
    assert not is_cached(file)


def test_other_versions_are_other_fits(data, tmp_path, fits, monkeypatch):
    X, y, _ = data()
    installed = _remembered.VERSIONS
    others = [tuple(f"{version}.post1" if i == j else version for j, version in enumerate(installed)) for i in range(4)]
    for n_fits, versions in enumerate((installed, *others), start=1):
        monkeypatch.setattr(_remembered, "VERSIONS", versions)
        router(str(tmp_path)).fit(X, y)
        router(str(tmp_path)).fit(X, y)
        assert len(fits) == 3 * n_fits


def test_another_process_finds_the_fit(tmp_path):
    code = (
        "import numpy as np, pandas as pd\n"
        "from sklearn.feature_extraction.text import CountVectorizer\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "from sklearn.pipeline import make_pipeline\n"
        "from skroute import RoutingClassifier\n"
        "texts = [f'{word} is {state} {i}' for i in range(9) for word in ('vpn', 'mail') for state in ('up', 'slow')]\n"
        "y = np.array(['net', 'net', 'post', 'post'] * 9)\n"
        "model = make_pipeline(CountVectorizer(stop_words=['is']), LogisticRegression())\n"
        f"router = RoutingClassifier(model, memory={str(tmp_path)!r})\n"
        "router.fit(texts, y)\n"
        "router.fit(pd.Series(texts, dtype=object), y)\n"
    )
    for seed in ("1", "2"):
        run = [sys.executable, "-W", "ignore", "-c", code]
        subprocess.run(run, check=True, env=os.environ | {"PYTHONHASHSEED": seed})
        assert len(list(tmp_path.rglob("output.pkl"))) == 2


def test_rows_in_another_order_of_their_keys_are_another_fit(tmp_path):
    X, y = load_iris(return_X_y=True)
    rows = [dict(zip("abcd", row, strict=True)) for row in X.tolist()]
    turned = [dict(reversed(row.items())) for row in rows]
    model = make_pipeline(
        DictVectorizer(sort=False, sparse=False), DecisionTreeClassifier(max_features=2, random_state=0)
    )
    plain = RoutingClassifier(model, method="temperature").fit(turned, y)
    RoutingClassifier(model, method="temperature", memory=str(tmp_path)).fit(rows, y)
    cached = RoutingClassifier(model, method="temperature", memory=str(tmp_path)).fit(turned, y)
    assert cached.estimator_[0].feature_names_ == ["d", "c", "b", "a"]
    assert_array_equal(cached.predict_proba(turned), plain.predict_proba(turned))


class ByMask(ClassifierMixin, BaseEstimator):
    """A classifier that learns from what is masked."""

    def fit(self, X, y):
        self.model_ = GaussianNB().fit(np.ma.filled(X, -5), y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(np.ma.filled(X, -5))


@pytest.mark.parametrize("dtype", [np.int8, np.float64])
def test_another_mask_is_another_fit(tmp_path, dtype):
    X, y = load_iris(return_X_y=True)
    rng = np.random.default_rng(0)
    for _ in range(2):
        rows = np.ma.array(X, mask=rng.random(X.shape) < 0.3, dtype=dtype)
        cached = RoutingClassifier(ByMask(), method="temperature", memory=str(tmp_path)).fit(rows, y)
        plain = RoutingClassifier(ByMask(), method="temperature").fit(rows, y)
        assert_array_equal(cached.predict_proba(rows), plain.predict_proba(rows))


class Scaled(np.ndarray):
    """Rows with a unit, which their pickle leaves out."""

    def __array_finalize__(self, other):
        self.unit = getattr(other, "unit", 1.0)


class ByUnit(ByMask):
    """A classifier that asks its rows for their unit."""

    def fit(self, X, y):
        return super().fit(np.asarray(X) * X.unit, y)

    def predict_proba(self, X):
        return super().predict_proba(np.asarray(X) * X.unit)


def test_rows_whose_pickle_leaves_something_out_are_not_remembered(tmp_path):
    X, y = load_iris(return_X_y=True)
    first, second = X.view(Scaled), X.view(Scaled)
    second.unit = 3.0
    router = RoutingClassifier(ByUnit(), method="temperature", memory=str(tmp_path))
    for rows in (first, second):
        with pytest.warns(CacheWarning, match="pickle of Scaled leaves out its attributes"):
            router.fit(rows, y)
        plain = RoutingClassifier(ByUnit(), method="temperature").fit(rows, y)
        assert_array_equal(router.predict_proba(rows), plain.predict_proba(rows))
    router.fit(X.view(Plain), y)
    assert np.abs(router.predict_proba(first) - router.predict_proba(second)).max() > 0.1


class Plain(np.ndarray):
    """Rows with a unit of their class, which needs no telling."""

    unit = 1.0


class Ticket:
    """A row that is an object."""

    def __init__(self, values, extra=None):
        self.values, self.extra = values, extra


class Values(FunctionTransformer):
    """A transformer that takes the values of tickets."""

    def __init__(self):
        super().__init__(_values)


def _values(tickets):
    return np.array([ticket.values for ticket in tickets])


def test_rows_that_cannot_be_pickled_are_fitted_without_the_cache(tmp_path):
    X, y = load_iris(return_X_y=True)
    rows = np.array([Ticket(row, lambda: 0) for row in X], dtype=object)
    model = make_pipeline(Values(), GaussianNB())
    with pytest.warns(CacheWarning, match="fitted without the cache"):
        cached = RoutingClassifier(model, memory=str(tmp_path)).fit(rows, y)
    assert_array_equal(cached.predict_proba(rows), RoutingClassifier(model).fit(rows, y).predict_proba(rows))


def test_rows_of_a_class_of_the_session_are_not_cached(tmp_path, monkeypatch):
    import __main__

    X, y = load_iris(return_X_y=True)
    monkeypatch.setattr(__main__, "Ticket", Ticket, raising=False)
    monkeypatch.setattr(Ticket, "__module__", "__main__")
    rows = np.array([Ticket(row) for row in X], dtype=object)
    with pytest.warns(CacheWarning, match="defined in __main__"):
        RoutingClassifier(make_pipeline(Values(), GaussianNB()), memory=str(tmp_path)).fit(rows, y)


def test_a_text_may_mention_the_session(tmp_path):
    texts = ["NameError in __main__ again", "__main__ is slow", "mail is slow", "no mail"] * 5
    router = RoutingClassifier(make_pipeline(CountVectorizer(), MultinomialNB()), memory=str(tmp_path))
    router.fit(texts, ["code", "code", "mail", "mail"] * 5)
    assert len(list(tmp_path.rglob("output.pkl"))) == 1


def test_what_is_defined_in_the_session_is_not_cached(tmp_path, monkeypatch):
    """A class or function of __main__ is hashed by its name, so a new definition would find the old fit."""
    import __main__

    X, y = load_iris(return_X_y=True)

    def halve(X):
        return X / 2

    halve.__module__, halve.__qualname__ = "__main__", "halve"
    monkeypatch.setattr(__main__, "halve", halve, raising=False)
    router = RoutingClassifier(make_pipeline(FunctionTransformer(halve), GaussianNB()), memory=str(tmp_path))
    with pytest.warns(CacheWarning, match="defined in __main__"):
        router.fit(X, y)
