import math
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skroute import RoutePolicy, RoutingClassifier
from skroute.metrics import RouteScorer, calibration_error, get_scorer, get_scorer_names, routing_cost

CLASSES = ["attack", "unlock", "vpn"]
# One row for each thing that can happen: auto and right, auto and wrong, watch, escalate, clarify.
PROBA = np.array([[0.02, 0.97, 0.01], [0.01, 0.01, 0.98], [0.50, 0.30, 0.20], [0.30, 0.36, 0.34], [0.05, 0.55, 0.40]])
TRUTH = np.array(["unlock", "attack", "attack", "vpn", "unlock"])
WEIGHT = np.array([3.0, 1.0, 2.0, 0.5, 1.5])


class Recorded(ClassifierMixin, BaseEstimator):
    """A router of recorded probabilities: its rows are their numbers."""

    def __init__(self, watch_level=0.45):
        self.watch_level = watch_level

    def fit(self, X, y=None):
        self.classes_ = np.array(CLASSES)
        self.policy_ = RoutePolicy(watch={"attack": self.watch_level}).fit(PROBA, classes=CLASSES)
        return self

    def predict(self, X):
        return self.classes_[PROBA[np.ravel(X)].argmax(axis=1)]

    def explain_route(self, X):
        return self.policy_.explain(PROBA[np.ravel(X)])


ROWS = np.arange(5)[:, None]


def figures_by_hand(weight, wrong_cost=10.0, review_cost=1.0):
    share = weight / weight.sum()
    return {
        "coverage": share[0] + share[1],
        "auto_accuracy": share[0] / (share[0] + share[1]),
        "correct_coverage": share[0],
        "neg_wrong_rate": -share[1],
        "neg_cost": -(wrong_cost * share[1] + review_cost * share[2:].sum()),
        "watch_rate": share[2],
        "escalate_rate": share[3],
        "clarify_rate": share[4],
    }


def test_every_figure_equals_the_count_by_hand():
    assert RouteScorer()(Recorded().fit(ROWS), ROWS, TRUTH) == pytest.approx(figures_by_hand(np.ones(5)))


def test_figures_count_weights():
    figures = RouteScorer()(Recorded().fit(ROWS), ROWS, TRUTH, sample_weight=WEIGHT)
    assert figures == pytest.approx(figures_by_hand(WEIGHT))


def test_integer_weights_are_repetitions():
    repeats = np.array([3, 0, 2, 1, 4])
    router = Recorded().fit(ROWS)
    by_weight = RouteScorer()(router, ROWS, TRUTH, sample_weight=repeats)
    by_rows = RouteScorer()(router, np.repeat(ROWS, repeats, axis=0), np.repeat(TRUTH, repeats))
    assert by_weight == pytest.approx(by_rows)


@pytest.mark.parametrize("costs", [(3.0, 0.5), (0.0, 1.0), (100.0, 0.0)])
def test_costs_are_those_given(costs):
    scorer = RouteScorer(wrong_cost=costs[0], review_cost=costs[1])
    assert scorer(Recorded().fit(ROWS), ROWS, TRUTH) == pytest.approx(figures_by_hand(np.ones(5), *costs))


@pytest.mark.parametrize(
    "make", [list, np.array, lambda y: pd.Series(y, index=range(9, 14)), lambda y: np.array(y, dtype=object)]
)
def test_truth_may_come_in_any_container(make):
    assert RouteScorer()(Recorded().fit(ROWS), ROWS, make(TRUTH.tolist())) == pytest.approx(figures_by_hand(np.ones(5)))


def test_without_an_automatic_row_the_accuracy_is_nan_and_the_cost_is_not():
    figures = RouteScorer()(Recorded().fit(ROWS), ROWS[2:], TRUTH[2:])
    assert math.isnan(figures.pop("auto_accuracy"))
    assert figures["coverage"] == 0.0
    assert figures["neg_cost"] == -1.0


