import threading
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils import get_tags

from skroute import RoutePolicy, RoutingClassifier, explain_route
from skroute.classifier import _workers

ROUTES = {"auto", "watch", "escalate", "clarify"}


class Images(ClassifierMixin, BaseEstimator):
    """A classifier of three-dimensional input that wants a dict beside it."""

    def fit(self, X, y, scale):
        assert X.ndim == 3
        self.model_ = LogisticRegression().fit(X.mean(axis=2) * scale["factor"], y)
        self.classes_, self.scale_ = self.model_.classes_, scale
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X.mean(axis=2) * self.scale_["factor"])


class Broken(LogisticRegression):
    """A classifier that loses one row."""

    def decision_function(self, X):
        return np.where(X[:, :1] == X[:, 0].max(), np.nan, super().decision_function(X))


def logistic(**settings):
    return RoutingClassifier(LogisticRegression(), **settings)


def test_text_lists_reach_a_pipeline():
    texts = ["unlock my account", "vpn is down", "account locked", "vpn drops"] * 10
    labels = ["unlock", "vpn"] * 20
    router = RoutingClassifier(make_pipeline(TfidfVectorizer(), LogisticRegression(C=10)), cv=5).fit(texts, labels)
    assert router.predict(["the vpn", "my account is locked"]).tolist() == ["vpn", "unlock"]
    assert not hasattr(router, "n_features_in_")
    assert router.fit(tuple(texts), labels).predict(["the vpn"]).tolist() == ["vpn"]


def frames(X):
    names = list("abcdef")
    odd = np.arange(len(X))[::-1] * 2 + 5
    return {
        "pandas": pd.DataFrame(X, columns=names, index=odd),
        "polars": pl.DataFrame(X, schema=names),
        "csr": sparse.csr_matrix(X),
        "coo array": sparse.coo_array(X),
        "list": X.tolist(),
    }


@pytest.mark.parametrize("kind", ["pandas", "polars", "csr", "coo array", "list"])
@pytest.mark.parametrize("holdout", [None, 0.25])
def test_containers_give_the_same_probabilities_as_arrays(data, kind, holdout):
    X, y, weight = data()
    settings = {"method": "sigmoid", "holdout": holdout, "random_state": 0}
    expected = logistic(**settings).fit(X, y, weight).predict_proba(X)
    given = frames(X)[kind]
    weights = {
        "pandas": pd.Series(weight, index=given.index) if kind == "pandas" else None,
        "polars": pl.Series(weight),
    }
    router = logistic(**settings).fit(given, y, weights.get(kind, weight))
    assert_allclose(router.predict_proba(given), expected, atol=1e-4)


def test_what_is_told_of_a_frame_joins_its_rows(data):
    X, y, _ = data()
    given = frames(X)["pandas"]
    router = logistic(policy=RoutePolicy(candidates=0.9)).fit(given, y)
    some = given.sample(20, random_state=0)
    joined = some.join(router.explain_route(some).to_pandas()).join(router.candidate_sets(some).to_pandas())
    assert_array_equal(joined["route"], router.predict_route(some))
    assert joined["size"].min() >= 1
    piped = make_pipeline(StandardScaler(), logistic()).fit(given, y)
    assert_array_equal(explain_route(piped, some).to_pandas().index, some.index)
    plain = logistic(policy=RoutePolicy(candidates=0.9)).fit(X, y)
    assert plain.explain_route(X.tolist()).to_pandas().index.tolist() == list(range(len(X)))


def test_names_and_number_of_features_are_those_of_the_classifier(data):
    X, y, _ = data()
    router = logistic(ensemble=True).fit(frames(X)["pandas"], y)
    assert_array_equal(router.feature_names_in_, list("abcdef"))
    assert router.n_features_in_ == 6


def test_nan_reaches_a_classifier_that_knows_it(data):
    X, y, _ = data()
    X[::5, 2] = np.nan
    base = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=30)
    router = RoutingClassifier(base, cv=2).fit(X, y)
    assert_allclose(router.predict_proba(X).sum(axis=1), 1.0)
    assert get_tags(RoutingClassifier(base)).input_tags.allow_nan
    with pytest.raises(ValueError, match="NaN"):
        logistic().fit(X, y)


