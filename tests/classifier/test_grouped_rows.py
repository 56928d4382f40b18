"""What a policy promises of rows that belong together, and what it says of that."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from classifier.certified_rows import LABELS, OPEN, certificates, draw, router
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from skroute import CertifiedPolicy, RoutePolicy
from skroute.exceptions import GroupedRowsWarning

pytestmark = pytest.mark.filterwarnings("ignore::skroute.exceptions.UncertifiedClassWarning")


def grouped(policy=None, holdout=None, groups=None, weight=None, copies=2):
    """Fit to rows that stand in the data several times; return the router, and what it warned of."""
    X, y, _ = draw(400)
    X, y = np.concatenate([X] * copies), np.tile(y, copies)
    groups = np.tile(np.arange(400), copies) if groups is None else groups
    with sklearn.config_context(enable_metadata_routing=True), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", GroupedRowsWarning)
        base = LogisticRegression().set_fit_request(sample_weight=True)
        cv = StratifiedGroupKFold(3).set_split_request(groups=True)
        fitted = router(base, policy, cv=cv, holdout=holdout, random_state=0)
        fitted.fit(X, y, sample_weight=weight, groups=groups)
    return fitted, [str(one.message) for one in told if one.category is GroupedRowsWarning]


@pytest.mark.parametrize("holdout", [None, 0.4])
@pytest.mark.parametrize("kind", [np.asarray, lambda groups: pd.Series(groups).astype(str), np.ndarray.tolist])
def test_what_is_promised_of_grouped_rows_is_never_exact(holdout, kind):
    fitted, (told,) = grouped(CertifiedPolicy(0.2, **OPEN), holdout, kind(np.tile(np.arange(400), 2)))
    assert told.startswith("CertifiedPolicy counts each row as evidence, but rows of one group tell less than others")
    assert "its certificates may break" in told
    assert set(certificates(fitted).guarantee) - {"none"} == {"approximate"}


class Own(RoutePolicy):
    """Somebody else's policy may have certificates of its own kind."""

    def fit(self, proba, y=None, *, classes=None, sample_weight=None):
        super().fit(proba, y, classes=classes, sample_weight=sample_weight)
        self.certificates_ = {"vpn": 1}
        return self


def test_of_grouped_rows_only_promises_are_warned_of():
    assert grouped(RoutePolicy())[1] == []
    assert "its candidate sets may" in grouped(RoutePolicy(candidates=0.9))[1][0]
    assert grouped(CertifiedPolicy({}, thresholds=dict.fromkeys(LABELS, 0.9), **OPEN))[1] == []
    # Groups of one row, and of one that has weight.
    lenient = CertifiedPolicy(0.2, **OPEN)
    fitted, told = grouped(lenient, 0.4, np.arange(400), copies=1)
    assert (set(certificates(fitted).guarantee), told) == ({"exact"}, [])
    assert grouped(lenient, weight=np.repeat([1.0, 0.0], 400))[1] == []
    assert grouped(Own())[1] == []
    assert len(grouped(lenient, groups=np.where(np.arange(800) < 700, np.nan, np.arange(800)))[1]) == 1
