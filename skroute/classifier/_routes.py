"""Routes of many rows, without all of their probabilities in memory at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute.calibration._methods import predict_blocks
from skroute.classifier._remembered import FrozenModels, mean_proba
from skroute.routing._base_policy import BasePolicy
from skroute.routing._gates import ROUTES

__all__ = ["predict_routes"]

ROUTE_TYPE = np.array(ROUTES).dtype


def predict_routes(policy: Any, models: Any, X: Any) -> NDArray[np.str_]:
    """Return the routes that a policy gives to the rows by the models' mean probabilities.

    Ours are chosen block by block: our policies and calibrators look at each row by itself. What somebody else wrote
    sees all rows at once; so does a mean of several models, and what is remembered is there as a whole.
    """
    if (
        isinstance(models, FrozenModels)
        or len(models) > 1
        or not (models[0].is_ours and isinstance(policy, BasePolicy))
    ):
        whole: NDArray[np.str_] = policy.decide(mean_proba(models, X))
        return whole
    raw, start = models[0].scores(X), 0
    if len(raw) == 1:
        alone: NDArray[np.str_] = policy.decide(models[0].calibrator.predict_proba(raw))
        return alone
    routes = np.empty(0, dtype=ROUTE_TYPE)
    for proba in predict_blocks(models[0].calibrator, raw):
        part = policy.decide(proba)
        if len(part) == len(raw):
            return part
        routes = routes if start else np.empty(len(raw), dtype=ROUTE_TYPE)
        routes[start : start + len(part)] = part
        start += len(part)
    return routes
