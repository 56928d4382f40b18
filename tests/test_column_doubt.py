import warnings

import numpy as np
import pytest
from calibration.joint_calibrators import scores_of
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from skroute import CertifiedPolicy, CostPolicy, RoutePolicy, RoutingClassifier, RoutingCosts, compare_policies
from skroute._column_doubt import doubt_columns
from skroute.exceptions import DoubtfulScoresWarning, SkrouteWarning


def doubted(scores, y, weight):
    doubt_columns(scores, y, weight, np.arange(scores.shape[1]))


def test_rows_count_by_their_weights_and_not_by_their_places():
    proba, y = scores_of(2, 1000)
    wrong = np.arange(1000) < 900
    given = np.where(wrong[:, np.newaxis], proba[:, ::-1], proba)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        doubted(given, y, np.where(wrong, 1e-9, 1.0))
        # Few rows are wrong, but every so many.
        y = np.zeros(200_000, dtype=np.intp)
        right = np.tile([0.9, 0.1], (len(y), 1))
        right[::1000] = [0.1, 0.9]
        doubted(right, y, None)
    y = np.arange(200_000) % 2
    with pytest.warns(DoubtfulScoresWarning, match="in 0% of the rows, and in 100%"):
        doubted(np.eye(2)[1 - y], y, None)
    # Of a class that nobody scored nothing is known, and the others are looked at.
    proba, y = scores_of(4, 400)
    proba = np.roll(proba, 1, axis=1)
    proba[:, 3] = np.nan
    with pytest.warns(DoubtfulScoresWarning):
        doubted(proba, y, None)


def test_models_that_know_nothing_or_are_biased_are_not_doubted():
    for seed in range(400):
        rng = np.random.default_rng(seed)
        n_classes = int(rng.integers(2, 12))
        n_rows = 10 * n_classes + int(rng.integers(0, 400))
        y = rng.choice(n_classes, n_rows, p=rng.dirichlet(np.full(n_classes, rng.choice([0.2, 1.0, 10.0]))))
        scores = rng.normal(size=(n_rows, n_classes)) + rng.normal(size=n_classes) * rng.choice([0.0, 1.0, 5.0])
        scores[np.arange(n_rows), y] += rng.choice([0.0, 0.3, 1.0])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            doubted(scores, y, None)


def test_rows_without_weight_or_without_a_score_are_not_looked_at():
    proba, y = scores_of(2, 300)
    proba[:280] = proba[:280, ::-1]
    with pytest.warns(DoubtfulScoresWarning, match="in another order"):
        doubted(proba, y, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        doubted(proba, y, (np.arange(300) >= 280) * 1.0)
        doubted(np.where(np.arange(300)[:, np.newaxis] < 280, np.nan, proba), y, None)


def test_columns_that_changed_places_among_others_are_named():
    proba, y = scores_of(7, 2000)
    with pytest.warns(DoubtfulScoresWarning, match=r"in 7\d% of the rows, and in 99% .* those of 0, 1 look"):
        doubted(proba[:, [1, 0, 2, 3, 4, 5, 6]], y, None)
    with pytest.warns(DoubtfulScoresWarning, match=r"those of 1, 4, 5 look"):
        doubted(proba[:, [0, 4, 2, 3, 5, 1, 6]], y, None)


@pytest.mark.parametrize("n_classes", [10, 20, 50])
@pytest.mark.parametrize("accuracy", [0.75, 0.95])
def test_two_columns_among_many_are_found(n_classes, accuracy):
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_classes, 500 * n_classes)
    other = (y + rng.integers(1, n_classes, len(y))) % n_classes
    scores = np.eye(n_classes)[np.where(rng.random(len(y)) < accuracy, y, other)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        doubted(scores, y, None)
    swapped = np.arange(n_classes)
    swapped[:2] = 1, 0
    with pytest.warns(DoubtfulScoresWarning, match="those of 0, 1 look"):
        doubted(scores[:, swapped], y, None)


def test_imbalance_does_not_hide_another_order():
    rng = np.random.default_rng(0)
    y = rng.choice(4, 1500, p=[0.5, 0.3, 0.15, 0.05])
    logits = rng.normal(size=(1500, 4)) + np.log([0.5, 0.3, 0.15, 0.05])
    logits[np.arange(1500), y] += 1.5
    right = (logits.argmax(axis=1) == y).mean()
    assert 0.55 < right < 0.8
    with pytest.warns(DoubtfulScoresWarning):
        doubted(logits[:, ::-1], y, None)


COSTS = RoutingCosts.from_defaults(["attack", "unlock", "vpn"])


@pytest.mark.parametrize("policy", [RoutePolicy(), CertifiedPolicy(0.3), CostPolicy(COSTS, cost_source="labels")])
@pytest.mark.filterwarnings("ignore::skroute.exceptions.UncertifiedClassWarning")
def test_policies_doubt_columns_where_labels_tell(policy):
    proba, y = scores_of(3, 600)
    names = np.array(["vpn", "unlock", "attack"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", DoubtfulScoresWarning)
        policy.fit(proba, names[y], classes=names)

    # Without classes= the columns are those of the sorted labels.
    with pytest.warns(DoubtfulScoresWarning, match="Pass classes= in the order of the columns"):
        policy.fit(proba, names[y])


WEIGHTED = [RoutePolicy(candidates=0.9), CertifiedPolicy(0.3), CostPolicy(COSTS, cost_source="labels")]


@pytest.mark.parametrize("policy", WEIGHTED)
@pytest.mark.filterwarnings("ignore::skroute.exceptions.UncertifiedClassWarning")
@pytest.mark.filterwarnings("ignore::skroute.exceptions.RareClassWarning")
def test_policies_count_rows_by_their_weights(policy):
    proba, y = scores_of(3, 1000)
    names = np.array(["attack", "unlock", "vpn"])
    swapped = np.where(np.arange(1000)[:, np.newaxis] < 800, proba[:, [1, 0, 2]], proba)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DoubtfulScoresWarning)
        policy.fit(swapped, names[y], classes=names, sample_weight=(np.arange(1000) >= 800) * 1.0)
    with pytest.warns(DoubtfulScoresWarning, match="those of 'attack', 'unlock' look"):
        policy.fit(swapped, names[y], classes=names, sample_weight=(np.arange(1000) < 800) * 1.0)


def test_a_comparison_doubts_columns():
    proba, y = scores_of(3, 600)
    policy = RoutePolicy().fit(proba, y)
    with pytest.warns(DoubtfulScoresWarning, match="those of 0, 2 look"):
        compare_policies({"only": policy}, proba[:, ::-1], y, sample_weight=np.ones(600))
    with pytest.warns(SkrouteWarning, match="no class") as caught:
        # Labels that are no class of the policy tell nothing of its columns.
        compare_policies({"only": policy}, proba, np.where(y == 2, 7, y))
    assert not [one for one in caught if one.category is DoubtfulScoresWarning]


class Rotated(LogisticRegression):
    """A classifier that calls every class by the name of the next."""

    def predict_proba(self, X):
        return np.roll(super().predict_proba(X), 1, axis=1)


def test_a_router_takes_its_classifier_by_its_word():
    X, y = load_iris(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DoubtfulScoresWarning)
        router = RoutingClassifier(Rotated(max_iter=500), method="none").fit(X, y)
    with pytest.warns(DoubtfulScoresWarning):
        RoutePolicy().fit(router.predict_proba(X), y)
