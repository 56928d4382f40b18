"""Scores to probabilities: calibrators of one class, of all classes, and the lift from one to the other."""

from skroute.calibration._beta import BetaCalibrator
from skroute.calibration._identity import IdentityCalibrator
from skroute.calibration._isotonic import IsotonicCalibrator
from skroute.calibration._per_class import PerClassCalibrator
from skroute.calibration._pooled import PooledCalibrator
from skroute.calibration._scaling import MatrixCalibrator, VectorCalibrator
from skroute.calibration._sigmoid import SigmoidCalibrator
from skroute.calibration._summary import CalibrationSummary
from skroute.calibration._temperature import TemperatureCalibrator

__all__ = [
    "BetaCalibrator",
    "CalibrationSummary",
    "IdentityCalibrator",
    "IsotonicCalibrator",
    "MatrixCalibrator",
    "PerClassCalibrator",
    "PooledCalibrator",
    "SigmoidCalibrator",
    "TemperatureCalibrator",
    "VectorCalibrator",
]
