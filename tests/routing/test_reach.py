import math
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from skroute import RoutePolicy, RouteTable, RoutingClassifier, candidate_sets, explain_route, predict_route

X, Y = load_iris(return_X_y=True)


class Stateless(TransformerMixin, BaseEstimator):
    """A transformer that learns nothing, and so never looks fitted."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X / 10


def router():
    return RoutingClassifier(LogisticRegression(max_iter=500), cv=2)


@pytest.fixture(scope="module")
def scaled():
    """Return the scaled rows and a router fitted on them: what every wrapper must lead to."""
    rows = StandardScaler().fit_transform(X)
    return rows, router().fit(rows, Y)


def assert_reaches(model, rows, inner):
    """Check that both functions give what the inner router says of the rows that arrive there."""
    expected = inner.predict_route(rows)
    assert len(set(expected)) > 1
    assert predict_route(model, X).tolist() == expected.tolist()
    table = explain_route(model, X)
    assert isinstance(table, RouteTable)
    assert table.to_records() == inner.explain_route(rows).to_records()


def test_a_router_answers_itself(scaled):
    rows, fitted = scaled
    assert predict_route(fitted, rows).tolist() == fitted.predict_route(rows).tolist()
    assert explain_route(fitted, rows).to_records() == fitted.explain_route(rows).to_records()


def test_through_a_pipeline(scaled):
    assert_reaches(make_pipeline(StandardScaler(), router()).fit(X, Y), *scaled)


def test_through_a_pipeline_of_one_step():
    model = make_pipeline(router()).fit(X, Y)
    assert_reaches(model, X, model[-1])


def test_through_pipelines_in_a_pipeline(scaled):
    inner = make_pipeline(StandardScaler(), router())
    model = make_pipeline(make_pipeline(MinMaxScaler(), StandardScaler()), inner).fit(X, Y)
    rows = StandardScaler().fit_transform(MinMaxScaler().fit_transform(X))
    assert_reaches(model, StandardScaler().fit_transform(rows), model[-1][-1])


@pytest.mark.parametrize("step", ["passthrough", None, Stateless(), FunctionTransformer(np.log1p)])
def test_through_steps_that_learn_nothing(step):
    model = Pipeline([("scale", MinMaxScaler()), ("step", step), ("route", router())]).fit(X, Y)
    rows = MinMaxScaler().fit_transform(X)
    rows = rows if step in ("passthrough", None) else step.transform(rows)
    assert_reaches(model, rows, model[-1])


def test_past_steps_that_draw_rows_anew_to_fit(scaled):
    class Sampler(BaseEstimator):
        """As imbalanced-learn has them."""

        def fit_resample(self, X, y):
            raise AssertionError("rows that are asked about are not drawn anew")

    class Both(StandardScaler, Sampler):
        """What can transform does so in scikit-learn."""

    rows, inner = scaled
    for scaler in (StandardScaler(), Both()):
        steps = [("scale", scaler.fit(X)), ("sample", Sampler()), ("route", inner)]
        assert_reaches(Pipeline(steps), rows, inner)


def test_through_a_search_over_a_pipeline(scaled):
    model = make_pipeline(StandardScaler(), router())
    search = GridSearchCV(model, {"routingclassifier__policy__threshold": [0.8]}, cv=2).fit(X, Y)
    assert_reaches(search, *scaled)


def test_through_a_search_inside_a_pipeline(scaled):
    search = GridSearchCV(router(), {"policy__threshold": [0.8]}, cv=2)
    assert_reaches(make_pipeline(StandardScaler(), search).fit(X, Y), *scaled)


def test_a_search_inside_the_router_needs_no_reaching():
    search = GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1.0]}, cv=2)
    model = RoutingClassifier(search, cv=2).fit(X, Y)
    assert_reaches(model, X, model)


@pytest.mark.parametrize("wrap", [FrozenEstimator, lambda model: make_pipeline(FrozenEstimator(model))])
def test_through_frozen_estimators(scaled, wrap):
    assert_reaches(wrap(make_pipeline(StandardScaler(), router()).fit(X, Y)), *scaled)


def test_through_a_frozen_router_and_a_frozen_search(scaled):
    rows, fitted = scaled
    scaler = FrozenEstimator(StandardScaler().fit(X))
    assert_reaches(Pipeline([("scale", scaler), ("route", FrozenEstimator(fitted))]), rows, fitted)
    search = GridSearchCV(make_pipeline(StandardScaler(), router()), {"standardscaler__copy": [True]}, cv=2)
    assert_reaches(FrozenEstimator(search.fit(X, Y)), *scaled)


@pytest.mark.parametrize("reach", [predict_route, explain_route])
def test_what_is_not_fitted_says_so(reach):
    grid = {"policy__threshold": [0.8]}
    with pytest.raises(NotFittedError, match="GridSearchCV has no best_estimator_ yet"):
        reach(GridSearchCV(router(), grid), X)
    with pytest.raises(NotFittedError, match="refit"):
        reach(GridSearchCV(router(), grid, cv=2, refit=False).fit(X, Y), X)
    with pytest.raises(NotFittedError):
        reach(make_pipeline(StandardScaler(), router()), X)
    with pytest.raises(NotFittedError):
        reach(router(), X)


@pytest.mark.parametrize("reach", [predict_route, explain_route])
@pytest.mark.parametrize(
    ("wrap", "given"),
    [
        (lambda model: model, "LogisticRegression"),
        (make_pipeline, "Pipeline that ends in LogisticRegression"),
        (lambda model: FrozenEstimator(make_pipeline(model)), "FrozenEstimator that ends in LogisticRegression"),
    ],
)
def test_what_holds_no_router_is_a_type_error(reach, wrap, given):
    foreign = LogisticRegression(max_iter=500).fit(X, Y)
    with pytest.raises(
        TypeError, match=rf"^{reach.__name__} needs a fitted RoutingClassifier.* got {given}\. .* RoutingClassifier\("
    ):
        reach(wrap(foreign), X)


def test_a_search_of_a_foreign_estimator_is_a_type_error():
    search = GridSearchCV(SVC(), {"C": [1.0]}, cv=2).fit(X, Y)
    with pytest.raises(TypeError, match="got GridSearchCV that ends in SVC"):
        predict_route(search, X)
    with pytest.raises(TypeError, match="got NoneType"):
        predict_route(None, X)


def test_rows_keep_the_names_with_which_they_arrive():
    frame = pd.DataFrame(X, index=[f"flower {number:03}" for number in range(150)])
    model = RoutingClassifier(LogisticRegression(max_iter=500), policy=RoutePolicy(candidates=0.9)).fit(frame, Y)
    some = frame.iloc[[120, 3, 77, 50]]
    for step, names in [
        (FunctionTransformer(), some.index),
        (FunctionTransformer(pd.DataFrame.to_numpy), some.index),
        (FunctionTransformer(pd.DataFrame.sort_index), some.index.sort_values()),
        (FunctionTransformer(lambda rows: rows.iloc[:2]), some.index[:2]),
        (FunctionTransformer(lambda rows: rows.reset_index(drop=True)), some.index),
        (FunctionTransformer(lambda rows: rows.set_axis(list("wxyz"))), some.index),
        (FunctionTransformer(lambda rows: rows.to_numpy()[:2]), range(2)),
    ]:
        piped = Pipeline([("step", step), ("router", model)])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X does not have valid feature names")
            tables = explain_route(piped, some).to_pandas(), candidate_sets(piped, some).to_pandas()
        for table in tables:
            assert table.index.tolist() == list(names)
        if set(names) <= set(some.index) and "<lambda>" not in str(step):
            assert tables[0].label.tolist() == model.predict(frame.loc[names]).tolist()


def test_rows_whose_names_are_numbers_keep_them_where_steps_number_them_anew():
    """A default index holds the same numbers, and a join by it would go to other rows in silence."""
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.random.default_rng(0).permutation(150))
    steps = StandardScaler(), SelectKBest(k=3).set_output(transform="pandas")
    model = make_pipeline(*steps, router()).fit(frame, Y)
    table = explain_route(model, frame)
    joined = frame.join(table.to_pandas())
    assert joined.label.tolist() == model.predict(frame).tolist()
    assert len(table[frame.a > 5.0]) == (frame.a > 5.0).sum()
    # Numbers in an index of any kind; in parts, each from 0 on.
    for numbers in (np.arange(150), np.arange(150.0), np.arange(150) % 40):
        anew = FunctionTransformer(lambda rows, numbers=numbers: rows.set_axis(numbers))
        assert explain_route(Pipeline([("anew", anew), ("model", model)]), frame).index.equals(frame.index)
    assert explain_route(make_pipeline(*steps, router()).fit(X, Y), X[:3]).index.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "index",
    [
        pd.Index([math.nan, *range(1, 20)]),
        pd.date_range("2026-01-01", periods=20),
        pd.MultiIndex.from_product([[0.5, math.nan], range(10)]),
        pd.Index([[number] for number in range(20)], dtype=object),
        pd.RangeIndex(19, -1, -1),
        pd.Index(list("ab") * 10),
    ],
)
def test_whatever_the_names_are_they_stay_with_their_rows(index):
    frame = pd.DataFrame(X[40:60], index=index)
    fitted = router().fit(X, Y)
    pairs = pd.MultiIndex.from_product([[1], range(20)])
    expected = fitted.explain_route(frame.to_numpy()).to_records()
    for make in (
        pd.DataFrame.to_numpy,
        pd.DataFrame.copy,
        lambda rows: rows.reset_index(drop=True),
        lambda rows: rows.set_axis(pairs),
        lambda rows: rows.set_axis([f"row {i}" for i in range(20)]),
    ):
        table = explain_route(Pipeline([("step", FunctionTransformer(make)), ("router", fitted)]), frame)
        assert table.index.equals(index)
        assert table.to_records() == expected


def test_a_router_may_give_tables_of_any_index():
    class Own(RoutingClassifier):
        def explain_route(self, X):
            table = super().explain_route(X)
            object.__setattr__(table, "index", np.arange(len(X)) + 7)
            return table

    model = make_pipeline(FunctionTransformer(), Own(LogisticRegression(max_iter=500)).fit(X, Y))
    assert explain_route(model, pd.DataFrame(X[:3])).index.tolist() == [7, 8, 9]
