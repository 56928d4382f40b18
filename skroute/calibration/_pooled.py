"""The pool of calibrators: what `method="auto"` stands for."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skroute._signature import with_signature
from skroute._validation import check_amount, check_count, column, listed, require_fitted
from skroute.calibration._joint import JointCalibrator
from skroute.calibration._one_row import mixture_row
from skroute.calibration._pool import Members, fit_members, pool_weights
from skroute.calibration._scores import forget_unscored
from skroute.calibration._softmax import blocks
from skroute.calibration._summary import CalibrationSummary, summarise
from skroute.calibration._training_rows import TrainingRows, deal_folds

__all__ = ["PooledCalibrator"]

MOST_FOLDS = 10
# Rows of a fold from which the weights of the members are learned.
MOST_JUDGED = 20_000


class PooledCalibrator(JointCalibrator):
    """Mix several calibrators by how well each predicts rows that it has not seen.

    The right choice unless you need one number or one formula. With few rows it is close to one temperature for all
    classes; the more rows a class has, the more of its own slope, bias and curve it gets. This is ``method="auto"``.

    Parameters
    ----------
    n_folds : int, default=5
        Folds from which the weights of the members are learned. At least 2.
    shrinkage : float, default=5.0
        Rows by which each step of a class's isotonic curve is held to what vector scaling says. Not negative.
    kind : {"auto", "proba", "scores"}, default="auto"
        What the scores are: probabilities, decision values, or to be found out when fitted: probabilities lie in [0, 1]
        and sum to one within 5e-3.

    Attributes
    ----------
    pool_weights_ : dict of str to float
        Weight of every member; they sum to one.
    oof_proba_ : ndarray of shape (n_samples, n_classes)
        Probabilities of the rows that it was fitted on, from members that did not see them: for thresholds and
        reliability tables. A row that occurs several times gets the mean over its folds.
    classes_ : ndarray of shape (n_classes,)
        The class of each column.
    from_proba_ : bool
        Whether the scores were probabilities.

    See Also
    --------
    TemperatureCalibrator, VectorCalibrator, MatrixCalibrator, IsotonicCalibrator : The members, one by one.

    Notes
    -----
    The members are temperature scaling (with a learned floor under exact zeros), vector scaling and matrix scaling
    (slopes and biases by class, held back by strengths of largest evidence), isotonic curves on the vector's
    probabilities, and the uniform distribution. Decision values of three classes and more are read in two ways, as
    logits and as margins of one class against the rest; the better reading serves all members, and a second vector
    serves the other one. Weights maximise the out-of-fold likelihood, with a few rows of prior for the simple members.

    Equal rows are merged, rows and classes are sorted by what they hold: neither their order nor writing a row three
    times in place of a weight of three changes the result.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017 (temperature,
    vector and matrix scaling). D. MacKay, "Bayesian interpolation", Neural Computation 4, 1992 (evidence). D. Wolpert,
    "Stacked generalization", Neural Networks 5, 1992 (weights from unseen rows).

    Examples
    --------
    >>> import numpy as np
    >>> from skroute.calibration import PooledCalibrator
    >>> rng = np.random.default_rng(0)
    >>> proba = rng.dirichlet([1.0, 1.0, 1.0], size=500)
    >>> y = (proba.cumsum(axis=1) < rng.random((500, 1))).sum(axis=1)
    >>> overconfident = proba**3 / (proba**3).sum(axis=1, keepdims=True)
    >>> calibrator = PooledCalibrator().fit(overconfident, y)
    >>> bool(np.abs(calibrator.predict_proba(overconfident) - proba).mean() < 0.03)
    True
    """

    @with_signature
    def __init__(self, n_folds: int = 5, *, shrinkage: float = 5.0, kind: str = "auto") -> None:
        self.n_folds = n_folds
        self.shrinkage = shrinkage
        self.kind = kind

    def fit(self, scores: Any, y: Any, sample_weight: Any = None, *, classes: Any = None, folds: Any = None) -> Self:
        """Fit the members, and their weights.

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
        folds : array-like of shape (n_samples,), default=None
            The fold of each row, whole numbers, where rows that belong together must not be parted. None: rows are
            dealt out so that every class, at every score, is in all folds.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a parameter is not valid, shapes disagree, a value is not finite, no row has a weight, or scores that
            nobody says what they are (`kind`) look like percentages, or like probabilities whose rows do not all sum to
            one.
        """
        owner = type(self).__name__
        n_folds = check_count(self.n_folds, "n_folds", owner, least=2)
        shrinkage = check_amount(self.shrinkage, "shrinkage", owner)
        training = self._read(scores, y, sample_weight, classes)
        rows = training.rows

        def fitted(part: TrainingRows, like: Members | None = None) -> Members:
            return fit_members(part, from_proba=training.from_proba, shrinkage=shrinkage, like=like)

        members = fitted(rows)
        shares = _shares(rows, folds, training.weight, n_folds)
        parts = [fitted(rows.some(rows.weight - share), members) for share in shares]
        names = members.names()
        worth = pool_weights(*_out_of_fold(rows, shares, parts, names), names)
        weights = dict(zip(names, worth.tolist(), strict=True))
        unseen = _mixed_by_fold(rows, shares, parts, weights)
        back = np.argsort(rows.class_order)
        members = members.permuted(back)
        # What nothing was learned from, was not seen either.
        proba = _mixed(members, weights, training.scores)
        of_row = rows.place >= 0
        proba[of_row] = unseen[rows.place[of_row]][:, back]
        self._store(training)
        self.members_ = members
        self.pool_weights_ = weights
        self.oof_proba_ = forget_unscored(proba, training.given)
        return self

    def summary(self) -> CalibrationSummary:
        """Return what was learned, class by class, in words.

        Returns
        -------
        summary : CalibrationSummary
        """
        require_fitted(self)
        members = self.members_
        weights = ((name, f"{weight:.2f}") for name, weight in self.pool_weights_.items())
        worth = "; ".join(f"{name} {weight}" for name, weight in weights if weight != "0.00")
        about = [f"Weights of the members: {worth}.", "Slope, bias and shrinkage are those of the member vector."]
        about += [f"Left out: {name}, {reason}." for name, reason in members.left_out.items()]
        return summarise(self.classes_, self.class_weight_, members.link, members.vector, members.curves, about=about)

    def _predict(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return _mixed(self.members_, self.pool_weights_, scores)

    def _predict_row(self, scores: list[float]) -> list[float]:
        return mixture_row(self.members_, self.pool_weights_, scores)


def _mixed(members: Members, weights: dict[str, float], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    proba = np.empty(scores.shape)
    for part in blocks(*scores.shape):
        proba[part] = members.mixture(scores[part], weights)
    return proba


def _shares(
    rows: TrainingRows, folds: Any, weight: NDArray[np.float64] | None, n_folds: int
) -> list[NDArray[np.float64]]:
    """Return the weight of every row in each fold; no folds where there are no two of them."""
    n_rows = len(rows.codes)
    if folds is not None:
        number = column(folds, "folds")
        if number.dtype.kind not in "iuf" or (number != np.floor(number)).any():
            raise ValueError(f"folds must hold whole numbers, got {listed(np.unique(number.astype(str)), 4)}.")
        if len(number) != len(rows.place):
            raise ValueError(f"folds must have one value a row: {len(rows.place)} rows, got {len(number)} values.")
        kept = rows.place >= 0
        given = np.unique(number[kept], return_inverse=True)[1] % MOST_FOLDS
        if given.max(initial=0) > 0:
            part = np.ones(len(number)) if weight is None else weight
            shares = np.zeros((int(given.max()) + 1, n_rows))
            np.add.at(shares, (given, rows.place[kept]), part[kept])
            return list(np.minimum(shares, rows.weight))
    if n_rows == 0 or (n_rows == 1 and rows.weight[0] < 2.0):
        return []
    return [share for share in deal_folds(rows, n_folds) if share.any()]


def _out_of_fold(
    rows: TrainingRows, shares: list[NDArray[np.float64]], parts: list[Members], names: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what each member gave to the true class of the rows that it had not seen, and their weights."""
    of_truth, weights = [np.empty((0, len(names)))], [np.empty(0)]
    for share, members in zip(shares, parts, strict=True):
        held = np.flatnonzero(share)
        # A handful of numbers is learned from these rows: there is no need for all of a million.
        held = held[np.arange(min(len(held), MOST_JUDGED)) * len(held) // max(min(len(held), MOST_JUDGED), 1)]
        for block in blocks(len(held), rows.scores.shape[1]):
            some = held[block]
            of_truth.append(members.of_truth(rows.scores[some], rows.codes[some], names))
            weights.append(share[some])
    return np.concatenate(of_truth), np.concatenate(weights)


def _mixed_by_fold(
    rows: TrainingRows, shares: list[NDArray[np.float64]], parts: list[Members], weights: dict[str, float]
) -> NDArray[np.float64]:
    """Return the pool's probabilities of every row from members that had not seen it."""
    proba = np.zeros(rows.scores.shape)
    for share, members in zip(shares, parts, strict=True):
        held = np.flatnonzero(share)
        for block in blocks(len(held), rows.scores.shape[1]):
            some = held[block]
            part = share[some] / rows.weight[some]
            proba[some] += members.mixture(rows.scores[some], weights) * part[:, np.newaxis]
    if not shares:
        # A single row can only be judged by what was believed before it.
        proba[:] = 1.0 / rows.scores.shape[1]
    return proba
