"""ConfigMap ``data`` in, an immutable Profile with compiled rules out, every problem by its path.

Only ``selectors`` can make a profile invalid as a whole; one bad rule is left out, a bad value of
any other key has no effect. Each is named.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from webhook import vci
from webhook.document import Node, parse_documents
from webhook.effect import unusual
from webhook.errors import ProfileError
from webhook.labels import Selector, key_problem, value_problem
from webhook.place import Place, quoted
from webhook.problems import Problem, Report, nearest
from webhook.rules import Rule, read_rule

if TYPE_CHECKING:
    from webhook.plan import Plan

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
_KEYS = (*_LISTS, *_CHOICES, "virtualNodeLabel", "virtualNodeTaint", "selectors")
_TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


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


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile that was accepted: rules in the order of their evaluation, shadow rules among them.

    A rule that needs one label of the namespace or of the Pod to have one of a few values stands in
    an index under these values, so that a review looks at no rule that cannot match. ``plans``
    remembers what rules that matched together amount to; it is a memory, no part of the value.
    """

    version: str = ""
    defaults: Defaults = field(default_factory=Defaults)
    rules: tuple[Rule, ...] = ()
    _by_namespace: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    _by_pod: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    _always: tuple[int, ...] = ()
    plans: "dict[tuple[int, ...], Plan]" = field(default_factory=dict, compare=False, repr=False)

    def candidates(
        self, namespace_labels: Mapping[str, str], pod_labels: Mapping[str, str]
    ) -> list[int]:
        """Return the positions of the rules that may match these labels, in order."""
        found = list(self._always)
        if self._by_namespace:
            for label in namespace_labels.items():
                found += self._by_namespace.get(label, ())
        if self._by_pod:
            for label in pod_labels.items():
                found += self._by_pod.get(label, ())
        found.sort()
        return found


def build_profile(version: str, defaults: Defaults, rules: Iterable[Rule]) -> Profile:
    """Order the rules by priority, keeping the list's order among equals, and index them."""
    ordered = tuple(sorted(rules, key=lambda rule: -rule.priority))
    by_namespace: dict[tuple[str, str], list[int]] = {}
    by_pod: dict[tuple[str, str], list[int]] = {}
    always: list[int] = []
    for position, rule in enumerate(ordered):
        for selector, index in (
            (rule.namespace_selector, by_namespace),
            (rule.object_selector, by_pod),
        ):
            if labels := _required_labels(selector):
                for label in labels:
                    index.setdefault(label, []).append(position)
                break
        else:
            always.append(position)
    return Profile(
        version,
        defaults,
        ordered,
        {label: tuple(positions) for label, positions in by_namespace.items()},
        {label: tuple(positions) for label, positions in by_pod.items()},
        tuple(always),
    )


def _required_labels(selector: Selector) -> list[tuple[str, str]]:
    """Return labels of which an object has exactly one if it matches: those of the narrowest In."""
    required = [r for r in selector.requirements if r.operator == "In"]
    if not required:
        return []
    narrowest = min(required, key=lambda requirement: len(requirement.values))
    return [(narrowest.key, value) for value in sorted(narrowest.values)]


def parse_profile(data: Mapping[str, str], version: str) -> tuple[Profile | None, list[Problem]]:
    """Compile the ``data`` of a ConfigMap; the profile is None when it is invalid as a whole.

    ``version`` names the profile on the Pods that it changed: a resourceVersion, or a hash.
    """
    report = Report()
    for key in sorted(data.keys() - set(_KEYS)):
        report.warning(key, f"unknown key, has no effect{nearest(key, _KEYS)}")
    defaults = _read_defaults(data, report)
    rules = _read_selectors(data.get("selectors", ""), defaults, report)
    if rules is None:
        return None, report.problems
    return build_profile(version, defaults, rules), report.problems


def _read_defaults(data: Mapping[str, str], report: Report) -> Defaults:
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
        report.warning("hostIpConfig", "admission cannot set a Pod's status; has no effect")
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
    report.warning(key, f"{quoted(value)} is not {expected}, has no effect{nearest(value, known)}")
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
            report.warning("virtualNodeTaint", message)
        else:
            toleration = read
    return VirtualNode(label, toleration)


def _toleration_of(taint: str) -> Mapping[str, str] | None:
    """Return the toleration for ``key=value:Effect`` or ``key:Effect``; None when it is neither."""
    labelled, colon, effect = taint.rpartition(":")
    key, equals, value = labelled.partition("=")
    if not colon or effect not in _TAINT_EFFECTS or key_problem(key) or value_problem(value):
        return None
    if equals:
        return {"key": key, "operator": "Equal", "value": value, "effect": effect}
    return {"key": key, "operator": "Exists", "effect": effect}


def _read_selectors(text: str, defaults: Defaults, report: Report) -> list[Rule] | None:
    try:
        documents = parse_documents(text, "selectors")
    except ProfileError as error:
        report.error("selectors", str(error).removeprefix("selectors:"))
        return None
    if not documents:
        return []
    root = Place(documents[0], "selectors", report)
    if len(documents) > 1:
        report.error("selectors", "more than one document; keep one list", documents[1])
        return None
    if not isinstance(root.node.value, list):
        root.error("not a list; write a JSON or YAML list of rules")
        return None
    rules = []
    names: Counter[str] = Counter()
    for place in root.items():
        rule = read_rule(place, defaults.virtual_node.label[0])
        name = _name_of(place.node)
        names[name] += 1
        if name and names[name] > 1:
            place.error(f"the name {quoted(name)} is taken by an earlier rule; choose another")
        elif rule is not None:
            rules.append(rule)
    return rules


def _name_of(node: Node) -> str:
    name = node.value.get("name") if isinstance(node.value, dict) else None
    return name.value if name is not None and isinstance(name.value, str) else ""
