"""Whatever works with CalibratedClassifierCV works with RoutingClassifier, and gives the same probabilities."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneOut,
    ShuffleSplit,
    StratifiedKFold,
    cross_validate,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.fixes import parse_version

from skroute import RoutePolicy, RoutingClassifier

OLD_SKLEARN = parse_version(sklearn.__version__) < parse_version("1.8")
METHODS = [
    "sigmoid",
    "isotonic",
    pytest.param("temperature", marks=pytest.mark.skipif(OLD_SKLEARN, reason="new in scikit-learn 1.8")),
]
BASES = {
    "LinearSVC": LinearSVC(random_state=0),
    "GaussianNB": GaussianNB(),
    "RandomForest": RandomForestClassifier(5, max_depth=4, random_state=0),
    "LogisticRegression": LogisticRegression(),
}
NAMES = ["vpn", "attack", "unlock", "mail"]


def both(estimator, X, y, weight=None, **settings):
    """Fit scikit-learn's classifier and ours with the same settings."""
    theirs = CalibratedClassifierCV(estimator, **settings).fit(X, y, sample_weight=weight)
    return theirs, RoutingClassifier(estimator, **settings).fit(X, y, sample_weight=weight)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_probabilities_equal_scikit_learns(data, method, ensemble, base, n_classes):
    X, y, weight = data(n_classes, labels=NAMES[:n_classes])
    cv = StratifiedKFold(3, shuffle=True, random_state=1)
    for used in (None, weight):
        theirs, ours = both(BASES[base], X, y, used, method=method, ensemble=ensemble, cv=cv)
        assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
        assert_array_equal(ours.classes_, theirs.classes_)


class Narrow(LogisticRegression):
    """Scores in float32."""

    def decision_function(self, X):
        return super().decision_function(X).astype(np.float32)


class Wide(Narrow):
    """The same numbers in float64."""

    def decision_function(self, X):
        return super().decision_function(X).astype(np.float64)


@pytest.mark.parametrize("method", METHODS)
def test_scores_in_float32_are_calibrated_as_the_same_numbers_in_float64(data, method):
    """scikit-learn calibrates them in float32, and takes for equal what differs by less than a millionth."""
    X, y, _ = data(4)
    theirs = CalibratedClassifierCV(Wide(), method=method, ensemble=False).fit(X, y)
    ours = RoutingClassifier(Narrow(), method=method).fit(X, y)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ensemble", [False, True, "auto"])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_prefit_probabilities_equal_scikit_learns(data, method, ensemble, n_classes):
    X, y, _ = data(n_classes, labels=NAMES[:n_classes])
    prefit = FrozenEstimator(LinearSVC(random_state=0).fit(X[:80], y[:80]))
    theirs, ours = both(prefit, X[80:], y[80:], method=method, ensemble=ensemble, cv=4)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
    assert len(ours.calibrated_classifiers_) == len(theirs.calibrated_classifiers_)
    assert ours.calibrated_classifiers_[0].estimator.estimator is prefit.estimator


@pytest.mark.parametrize("ensemble", [False, True])
def test_the_default_estimator_is_scikit_learns(data, ensemble):
    X, y, weight = data()
    theirs, ours = both(None, X, y, weight, method="sigmoid", ensemble=ensemble)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize(
    "cv",
    [
        None,
        4,
        KFold(3),
        [(np.arange(100, 240), np.arange(100)), (np.arange(100), np.arange(100, 240))],
    ],
    ids=["None", "int", "splitter", "iterable"],
)
@pytest.mark.parametrize("ensemble", [False, True])
def test_every_cv_gives_scikit_learns_folds(data, cv, ensemble):
    X, y, _ = data()
    theirs, ours = both(LogisticRegression(), X, y, method="sigmoid", ensemble=ensemble, cv=cv)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)


def test_an_ensemble_may_test_rows_twice_or_never(data):
    X, y, _ = data()
    cv = ShuffleSplit(4, test_size=0.2, random_state=0)
    theirs, ours = both(LogisticRegression(), X, y, method="sigmoid", ensemble=True, cv=cv)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
    tested = np.unique(np.concatenate([test for _, test in cv.split(X)]))
    assert ours.reliability_.summary().count[0] == len(tested)
    with pytest.raises(ValueError, match="cv must test every row exactly once"):
        RoutingClassifier(LogisticRegression(), cv=cv).fit(X, y)


