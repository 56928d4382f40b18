import copy
import pickle
import threading

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn import clone, config_context, get_config
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skroute import RoutePolicy, RoutingClassifier
from skroute.classifier._remembered import MEMO, FrozenModels
from skroute.metrics import RouteScorer

CALLS = []
OPEN = {"margin": None, "max_entropy": None, "escalate_entropy": None}
GRID = {"policy__threshold": [0.5, 0.7, 0.9], "policy__margin": [0.0, 0.3]}


class Counting(LogisticRegression):
    """A classifier that counts its fits and responses."""

    def fit(self, X, y, sample_weight=None):
        CALLS.append("fit")
        return super().fit(X, y, sample_weight)

    def decision_function(self, X):
        CALLS.append("response")
        return super().decision_function(X)


class Writing(Counting):
    """A classifier that writes into its rows."""

    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        X -= X.mean(axis=0)
        return self


class Configured(Counting):
    """A classifier that minds the configuration."""

    def decision_function(self, X):
        return super().decision_function(X) * (2.0 if get_config()["assume_finite"] else 1.0)


class Unpicklable(Counting):
    """A classifier whose fitted self cannot be written to a file."""

    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.lock_ = threading.Lock()
        return self


pytestmark = pytest.mark.filterwarnings("ignore::skroute.exceptions.DeadGateWarning")


@pytest.fixture(autouse=True)
def calls():
    CALLS.clear()
    MEMO._entries = ()
    yield CALLS
    MEMO._entries = ()


def router(memory, base=None, **settings):
    settings = {"memory": memory, "cv": 2, "method": "isotonic"} | settings
    return RoutingClassifier(Counting() if base is None else base, **settings)


@pytest.fixture
def memory(tmp_path):
    return joblib.Memory(str(tmp_path), verbose=0)


def is_frozen(model):
    return isinstance(vars(model).get("_frozen_models"), FrozenModels)


@pytest.mark.parametrize("scoring", [RouteScorer(["neg_cost"]), "accuracy", "neg_log_loss", "roc_auc_ovr"], ids=str)
@pytest.mark.parametrize(
    ("settings", "n_jobs"),
    [({}, None), ({}, 2), ({"ensemble": True}, None), ({"holdout": 0.3, "random_state": 0}, None)],
    ids=str,
)
def test_a_search_finds_to_the_bit_what_it_finds_without(data, tmp_path, calls, n_jobs, scoring, settings):
    X, y, _ = data()
    searches = []
    for memory in (None, str(tmp_path)):
        calls.clear()
        refit = "neg_cost" if isinstance(scoring, RouteScorer) else True
        model = router(memory, **settings)
        searches.append(GridSearchCV(model, GRID, cv=3, scoring=scoring, refit=refit, n_jobs=n_jobs).fit(X, y))
    if n_jobs is None and not settings:
        # Three folds and the last fit: three models each; their two tested parts, and the test rows once.
        assert calls.count("fit") == 4 * 3
        assert calls.count("response") == 4 * 2 + 3
    plain, remembered = searches
    for name in plain.cv_results_:
        if "test" in name:
            assert_array_equal(remembered.cv_results_[name], plain.cv_results_[name])
    for name in ("predict", "predict_proba", "predict_route", "decision_function"):
        assert_array_equal(getattr(remembered.best_estimator_, name)(X), getattr(plain.best_estimator_, name)(X))
    assert remembered.best_estimator_.reliability_ == plain.best_estimator_.reliability_


def test_equal_rows_are_scored_once(data, memory, calls):
    X, y, _ = data()
    first, second = router(memory).fit(X, y), router(memory, policy=RoutePolicy(0.5, **OPEN)).fit(X.copy(), y)
    calls.clear()
    proba = first.predict_proba(X)
    for model in (first, second):
        assert_array_equal(model.predict_proba(X.copy()), proba)
        assert_array_equal(model.predict(X), first.classes_[proba.argmax(axis=1)])
        assert_array_equal(model.predict_route(X), model.explain_route(X).route)
        assert model.decision_function(X).shape == proba.shape
    assert calls == ["response"]


@pytest.mark.parametrize("convert", [csr_array, np.ndarray.tolist, np.asfortranarray], ids=["sparse", "list", "order"])
def test_rows_in_any_container_are_remembered(data, memory, calls, convert):
    X, y, _ = data()
    plain = router(None).fit(convert(X), y)
    router(memory).fit(convert(X), y).predict_proba(convert(X))
    calls.clear()
    model = router(memory).fit(convert(X), y)
    assert_array_equal(model.predict_proba(convert(X)), plain.predict_proba(convert(X)))
    assert calls == ["response"]