@pytest.mark.parametrize("name", ["wrong_cost", "review_cost"])
@pytest.mark.parametrize("cost", [-1.0, np.nan, np.inf, "high", None, [1.0], 1j])
def test_costs_must_be_numbers_of_at_least_zero(name, cost):
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        RouteScorer(**{name: cost})(Recorded().fit(ROWS), ROWS, TRUTH)


@pytest.mark.parametrize(
    ("truth", "weight", "message"),
    [
        (TRUTH[:4], None, "y_true must have one label a row"),
        (TRUTH[:1], None, "y_true must have one label a row"),
        (TRUTH, [1.0], "one value a row"),
        (TRUTH, -WEIGHT, "not negative"),
        (TRUTH, 0 * WEIGHT, "positive"),
    ],
)
def test_truth_and_weights_must_fit_the_rows(truth, weight, message):
    with pytest.raises(ValueError, match=message):
        RouteScorer()(Recorded().fit(ROWS), ROWS, truth, sample_weight=weight)


def test_it_clones_and_has_parameters():
    scorer = clone(RouteScorer(wrong_cost=3.0)).set_params(review_cost=0.2)
    assert scorer.get_params() == {"costs": None, "figures": None, "wrong_cost": 3.0, "review_cost": 0.2}


def test_it_reaches_through_pipelines_and_searches(rows):
    X, y, _ = rows
    pipeline = make_pipeline(StandardScaler(), RoutingClassifier(LogisticRegression(), cv=2))
    grid = GridSearchCV(pipeline, {"routingclassifier__method": ["sigmoid"]}, cv=2).fit(X, y)
    direct = RouteScorer()(grid.best_estimator_[-1], StandardScaler().fit_transform(X), y)
    assert RouteScorer()(grid, X, y) == RouteScorer()(grid.best_estimator_, X, y) == direct


def expected_by_fold(X, y, weight, threshold=0.8):
    """Score each fold by hand, with the weights of its test rows."""
    for train, test in StratifiedKFold(3).split(X, y):
        model = RoutingClassifier(LogisticRegression(), cv=2, policy=RoutePolicy(threshold))
        fitted = model.fit(X[train], y[train], weight[train])
        auto = fitted.predict_route(X[test]) == "auto"
        wrong = auto & (fitted.predict(X[test]) != y[test])
        yield -np.average(np.where(wrong, 10.0, np.where(auto, 0.0, 1.0)), weights=weight[test])


def test_weights_are_routed_to_it_in_cross_validate_and_searches(rows):
    X, y, weight = rows
    expected = list(expected_by_fold(X, y, weight))
    assert np.ptp(expected) > 0
    with sklearn.config_context(enable_metadata_routing=True):
        base = LogisticRegression().set_fit_request(sample_weight=True)
        router = RoutingClassifier(base, cv=2).set_fit_request(sample_weight=True)
        scorer = RouteScorer().set_score_request(sample_weight=True)
        scores = cross_validate(router, X, y, cv=3, scoring=scorer, params={"sample_weight": weight})
        assert scores["test_neg_cost"] == pytest.approx(expected)
        grid = GridSearchCV(router, {"policy__threshold": [0.85]}, cv=3, scoring=scorer, refit="neg_cost")
        grid.fit(X, y, sample_weight=weight)
        scorer.set_score_request(sample_weight=False)
        unweighted = cross_validate(router, X, y, cv=3, scoring=scorer, params={"sample_weight": weight})
    by_fold = [grid.cv_results_[f"split{i}_test_neg_cost"][0] for i in range(3)]
    assert by_fold == pytest.approx(list(expected_by_fold(X, y, weight, threshold=0.85)))
    assert unweighted["test_neg_cost"] != pytest.approx(expected)


