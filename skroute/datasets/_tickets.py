"""Generated help-desk tickets whose true class probabilities are known."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Bunch, check_random_state

from skroute._validation import check_count
from skroute.datasets._phrases import (
    ALARMS,
    CLASSES,
    EXPLANATIONS,
    GREETINGS,
    SLOTS,
    SMALL_TALK,
    TOPICS,
    URGENCIES,
    URGENCY_CHANCES,
)

__all__ = ["make_tickets"]

Draws = Iterator[NDArray[np.float64]]

# P(incident | number of alarms). Further alarms repeat the first one: a model that adds up the weights of their words
# counts the same evidence twice, and becomes overconfident on the rare class only.
INCIDENT_CHANCES = np.array([0.003, 0.38, 0.42, 0.45])
# P(incident) once the ticket explains one of its alarms. An explanation of something else changes nothing; no sum of
# word weights can express that either.
EXPLAINED_INCIDENT_CHANCE = 0.02

# The alarms of a ticket that has any: one combination a row.
ALARM_SETS = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]],
    dtype=np.intp,
)
ALARM_SET_CHANCES = (0.18, 0.18, 0.18, 0.10, 0.10, 0.10, 0.16)
# In the order of EXPLANATIONS, for tickets without and with alarms.
EXPLANATION_CHANCES = np.array([[0.88, 0.04, 0.04, 0.04], [0.61, 0.13, 0.13, 0.13]])

TOPIC_SHARES = [topic.share for topic in TOPICS]
ALARM_RATES = np.array([topic.alarm_rate for topic in TOPICS])
TOPIC_CLASS_CHANCES = np.array([[topic.chances.get(label, 0.0) for label in CLASSES] for topic in TOPICS])
CLASS_URGENCY_CHANCES = np.array([URGENCY_CHANCES[label] for label in CLASSES])
INCIDENT = np.array([float(label == "security_incident") for label in CLASSES])

# One for each call of next() below.
N_DRAWS = 18

DESCR = """Generated help-desk tickets
---------------------------
Short English texts of seven classes with unequal shares; security_incident is rare (about 3 %).
The labels are drawn from target_proba, which is the exact probability of each class given the text.
See the notes of skroute.datasets.make_tickets for the model."""


class _Situations(NamedTuple):
    """What each ticket says, apart from its wording; arrays with one entry a row."""

    topic: NDArray[np.intp]
    alarms: NDArray[np.intp]
    explanation: NDArray[np.intp]


def make_tickets(n_samples: int = 5000, *, random_state: int | RandomState | None = None) -> Bunch:
    """Generate help-desk tickets together with the true probability of each class.

    Use it where the truth must be known: to see how far calibrated probabilities are from the real ones, or whether a
    guarantee holds. The tickets are made so that a bag-of-words model looks calibrated as a whole and is
    overconfident on the rare class ``security_incident``.

    Parameters
    ----------
    n_samples : int, default=5000
        Number of tickets, at least 1.
    random_state : int, RandomState instance or None, default=None
        An int gives the same tickets in every call. Rows are independent, and the first rows for an int do not depend
        on `n_samples`.

    Returns
    -------
    tickets : Bunch
        With the attributes:

        data : list of str of length n_samples
            The texts.
        target : ndarray of shape (n_samples,)
            The label of each text, a str.
        target_proba : ndarray of shape (n_samples, n_classes)
            The probability of each class given the text, in [0, 1]; rows sum to one.
        target_names : ndarray of shape (n_classes,)
            The classes in sorted order, which is the order of the columns of `target_proba`.
        DESCR : str
            A short description.

    Raises
    ------
    ValueError
        If `n_samples` is not a positive int.

    Notes
    -----
    Each ticket is drawn in this order:

    1. its topic (a locked account, an invoice, ...), by the topic's share;
    2. its alarms, none or some of three (a suspicious e-mail, an unknown sign-in, an opened file), by the topic;
    3. an explanation of one of the three, or none, by whether there are alarms;
    4. its class: with probability q an incident, else a class by the topic's own chances (one topic, a ransom note,
       is nearly always an incident by itself). q is .003 without alarms, .02 if an alarm is explained, else .38, .42
       or .45 for one, two or three alarms;
    5. its urgency, by the class;
    6. the wording of all these, the greeting and the small talk, whatever the class.

    No sentence serves two topics, alarms, explanations or urgencies, so a text tells all of 1, 2, 3 and 5, and by
    Bayes' rule P(class | text) is proportional to P(class | topic, alarms, explanation) P(urgency | class). This is
    `target_proba`.

    Words are shared between the classes, and the alarms act together: a second alarm adds little to the first, and an
    explanation that fits settles them all. A model that adds up weights of words can express neither.

    Examples
    --------
    >>> from skroute.datasets import make_tickets
    >>> tickets = make_tickets(1000, random_state=0)
    >>> tickets.data[9]
    'Dear help desk. The keyboard of my notebook is broken. I tried another cable. Thank you.'
    >>> print(tickets.target[9])
    hardware_fault
    >>> tickets.target_proba.shape
    (1000, 7)
    """
    n_samples = check_count(n_samples, "n_samples", "make_tickets")
    # One row of numbers a ticket, and one column a choice: so the first tickets do not depend on n_samples.
    draws = iter(check_random_state(random_state).random_sample((n_samples, N_DRAWS)).T)
    situations = _draw_situations(draws)
    chances = _class_chances(situations)
    label = _pick(next(draws), chances)
    urgency = _pick(next(draws), CLASS_URGENCY_CHANCES[label])
    joint = chances * CLASS_URGENCY_CHANCES[:, urgency].T
    classes = np.array(CLASSES)
    return Bunch(
        data=_write_texts(situations, urgency, draws),
        target=classes[label],
        target_proba=joint / joint.sum(axis=1, keepdims=True),
        target_names=classes,
        DESCR=DESCR,
    )


def _pick(uniform: NDArray[np.float64], chances: ArrayLike) -> NDArray[np.intp]:
    """Turn a uniform number a row into an index, drawn with `chances`, which are the same or one row of them a row."""
    cumulative = np.cumsum(chances, axis=-1)
    # The division makes the last bound exactly 1, which no uniform number reaches.
    bounds: NDArray[np.float64] = cumulative / cumulative[..., -1:]
    return np.asarray((uniform[:, np.newaxis] >= bounds).sum(axis=1), dtype=np.intp)


def _draw_situations(draws: Draws) -> _Situations:
    topic = _pick(next(draws), TOPIC_SHARES)
    has_alarm = (next(draws) < ALARM_RATES[topic]).astype(np.intp)
    alarms = ALARM_SETS[_pick(next(draws), ALARM_SET_CHANCES)] * has_alarm[:, np.newaxis]
    explanation = _pick(next(draws), EXPLANATION_CHANCES[has_alarm])
    return _Situations(topic, alarms, explanation)


def _class_chances(situations: _Situations) -> NDArray[np.float64]:
    """Return P(class | topic, alarms, explanation), an array of shape (n_samples, n_classes)."""
    n_alarms = situations.alarms.sum(axis=1)
    explains = situations.explanation[:, np.newaxis] == np.arange(1, len(EXPLANATIONS))
    is_explained = (explains & (situations.alarms == 1)).any(axis=1)
    incident = np.where(is_explained, EXPLAINED_INCIDENT_CHANCE, INCIDENT_CHANCES[n_alarms])[:, np.newaxis]
    chances: NDArray[np.float64] = (1.0 - incident) * TOPIC_CLASS_CHANCES[situations.topic] + incident * INCIDENT
    return chances


def _write_texts(situations: _Situations, urgency: NDArray[np.intp], draws: Draws) -> list[str]:
    topic, alarms, explanation = situations
    always = np.zeros(len(topic), dtype=np.intp)
    sentences = [
        _say(next(draws), [GREETINGS], always),
        _say(next(draws), [SMALL_TALK], always),
        _say(next(draws), [topic.subjects for topic in TOPICS], topic),
        _say(next(draws), [topic.details for topic in TOPICS], topic),
        *(_say(next(draws), [("",), ALARMS[i]], alarms[:, i]) for i in range(len(ALARMS))),
        _say(next(draws), EXPLANATIONS, explanation),
        _say(next(draws), URGENCIES, urgency),
    ]
    slots = [_say(next(draws), [words], always) for words in SLOTS.values()]
    texts = (" ".join(filter(None, ticket)) for ticket in zip(*sentences, strict=True))
    return [
        text.format(**dict(zip(SLOTS, words, strict=True)))
        for text, words in zip(texts, zip(*slots, strict=True), strict=True)
    ]


def _say(uniform: NDArray[np.float64], groups: Sequence[tuple[str, ...]], group: NDArray[np.intp]) -> list[str]:
    """Return one phrase a row out of its group, all of a group being equally likely."""
    return [groups[g][int(u * len(groups[g]))] for g, u in zip(group.tolist(), uniform.tolist(), strict=True)]
