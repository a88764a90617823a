"""What a NetworkPolicy lets through, as Kubernetes' documentation has it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec

from tests.chart.rendering import Object
from webhook.objects import LabelSelector, compile_selector

Labels = Mapping[str, str]
OWN = {"matchLabels": {"kubernetes.io/metadata.name": "vci-webhook"}}


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end: a Pod with labels in a namespace that has some, or an address of neither."""

    address: str = "192.0.2.1"
    pod: Labels | None = None
    namespace: Labels = field(default_factory=dict)


def selects(selector: Any, labels: Labels) -> bool:
    """Tell whether a LabelSelector matches; an empty one matches everything."""
    return compile_selector(msgspec.convert(selector, LabelSelector)).matches(labels)


def lets_in(policy: Object, peer: Peer, port: int) -> bool:
    """Tell whether a Pod of the policy may be called on a port."""
    return _lets(policy["spec"].get("ingress", []), "from", peer, port, "TCP")


def lets_out(policy: Object, peer: Peer, port: int, protocol: str = "TCP") -> bool:
    """Tell whether a Pod of the policy may call somebody on a port."""
    return _lets(policy["spec"].get("egress", []), "to", peer, port, protocol)


def _lets(rules: list[Any], side: str, peer: Peer, port: int, protocol: str) -> bool:
    wanted = {"port": port, "protocol": protocol}
    return any(
        wanted in rule["ports"]
        and (side not in rule or any(_is(each, peer) for each in rule[side]))
        for rule in rules
    )


def _is(described: Any, peer: Peer) -> bool:
    if "ipBlock" in described:
        return ip_address(peer.address) in ip_network(described["ipBlock"]["cidr"])
    if peer.pod is None:
        return False
    of_namespace = described.get("namespaceSelector", OWN)
    return selects(of_namespace, peer.namespace) and selects(
        described.get("podSelector", {}), peer.pod
    )