@pytest.mark.parametrize(
    "labels",
    [["b", "a", "c"], [True, False], [7, -3, 0], [0.0, 2.0], np.array(["b", "a", "c"], dtype=object)],
    ids=["str", "bool", "int", "float", "object"],
)
@pytest.mark.parametrize("container", [list, np.array, pd.Series, pl.Series])
def test_labels_of_any_type_come_back(data, labels, container):
    X, y, _ = data(len(labels))
    y = np.array(labels)[y]
    router = logistic().fit(X, container(y.tolist()))
    assert_array_equal(router.classes_, np.unique(y))
    assert set(router.predict(X)) <= set(y.tolist())
    assert np.mean(router.predict(X) == y) > 0.5
    assert list(router.policy_.thresholds_) == np.unique(y).tolist()


def test_three_dimensional_input_and_dict_parameters_pass(data):
    X, y, _ = data()
    cube = X[:, :, None] + np.zeros(4)
    router = RoutingClassifier(Images(), method="sigmoid", holdout=0.2, random_state=0)
    proba = router.fit(cube, y, scale={"factor": 2.0}).predict_proba(cube)
    flat = logistic(method="sigmoid", holdout=0.2, random_state=0).fit(2.0 * X, y).predict_proba(2.0 * X)
    assert proba.shape == flat.shape
    assert router.estimator_.scale_ == {"factor": 2.0}
    assert not hasattr(router, "n_features_in_")


def test_fit_parameters_with_one_entry_a_row_are_cut_with_the_rows(data):
    X, y, weight = data()
    by_name = logistic(cv=3, method="sigmoid").fit(X, y, sample_weight=weight)
    assert_allclose(by_name.estimator_.coef_, LogisticRegression().fit(X, y, weight).coef_)


@pytest.mark.parametrize("ensemble", [True, False])
def test_a_precomputed_kernel_is_cut_on_both_axes(data, ensemble):
    X, y, _ = data(3, n_rows=90)
    kernel = X @ X.T
    base = SVC(kernel="precomputed")
    if ensemble:
        with pytest.raises(ValueError, match=r"'ensemble' .*precomputed"):
            RoutingClassifier(base, ensemble=True).fit(kernel, y)
        return
    by_kernel = RoutingClassifier(base, method="sigmoid", cv=3).fit(kernel, y)
    by_rows = RoutingClassifier(SVC(kernel="linear"), method="sigmoid", cv=3).fit(X, y)
    assert_allclose(by_kernel.predict_proba(kernel), by_rows.predict_proba(X), atol=1e-6)
    assert_allclose(by_kernel.predict_proba(X[:5] @ X.T), by_rows.predict_proba(X[:5]), atol=1e-6)


def test_a_precomputed_kernel_serves_a_frozen_classifier(data):
    X, y, _ = data(3, n_rows=120)
    known, new = X[:60], X[60:]
    frozen = FrozenEstimator(SVC(kernel="precomputed").fit(known @ known.T, y[:60]))
    linear = FrozenEstimator(SVC(kernel="linear").fit(known, y[:60]))
    by_kernel = RoutingClassifier(frozen, method="sigmoid", cv=3, holdout=0.3, random_state=0).fit(
        new @ known.T, y[60:]
    )
    by_rows = RoutingClassifier(linear, method="sigmoid", cv=3, holdout=0.3, random_state=0).fit(new, y[60:])
    assert_allclose(by_kernel.predict_proba(new @ known.T), by_rows.predict_proba(new), atol=1e-6)


def test_a_precomputed_kernel_cannot_be_held_out(data):
    X, y, _ = data(3, n_rows=90)
    # Were it cut by rows alone, libsvm would never come to an end.
    with pytest.raises(ValueError, match=r"'holdout' .*precomputed"):
        RoutingClassifier(SVC(kernel="precomputed"), holdout=0.2).fit(X @ X.T, y)


def test_scores_that_are_nan_are_refused_by_row(data):
    X, y, _ = data()
    with pytest.raises(ValueError, match=r"Broken.decision_function must give finite scores; row \d+ holds \[nan"):
        RoutingClassifier(Broken()).fit(X, y)


@pytest.mark.parametrize("base", [LinearRegression(), LogisticRegression, "logistic", 3])
def test_a_base_that_is_no_classifier_is_refused(data, base):
    X, y, _ = data()
    with pytest.raises(ValueError, match="The 'estimator' parameter of RoutingClassifier must"):
        RoutingClassifier(base).fit(X, y)


