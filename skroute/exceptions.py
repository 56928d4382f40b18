"""Warnings that skroute emits, one base class above them all.

Errors are plain ``ValueError``, ``TypeError`` and scikit-learn's ``NotFittedError``, as everywhere in scikit-learn.
"""

__all__ = [
    "CacheWarning",
    "DeadGateWarning",
    "DoubtfulScoresWarning",
    "GroupedRowsWarning",
    "RareClassWarning",
    "SkrouteWarning",
    "UncertifiedClassWarning",
    "UnlikeFoldsWarning",
]


class SkrouteWarning(UserWarning):
    """Base class of every warning that skroute emits."""


class CacheWarning(SkrouteWarning):
    """A fit could not be cached under ``memory`` and was run without it."""


class DeadGateWarning(SkrouteWarning):
    """A number given to a policy can never change a route, because the other gates imply it."""


class DoubtfulScoresWarning(SkrouteWarning):
    """Scores do not look like what they are taken for: their kind, or the classes of their columns, may be others."""


class GroupedRowsWarning(SkrouteWarning):
    """Rows that belong together were counted one by one by a policy that promises something of independent rows."""


class RareClassWarning(SkrouteWarning):
    """A class has too few rows for what is done with the others: to be cross-fitted, or to be left out of sets."""


class UncertifiedClassWarning(SkrouteWarning):
    """Classes have too few rows, or too many errors, for the guarantee asked for; they are never auto-routed."""


class UnlikeFoldsWarning(SkrouteWarning):
    """The classifier does better on some blocks of rows than on others: their order matters."""