def test_members_are_listed_as_scikit_learn_lists_them(data):
    X, y, _ = data(4)
    for ensemble in (False, True):
        theirs, ours = both(LinearSVC(random_state=0), X, y, method="sigmoid", ensemble=ensemble, cv=3)
        assert len(ours.calibrated_classifiers_) == len(theirs.calibrated_classifiers_)
        for mine, other in zip(ours.calibrated_classifiers_, theirs.calibrated_classifiers_, strict=True):
            assert_allclose(mine.estimator.coef_, other.estimator.coef_)
            assert_allclose([c.a_ for c in mine.calibrators], [c.a_ for c in other.calibrators], rtol=1e-3)
            assert_allclose(mine.predict_proba(X), other.predict_proba(X), atol=1e-6)


def test_multiclass_svc_equals_scikit_learn(data):
    X, y, _ = data(3, n_rows=150)
    theirs, ours = both(SVC(random_state=0), X, y, method="sigmoid", ensemble=False, cv=3)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("cv", [5, StratifiedKFold(5), KFold(5)])
def test_more_folds_than_rows_of_a_class_are_refused_in_scikit_learns_words(data, cv):
    X, y, _ = data()
    y = np.where(np.arange(len(y)) < 3, 9, y)
    for model in (CalibratedClassifierCV(cv=cv), RoutingClassifier(cv=cv)):
        with pytest.raises(ValueError, match="Requesting 5-fold cross-validation but provided less than 5 examples"):
            model.fit(X, y)


def test_leave_one_out_is_refused(data):
    X, y, _ = data()
    for model in (CalibratedClassifierCV(cv=LeaveOneOut()), RoutingClassifier(cv=LeaveOneOut())):
        with pytest.raises(ValueError, match="LeaveOneOut cross-validation does not allow"):
            model.fit(X, y)


@pytest.mark.parametrize(
    "base", [make_pipeline(StandardScaler(), LogisticRegression()), KNeighborsClassifier(15)], ids=["pipe", "knn"]
)
def test_weights_that_the_base_does_not_take_serve_calibration_only_with_a_warning(data, base):
    X, y, weight = data()
    theirs = CalibratedClassifierCV(base, method="sigmoid", ensemble=False, cv=3)
    ours = RoutingClassifier(base, method="sigmoid", cv=3)
    for model in (theirs, ours):
        with pytest.warns(UserWarning, match="does not appear to accept sample_weight"):
            model.fit(X, y, sample_weight=weight)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
    assert not np.allclose(ours.predict_proba(X), clone(ours).fit(X, y).predict_proba(X))


@pytest.mark.parametrize("method", METHODS)
def test_a_series_whose_index_has_no_zero_serves(data, method):
    """scikit-learn itself looks up label 0 with method="temperature"."""
    X, y, _ = data(labels=NAMES[:3])
    index = np.arange(len(y)) * 3 + 7
    expected = RoutingClassifier(LogisticRegression(), method=method).fit(X, y).predict_proba(X)
    series = RoutingClassifier(LogisticRegression(), method=method).fit(X, pd.Series(y, index=index))
    assert_array_equal(series.predict_proba(X), expected)


def test_groups_reach_the_splitter_as_in_scikit_learn(data):
    X, y, weight = data()
    groups = np.arange(len(y)) % 12
    with sklearn.config_context(enable_metadata_routing=True):
        base = LogisticRegression().set_fit_request(sample_weight=True)
        # Without an ensemble, scikit-learn does not hand them on.
        settings = {"method": "sigmoid", "ensemble": True, "cv": GroupKFold(4)}
        theirs = CalibratedClassifierCV(base, **settings).fit(X, y, sample_weight=weight, groups=groups)
        ours = RoutingClassifier(base, **settings).fit(X, y, sample_weight=weight, groups=groups)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)