@pytest.mark.parametrize(
    "setting",
    [
        {"method": "platt"},
        {"method": None},
        {"method": {"zebra": "sigmoid"}},
        {"ensemble": "yes"},
        {"ensemble": None},
        {"n_jobs": 0},
        {"n_jobs": 1.5},
        {"n_jobs": "2"},
        {"holdout": 0.0},
        {"holdout": 1.0},
        {"holdout": -0.5},
        {"holdout": np.nan},
        {"holdout": "half"},
        {"holdout": True},
        {"policy": "strict"},
        {"policy": RoutePolicy},
        {"policy": 0.8},
        {"cv": 1},
        {"cv": -2},
        {"cv": 2.5},
        {"cv": "five"},
        {"cv": []},
        {"cv": True},
        {"memory": 3},
        {"memory": SimpleNamespace(cache=len)},
    ],
    ids=str,
)
def test_bad_parameters_are_named(data, setting):
    X, y, _ = data()
    with pytest.raises(ValueError, match=next(iter(setting))):
        logistic(**setting).fit(X, y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.zeros(240)}, "holds one class: 0"),
        ({"y": np.arange(239)}, "inconsistent numbers of samples"),
        ({"X": np.empty((0, 6)), "y": []}, "at least one row"),
        ({"y": None}, "requires y to be passed"),
        ({"y": np.linspace(0, 1, 240)}, "Unknown label type"),
        ({"y": np.where(np.arange(240) == 3, np.nan, 1.0)}, "contains NaN"),
        ({"y": np.array(["a", None] * 120, dtype=object)}, "labels of one type, without missing values"),
        ({"y": np.ones((240, 2))}, r"shape \(240, 2\)"),
        ({"sample_weight": -np.ones(240)}, "not negative, got -1.0 in row 0"),
        ({"sample_weight": np.ones(239)}, "240 rows, got 239 weights"),
        ({"sample_weight": np.full(240, np.nan)}, "finite"),
        ({"sample_weight": np.ones((240, 2))}, "one-dimensional"),
    ],
    ids=lambda value: str(list(value)) if isinstance(value, dict) else "",
)
def test_bad_data_are_named(data, change, message):
    X, y, _ = data()
    with pytest.raises(ValueError, match=message):
        logistic().fit(**({"X": X, "y": y} | change))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_route", "explain_route", "decision_function"])
def test_every_prediction_needs_a_fit(data, method):
    with pytest.raises(NotFittedError):
        getattr(logistic(), method)(data()[0])


def test_a_failed_fit_leaves_the_earlier_one_untouched(data):
    X, y, _ = data()
    router = logistic().fit(X, y)
    before, proba = dict(vars(router)), router.predict_proba(X)
    for setting in ({"policy": RoutePolicy(thresholds={"zebra": 0.5})}, {"method": "platt"}, {"cv": 200}):
        broken = router.set_params(**setting)
        with pytest.raises(ValueError, match=r"zebra|platt|Requesting"):
            broken.fit(X[:, :3], y)
        router.set_params(**{name: before[name] for name in setting})
    assert vars(router) == before
    assert_array_equal(router.predict_proba(X), proba)


def test_a_second_fit_leaves_nothing_of_the_first(data):
    X, y, _ = data()
    router = logistic(ensemble=True).fit(frames(X)["pandas"], y)
    router.set_params(ensemble=False).fit(X[:, :2], y % 2)
    fresh = logistic().fit(X[:, :2], y % 2)
    assert vars(router).keys() == vars(fresh).keys()
    assert router.n_features_in_ == 2
    assert_array_equal(router.predict_proba(X[:, :2]), fresh.predict_proba(X[:, :2]))


def test_one_model_is_named_and_several_are_not(data):
    X, y, _ = data()
    single = logistic().fit(X, y)
    assert single.estimator_ is single.calibrated_classifiers_[0].estimator
    assert single.calibrator_ is single.calibrated_classifiers_[0].calibrator
    several = logistic(ensemble=True).fit(X, y)
    for name in ("estimator_", "calibrator_"):
        with pytest.raises(AttributeError, match="5 members, in calibrated_classifiers_"):
            getattr(several, name)
        assert not hasattr(logistic(), name)


