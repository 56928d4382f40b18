"""The classifier that calibrates another one per class and routes its predictions."""

from functools import cached_property
from typing import Any, Self

from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.svm import LinearSVC
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.validation import has_fit_parameter

from skroute._column_doubt import columns_are_told
from skroute._signature import with_signature
from skroute.calibration._methods import wants_proba
from skroute.classifier._callbacks import CallbackSupportMixin, begin_fit, end_fit, with_callbacks
from skroute.classifier._cross_fit import CalibratedModel, CrossFit, weights_of
from skroute.classifier._inputs import check_data, check_parameters, encode_targets, route_params
from skroute.classifier._predictions import PredictionsMixin
from skroute.classifier._remembered import FrozenModels, mean_proba, remembered_cross_fit
from skroute.classifier._response import is_frozen, take, take_params
from skroute.classifier._splits import are_blocks, are_grouped, make_splits, split_holdout
from skroute.classifier._warnings import warn_of_grouped_rows, warn_of_rare_classes, warn_of_unlike_folds
from skroute.routing import RoutePolicy

__all__ = ["RoutingClassifier"]


class RoutingClassifier(PredictionsMixin, CallbackSupportMixin, ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
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
    method : str, calibrator or dict, default="auto"
        "auto": a pool of calibrators, weighted by how well each predicts rows that it has not seen; "temperature",
        "vector" or "matrix" for all classes together; "sigmoid", "isotonic" or "beta" one-vs-rest; "none"; a calibrator
        object; or a dict of class to a one-vs-rest method, where the key ``"*"`` stands for the classes not named
        ("sigmoid" without it).
    cv : int, splitter, iterable or None, default=None
        The folds. None: five stratified folds that spread a class with fewer rows as far as it goes. An int or
        splitter with more folds than the rarest class has rows is a ValueError. As in scikit-learn, rows are not
        shuffled: where they are sorted by date or source and that order means nothing for rows to come, pass
        ``StratifiedKFold(5, shuffle=True, random_state=0)``, or out-of-fold probabilities tell little.
    n_jobs : int, default=None
        Folds fitted in parallel, as in `joblib.Parallel`: the first of them here, the others by processes; if that
        one shows that processes would not have started in time to help, all are fitted here. A ``FrozenEstimator`` is
        asked by threads, which share it.
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
        Caches classifier and calibrators, so that a search over ``policy__*`` fits them once for each split. A fit with
        ``random_state=None`` is then frozen at its first draw. The process also remembers, in up to 256 MB, the last
        fits, and their probabilities of the last rows asked for, which must follow from X alone. Functions and classes
        that are defined in a notebook or script cannot be told from earlier ones of the same name: with them nothing
        is cached, with a warning. Put them into a module. Other versions of skroute, scikit-learn, NumPy or SciPy fit
        anew; clear the folder when code of your own changes, or another library that the classifier is from. None:
        nothing is remembered at all.
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
    `CalibratedClassifierCV` to 1e-6. Scores in float32, as of XGBoost, are calibrated in float64: the probabilities are
    those that it gives to the same numbers in float64.

    A class that is missing from a training fold or from the calibration rows keeps its column, is named in a
    `RareClassWarning`, and is never auto-routed, whatever threshold it is given.

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

    @with_signature
    def __init__(
        self,
        estimator: Any = None,
        *,
        method: Any = "auto",
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
        X, y, weight = check_data(X, y, sample_weight)
        base = self._base()
        calibrator, ensemble = check_parameters(self, base)
        classes, codes = encode_targets(y, base)
        policy = clone(RoutePolicy() if self.policy is None else self.policy)
        for part in (policy, calibrator):
            # Somebody else's calibrator need not have it.
            if hasattr(part, "check"):
                part.check(classes)
        estimator_params, splitter_params = route_params(self, base, weight, fit_params)
        groups = splitter_params.get("groups")
        rows, held = split_holdout(self.holdout, codes, groups, self.random_state)
        X_fit, y_fit = (take(X, rows), y[rows]) if held.size else (X, y)
        estimator_params = take_params(estimator_params, rows, len(y))
        splitter_params = take_params(splitter_params, rows, len(y))
        codes = codes[rows]
        splits = make_splits(
            self.cv, X_fit, y_fit, codes, splitter_params, partition=not ensemble, apart=not is_frozen(base)
        )
        context = begin_fit(self, X, y, len(splits) + (not ensemble))
        result = remembered_cross_fit(
            self.memory,
            hashed={
                "estimator": clone(base),
                "X": X_fit,
                "y": y_fit,
                "codes": codes,
                "classes": classes,
                "splits": splits,
                "calibrator": calibrator,
                "proba_first": wants_proba(self.method),
                "ensemble": ensemble,
                "sample_weight": weights_of(weight, rows),
                "fit_params": estimator_params,
            },
            ignored={"n_jobs": self.n_jobs, "context": context, "owner": None if context is None else self},
        )
        warn_of_rare_classes(classes, codes, result.unseen, len(splits))
        if are_blocks(splits):
            warn_of_unlike_folds(*result.folds)
        learn_on, proba = rows[result.rows], result.proba
        if held.size:
            learn_on, proba = held, mean_proba(result.models, take(X, held))
        grouped = are_grouped(groups, weight)
        # A policy that searches where other rows tell it to can give exact guarantees on rows held out, if these are
        # independent.
        exact = held.size and not grouped and has_fit_parameter(policy, "reference")
        apart = {"reference": result.proba} if exact else {}
        with columns_are_told():
            policy.fit(proba, y[learn_on], classes=classes, sample_weight=weights_of(weight, learn_on), **apart)
        if grouped:
            warn_of_grouped_rows(policy)
        policy.hold_back(classes[result.unseen])
        # One array, which shows at a glance that the policy has the router's classes.
        policy.classes_ = classes
        self._store(classes, policy, result)
        end_fit(context, self, X, y)
        return self

    @cached_property
    def calibrated_classifiers_(self) -> Any:
        """The fitted pairs: set by `fit`, or, where it found them remembered, unpickled when asked for."""
        if self._models() is None:
            raise AttributeError("RoutingClassifier has no calibrated_classifiers_: it is not fitted.")
        return self._models().thaw()

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

    def _models(self) -> Any:
        """Return the models, or what stands for them until somebody asks for them; None before a fit."""
        return vars(self).get("calibrated_classifiers_", vars(self).get("_frozen_models"))

    def _store(self, classes: NDArray[Any], policy: Any, result: CrossFit) -> None:
        """Replace everything that an earlier fit learned, at once, so that no fit leaves half of it behind."""
        for name in ("calibrated_classifiers_", "_frozen_models", "n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
        learned = {"classes_": classes, "policy_": policy, "reliability_": result.reliability} | result.features
        models = "_frozen_models" if isinstance(result.models, FrozenModels) else "calibrated_classifiers_"
        self.__dict__.update(learned, **{models: result.models})

    def __getstate__(self) -> dict[str, Any]:
        # A copy is complete in itself, wherever it goes.
        state = dict(super().__getstate__())
        frozen = state.pop("_frozen_models", None)
        return state if frozen is None else {"calibrated_classifiers_": frozen.thaw()} | state

    def _only_member(self, name: str) -> CalibratedModel:
        members = getattr(self, "calibrated_classifiers_", None)
        if members is None or len(members) != 1:
            why = "is not fitted" if members is None else f"has {len(members)} members, in calibrated_classifiers_"
            raise AttributeError(f"RoutingClassifier has no {name}: it {why}.")
        member: CalibratedModel = members[0]
        return member
