import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skroute import RoutingClassifier
from skroute.metrics import RouteScorer

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks since 1.9")


class Journal(callback.FitCallback):
    """A callback that writes down what it is told."""

    def __init__(self):
        self.events = []

    def setup(self, estimator, context):
        self.events.append(("setup", type(estimator).__name__))

    def on_fit_task_begin(self, estimator, context, **kwargs):
        self.events.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, **kwargs):
        self.events.append(("end", context.task_name))

    def teardown(self, estimator, context):
        self.events.append(("teardown", type(estimator).__name__))


class Failing(LogisticRegression):
    def fit(self, X, y):
        raise RuntimeError("out of paper")


def router(base=None, **settings):
    return RoutingClassifier(LogisticRegression() if base is None else base, cv=3, **settings)


@pytest.mark.parametrize(("ensemble", "n_fits"), [(False, 4), (True, 3)])
def test_every_inner_fit_is_a_task(data, ensemble, n_fits):
    X, y, _ = data()
    journal = Journal()
    model = router(ensemble=ensemble)
    model.set_callbacks(journal)
    model.fit(X, y)
    assert journal.events.count(("begin", "fold")) == n_fits
    assert journal.events.count(("end", "fold")) == n_fits
    assert journal.events[0] == ("setup", "RoutingClassifier")
    assert journal.events[-1] == ("teardown", "RoutingClassifier")


def test_callbacks_are_torn_down_after_an_error(data):
    X, y, _ = data()
    journal = Journal()
    model = router(Failing())
    model.set_callbacks(journal)
    with pytest.raises(RuntimeError, match="out of paper"):
        model.fit(X, y)
    assert journal.events[-1] == ("teardown", "RoutingClassifier")


def test_the_result_does_not_depend_on_callbacks_nor_does_the_cache(data, tmp_path):
    X, y, _ = data()
    expected = router().fit(X, y).predict_proba(X)
    for _ in range(2):
        model = router(memory=str(tmp_path))
        model.set_callbacks(Journal())
        assert (model.fit(X, y).predict_proba(X) == expected).all()
    assert len(list(tmp_path.rglob("output.pkl"))) == 1


@pytest.mark.parametrize("where", ["router", "pipeline", "search"])
def test_progress_bars_show_without_a_warning(data, capsys, where):
    pytest.importorskip("rich")
    X, y, _ = data()
    model = {
        "router": router(),
        "pipeline": make_pipeline(StandardScaler(), router()),
        "search": GridSearchCV(router(), {"policy__threshold": [0.85, 0.9]}, cv=2),
    }[where]
    model.set_callbacks(callback.ProgressBar())
    model.fit(X, y)
    assert "RoutingClassifier" in capsys.readouterr().out


def test_a_monitor_scores_the_routes_of_the_fitted_router(data):
    X, y, _ = data()
    monitor = callback.ScoringMonitor(scoring=RouteScorer())
    model = router()
    model.set_callbacks(monitor)
    model.fit(X, y)
    logged = [row for row in monitor.get_logs().data if "coverage" in row]
    assert logged[-1]["coverage"] == RouteScorer()(model, X, y)["coverage"]
