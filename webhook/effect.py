"""What a rule injects: read from the document, checked against Kubernetes' limits, made uniform.

One illegal value would make the API server refuse every Pod that the rule matches, whatever the
webhook's failurePolicy says; so whatever is not certainly legal is refused here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from webhook import vci
from webhook.affinity import read_node_affinity
from webhook.labels import key_problem, value_problem
from webhook.place import Place
from webhook.tolerations import read_tolerations
from webhook.wording import quoted

_INT32 = range(-(2**31), 2**31)
_CANONICAL_INTEGER = re.compile(r"0|-[0-9]{1,10}|[1-9][0-9]{0,9}")


@dataclass(frozen=True, slots=True)
class Effect:
    """What a rule injects, every first-class field already turned into its annotation.

    Tolerations and affinity terms are plain Kubernetes objects, as they stand in a Pod.
    """

    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    required_terms: tuple[Mapping[str, Any], ...] = ()
    preferred_terms: tuple[Mapping[str, Any], ...] = ()


def read_effect(place: Place, virtual_node_key: str) -> tuple[Effect, Place | None]:
    """Read an effect; return it with the place where it tries to set ``burst-to-vci``.

    That annotation is a placement in disguise, so the rule decides what becomes of it.
    """
    fields = place.known_fields(_FIELDS)
    annotations, burst = _annotations(fields)
    if vci.annotations_size(annotations) > vci.ANNOTATIONS_LIMIT_BYTES:
        place.error(
            "annotations of more than 256 KiB in all, so the API server would refuse the Pod; "
            "shorten them"
        )
    required, preferred = (
        read_node_affinity(fields["nodeAffinity"]) if "nodeAffinity" in fields else ((), ())
    )
    effect = Effect(
        annotations=annotations,
        labels=_labels(fields["labels"]) if "labels" in fields else {},
        node_selector=_node_selector(fields, virtual_node_key),
        tolerations=read_tolerations(fields["tolerations"]) if "tolerations" in fields else (),
        required_terms=required,
        preferred_terms=preferred,
    )
    return effect, burst


def _annotations(fields: dict[str, Place]) -> tuple[dict[str, str], Place | None]:
    """Read the annotations, those behind first-class fields too; ``burst-to-vci`` apart."""
    burst = None
    found: dict[str, str] = {}
    if "annotations" in fields:
        written = fields["annotations"]
        found = _legal(written, _annotation_key_problem, _annotation_value_problem)
        for key, text in found.items():
            if what := unusual(key, text):
                written.below(key).warning(what)
        if found.pop(vci.BURST, None) is not None:
            burst = written.below(vci.BURST)
    for name, (key, read) in _FIRST_CLASS.items():
        if name not in fields:
            continue
        if key in found:
            message = f'sets the annotation "{key}", as effect.annotations does; keep one of them'
            fields[name].error(message)
        elif (value := read(fields[name], key)) is not None:
            found[key] = value
    return found, burst


def _labels(place: Place) -> dict[str, str]:
    return _legal(place, _label_key_problem, _label_value_problem)


def _node_selector(fields: dict[str, Place], virtual_node_key: str) -> dict[str, str]:
    if "nodeSelector" not in fields:
        return {}

    def key_fault(key: str) -> str | None:
        if key == virtual_node_key:
            return "marks virtual nodes, so placement sets it; remove it and use placement"
        return key_problem(key)

    return _legal(fields["nodeSelector"], key_fault, _label_value_problem)


def _legal(
    place: Place,
    key_fault: Callable[[str], str | None],
    value_fault: Callable[[str, str], str | None],
) -> dict[str, str]:
    """Read a map of strings; an entry that Kubernetes or VCI would not take is an error."""
    found = {}
    for key, (value, at) in place.string_map().items():
        if problem := key_fault(key):
            place.key(key).error(f"{quoted(key)} {problem}")
        elif problem := value_fault(key, value):
            at.error(f"{quoted(value)} {problem}")
        else:
            found[key] = value
    return found


def _label_key_problem(key: str) -> str | None:
    return key_problem(key) or _reserved(key)


def _label_value_problem(_: str, value: str) -> str | None:
    return value_problem(value)


def _annotation_key_problem(key: str) -> str | None:
    return key_problem(key.lower()) or _reserved(key) or _interpreted(key)


def _annotation_value_problem(key: str, value: str) -> str | None:
    if key == "controller.kubernetes.io/pod-deletion-cost" and not (
        _CANONICAL_INTEGER.fullmatch(value) and int(value) in _INT32
    ):
        return "is no 32-bit integer, so the API server would refuse the Pod; write one"
    return None


def _reserved(key: str) -> str | None:
    prefix, _, _ = key.rpartition("/")
    if key in vci.WRITTEN_BACK:
        return "is what VCI writes back on running Pods; remove it"
    if prefix in ("workflows.argoproj.io", "vci-webhook"):
        return f"steers a program, as all keys under {prefix}/ do; remove it"
    if key == "batch.kubernetes.io/job-completion-index":
        return "tells a Job's Pods apart; with another the Job makes Pods without end; remove it"
    return None


def _interpreted(key: str) -> str | None:
    """Refuse annotations by which the API server itself judges a Pod."""
    prefix, _, _ = key.lower().rpartition("/")
    if (
        key == "kubernetes.io/config.mirror"
        or prefix == "container.apparmor.security.beta.kubernetes.io"
        or f".{prefix}".endswith(".alpha.kubernetes.io")
    ):
        return "is interpreted by the API server, which may refuse the Pod; remove it"
    return None


def _id_list(place: Place, key: str) -> str | None:
    """Join a list of ids as VCI reads it: commas, no blanks, in order of preference."""
    ids = []
    for item in place.items():
        if (text := item.string()) is not None:
            ids.append(text.strip())
            if what := unusual(key, text):
                item.warning(what)
    if not place.node.value:
        place.warning("an empty list sets nothing; remove it or name one")
    return ",".join(ids) or None


def _system_disk(place: Place, _: str) -> str | None:
    size = place.integer()
    if size is not None and size not in vci.SYSTEM_DISK_GIB:
        place.error(f"{quoted(place.node.written)} is no size that VCI has; write 40 to 500 (GiB)")
        return None
    return None if size is None else str(size)


def _flag(place: Place, _: str) -> str | None:
    flag = place.boolean()
    return None if flag is None else str(flag).lower()


def _resource_tags(place: Place, _: str) -> str | None:
    tags = []
    for key, (text, at) in place.string_map().items():
        if not key or "," in key + text or ":" in key:
            at.error(
                "tags are written to the Pod as key:value, comma-separated; remove the comma or "
                "colon, and give each a key"
            )
        tags.append(f"{key}:{text}")
    return ",".join(tags) or None


_FIRST_CLASS: dict[str, tuple[str, Callable[[Place, str], str | None]]] = {
    "subnetIds": (vci.SUBNETS, _id_list),
    "securityGroupIds": (vci.SECURITY_GROUPS, _id_list),
    "instanceFamilies": (vci.FAMILIES, _id_list),
    "instanceTypes": (vci.TYPES, _id_list),
    "systemDiskGiB": (vci.SYSTEM_DISK, _system_disk),
    "kubeProxy": (vci.KUBE_PROXY, _flag),
    "imageCache": (vci.IMAGE_CACHE, _flag),
    "resourceTags": (vci.RESOURCE_TAGS, _resource_tags),
}
_FIELDS = ("annotations", "labels", "nodeSelector", "tolerations", "nodeAffinity", *_FIRST_CLASS)


def unusual(key: str, value: str) -> str | None:
    """Say which ids in the value of a VCI annotation do not look like ids; None when all do."""
    if key not in vci.USUAL:
        return None
    what, pattern = vci.USUAL[key]
    odd = [item for item in value.split(",") if not pattern.fullmatch(item.strip())]
    return f"{quoted(odd[0])} does not look like a VCI {what}; check its spelling" if odd else None
