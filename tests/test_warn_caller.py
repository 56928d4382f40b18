import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skroute import CertifiedPolicy, RoutePolicy, RoutingClassifier
from skroute._warn_caller import warn_caller
from skroute.exceptions import DeadGateWarning, RareClassWarning, SkrouteWarning, UncertifiedClassWarning

DEAD = RoutePolicy(thresholds={"a": 0.95}, margin=0.2)


def rows(n_rare=40):
    rng = np.random.default_rng(0)
    y = np.repeat(["a", "b", "c"], [60, 60, n_rare])
    return rng.normal(size=(len(y), 3)) + 2.0 * (y[:, np.newaxis] == ["a", "b", "c"]), y


def router(policy=None):
    return RoutingClassifier(LogisticRegression(), policy=policy, method="sigmoid")


CALLS = {
    "alone": lambda: router(DEAD).fit(*rows()),
    "in a pipeline": lambda: make_pipeline(StandardScaler(), router(DEAD)).fit(*rows()),
    "in a search": lambda: GridSearchCV(router(), {"policy": [DEAD]}, cv=2).fit(*rows()),
    "a class of few rows": lambda: router().fit(*rows(n_rare=3)),
    "in a pipeline, a class of few rows": lambda: make_pipeline(router()).fit(*rows(n_rare=3)),
    "no certificate": lambda: router(CertifiedPolicy(max_error=0.001)).fit(*rows()),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_warning_names_the_line_of_the_caller(case):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CALLS[case]()
    ours = [warning for warning in caught if issubclass(warning.category, SkrouteWarning)]
    assert {warning.category for warning in ours} <= {DeadGateWarning, RareClassWarning, UncertifiedClassWarning}
    assert ours
    line = CALLS[case].__code__.co_firstlineno
    assert {(warning.filename, warning.lineno) for warning in ours} == {(__file__, line)}


def test_a_loop_warns_once():
    script = (
        "from skroute import RoutePolicy\n"
        "for _ in range(3):\n"
        "    RoutePolicy(thresholds={0: 0.95}, margin=0.2).fit([[0.5, 0.5]])\n"
    )
    done = subprocess.run([sys.executable, "-W", "default", "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.count("DeadGateWarning") == 1


def test_without_a_caller_the_line_is_the_one_that_warns(monkeypatch):
    monkeypatch.setattr("skroute._warn_caller.PASSED_OVER", ("",))
    with pytest.warns(SkrouteWarning, match="^so$") as caught:
        warn_caller("so", SkrouteWarning)
    assert caught[0].filename == __file__