def test_weights_without_a_request_are_an_error_and_never_dropped(rows):
    X, y, weight = rows
    with sklearn.config_context(enable_metadata_routing=True):
        base = LogisticRegression().set_fit_request(sample_weight=True)
        router = RoutingClassifier(base, cv=2).set_fit_request(sample_weight=True)
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
            cross_validate(router, X, y, cv=3, scoring=RouteScorer(), params={"sample_weight": weight})


def test_scoring_gives_no_warning(rows):
    X, y, _ = rows
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cross_validate(RoutingClassifier(LogisticRegression(), cv=2), X, y, cv=2, scoring=RouteScorer())


def test_a_full_table_of_costs_takes_the_place_of_the_two():
    people = {"watch": 1, "escalate": 2, "clarify": 3}
    costs = {c: {other: 5 * (c != other) for other in CLASSES} | people for c in CLASSES}
    fitted = Recorded().fit(ROWS)
    expected = -routing_cost(TRUTH, fitted.explain_route(ROWS), costs=costs, sample_weight=WEIGHT)
    assert RouteScorer(costs=costs)(fitted, ROWS, TRUTH, sample_weight=WEIGHT)["neg_cost"] == expected
    assert get_scorer("neg_cost").set_params(costs=costs)(fitted, ROWS, TRUTH, sample_weight=WEIGHT) == expected
    assert expected == pytest.approx(-(5 * 1.0 + 1 * 2.0 + 2 * 0.5 + 3 * 1.5) / 8.0)


def test_names_are_sorted_and_unknown_ones_refused():
    names = get_scorer_names()
    assert names == sorted(set(names))
    with pytest.raises(ValueError, match=r"no figure 'coverage_rate'.* correct_coverage"):
        get_scorer("coverage_rate")
    with pytest.raises(ValueError, match="no figure 'cost'"):
        RouteScorer(["coverage", "cost"])(Recorded().fit(ROWS), ROWS, TRUTH)
    with pytest.raises(ValueError, match="at least one figure"):
        RouteScorer([])(Recorded().fit(ROWS), ROWS, TRUTH)


@pytest.mark.parametrize("name", get_scorer_names())
def test_labels_of_which_none_is_a_class_are_refused(name, rows):
    X, y, _ = rows
    model = RoutingClassifier(LogisticRegression(), cv=2).fit(X, y)
    for truth in (np.char.upper(y), np.full(240, "mail"), np.zeros(240)):
        with pytest.raises(ValueError, match="y_true must name the classes of the estimator; it holds"):
            get_scorer(name)(model, X, truth)


def test_a_single_row_may_be_wrong():
    assert get_scorer("neg_cost")(Recorded().fit(ROWS), ROWS[1:2], ["attack"]) == -10.0


@pytest.mark.parametrize("name", get_scorer_names())
def test_a_class_that_the_training_rows_lacked_has_probability_zero(name, rows):
    X, y, weight = rows
    model = RoutingClassifier(LogisticRegression(), cv=2).fit(X[y != "vpn"], y[y != "vpn"])
    found = get_scorer(name)(model, X, y, weight)
    assert np.isfinite(found)
    if name == "neg_calibration_error":
        proba = np.column_stack([model.predict_proba(X), np.zeros(240)])
        assert found == -calibration_error(y, proba, classes=CLASSES, sample_weight=weight)
    if name == "neg_wrong_rate":
        auto = model.predict_route(X) == "auto"
        assert found == pytest.approx(-np.average(auto & (model.predict(X) != y), weights=weight))


def test_labels_match_the_classes_by_their_text(rows):
    X, y, _ = rows
    codes = np.searchsorted(CLASSES, y)
    model = RoutingClassifier(LogisticRegression(), cv=2).fit(X, codes)
    scorer = RouteScorer(get_scorer_names())
    assert scorer(model, X, codes.astype(str)) == scorer(model, X, codes)


def test_figures_are_not_a_text():
    with pytest.raises(ValueError, match=r"figures must be a sequence of names or None, got 'coverage'; pass \['cov"):
        RouteScorer("coverage")(Recorded().fit(ROWS), ROWS, TRUTH)
