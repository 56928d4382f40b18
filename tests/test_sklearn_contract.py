"""What scikit-learn asks of a third-party meta-estimator, by its own checks and meta-tests."""

import inspect
import warnings

import pytest
import sklearn
from sklearn.exceptions import SkipTestWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.fixes import parse_version

from skroute import RoutePolicy, RoutingClassifier
from skroute.calibration import (
    IdentityCalibrator,
    IsotonicCalibrator,
    PerClassCalibrator,
    SigmoidCalibrator,
    TemperatureCalibrator,
)
from skroute.exceptions import RareClassWarning

with warnings.catch_warnings():
    # The meta-tests build every estimator while they are imported, and warn of those that need an argument.
    warnings.simplefilter("ignore", SkipTestWarning)
    try:
        from sklearn.tests import test_metaestimators as delegation
        from sklearn.tests import test_metaestimators_metadata_routing as routing
    except ImportError:
        delegation = routing = None

OLD_SKLEARN = parse_version(sklearn.__version__) < parse_version("1.9")
META_TESTS = [
    name
    for name, function in vars(routing).items()
    if name.startswith("test_") and list(inspect.signature(function).parameters) == ["metaestimator"]
] if routing else []  # fmt: skip


@pytest.mark.parametrize(
    "estimator",
    [
        RoutingClassifier(),
        RoutingClassifier(LogisticRegression()),
        pytest.param(
            RoutingClassifier(LogisticRegression(), method="isotonic", ensemble=True),
            marks=pytest.mark.skipif(OLD_SKLEARN, reason="once is enough"),
        ),
    ],
    ids=["default", "logistic", "isotonic ensemble"],
)
def test_every_estimator_check_passes(estimator):
    with warnings.catch_warnings():
        # Up to scikit-learn 1.7, one check draws a class of four rows.
        warnings.simplefilter("ignore", RareClassWarning)
        results = check_estimator(estimator, on_fail=None, on_skip=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert failed == {}
    assert sum(result["status"] == "passed" for result in results) >= 60


@pytest.mark.skipif(routing is None, reason="this scikit-learn was installed without its tests")
def test_the_meta_tests_are_found():
    assert len(META_TESTS) >= 7


@pytest.mark.parametrize("name", META_TESTS)
@pytest.mark.parametrize("ensemble", [False, True])
def test_metadata_are_routed_as_scikit_learn_demands(name, ensemble):
    getattr(routing, name)(
        {
            "metaestimator": RoutingClassifier,
            "estimator_name": "estimator",
            "estimator": "classifier",
            "X": routing.X,
            # Their mock gives one decision value a row, however many classes there are.
            "y": routing.y_binary,
            "init_args": {"ensemble": ensemble},
            "estimator_routing_methods": ["fit"],
            "preserves_metadata": "subset",
            "cv_name": "cv",
            "cv_routing_methods": ["fit"],
        }
    )


@pytest.mark.skipif(delegation is None, reason="this scikit-learn was installed without its tests")
@pytest.mark.parametrize("settings", [{}, {"ensemble": True, "method": "isotonic"}, {"holdout": 0.3}])
def test_data_validation_is_left_to_the_classifier(settings):
    text = make_pipeline(TfidfVectorizer(), LogisticRegression())
    delegation.test_meta_estimators_delegate_data_validation(RoutingClassifier(text, cv=2, **settings))


@pytest.mark.parametrize(
    "estimator",
    [
        RoutingClassifier(policy=RoutePolicy(thresholds={"a": 0.5}, watch={1: 0.2})),
        PerClassCalibrator({"a": "isotonic", "*": SigmoidCalibrator()}),
        TemperatureCalibrator(floor=0.5),
        SigmoidCalibrator(),
        IsotonicCalibrator(),
        IdentityCalibrator(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_parameters_survive_clone_and_repr(estimator):
    again = sklearn.base.clone(estimator)
    assert repr(again) == repr(estimator)
    assert again.get_params(deep=False).keys() == estimator.get_params(deep=False).keys()
    assert estimator._repr_html_().startswith("<style>")
