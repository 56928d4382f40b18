"""What a fit is given: data, parameters and metadata, checked before anything is fitted."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit, PredefinedSplit, check_cv
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d, indexable
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import has_fit_parameter

from skroute._validation import check_sample_weight, distinct_labels, encode_labels, percent_hint, shown, unspelled
from skroute.calibration._methods import make_calibrator, wants_proba
from skroute.classifier._response import is_frozen, needs_kernel_columns, response_name
from skroute.classifier._warnings import warn_of_lost_weights

__all__ = ["check_data", "check_parameters", "encode_targets", "route_params"]

# Whole numbers and strings are classes; a search asks too often for them to be gone through again.
CLASS_KINDS = "biuUS"
# Splitters that name rows: lists of splits are wrapped by check_cv.
NAMING = (PredefinedSplit, type(check_cv([])))
POLICY_METHODS = ("check", "fit", "hold_back", "decide", "explain")


def check_data(X: Any, y: Any, sample_weight: Any) -> tuple[Any, NDArray[Any], NDArray[np.float64] | None]:
    """Return X as it can be cut into folds, y as an array of labels, and the weights."""
    if y is None:
        raise ValueError("RoutingClassifier requires y to be passed, but the target y is None.")
    X, y = indexable(X, y)
    y = unspelled(np.asarray(y), y)
    if y.ndim != 1 or y.dtype.kind not in CLASS_KINDS:
        y = column_or_1d(y, warn=True)
        if y.dtype.kind == "O":
            # Its message names y, and the types beside which a label is missing.
            distinct_labels(y)
        assert_all_finite(y, input_name="y")
    if y.dtype.kind not in CLASS_KINDS:
        check_classification_targets(y)
    check_consistent_length(X, y)
    if not len(y):
        raise ValueError("X and y must hold at least one row to fit on, got 0 samples.")
    return X, y, check_sample_weight(sample_weight, len(y))


def check_parameters(router: Any, base: Any) -> tuple[Any, bool]:
    """Check a router's parameters; return the unfitted calibrator, and whether to ensemble."""
    if isinstance(base, type) or not hasattr(base, "fit"):
        raise _bad("estimator", "a classifier or None", base)
    response = response_name(base, wants_proba(router.method))
    calibrator = make_calibrator(router.method, "proba" if response == "predict_proba" else "scores")
    if not (isinstance(router.ensemble, (bool, np.bool_)) or router.ensemble == "auto"):
        raise _bad("ensemble", "a bool or 'auto'", router.ensemble)
    share = router.holdout
    if share is not None and not (isinstance(share, Real) and 0.0 < float(share) < 1.0):
        raise _bad("holdout", "a float in (0, 1) or None", share)
    policy = router.policy
    is_policy = all(hasattr(policy, name) for name in POLICY_METHODS)
    if policy is not None and (not is_policy or isinstance(policy, type)):
        example = f"{policy.__name__}(...)" if is_policy else "RoutePolicy()"
        raise _bad("policy", f"a policy, such as {example}, or None", policy)
    _check_n_jobs(router.n_jobs)
    _check_cv(router.cv, share)
    ensemble = not is_frozen(base) if isinstance(router.ensemble, str) else bool(router.ensemble)
    if needs_kernel_columns(base) and (ensemble or share is not None):
        # A model of some rows would need other columns to predict than the caller can know of.
        name, demand = ("ensemble", "False") if ensemble else ("holdout", "None")
        raise _bad(name, f"{demand} with a precomputed kernel", getattr(router, name))
    return calibrator, ensemble


def _check_n_jobs(n_jobs: Any) -> None:
    if n_jobs is not None and not (isinstance(n_jobs, Integral) and int(n_jobs) != 0):
        raise _bad("n_jobs", "an int other than 0 or None", n_jobs)


def _check_cv(cv: Any, holdout: Any) -> None:
    named = isinstance(cv, NAMING) or not (cv is None or isinstance(cv, Real | str) or hasattr(cv, "split"))
    if holdout is not None and named:
        raise ValueError(
            "The 'cv' parameter of RoutingClassifier must be an int, a splitter or None with holdout=, which draws "
            "rows at random before: splits that name rows cannot know which are left."
        )


def _bad(name: str, demand: str, value: Any) -> ValueError:
    hint = percent_hint(value)
    return ValueError(
        f"The {name!r} parameter of RoutingClassifier must be {demand}. Got {shown(value)} instead.{hint}"
    )


def encode_targets(y: NDArray[Any], base: Any) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the classes, those of a frozen classifier included, and the labels as integers."""
    classes = distinct_labels(y)
    if is_frozen(base) and hasattr(base, "classes_"):
        known = np.asarray(base.classes_)
        if (known.dtype.kind in "OUS") != (classes.dtype.kind in "OUS"):
            raise ValueError(f"y must hold labels like those of the frozen estimator, {known!r}, got {shown(classes)}.")
        classes = np.union1d(known, classes)
    if len(classes) < 2:
        raise ValueError(
            f"y must hold at least two classes to fit a classifier; it holds one class: {classes.tolist()[0]!r}."
        )
    return classes, encode_labels(y, classes)


def _wants_groups(cv: Any) -> bool:
    """Return whether a splitter asks for groups."""
    return isinstance(cv, BaseCrossValidator | BaseShuffleSplit) and bool(
        cv.get_metadata_routing().split.requests.get("groups")
    )


def route_params(
    router: Any, base: Any, weight: NDArray[np.float64] | None, fit_params: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fit parameters of the classifier and those of the splitter."""
    if get_config()["enable_metadata_routing"]:
        routed = process_routing(router, "fit", sample_weight=weight, **fit_params)
        return dict(routed.estimator.fit), dict(routed.splitter.split)
    estimator_params = dict(fit_params)
    lost = "groups" in estimator_params and not has_fit_parameter(base, "groups")
    if lost and estimator_params["groups"] is None:
        lost = False
        del estimator_params["groups"]
    if lost or _wants_groups(router.cv):
        raise ValueError(
            "groups reach the folds by metadata routing, which is off: call "
            "sklearn.set_config(enable_metadata_routing=True), and pass groups to fit and a splitter that takes them, "
            "such as cv=StratifiedGroupKFold(5)."
        )
    if weight is not None:
        if has_fit_parameter(base, "sample_weight"):
            estimator_params["sample_weight"] = weight
        elif not is_frozen(base):
            warn_of_lost_weights(base)
    return estimator_params, {}
