import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skroute import CertifiedPolicy, CostPolicy, RoutePolicy, RoutingCosts
from skroute.policies import policy_from_dict

PROBA = np.random.default_rng(0).dirichlet([0.3, 0.3], size=400)
Y = (PROBA[:, 1] > 0.5).astype(int)
POLICIES = [RoutePolicy(watch={1: 0.2}), CertifiedPolicy(), CostPolicy(RoutingCosts.from_defaults([0, 1]))]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
@pytest.mark.parametrize("is_fitted", [True, False])
def test_every_policy_is_read_as_what_it_was(policy, is_fitted):
    if is_fitted:
        policy = policy.fit(PROBA, Y)
    again = policy_from_dict(json.loads(json.dumps(policy.to_dict())))
    assert type(again) is type(policy)
    assert again.to_dict() == policy.to_dict()
    if is_fitted:
        assert_array_equal(again.decide(PROBA), policy.decide(PROBA))


@pytest.mark.parametrize("data", [None, [], {}, {"policy": "Policy"}, {"policy": []}, "RoutePolicy"], ids=str)
def test_anything_else_is_refused(data):
    with pytest.raises(ValueError, match="RoutePolicy, CertifiedPolicy, CostPolicy; got"):
        policy_from_dict(data)
