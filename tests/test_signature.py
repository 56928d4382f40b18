import inspect
import pickle

import pytest
from sklearn.base import BaseEstimator, clone

import skroute.calibration
import skroute.metrics
import skroute.policies
from skroute import RoutePolicy, RoutingClassifier
from skroute._signature import with_signature

ROOMS = (skroute, skroute.calibration, skroute.metrics, skroute.policies)
FOUND = {value for room in ROOMS for value in vars(room).values() if inspect.isclass(value)}
# SigmoidCalibrator and some more have no parameters, and no constructor.
ESTIMATORS = sorted(
    (one for one in FOUND if issubclass(one, BaseEstimator) and one.__init__ is not object.__init__),
    key=lambda one: one.__name__,
)


def worked_out(function):
    """Return the signature that a function has without the one that it carries."""
    plain = type(function)(
        function.__code__, function.__globals__, argdefs=function.__defaults__, closure=function.__closure__
    )
    plain.__kwdefaults__, plain.__annotations__ = function.__kwdefaults__, function.__annotations__
    return inspect.signature(plain)


def test_estimators_are_found():
    assert {"RoutingClassifier", "CertifiedPolicy", "IsotonicCalibrator"} <= {one.__name__ for one in ESTIMATORS}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_constructor_carries_its_signature(estimator):
    assert vars(estimator.__init__)["__signature__"] == worked_out(estimator.__init__)


def test_the_function_itself_is_returned():
    def function(a, *, b=2):
        return a + b

    assert with_signature(function) is function
    assert function(1) == 3
    assert str(inspect.signature(function)) == "(a, *, b=2)"


def test_subclasses_have_parameters_of_their_own():
    class Named(RoutePolicy):
        def __init__(self, name="", *, threshold=0.8):
            super().__init__(threshold)
            self.name = name

    assert Named("a", threshold=0.7).get_params() == {"name": "a", "threshold": 0.7}


def test_estimators_are_still_cloned_and_pickled():
    router = RoutingClassifier(policy=RoutePolicy(0.7, thresholds={"a": 0.9}))
    for copied in (clone(router), pickle.loads(pickle.dumps(router))):
        assert copied.get_params()["policy__thresholds__a"] == 0.9
