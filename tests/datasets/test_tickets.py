import re
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skroute.datasets import _phrases, make_tickets

# Of seeded z statistics: a right model exceeds this once in 16,000 tests, and no seed was chosen.
LARGEST_Z = 4.0


@pytest.fixture(scope="module")
def tickets():
    return make_tickets(40_000, random_state=0)


@pytest.fixture(scope="module")
def hits(tickets):
    return tickets.target[:, np.newaxis] == tickets.target_names


def z_statistic(hits, chances):
    """Return how many standard deviations the number of hits is from its expectation."""
    return (hits - chances).sum() / np.sqrt((chances * (1 - chances)).sum())


def test_shapes_and_types(tickets):
    n_samples, n_classes = tickets.target_proba.shape
    assert len(tickets.data) == len(tickets.target) == n_samples == 40_000
    assert all(type(text) is str for text in tickets.data)
    assert_array_equal(tickets.target_names, np.unique(tickets.target))
    assert len(tickets.target_names) == n_classes == 7
    assert set(tickets) == {"data", "target", "target_proba", "target_names", "DESCR"}


def test_true_probabilities_are_probabilities(tickets):
    assert tickets.target_proba.min() >= 0
    assert_allclose(tickets.target_proba.sum(axis=1), 1, rtol=1e-12)


def test_labels_are_drawn_from_the_true_probabilities_of_each_class(tickets, hits):
    for c in range(hits.shape[1]):
        chances = tickets.target_proba[:, c]
        assert abs(z_statistic(hits[:, c], chances)) < LARGEST_Z
        # A label may not know more than the probability says, wherever the probability lies.
        for low in np.arange(0, 1, 0.1):
            rows = (chances >= low) & (chances < low + 0.1)
            if chances[rows].sum() >= 5:
                assert abs(z_statistic(hits[rows, c], chances[rows])) < LARGEST_Z


def test_top_label_is_right_as_often_as_its_probability_says(tickets, hits):
    top = tickets.target_proba.argmax(axis=1)
    confidence = tickets.target_proba.max(axis=1)
    right = hits[np.arange(len(top)), top]
    for low, high in [(0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.0)]:
        rows = (confidence > low) & (confidence <= high)
        assert abs(z_statistic(right[rows], confidence[rows])) < LARGEST_Z


@pytest.mark.parametrize("words", ["suspicious", "sign-in", "exercise", "new phone", "urgent", "no hurry", "Hi team"])
def test_no_word_tells_more_about_the_label_than_the_true_probabilities(tickets, hits, words):
    rows = np.array([words in text for text in tickets.data])
    assert rows.sum() > 200
    for c in range(hits.shape[1]):
        assert abs(z_statistic(hits[rows, c], tickets.target_proba[rows, c])) < LARGEST_Z


def test_texts_determine_the_true_probabilities(tickets):
    known = {}
    for text, chances in zip(tickets.data, tickets.target_proba.round(12).tolist(), strict=True):
        assert known.setdefault(text, chances) == chances
    assert len(known) > 0.9 * len(tickets.data)


def test_no_sentence_serves_two_meanings():
    topics = [sentence for topic in _phrases.TOPICS for sentence in topic.subjects + topic.details]
    groups = [_phrases.ALARMS, _phrases.EXPLANATIONS, _phrases.URGENCIES]
    others = [sentence for group in groups for sentences in group for sentence in sentences]
    spoken = [s for s in [*topics, *others, *_phrases.GREETINGS, *_phrases.SMALL_TALK] if s]
    assert all(re.fullmatch(r"[^.?]+[.?]", sentence) for sentence in spoken)
    fillings = [dict(zip(_phrases.SLOTS, words, strict=True)) for words in product(*_phrases.SLOTS.values())]
    filled = [text for sentence in spoken for text in {sentence.format(**filling) for filling in fillings}]
    assert len(set(filled)) == len(filled)


