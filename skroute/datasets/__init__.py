"""Data to try things on: the rows of the lesson, and generated tickets whose true probabilities are known."""

from skroute.datasets._lesson import load_lesson
from skroute.datasets._tickets import make_tickets

__all__ = ["load_lesson", "make_tickets"]