def test_rows_changed_in_place_are_scored_anew(data, memory):
    X, y, _ = data()
    plain, model = router(None).fit(X, y), router(memory).fit(X, y)
    asked = X.copy()
    model.predict_proba(asked)
    asked[-1, -1] += 5.0
    assert_array_equal(model.predict_proba(asked), plain.predict_proba(asked))
    model.fit(asked, y)
    assert_array_equal(model.predict_proba(X), plain.fit(asked, y).predict_proba(X))


def test_a_fit_that_writes_into_its_rows_is_remembered_by_what_it_was_given(data, memory):
    X, y, _ = data()
    models = [router(memory, Writing()).fit(X.copy(), y) for _ in range(2)]
    given = X.copy()
    plain = router(None, Writing()).fit(given, y)
    assert_array_equal(models[1].predict_proba(X), plain.predict_proba(X))
    assert_array_equal(
        router(memory, Writing()).fit(given.copy(), y).predict_proba(X), plain.fit(given, y).predict_proba(X)
    )


@pytest.mark.parametrize("change", ["rows", "labels", "weights", "C", "method", "folds", "ensemble", "classes"])
def test_a_refit_that_differs_is_fitted_and_scored_anew(data, memory, calls, change):
    X, y, weight = data()
    fit, settings = {"X": X, "y": y, "sample_weight": weight}, {}
    if change == "rows":
        fit["X"] = np.where(X > 2.0, 2.0, X)
    elif change == "labels":
        fit["y"] = np.roll(y, 1)
    elif change == "classes":
        fit["y"] = y * 10
    elif change == "weights":
        fit["sample_weight"] = weight[::-1].copy()
    else:
        settings = {"C": {"estimator__C": 0.01}, "method": {"method": "sigmoid"}, "folds": {"cv": 3}}.get(
            change, {"ensemble": True}
        )
    model = router(memory).fit(X, y, weight)
    model.predict_proba(X)
    calls.clear()
    model.set_params(**settings).fit(**fit)
    assert "fit" in calls
    plain = router(None).set_params(**settings).fit(**fit)
    assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert_array_equal(model.classes_, plain.classes_)
    assert model.reliability_ == plain.reliability_