def test_predictions_follow_the_calibrated_probabilities(data):
    X, y, _ = data(labels=["c", "a", "b"])
    router = logistic(policy=RoutePolicy(0.6, max_entropy=None)).fit(X, y)
    proba = router.predict_proba(X)
    assert_array_equal(router.predict(X), router.classes_[proba.argmax(axis=1)])
    assert_array_equal(router.predict_route(X), router.policy_.decide(proba))
    table = router.explain_route(X)
    assert_array_equal(table.route, router.predict_route(X))
    assert_array_equal(table.confidence, proba.max(axis=1))
    assert set(table.route) <= ROUTES
    assert {"auto", "clarify"} <= set(table.route)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_the_decision_function_agrees_with_the_prediction(data, n_classes, method):
    X, y, _ = data(n_classes)
    router = logistic(method=method).fit(X, y)
    scores, proba = router.decision_function(X), np.maximum(router.predict_proba(X), 1e-12)
    assert_allclose(scores, np.log(proba) if n_classes > 2 else np.log(proba[:, 1] / proba[:, 0]))
    codes = scores.argmax(axis=1) if n_classes > 2 else (scores > 0).astype(int)
    assert_array_equal(router.classes_[codes], router.predict(X))


def test_there_is_a_decision_function_where_the_classifier_has_one(data):
    X, y, _ = data()
    assert hasattr(logistic(), "decision_function")
    assert hasattr(RoutingClassifier(), "decision_function")
    assert not hasattr(RoutingClassifier(GaussianNB()), "decision_function")
    assert not hasattr(RoutingClassifier(GaussianNB()).fit(X, y), "decision_function")


@pytest.mark.parametrize("n_classes", [2, 3])
def test_without_calibration_the_probabilities_are_the_classifiers(data, n_classes):
    X, y, _ = data(n_classes)
    router = logistic(method="none", cv=3).fit(X, y)
    assert_allclose(router.predict_proba(X), LogisticRegression().fit(X, y).predict_proba(X), atol=1e-12)
    out_of_fold = cross_val_predict(LogisticRegression(), X, y, cv=3, method="predict_proba")
    assert_allclose(
        router.reliability_.of().confidence[-1], out_of_fold.max(axis=1)[out_of_fold.max(axis=1) >= 0.9].mean()
    )


def test_the_caller_s_objects_stay_as_they_were(data):
    X, y, weight = data()
    base, policy, method = LogisticRegression(), RoutePolicy(thresholds={1: 0.9}), {0: "isotonic"}
    copies = X.copy(), y.copy(), weight.copy(), clone(policy)
    RoutingClassifier(base, policy=policy, method=method).fit(X, y, weight)
    assert_array_equal(X, copies[0])
    assert_array_equal(y, copies[1])
    assert_array_equal(weight, copies[2])
    assert vars(policy) == vars(copies[3])
    assert method == {0: "isotonic"}
    assert not hasattr(base, "coef_")


@pytest.mark.parametrize("start", [0.0, 1e9], ids=["processes", "one after the other"])
def test_parallel_folds_give_the_same_result(data, start, monkeypatch):
    X, y, _ = data()
    monkeypatch.setattr(_workers, "START", start)
    monkeypatch.setattr(_workers, "START_AGAIN", start)
    with sklearn.config_context(assume_finite=True):
        proba = [logistic(n_jobs=n_jobs, cv=3).fit(X, y).predict_proba(X) for n_jobs in (None, 2)]
    assert_array_equal(*proba)


def test_a_frozen_classifier_is_shared_by_threads_and_never_copied(data):
    X, y, _ = data()
    classifier = LogisticRegression().fit(X, y)
    # No process could be sent this.
    classifier.lock = threading.Lock()
    frozen = FrozenEstimator(classifier)
    proba = [RoutingClassifier(frozen, n_jobs=n_jobs).fit(X, y).predict_proba(X) for n_jobs in (1, 2)]
    assert_array_equal(*proba)
    for settings in ({"prefer": "processes"}, {"backend": "loky"}):
        with joblib.parallel_config(**settings, n_jobs=2):
            assert_array_equal(RoutingClassifier(frozen).fit(X, y).predict_proba(X), proba[0])


def test_a_router_over_a_constant_classifier_never_routes(data):
    X, y, _ = data()
    router = RoutingClassifier(DummyClassifier(strategy="prior")).fit(X, y)
    assert_allclose(router.predict_proba(X), np.tile(np.bincount(y) / len(y), (len(y), 1)), atol=0.05)
    assert "auto" not in router.predict_route(X)
