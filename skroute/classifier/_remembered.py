"""Cross-fits and responses that are remembered in the process, in front of the files of joblib's Memory.

A search over policies asks for the same few fits, and for their probabilities of the same few test rows, again and
again. Here they are found without reading a file. Three rules keep this as true as fitting anew:

- Everything is remembered by all of the contents that it follows from (`Contents`), copied before the fit.
- A fit is found only while its file is in the cache: with `memory` cleared, nothing is remembered.
- What is kept is pickled or copied, so that no router shares anything with another. Responses are remembered only for
  models that nobody was given: once a caller has hold of them, they may be changed, and are asked each time.
"""

import os
import pickle
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from joblib.memory import MemorizedResult, Memory
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.utils.validation import check_memory

from skroute._validation import shown
from skroute.classifier._cache import VERSIONS, cached_call, is_cached, warn_of_no_cache
from skroute.classifier._contents import Contents
from skroute.classifier._cross_fit import CalibratedModel, CrossFit, cross_fit, mean_proba_of
from skroute.classifier._memo import Memo

__all__ = ["MEMO", "FrozenModels", "mean_proba", "remembered_cross_fit"]

# Ten folds of some ten megabytes, with their models: enough for a search, and little beside the search itself.
MEMO = Memo(max_bytes=2**28, max_entries=256)


@dataclass(frozen=True, eq=False)
class _Fit:
    """One cross-fit as bytes, from which every router takes objects of its own."""

    file: MemorizedResult
    rest: bytes
    models: bytes
    has_decision_function: bool
    token: object
    """Stands for this fit and no other, not even an equal one: one without a seed may have been drawn anew."""

    def thaw(self) -> CrossFit:
        rest: CrossFit = pickle.loads(self.rest)
        return replace(rest, models=FrozenModels(self))


class FrozenModels:
    """The models of a remembered fit, unpickled when they are first needed.

    Parameters
    ----------
    fit : remembered fit
    """

    def __init__(self, fit: _Fit) -> None:
        self._fit = fit
        self._models: list[CalibratedModel] | None = None

    @property
    def has_decision_function(self) -> bool:
        """Whether the classifiers have one."""
        return self._fit.has_decision_function

    def thaw(self) -> list[CalibratedModel]:
        """Return the models: always new ones, as they were fitted."""
        models: list[CalibratedModel] = pickle.loads(self._fit.models)
        return models

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the mean of the models' calibrated probabilities, in an array of the caller's own."""
        try:
            seen = Contents.of((X, get_config()))
        except pickle.PicklingError:
            seen = None
        proba: NDArray[np.float64] | None = None if seen is None else MEMO.find(self._fit.token, seen)
        if proba is None:
            seen = None if seen is None else seen.copied()
            if self._models is None:
                self._models = self.thaw()
            proba = mean_proba_of(self._models, X)
            if seen is not None:
                MEMO.keep(self._fit.token, seen, proba, proba.nbytes)
        # In the same order: sums over rows and columns may depend on it in the last bit.
        return proba.copy(order="K")


def mean_proba(models: Any, X: Any) -> NDArray[np.float64]:
    """Return the mean of the models' calibrated probabilities, remembered or not."""
    return models.predict_proba(X) if isinstance(models, FrozenModels) else mean_proba_of(models, X)


def remembered_cross_fit(memory: Any, hashed: dict[str, Any], ignored: dict[str, Any]) -> CrossFit:
    """Cross-fit, or find that it has been done.

    Parameters
    ----------
    memory : None, str or joblib.Memory
        As in `sklearn.pipeline.Pipeline`. None: nothing is remembered.
    hashed, ignored : dict
        Arguments of `cross_fit`: those that its result depends on, and the others.

    Returns
    -------
    result : CrossFit
        Its models are a list, or `FrozenModels` where they are remembered.

    Raises
    ------
    ValueError
        If the memory is none of these.
    """
    memory = check_memory(memory)
    if not isinstance(memory, Memory):
        raise ValueError(
            "The 'memory' parameter of RoutingClassifier must be None, the path of a folder or a joblib.Memory. "
            f"Got {shown(memory)} instead."
        )
    if memory.location is None:
        return cross_fit(**hashed, **ignored)
    place = os.path.abspath(memory.location)
    # The configuration belongs to it: with assume_finite, rows pass that would be an error without.
    try:
        seen = Contents.of((hashed, get_config(), VERSIONS))
    except pickle.PicklingError as reason:
        warn_of_no_cache(reason)
        return cross_fit(**hashed, **ignored)
    fit: _Fit | None = MEMO.find(place, seen)
    if fit is not None:
        if is_cached(fit.file):
            return fit.thaw()
        MEMO.forget(fit)
    # Before the fit: a classifier may write into its rows.
    seen = seen.copied()
    result: CrossFit
    result, file = cached_call(memory, cross_fit, seen.digest(), hashed | ignored)
    if file is None:
        return result
    try:
        # By protocol 5, which reads arrays without another copy.
        rest, models = (pickle.dumps(part, protocol=5) for part in (replace(result, models=[]), result.models))
    except Exception:
        return result
    fit = _Fit(file, rest, models, hasattr(result.models[0].estimator, "decision_function"), object())
    MEMO.keep(place, seen, fit, len(fit.rest) + len(fit.models))
    return fit.thaw()
