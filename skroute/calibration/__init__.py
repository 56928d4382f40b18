"""Scores to probabilities: calibrators of one class, of all classes, and the lift from one to the other."""

from skroute.calibration._identity import IdentityCalibrator
from skroute.calibration._isotonic import IsotonicCalibrator
from skroute.calibration._per_class import PerClassCalibrator
from skroute.calibration._sigmoid import SigmoidCalibrator
from skroute.calibration._temperature import TemperatureCalibrator

__all__ = [
    "IdentityCalibrator",
    "IsotonicCalibrator",
    "PerClassCalibrator",
    "SigmoidCalibrator",
    "TemperatureCalibrator",
]
