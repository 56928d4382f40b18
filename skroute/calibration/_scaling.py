"""Vector and matrix scaling as calibrators of their own."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skroute._signature import with_signature
from skroute._validation import require_fitted
from skroute.calibration._joint import JointCalibrator
from skroute.calibration._links import Link, fit_links
from skroute.calibration._matrix_fit import MatrixScaling, fit_matrix
from skroute.calibration._one_row import log_row, mixed_row, scaled_row
from skroute.calibration._softmax import blocks, mixed_with_uniform
from skroute.calibration._summary import ABSENT, CalibrationSummary, summarise
from skroute.calibration._training_rows import TrainingRows
from skroute.calibration._vector_fit import VectorScaling, fit_vector

__all__ = ["MatrixCalibrator", "VectorCalibrator"]


class _ScalingCalibrator(JointCalibrator):
    """A link from scores to log-probabilities, and a scaling of these."""

    @with_signature
    def __init__(self, kind: str = "auto") -> None:
        self.kind = kind

    def fit(self, scores: Any, y: Any, sample_weight: Any = None, *, classes: Any = None) -> Self:
        """Fit the temperature, and what each class adds to it.

        Parameters
        ----------
        scores : array-like or frame of shape (n_samples, n_classes)
            Probabilities, or decision values of any scale. NaN where a class was not scored.
        y : array-like of shape (n_samples,)
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative; a whole weight counts as so many rows.
        classes : array-like of shape (n_classes,), default=None
            The class of each column. None: the column names of a frame, else the sorted labels in `y`.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If shapes disagree, a value is not finite, no row has a weight, or scores that nobody says what they are
            (`kind`) look like percentages, or like probabilities whose rows do not all sum to one.
        """
        training = self._read(scores, y, sample_weight, classes)
        rows = training.rows
        link = self._link(rows, training.from_proba)
        scaling = self._fit(link.log_proba(rows.scores), rows)
        self._store(training)
        self.link_ = link
        self.scaling_ = scaling.permuted(np.argsort(rows.class_order))
        return self

    def _predict(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        proba = np.empty(scores.shape)
        for rows in blocks(*scores.shape):
            proba[rows] = self.scaling_.proba(self.link_.log_proba(scores[rows]))
        return mixed_with_uniform(proba, float(self.class_weight_.sum()))

    def _predict_row(self, scores: list[float]) -> list[float]:
        return mixed_row(scaled_row(self.scaling_, log_row(self.link_, scores)), float(self.class_weight_.sum()))

    @property
    def temperature_(self) -> float:
        """The temperature that all classes share."""
        return 1.0 / float(self.link_.beta)


class VectorCalibrator(_ScalingCalibrator):
    """Give every class a slope and a bias of its own, as far as its rows support them.

    The right choice where speed or explanation counts: two numbers a class, held back so strongly that a class with few
    rows stays at the temperature that all classes share.

    Parameters
    ----------
    kind : {"auto", "proba", "scores"}, default="auto"
        What the scores are: probabilities, decision values, or to be found out when fitted: probabilities lie in [0, 1]
        and sum to one within 5e-3.

    Attributes
    ----------
    temperature_ : float
        The temperature that all classes share.
    slope_, bias_ : ndarray of shape (n_classes,)
        Log-probabilities z at that temperature become softmax(slope * z + bias).
    classes_ : ndarray of shape (n_classes,)
        The class of each column.
    from_proba_ : bool
        Whether the scores were probabilities.

    See Also
    --------
    PooledCalibrator : Mixes this one with others.
    MatrixCalibrator : Lets classes borrow from each other.

    Notes
    -----
    Normal priors around slope 1 and bias 0, whose strengths maximise the evidence [2]_; convex, by Newton's method.
    The result is mixed with half a uniform row.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017,
       arXiv:1706.04599.
    .. [2] D. MacKay, "Bayesian interpolation", Neural Computation 4, 1992.

    Examples
    --------
    >>> import numpy as np
    >>> from skroute.calibration import VectorCalibrator
    >>> rng = np.random.default_rng(0)
    >>> proba = rng.dirichlet([2.0, 1.0, 1.0], size=1000)
    >>> y = (proba.cumsum(axis=1) < rng.random((1000, 1))).sum(axis=1)
    >>> skewed = proba * [1.0, 3.0, 1.0] / (proba * [1.0, 3.0, 1.0]).sum(axis=1, keepdims=True)
    >>> calibrator = VectorCalibrator().fit(skewed, y)
    >>> bool(calibrator.bias_[1] < calibrator.bias_[0])
    True
    """

    scaling_: VectorScaling

    def _link(self, rows: TrainingRows, from_proba: bool) -> Link:
        return fit_links(rows, from_proba=from_proba)[0]

    def _fit(self, z: NDArray[np.float64], rows: TrainingRows) -> VectorScaling:
        return fit_vector(z, rows.codes, rows.weight)

    @property
    def slope_(self) -> NDArray[np.float64]:
        """Factor of each class on its log-probability."""
        return 1.0 + self.scaling_.extra

    @property
    def bias_(self) -> NDArray[np.float64]:
        """Addition of each class to its log-probability."""
        return self.scaling_.bias

    def summary(self) -> CalibrationSummary:
        """Return what was learned, class by class, in words.

        Returns
        -------
        summary : CalibrationSummary
        """
        require_fitted(self)
        return summarise(self.classes_, self.class_weight_, self.link_, self.scaling_)


class MatrixCalibrator(_ScalingCalibrator):
    """Let every class borrow from the log-probability of every other.

    The right choice where some classes are taken for each other and rows are many; held back like `VectorCalibrator`,
    and the more so the more classes there are. For two classes it adds nothing to that one.

    Parameters
    ----------
    kind : {"auto", "proba", "scores"}, default="auto"
        What the scores are: probabilities, decision values, or to be found out when fitted: probabilities lie in [0, 1]
        and sum to one within 5e-3.

    Attributes
    ----------
    temperature_ : float
        The temperature that all classes share.
    matrix_ : ndarray of shape (n_classes, n_classes)
        Log-probabilities z at that temperature become softmax(z @ matrix + bias).
    bias_ : ndarray of shape (n_classes,)
        Addition of each class to its log-probability.
    classes_ : ndarray of shape (n_classes,)
        The class of each column.
    from_proba_ : bool
        Whether the scores were probabilities; if not, they are read as logits.

    See Also
    --------
    PooledCalibrator : Mixes this one with others.

    Notes
    -----
    Normal priors around the identity, one strength each for the diagonal, the rest and the biases, chosen by evidence
    up to 20 classes and fixed above. The result is mixed with half a uniform row.

    References
    ----------
    M. Kull et al., "Beyond temperature scaling: obtaining well-calibrated multi-class probabilities with Dirichlet
    calibration", NeurIPS 2019, arXiv:1910.12656.

    Examples
    --------
    >>> import numpy as np
    >>> from skroute.calibration import MatrixCalibrator
    >>> rng = np.random.default_rng(0)
    >>> proba = rng.dirichlet([1.0, 1.0, 1.0], size=1000)
    >>> y = (proba.cumsum(axis=1) < rng.random((1000, 1))).sum(axis=1)
    >>> MatrixCalibrator().fit(proba, y).matrix_.shape
    (3, 3)
    """

    scaling_: MatrixScaling

    def _link(self, rows: TrainingRows, from_proba: bool) -> Link:
        # Margins are read as logits too: the matrix finds the rest.
        best, other = fit_links(rows, from_proba=from_proba)
        return other if best.slope is not None and other is not None else best

    def _fit(self, z: NDArray[np.float64], rows: TrainingRows) -> MatrixScaling:
        return fit_matrix(z, rows.codes, rows.weight)

    def summary(self) -> CalibrationSummary:
        """Return the diagonal of the matrix, and the biases, class by class.

        Returns
        -------
        summary : CalibrationSummary
        """
        require_fitted(self)
        n_classes = len(self.classes_)
        absent = self.class_weight_ == 0.0
        return CalibrationSummary(
            label=self.classes_,
            rows=self.class_weight_,
            temperature=np.full(n_classes, self.temperature_),
            slope=self.matrix_.diagonal(),
            bias=self.bias_,
            shrinkage=np.full(n_classes, np.nan),
            note=np.where(absent, ABSENT, "own slope and bias, and what it takes from others: see matrix_"),
            heading=self.link_.in_words(),
        )

    @property
    def matrix_(self) -> NDArray[np.float64]:
        """Weight of each log-probability (row) for each class (column)."""
        matrix: NDArray[np.float64] = np.eye(len(self.classes_)) + self.scaling_.theta[:-1]
        return matrix

    @property
    def bias_(self) -> NDArray[np.float64]:
        """Addition of each class to its log-probability."""
        bias: NDArray[np.float64] = self.scaling_.theta[-1]
        return bias
