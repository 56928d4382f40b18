"""The classifier that calibrates another one per class and routes its predictions."""

from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.svm import LinearSVC
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skroute._validation import check_sample_weight
from skroute.calibration import make_calibrator, wants_proba
from skroute.classifier._cache import cached_call
from skroute.classifier._callbacks import CallbackSupportMixin, begin_fit, end_fit, with_callbacks
from skroute.classifier._cross_fit import CalibratedModel, CrossFit, cross_fit
from skroute.classifier._response import is_frozen, needs_kernel_columns, response_name, take, take_params
from skroute.classifier._splits import make_splits, split_holdout
from skroute.classifier._warnings import warn_of_lost_weights, warn_of_rare_classes
from skroute.reliability import ReliabilityTable, reliability_table
from skroute.routing import RoutePolicy, RouteTable

__all__ = ["RoutingClassifier"]

LEAST_PROBA = 1e-12


def _has_decision_function(self: "RoutingClassifier") -> bool:
    fitted = getattr(self, "calibrated_classifiers_", None)
    return hasattr(self._base() if fitted is None else fitted[0].estimator, "decision_function")


class RoutingClassifier(CallbackSupportMixin, ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Calibrate a classifier, class by class, and decide for every row: auto, watch, escalate or clarify.

    A drop-in for `sklearn.calibration.CalibratedClassifierCV` that also routes. `fit` cross-fits the classifier and its
    calibrators, measures on rows that neither has seen how far each class can be trusted (`reliability_`), and fits
    the policy. `predict_route` then says what to do with each row, and `explain_route` why.

    Parameters
    ----------
    estimator : classifier, default=None
        Needs decision_function or predict_proba. None: `LinearSVC`. A text classifier goes in as a whole Pipeline, so
        that the folds refit its preprocessing. A fitted classifier goes in as ``FrozenEstimator(fitted)``; only
        calibrators and policy are fitted then.
    method : str, calibrator or dict, default="temperature"
        "temperature" for all classes together; "sigmoid" or "isotonic" one-vs-rest; "none"; a calibrator object; or a
        dict of class to a one-vs-rest method, where the key ``"*"`` stands for the classes not named ("sigmoid"
        without it).
    cv : int, splitter, iterable or None, default=None
        The folds. None: five stratified folds that spread a class with fewer rows as far as it goes. An int or
        splitter with more folds than the rarest class has rows is a ValueError.
    n_jobs : int, default=None
        Folds fitted in parallel, as in `joblib.Parallel`.
    ensemble : bool or "auto", default=False
        False: one classifier, fitted on all rows, with calibrators fitted on out-of-fold scores. True: one classifier
        and its calibrators for each fold, averaged. "auto": True unless `estimator` is frozen.
    policy : policy, default=None
        Turns probabilities into routes. None: ``RoutePolicy()``.
    holdout : float or None, default=None
        None: the policy learns on out-of-fold probabilities whose calibrator did not see the row. A float in (0, 1):
        that stratified (and, where groups are routed, grouped) share of rows is kept from classifier and calibrators,
        and the policy learns there; `cv` then splits the remaining rows.
    memory : str or joblib.Memory, default=None
        Caches classifier and calibrators, so that a search over ``policy__*`` fits them once for each split. A fit
        with ``random_state=None`` is then frozen at its first draw.
    random_state : int, RandomState or None, default=None
        Draws the holdout rows.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels, sorted. A frozen classifier's classes count as well.
    calibrated_classifiers_ : list
        The fitted pairs: each has `estimator`, `calibrators` and `predict_proba`. One, or one for each fold.
    estimator_ : classifier
        The fitted classifier, where there is one (``ensemble=False``).
    calibrator_ : calibrator
        Its fitted calibrator, where there is one.
    policy_ : policy
        The fitted policy.
    reliability_ : ReliabilityTable
        How far each class can be trusted, on out-of-fold probabilities whose calibrator did not see the row.
    n_features_in_ : int
        Number of features, where the classifier knows it.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Feature names, where the classifier knows them.

    See Also
    --------
    skroute.RoutePolicy : The gates, with the numbers as given.
    skroute.predict_route : Reaches through a Pipeline or a search.
    sklearn.calibration.CalibratedClassifierCV : Calibrates without routing.

    Notes
    -----
    With the same `cv`, `ensemble` and method "sigmoid", "isotonic" or "temperature" the probabilities equal those of
    `CalibratedClassifierCV` to 1e-6. A class that is missing from a training fold or from the calibration rows keeps
    its column, is named in a `RareClassWarning`, and is never auto-routed, whatever threshold it is given.

    Scores are taken from decision_function where there is one, as in scikit-learn, except where a method is "none".

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skroute import RoutingClassifier
    >>> X, y = load_wine(return_X_y=True)
    >>> router = RoutingClassifier(make_pipeline(StandardScaler(), LogisticRegression())).fit(X, y)
    >>> router.predict_route(X[:3]).tolist()
    ['auto', 'auto', 'auto']
    >>> router.set_params(policy__thresholds__2=0.99).fit(X, y).policy_.thresholds_
    {0: 0.8, 1: 0.8, 2: 0.99}
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        method: Any = "temperature",
        cv: Any = None,
        n_jobs: int | None = None,
        ensemble: bool | str = False,
        policy: Any = None,
        holdout: float | None = None,
        memory: Any = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.cv = cv
        self.n_jobs = n_jobs
        self.ensemble = ensemble
        self.policy = policy
        self.holdout = holdout
        self.memory = memory
        self.random_state = random_state

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``policy__*`` of a policy that is None sets them on the default policy.

        Parameters
        ----------
        **params : dict
            Parameter values by name.

        Returns
        -------
        self : object
        """
        if params.get("policy", self.policy) is None and any(name.startswith("policy__") for name in params):
            params["policy"] = RoutePolicy()
        super().set_params(**params)
        return self

    @with_callbacks  # type: ignore[untyped-decorator, unused-ignore]
    def fit(self, X: Any, y: Any, sample_weight: Any = None, **fit_params: Any) -> Self:
        """Fit classifier, calibrators and policy.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes: arrays, sparse matrices, frames, lists of texts.
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative, for the classifier (where it takes them), the calibrators, the policy and the
            reliability table.
        **fit_params : dict
            Parameters for the classifier's fit or, with metadata routing, for it and for the splitter.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a parameter, `y` or a weight is not valid, or `y` holds a single class.
        """
        X, y, weight = self._check_data(X, y, sample_weight)
        base, ensemble, calibrator = self._check_parameters()
        classes, codes = _encode(y, base)
        estimator_params, splitter_params = self._route(base, weight, fit_params)
        rows, held = self._split(codes, splitter_params.get("groups"))
        everything = len(rows) == len(y)
        X_fit, y_fit = (X, y) if everything else (take(X, rows), y[rows])
        splitter_params = take_params(splitter_params, rows, len(y))
        splits = make_splits(self.cv, X_fit, y_fit, codes[rows], splitter_params)
        _check_partition(splits, len(rows), ensemble)
        context = begin_fit(self, X, y, len(splits) + (not ensemble))
        estimator_params = take_params(estimator_params, rows, len(y))
        result: CrossFit = cached_call(
            self.memory,
            cross_fit,
            hashed={
                "estimator": clone(base),
                "X": X_fit,
                "y": y_fit,
                "codes": codes[rows],
                "classes": classes,
                "splits": splits,
                "calibrator": calibrator,
                "proba_first": wants_proba(self.method),
                "ensemble": ensemble,
                "sample_weight": None if weight is None else weight[rows],
                "fit_params": estimator_params,
            },
            ignored={"n_jobs": self.n_jobs, "context": context, "owner": None if context is None else self},
            key=(clone(base), calibrator, estimator_params),
        )
        warn_of_rare_classes(classes, codes[rows], result.unseen, len(splits), self.cv is None)
        tested = rows[result.rows]
        policy = clone(RoutePolicy() if self.policy is None else self.policy)
        if held.size:
            learn_on, proba = held, _mean_proba(result.models, take(X, held))
        else:
            learn_on, proba = tested, result.proba
        policy.fit(proba, y[learn_on], classes=classes, sample_weight=None if weight is None else weight[learn_on])
        policy.thresholds_.update(dict.fromkeys(classes[result.unseen].tolist(), np.inf))
        reliability = reliability_table(
            y[tested], result.proba, classes=classes, sample_weight=None if weight is None else weight[tested]
        )
        self._store(classes, result.models, policy, reliability)
        end_fit(context, self, X, y)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Predict calibrated probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as the classifier takes them.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Each row sums to one; columns as in `classes_`.
        """
        check_is_fitted(self)
        return _mean_proba(self.calibrated_classifiers_, X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the class of the largest calibrated probability.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as the classifier takes them.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels; they can differ from those of the uncalibrated classifier.
        """
        proba = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[np.argmax(proba, axis=1)]
        return labels

    @available_if(_has_decision_function)
    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return the calibrated probabilities on the scale of a decision function, where the classifier has one.

        The classifier's own decision values could contradict `predict`, which follows the calibrated probabilities;
        those of the classifier are at ``estimator_.decision_function``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as the classifier takes them.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes the log-odds of ``classes_[1]``, else the log-probability of each class; at least -27.64.
        """
        # A calibrator can write exact zeros, or what rounding makes of them; a logarithm would tell these apart.
        logs = np.log(np.maximum(self.predict_proba(X), LEAST_PROBA))
        return logs[:, 1] - logs[:, 0] if logs.shape[1] == 2 else logs

    def predict_route(self, X: Any) -> NDArray[np.str_]:
        """Predict what to do with each row: the fast path.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as the classifier takes them.

        Returns
        -------
        routes : ndarray of shape (n_samples,)
            "auto", "watch", "escalate" or "clarify".
        """
        proba = self.predict_proba(X)
        routes: NDArray[np.str_] = self.policy_.decide(proba)
        return routes

    def explain_route(self, X: Any) -> RouteTable:
        """Predict what to do with each row, and say what led to it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as the classifier takes them.

        Returns
        -------
        table : RouteTable
            Route, label, signals, gates and reason of every row.
        """
        proba = self.predict_proba(X)
        table: RouteTable = self.policy_.explain(proba)
        return table

    @property
    def estimator_(self) -> Any:
        """The fitted classifier, where there is one."""
        return self._only_member("estimator_").estimator

    @property
    def calibrator_(self) -> Any:
        """The fitted calibrator of the one classifier."""
        return self._only_member("calibrator_").calibrator

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata reach the classifier and the splitter.

        Returns
        -------
        routing : MetadataRouter
        """
        fit_to = MethodMapping().add
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(estimator=self._base(), method_mapping=fit_to(caller="fit", callee="fit"))
            .add(splitter=self.cv, method_mapping=MethodMapping().add(caller="fit", callee="split"))
        )

    def __sklearn_tags__(self) -> Any:
        """Take over what the classifier says of its input."""
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self._base()).input_tags
        return tags

    def _base(self) -> Any:
        if self.estimator is not None:
            return self.estimator
        # The default of CalibratedClassifierCV, deterministic because there is no way to seed it from here.
        base = LinearSVC(random_state=0)
        if get_config()["enable_metadata_routing"]:
            base.set_fit_request(sample_weight=True)
        return base

    def _check_parameters(self) -> tuple[Any, bool, Any]:
        """Return base classifier, whether to ensemble, and the unfitted calibrator."""
        base = self._base()
        if isinstance(base, type) or not hasattr(base, "fit"):
            raise _bad_parameter("estimator", "a classifier or None", base)
        response_name(base)
        calibrator = make_calibrator(self.method)
        if not (isinstance(self.ensemble, (bool, np.bool_)) or self.ensemble == "auto"):
            raise _bad_parameter("ensemble", "a bool or 'auto'", self.ensemble)
        share: Any = self.holdout
        if share is not None and not (isinstance(share, Real) and 0.0 < float(share) < 1.0):
            raise _bad_parameter("holdout", "a float in (0, 1) or None", share)
        is_policy = all(hasattr(self.policy, name) for name in ("fit", "decide", "explain"))
        if self.policy is not None and (isinstance(self.policy, type) or not is_policy):
            raise _bad_parameter("policy", "a policy, such as RoutePolicy(), or None", self.policy)
        ensemble = not is_frozen(base) if isinstance(self.ensemble, str) else bool(self.ensemble)
        if needs_kernel_columns(base) and (ensemble or share is not None):
            # A model of some rows would need other columns to predict than the caller can know of.
            name, demand = ("ensemble", "False") if ensemble else ("holdout", "None")
            raise _bad_parameter(name, f"{demand} with a precomputed kernel", getattr(self, name))
        return base, ensemble, calibrator

    @staticmethod
    def _check_data(X: Any, y: Any, sample_weight: Any) -> tuple[Any, NDArray[Any], NDArray[np.float64] | None]:
        if y is None:
            raise ValueError("RoutingClassifier requires y to be passed, but the target y is None.")
        X, y = indexable(X, y)
        y = column_or_1d(np.asarray(y), warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        check_consistent_length(X, y)
        if not len(y):
            raise ValueError("X and y must hold at least one row to fit on, got 0 samples.")
        return X, y, check_sample_weight(sample_weight, len(y))

    def _route(
        self, base: Any, weight: NDArray[np.float64] | None, fit_params: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the fit parameters of the classifier and those of the splitter."""
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", sample_weight=weight, **fit_params)
            return dict(routed.estimator.fit), dict(routed.splitter.split)
        estimator_params = dict(fit_params)
        if weight is not None:
            if has_fit_parameter(base, "sample_weight"):
                estimator_params["sample_weight"] = weight
            elif not is_frozen(base):
                warn_of_lost_weights(base)
        return estimator_params, {}

    def _split(self, codes: NDArray[np.intp], groups: Any) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows to fit on and those to keep for the policy."""
        if self.holdout is None:
            return np.arange(len(codes)), np.empty(0, dtype=np.intp)
        return split_holdout(self.holdout, codes, groups, self.random_state)

    def _store(
        self, classes: NDArray[Any], models: list[CalibratedModel], policy: Any, reliability: ReliabilityTable
    ) -> None:
        """Replace everything that an earlier fit learned, at once, so that no fit leaves half of it behind."""
        self.classes_ = classes
        self.calibrated_classifiers_ = models
        self.policy_ = policy
        self.reliability_ = reliability
        for name in ("n_features_in_", "feature_names_in_"):
            if name in vars(self):
                delattr(self, name)
            if hasattr(models[0].estimator, name):
                setattr(self, name, getattr(models[0].estimator, name))

    def _only_member(self, name: str) -> CalibratedModel:
        members = getattr(self, "calibrated_classifiers_", None)
        if members is None or len(members) != 1:
            why = "is not fitted" if members is None else f"has {len(members)} members, in calibrated_classifiers_"
            raise AttributeError(f"RoutingClassifier has no {name}: it {why}.")
        member: CalibratedModel = members[0]
        return member


def _bad_parameter(name: str, demand: str, value: Any) -> ValueError:
    return ValueError(f"The {name!r} parameter of RoutingClassifier must be {demand}. Got {value!r} instead.")


def _encode(y: NDArray[Any], base: Any) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the classes, those of a frozen classifier included, and the labels as integers."""
    classes = np.unique(y)
    if is_frozen(base) and hasattr(base, "classes_"):
        known = np.asarray(base.classes_)
        if (known.dtype.kind in "OUS") != (classes.dtype.kind in "OUS"):
            raise ValueError(f"y must hold labels like those of the frozen estimator, {known!r}, got {classes!r}.")
        classes = np.union1d(known, classes)
    if len(classes) < 2:
        raise ValueError(
            f"y must hold at least two classes to fit a classifier; it holds one class: {classes.tolist()[0]!r}."
        )
    return classes, np.searchsorted(classes, y)


def _check_partition(splits: list[Any], n_samples: int, ensemble: bool) -> None:
    tested = np.concatenate([test for _, test in splits])
    if not ensemble and not np.array_equal(np.sort(tested), np.arange(n_samples)):
        raise ValueError(
            "cv must test every row exactly once when ensemble=False (the calibrators are fitted on out-of-fold "
            "scores of all rows). Use ensemble=True for repeated or partial splits."
        )


def _mean_proba(models: list[CalibratedModel], X: Any) -> NDArray[np.float64]:
    proba = models[0].predict_proba(X)
    for model in models[1:]:
        proba = proba + model.predict_proba(X)
    return proba / len(models)