def test_topics_are_whole():
    assert_allclose(sum(topic.share for topic in _phrases.TOPICS), 1)
    for topic in _phrases.TOPICS:
        assert set(topic.chances) <= set(_phrases.CLASSES)
        assert_allclose(sum(topic.chances.values()), 1)
    assert set(_phrases.URGENCY_CHANCES) == set(_phrases.CLASSES)
    assert_allclose([sum(chances) for chances in _phrases.URGENCY_CHANCES.values()], 1)


def test_texts_hold_no_addresses_links_or_left_over_slots(tickets):
    assert not any(re.search(r"[@{}\d]|http|www|  ", text) for text in tickets.data)
    assert all(text == text.strip() for text in tickets.data)


def test_incidents_are_rare_and_the_best_possible_accuracy_is_realistic(tickets):
    shares = dict(zip(tickets.target_names.tolist(), tickets.target_proba.mean(axis=0), strict=True))
    assert 0.025 < shares.pop("security_incident") < 0.035
    assert 0.08 < min(shares.values()) < 0.5 * max(shares.values())
    assert 0.88 < tickets.target_proba.max(axis=1).mean() < 0.90


def test_an_explanation_counts_only_for_the_alarm_that_it_fits(tickets):
    def incident(alarm, explanation, without="nothing of this kind"):
        rows = [alarm in text and explanation in text and without not in text for text in tickets.data]
        return tickets.target_proba[rows, tickets.target_names.tolist().index("security_incident")].mean()

    assert incident("suspicious e-mail", "phishing exercise") < 0.04
    assert incident("unknown sign-in", "new phone") < 0.04
    assert incident("suspicious e-mail", "new phone", without="sign-in") > 0.3
    assert incident("unknown sign-in", "phishing exercise", without="e-mail") > 0.3


def test_an_int_gives_the_same_tickets_again_and_another_int_others():
    first, again, other = (make_tickets(200, random_state=seed) for seed in (3, 3, 4))
    assert first.data == again.data
    assert_array_equal(first.target, again.target)
    assert_array_equal(first.target_proba, again.target_proba)
    assert first.data != other.data


def test_the_first_tickets_do_not_depend_on_how_many_are_asked_for():
    few, many = make_tickets(10, random_state=5), make_tickets(1000, random_state=5)
    assert few.data == many.data[:10]
    assert_array_equal(few.target, many.target[:10])
    assert_array_equal(few.target_proba, many.target_proba[:10])


def test_a_random_state_is_used_and_moves_on():
    random_state = np.random.RandomState(3)
    first, second = make_tickets(200, random_state=random_state), make_tickets(200, random_state=random_state)
    assert first.data == make_tickets(200, random_state=3).data
    assert first.data != second.data


def test_every_call_without_random_state_succeeds():
    tickets = make_tickets(1)
    assert len(tickets.data) == len(tickets.target) == 1
    assert len(make_tickets().data) == 5000


@pytest.mark.parametrize("n_samples", [0, -1, 2.5, "10", None, True])
def test_n_samples_must_be_a_positive_int(n_samples):
    with pytest.raises(ValueError, match="'n_samples' parameter of make_tickets must be an int of at least 1"):
        make_tickets(n_samples)


def test_a_bag_of_words_looks_calibrated_and_is_overconfident_on_incidents(tickets):
    train = make_tickets(5000, random_state=1)
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True), LogisticRegression(C=5, max_iter=1000)
    ).fit(train.data, train.target)
    proba = model.predict_proba(tickets.data)
    confidence = proba.max(axis=1)
    label = model.classes_[proba.argmax(axis=1)]
    right = label == tickets.target
    incidents = (label == "security_incident") & (confidence >= 0.5)
    assert abs(confidence.mean() - right.mean()) < 0.03
    assert incidents.sum() > 400
    assert confidence[incidents].mean() - right[incidents].mean() > 0.12