def test_cross_validate_and_searches_give_scikit_learns_scores(data):
    X, y, _ = data()
    settings = {"method": "sigmoid", "ensemble": False, "cv": 3}
    models = [model(LogisticRegression(), **settings) for model in (CalibratedClassifierCV, RoutingClassifier)]
    theirs, ours = (cross_validate(model, X, y, cv=3, scoring="neg_log_loss")["test_score"] for model in models)
    assert_allclose(ours, theirs, atol=1e-6)
    grid = {"estimator__C": [1e-3, 1.0], "method": ["sigmoid", "isotonic"]}
    theirs, ours = (GridSearchCV(model, grid, cv=2, scoring="neg_brier_score").fit(X, y) for model in models)
    assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], atol=1e-6)
    assert ours.best_params_ == theirs.best_params_


@pytest.mark.parametrize("outer", ["in a pipeline", "around a pipeline"])
def test_pipelines_on_either_side_give_scikit_learns_probabilities(data, outer):
    X, y, _ = data()
    settings = {"method": "isotonic", "ensemble": True, "cv": 3}
    proba = []
    for model in (CalibratedClassifierCV, RoutingClassifier):
        if outer == "in a pipeline":
            fitted = make_pipeline(StandardScaler(), model(LogisticRegression(), **settings)).fit(X, y)
        else:
            fitted = model(make_pipeline(StandardScaler(), LogisticRegression()), **settings).fit(X, y)
        proba.append(fitted.predict_proba(X))
    assert_allclose(proba[1], proba[0], atol=1e-6)


def test_it_nests_in_other_meta_estimators(data):
    X, y, _ = data()
    router = RoutingClassifier(LogisticRegression(), method="sigmoid", cv=3)
    calibrated = CalibratedClassifierCV(router, cv=3).fit(X, y)
    assert calibrated.score(X, y) > 0.6
    voting = VotingClassifier([("a", router), ("b", GaussianNB())], voting="soft").fit(X, y)
    expected = (router.fit(X, y).predict_proba(X) + GaussianNB().fit(X, y).predict_proba(X)) / 2
    assert_allclose(voting.predict_proba(X), expected)
    assert_allclose(RoutingClassifier(router, cv=3).fit(X, y).predict_proba(X).sum(axis=1), 1.0)


@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("how", ["pickle", "joblib"])
def test_a_fitted_router_survives_being_stored(data, tmp_path, how, ensemble):
    X, y, _ = data(labels=NAMES[:3])
    router = RoutingClassifier(LogisticRegression(), method={"vpn": "isotonic"}, ensemble=ensemble).fit(X, y)
    if how == "pickle":
        again = pickle.loads(pickle.dumps(router))
    else:
        joblib.dump(router, tmp_path / "router.joblib")
        again = joblib.load(tmp_path / "router.joblib")
    assert_array_equal(again.predict_proba(X), router.predict_proba(X))
    assert_array_equal(again.predict_route(X), router.predict_route(X))
    assert again.reliability_ == router.reliability_


def test_parameters_are_listed_set_and_cloned():
    policy = RoutePolicy(thresholds={"vpn": 0.7})
    router = RoutingClassifier(LogisticRegression(C=2.0), policy=policy)
    params = router.get_params()
    assert (params["estimator__C"], params["policy__thresholds__vpn"], params["method"]) == (2.0, 0.7, "auto")
    copy = clone(router).set_params(policy__thresholds__vpn=0.9, policy__margin=None, estimator__C=3.0, cv=4)
    assert copy.policy.get_params(deep=False)["thresholds"] == {"vpn": 0.9}
    assert (copy.policy.margin, copy.estimator.C, copy.cv) == (None, 3.0, 4)
    assert (router.policy.thresholds, router.estimator.C) == ({"vpn": 0.7}, 2.0)
    with pytest.raises(ValueError, match="Invalid parameter 'bogus'"):
        router.set_params(policy__bogus=1)


@pytest.mark.parametrize("params", [{"policy__margin": 0.1}, {"policy": None, "policy__margin": 0.1}])
def test_parameters_of_an_absent_policy_are_set_on_the_default_one(params):
    router = RoutingClassifier()
    assert router.set_params(**params) is router
    assert repr(router.policy) == repr(RoutePolicy(margin=0.1))
    assert RoutingClassifier(policy=RoutePolicy()).set_params(policy=None).policy is None
