"""The cluster-wide keys: what holds for every Pod that is placed, and how virtual nodes are known.

A bad value of one of them has no effect, and is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from webhook import vci
from webhook.effect import unusual
from webhook.labels import key_problem, value_problem
from webhook.problems import Report
from webhook.tolerations import TAINT_EFFECTS
from webhook.wording import nearest, quoted

_LISTS = {
    "preferredSubnetIds": vci.SUBNETS,
    "securityGroupIds": vci.SECURITY_GROUPS,
    "preferredInstanceFamily": vci.FAMILIES,
    "preferredInstanceTypes": vci.TYPES,
}
_CHOICES = {
    "tlsEnable": ("true", "false"),
    "enforceSelectorToVci": ("true", "false"),
    "securityContextPrivilegedConfig": ("ignore",),
    "volumesHostPathConfig": ("ignore",),
    "dnsPolicyClusterFirstWithHostNetConfig": ("clusterFirst",),
    "hostIpConfig": ("podIp",),
    "clusterType": ("vke", "selfBuilt"),
    "pinToVirtualNode": ("true", "false"),
}
DEFAULT_KEYS = (*_LISTS, *_CHOICES, "virtualNodeLabel", "virtualNodeTaint")


@dataclass(frozen=True, slots=True)
class VirtualNode:
    """How a virtual node is told from a real one."""

    label: tuple[str, str] = ("type", "virtual-kubelet")
    toleration: Mapping[str, str] = field(
        default_factory=lambda: {
            "key": "vci.vke.volcengine.com/node-type",
            "operator": "Equal",
            "value": "vci",
            "effect": "NoSchedule",
        }
    )


@dataclass(frozen=True, slots=True)
class Defaults:
    """The cluster-wide keys: what holds for every Pod that is placed."""

    annotations: Mapping[str, str] = field(default_factory=dict)
    placement: str = "allow"
    self_built: bool = False
    pin: bool = True
    ignore_privileged: bool = False
    ignore_host_path: bool = False
    cluster_first: bool = False
    virtual_node: VirtualNode = field(default_factory=VirtualNode)


def read_defaults(data: Mapping[str, str], report: Report) -> Defaults:
    """Read every key but ``selectors``."""
    chosen = {key: _choice(data, key, known, report) for key, known in _CHOICES.items()}
    annotations = {}
    for key, annotation in _LISTS.items():
        if key in data and (value := _id_list(data[key], key, report)):
            annotations[annotation] = value
            if problem := unusual(annotation, value):
                report.warning(key, problem)
    if chosen["tlsEnable"] == "true":
        annotations[vci.TLS_ENABLE] = "true"
    if chosen["hostIpConfig"]:
        report.warning(
            "hostIpConfig",
            "has no effect, because admission cannot set a Pod's status; remove it",
        )
    return Defaults(
        annotations=annotations,
        placement="enforce" if chosen["enforceSelectorToVci"] == "true" else "allow",
        self_built=chosen["clusterType"] == "selfBuilt",
        pin=chosen["pinToVirtualNode"] != "false",
        ignore_privileged=chosen["securityContextPrivilegedConfig"] == "ignore",
        ignore_host_path=chosen["volumesHostPathConfig"] == "ignore",
        cluster_first=chosen["dnsPolicyClusterFirstWithHostNetConfig"] == "clusterFirst",
        virtual_node=_virtual_node(data, report),
    )


def _choice(
    data: Mapping[str, str], key: str, known: tuple[str, ...], report: Report
) -> str | None:
    value = data.get(key)
    if value is None or value in known:
        return value
    expected = " or ".join(quoted(choice) for choice in known)
    remedy = nearest(value, known) or "; write that"
    report.warning(key, f"{quoted(value)} is not {expected}, has no effect{remedy}")
    return None


def _id_list(text: str, key: str, report: Report) -> str:
    ids = [item for part in text.split(",") if (item := part.strip())]
    if not ids:
        report.warning(key, "an empty list, has no effect; name an id or remove the key")
    return ",".join(ids)


def _virtual_node(data: Mapping[str, str], report: Report) -> VirtualNode:
    node = VirtualNode()
    label, toleration = node.label, node.toleration
    if (text := data.get("virtualNodeLabel")) is not None:
        key, equals, value = text.strip().partition("=")
        if not equals or key_problem(key) or value_problem(value):
            message = f"{quoted(text)} is not key=value, has no effect; write a node label"
            report.warning("virtualNodeLabel", message)
        else:
            label = (key, value)
    if (text := data.get("virtualNodeTaint")) is not None:
        read = _toleration_of(text.strip())
        if read is None:
            message = f"{quoted(text)} is not key=value:Effect or key:Effect, has no effect"
            message += f"; write a taint, its effect one of {', '.join(TAINT_EFFECTS)}"
            report.warning("virtualNodeTaint", message)
        else:
            toleration = read
    return VirtualNode(label, toleration)


def _toleration_of(taint: str) -> Mapping[str, str] | None:
    """Return the toleration for ``key=value:Effect`` or ``key:Effect``; None when it is neither."""
    labelled, colon, effect = taint.rpartition(":")
    key, equals, value = labelled.partition("=")
    if not colon or effect not in TAINT_EFFECTS or key_problem(key) or value_problem(value):
        return None
    if equals:
        return {"key": key, "operator": "Equal", "value": value, "effect": effect}
    return {"key": key, "operator": "Exists", "effect": effect}
