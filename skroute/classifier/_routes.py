"""Routes of many rows, without all of their probabilities in memory at once."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute.calibration._methods import part_rows, predict_blocks
from skroute.calibration._rough import estimates_of
from skroute.classifier._remembered import FrozenModels, mean_proba
from skroute.routing._base_policy import decides_by_row, routes_of_estimates

__all__ = ["predict_routes"]


def predict_routes(policy: Any, models: Any, X: Any) -> NDArray[np.str_]:
    """Return the routes that a policy gives to the rows by the models' mean probabilities.

    Ours are chosen block by block: our policies and calibrators look at each row by itself, at rough probabilities
    first where these are quicker. What somebody else wrote sees all rows at once; so does a mean of several models, and
    what is remembered is there as a whole.
    """
    if isinstance(models, FrozenModels) or len(models) > 1 or not (models[0].is_ours and decides_by_row(policy)):
        whole: NDArray[np.str_] = policy.decide(mean_proba(models, X))
        return whole
    raw, calibrator = models[0].scores(X, finite=False), models[0].calibrator
    if len(raw) == 1:
        alone: NDArray[np.str_] = policy.decide(models[0].look_and_calibrate(raw))
        return alone
    look = partial(models[0].look, raw)
    estimates = estimates_of(calibrator, raw, part_rows(raw.shape[1]), look)
    if estimates is not None:
        return routes_of_estimates(policy, estimates)
    return policy.decide_parts(predict_blocks(calibrator, raw, look), len(raw))