def test_groups_that_differ_are_other_fits(data, memory):
    X, y, _ = data()
    groups = np.arange(len(y)) % 7
    with config_context(enable_metadata_routing=True):
        for given in (groups, groups // 2, groups):
            model = router(memory, cv=GroupKFold(3)).fit(X, y, groups=given)
            plain = router(None, cv=GroupKFold(3)).fit(X, y, groups=given)
            assert_array_equal(model.predict_proba(X), plain.predict_proba(X))


def test_responses_belong_to_one_fit(data, memory):
    X, y, _ = data()
    one, other = router(memory).fit(X, y), router(memory).fit(X, np.roll(y, 1))
    assert np.abs(one.predict_proba(X) - other.predict_proba(X)).max() > 0.01


def test_the_configuration_belongs_to_responses(data, memory):
    X, y, _ = data()
    model, plain = router(memory, Configured()).fit(X, y), router(None, Configured()).fit(X, y)
    for finite in (False, True):
        with config_context(assume_finite=finite):
            assert_array_equal(model.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize("in_process", [True, False])
def test_the_configuration_belongs_to_fits(data, memory, in_process):
    X, y, _ = data()
    X = X.copy()
    X[0, 0] = np.nan
    base = make_pipeline(FunctionTransformer(np.nan_to_num, validate=True), LogisticRegression())
    with config_context(assume_finite=True):
        router(memory, base).fit(X, y)
    if not in_process:
        MEMO._entries = ()
    with pytest.raises(ValueError, match="NaN"):
        router(memory, base).fit(X, y)


def test_a_draw_is_frozen_until_the_memory_is_cleared(data, memory):
    X, y, _ = data()
    base = RandomForestClassifier(3, max_depth=2)
    first = router(memory, base).fit(X, y)
    proba = first.predict_proba(X)
    assert_array_equal(router(memory, base).fit(X, y).predict_proba(X), proba)
    memory.clear(warn=False)
    drawn_anew = router(memory, base).fit(X, y)
    assert (drawn_anew.predict_proba(X) != proba).any()
    assert_array_equal(router(memory, base).fit(X, y).predict_proba(X), drawn_anew.predict_proba(X))
    assert_array_equal(first.predict_proba(X), proba)


@pytest.mark.parametrize("through", ["estimator_", "calibrator_", "calibrated_classifiers_"])
def test_models_that_were_handed_out_are_asked_each_time(data, memory, through):
    X, y, _ = data()
    model, other = router(memory).fit(X, y), router(memory).fit(X, y)
    before = model.predict_proba(X)
    handed = getattr(model, through)
    assert getattr(model, through) is handed
    if through == "calibrator_":
        handed.calibrators_ = handed.calibrators_[::-1]
    elif through == "estimator_":
        handed.fit(-X, y)
    else:
        handed[0].estimator.coef_ = -handed[0].estimator.coef_
    assert np.abs(model.predict_proba(X) - before).max() > 0.01
    for untouched in (other, router(memory).fit(X, y)):
        assert_array_equal(untouched.predict_proba(X), before)


def test_a_frozen_classifier_that_was_refitted_is_another(data, memory):
    X, y, _ = data()
    fitted = LogisticRegression().fit(X, y)
    router(memory, FrozenEstimator(fitted)).fit(X, y).predict_proba(X)
    fitted.fit(X, np.roll(y, 1))
    model, plain = (router(where, FrozenEstimator(fitted)).fit(X, y) for where in (memory, None))
    assert_array_equal(model.predict_proba(X), plain.predict_proba(X))


def test_what_is_returned_may_be_written_into(data, memory):
    X, y, _ = data()
    plain, model = router(None).fit(X, y), router(memory).fit(X, y)
    for _ in range(3):
        proba = model.predict_proba(X)
        assert_array_equal(proba, plain.predict_proba(X))
        proba[:] = 0.0
    model.classes_[:] = 7
    model.reliability_.sums[:] = 0
    again = router(memory).fit(X, y)
    assert again.reliability_ == plain.reliability_
    assert_array_equal(again.predict(X), plain.predict(X))


def test_copies_are_complete_and_nobody_elses(data, tmp_path, memory):
    X, y, _ = data()
    model = router(memory).fit(X, y)
    assert is_frozen(model)
    proba = model.predict_proba(X)
    copies = [pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model)]
    assert not hasattr(clone(model), "calibrated_classifiers_")
    memory.clear(warn=False)
    MEMO._entries = ()
    for other in copies:
        assert not is_frozen(other)
        assert_array_equal(other.predict_proba(X), proba)
        other.estimator_.coef_[:] = 0.0
    assert_array_equal(model.predict_proba(X), proba)
    assert is_frozen(model)
    assert vars(pickle.loads(pickle.dumps(model))).keys() == vars(router(None).fit(X, y)).keys()


def test_attributes_are_as_without_memory(data, memory):
    X, y, _ = data()
    model = router(memory)
    for name in ("calibrated_classifiers_", "estimator_", "reliability_", "n_features_in_"):
        assert not hasattr(model, name)
    model.fit(X, y)
    assert hasattr(model, "decision_function")
    assert is_frozen(model)
    assert model.n_features_in_ == X.shape[1]
    assert len(model.calibrated_classifiers_) == 1
    assert model.estimator_ is model.calibrated_classifiers_[0].estimator
    forest = router(memory, RandomForestClassifier(3, random_state=0)).fit(X, y)
    assert not hasattr(forest, "decision_function")
    assert is_frozen(forest)
    forest.set_params(memory=None).fit(X, y)
    assert not is_frozen(forest)


def test_nothing_is_remembered_without_memory(data):
    X, y, _ = data()
    router(None).fit(X, y).predict_proba(X)
    assert len(MEMO) == 0


def test_a_fit_that_cannot_be_written_is_not_remembered(data, memory):
    X, y, _ = data()
    with pytest.warns(Warning, match="Unable to cache to disk"):
        model = router(memory, Unpicklable()).fit(X, y)
    assert not is_frozen(model)
    assert len(MEMO) == 0
    assert_array_equal(model.predict_proba(X), router(None).fit(X, y).predict_proba(X))


def test_each_place_has_fits_of_its_own(data, tmp_path, calls):
    X, y, _ = data()
    for name in ("one", "other"):
        calls.clear()
        router(str(tmp_path / name)).fit(X, y)
        assert calls.count("fit") == 3


def test_a_router_outlives_its_cache(data, memory):
    X, y, _ = data()
    plain, model = router(None).fit(X, y), router(memory).fit(X, y)
    memory.clear(warn=False)
    MEMO._entries = ()
    assert_array_equal(model.predict_proba(X), plain.predict_proba(X))


def test_threads_get_the_probabilities_of_their_rows(data, memory):
    X, y, _ = data()
    plain, model = router(None).fit(X, y), router(memory).fit(X, y)
    wrong = []

    def work(seed):
        for start in np.random.default_rng(seed).integers(0, 20, size=30):
            rows = X[start : start + 50]
            if not np.array_equal(model.predict_proba(rows), plain.predict_proba(rows)):
                wrong.append(start)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
