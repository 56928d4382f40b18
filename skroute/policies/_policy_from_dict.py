"""Any policy out of a JSON file."""

from collections.abc import Mapping
from typing import Any

from skroute.policies._certified_policy import CertifiedPolicy
from skroute.policies._cost_policy import CostPolicy
from skroute.routing import RoutePolicy

__all__ = ["policy_from_dict"]

POLICIES = {policy.__name__: policy for policy in (RoutePolicy, CertifiedPolicy, CostPolicy)}


def policy_from_dict(data: Mapping[str, Any]) -> RoutePolicy | CertifiedPolicy | CostPolicy:
    """Build the policy that the `to_dict` of any of our policies has written.

    Parameters
    ----------
    data : dict
        A policy as plain JSON.

    Returns
    -------
    policy : RoutePolicy, CertifiedPolicy or CostPolicy
        Fitted where the data hold classes.

    Raises
    ------
    ValueError
        If the data name no policy of ours, or miss or misname a part.

    Examples
    --------
    >>> import json
    >>> from skroute import RoutePolicy
    >>> from skroute.policies import policy_from_dict
    >>> policy = RoutePolicy(thresholds={"b": 0.97}).fit([[0.9, 0.1]], classes=["a", "b"])
    >>> policy_from_dict(json.loads(json.dumps(policy.to_dict())))
    RoutePolicy(thresholds={'b': 0.97})
    """
    kind = data.get("policy") if isinstance(data, Mapping) else None
    if not isinstance(kind, str) or kind not in POLICIES:
        raise ValueError(
            f"data must be a dict as to_dict() of a policy returns it, with 'policy' one of {', '.join(POLICIES)}; "
            f"got {type(data).__name__} with 'policy': {kind!r}."
        )
    found: RoutePolicy | CertifiedPolicy | CostPolicy = POLICIES[kind].from_dict(data)
    return found
