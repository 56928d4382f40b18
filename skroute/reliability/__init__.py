"""What probabilities are worth, class by class: tables of stated confidence against observed accuracy."""

from skroute.reliability._compute import reliability_table
from skroute.reliability._interval import exact_interval
from skroute.reliability._table import ReliabilityTable

__all__ = ["ReliabilityTable", "exact_interval", "reliability_table"]
