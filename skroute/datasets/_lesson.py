"""The worked rows of the lesson that the routes were designed on."""

import numpy as np
from sklearn.utils import Bunch

__all__ = ["load_lesson"]

CLASSES = ("account_unlock", "vpn_issue", "security_incident")

# name, probabilities, (confidence, margin, entropy in bits, normalised entropy) as printed, route without the watch,
# routes with it in the order of WATCH_ORDERS.
WATCH_ORDERS = ("before", "after", "flag", "top")
ROWS = (
    ("Monday ticket", (0.576, 0.386, 0.039), (0.576, 0.190, 1.17, 0.74), "clarify", ("clarify",) * 4),
    ("outage report", (0.58, 0.21, 0.21), (0.58, 0.37, 1.40, 0.88), "escalate", ("escalate",) * 4),
    ("password reset", (0.974, 0.022, 0.004), (0.974, 0.952, 0.19, 0.12), "auto", ("auto",) * 4),
    (
        "security second",
        (0.45, 0.21, 0.34),
        (0.45, 0.11, 1.52, 0.96),
        "escalate",
        ("watch", "watch", "escalate", "escalate"),
    ),
    (
        "Monday with security",
        (0.371, 0.249, 0.380),
        (0.380, 0.009, 1.56, 0.98),
        "escalate",
        # Here the watched class is itself on top, so that "top" counts it, too.
        ("watch", "watch", "escalate", "watch"),
    ),
    ("uniform", (1 / 3, 1 / 3, 1 / 3), (0.333, 0.0, 1.58, 1.0), "escalate", ("escalate",) * 4),
    ("one-hot", (1.0, 0.0, 0.0), (1.0, 1.0, 0.0, 0.0), "auto", ("auto",) * 4),
)

DESCR = """The lesson's worked rows
------------------------
Seven rows of probabilities of three help-desk classes, with the signals and the routes that a RoutePolicy with
default gates gives them. Confidence and margin are printed to three digits, both entropies to two.
The first row sums to 1.001, as printed: recorded probabilities are rounded.
reliability holds two groups of 300 tickets with a mean confidence of 0.80, their exact 95 % intervals and verdicts."""


def load_lesson() -> Bunch:
    """Load the lesson's worked rows, with their signals, routes and reliability counts.

    Small enough to follow by hand: the rows show each of the four routes, and what a watch changes.

    Returns
    -------
    lesson : Bunch
        With the attributes:

        proba : ndarray of shape (7, 3)
            The probabilities exactly as printed; the first row therefore sums to 1.001.
        classes : ndarray of shape (3,)
            The class of each column, in the lesson's order, which is not sorted.
        names : list of str of length 7
            What each row is.
        confidence, margin : ndarray of shape (7,)
            The signals, rounded to three digits; in [0, 1].
        entropy_bits, normalised_entropy : ndarray of shape (7,)
            The signals, rounded to two digits; in [0, log2 3] and [0, 1].
        route : list of str of length 7
            The routes with default gates and no watch.
        watch : dict
            The watch level of the class security_incident.
        route_with_watch : dict of list of str
            For each ``watch_order`` the routes with default gates and this watch.
        thresholds : dict
            The lesson's threshold of each class; they give the same routes as the default.
        reliability : list of dict
            Two groups of tickets: `count`, `n_right`, `mean_confidence`, `interval` (exact, 95 %, rounded to three
            digits) and `verdict`.
        DESCR : str
            A short description.

    Examples
    --------
    >>> from skroute.datasets import load_lesson
    >>> lesson = load_lesson()
    >>> lesson.names[3], lesson.proba[3].tolist()
    ('security second', [0.45, 0.21, 0.34])
    >>> lesson.route[3], lesson.route_with_watch["before"][3]
    ('escalate', 'watch')
    """
    names, proba, signals, route, watched = zip(*ROWS, strict=True)
    confidence, margin, entropy_bits, normalised_entropy = np.array(signals).T.copy()
    return Bunch(
        proba=np.array(proba),
        classes=np.array(CLASSES),
        names=list(names),
        confidence=confidence,
        margin=margin,
        entropy_bits=entropy_bits,
        normalised_entropy=normalised_entropy,
        route=list(route),
        watch={"security_incident": 0.34},
        route_with_watch=dict(zip(WATCH_ORDERS, map(list, zip(*watched, strict=True)), strict=True)),
        thresholds={"account_unlock": 0.80, "vpn_issue": 0.72, "security_incident": 0.60},
        reliability=[
            {
                "count": 300,
                "n_right": 156,
                "mean_confidence": 0.80,
                "interval": (0.462, 0.578),
                "verdict": "overconfident",
            },
            {
                "count": 300,
                "n_right": 247,
                "mean_confidence": 0.80,
                "interval": (0.775, 0.865),
                "verdict": "calibrated",
            },
        ],
        DESCR=DESCR,
    )
