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
from webhook.place import Place, quoted

_INT32 = range(-(2**31), 2**31)
_CANONICAL_INTEGER = re.compile(r"0|-[0-9]{1,10}|[1-9][0-9]{0,9}")
_TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


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


def read_effect(place: Place, virtual_node_key: str) -> tuple[Effect, str | None]:
    """Read an effect; return it with the value of ``burst-to-vci`` that it tried to set.

    That annotation is a placement in disguise, so the rule decides what becomes of it.
    """
    fields = place.known_fields(_FIELDS)
    annotations = _annotations(fields["annotations"]) if "annotations" in fields else {}
    burst = annotations.pop(vci.BURST, None)
    for name, (key, read) in _FIRST_CLASS.items():
        if name not in fields:
            continue
        if key in annotations:
            message = f'sets the annotation "{key}", as effect.annotations does; keep one of them'
            fields[name].error(message)
        elif (value := read(fields[name])) is not None:
            annotations[key] = value
    for key, value in annotations.items():
        _warn_unusual(fields, key, value)
    if vci.annotations_size(annotations) > vci.ANNOTATIONS_LIMIT_BYTES:
        place.error("annotations of more than 256 KiB in all; the API server would refuse the Pod")
    required, preferred = (
        read_node_affinity(fields["nodeAffinity"]) if "nodeAffinity" in fields else ((), ())
    )
    effect = Effect(
        annotations=annotations,
        labels=_labels(fields["labels"]) if "labels" in fields else {},
        node_selector=_node_selector(fields, virtual_node_key),
        tolerations=_tolerations(fields["tolerations"]) if "tolerations" in fields else (),
        required_terms=required,
        preferred_terms=preferred,
    )
    return effect, burst


def _annotations(place: Place) -> dict[str, str]:
    found = {}
    for key, (text, at) in place.string_map().items():
        problem = key_problem(key.lower()) or _reserved(key) or _interpreted(key, text)
        if problem:
            at.error(problem)
        else:
            found[key] = text
    return found


def _labels(place: Place) -> dict[str, str]:
    found = {}
    for key, (text, at) in place.string_map().items():
        problem = key_problem(key) or _reserved(key) or value_problem(text)
        if problem:
            at.error(problem)
        else:
            found[key] = text
    return found


def _node_selector(fields: dict[str, Place], virtual_node_key: str) -> dict[str, str]:
    if "nodeSelector" not in fields:
        return {}
    found = {}
    for key, (text, at) in fields["nodeSelector"].string_map().items():
        problem = key_problem(key) or value_problem(text)
        if key == virtual_node_key:
            problem = "this label marks virtual nodes, so it is set by placement; use placement"
        if problem:
            at.error(problem)
        else:
            found[key] = text
    return found


def _reserved(key: str) -> str | None:
    prefix, _, _ = key.rpartition("/")
    if key in vci.WRITTEN_BACK:
        return "VCI writes this back on running Pods; remove it"
    if prefix in ("workflows.argoproj.io", "vci-webhook"):
        return f"keys under {prefix}/ steer that program itself; remove it"
    return None


def _interpreted(key: str, value: str) -> str | None:
    """Refuse annotations by which the API server itself judges a Pod."""
    prefix, _, _ = key.lower().rpartition("/")
    if (
        key == "kubernetes.io/config.mirror"
        or prefix == "container.apparmor.security.beta.kubernetes.io"
        or f".{prefix}".endswith(".alpha.kubernetes.io")
    ):
        return "the API server interprets this annotation and may refuse the Pod; remove it"
    if key == "controller.kubernetes.io/pod-deletion-cost" and not (
        _CANONICAL_INTEGER.fullmatch(value) and int(value) in _INT32
    ):
        return f"{quoted(value)} is not a 32-bit integer; the API server would refuse the Pod"
    return None


def _id_list(place: Place) -> str | None:
    """Join a list of ids as VCI reads it: commas, no blanks, in order of preference."""
    ids = [text.strip() for text in place.strings()]
    if not ids:
        place.warning("an empty list sets nothing; remove it or name one")
        return None
    return ",".join(ids)


def _system_disk(place: Place) -> str | None:
    size = place.integer()
    if size is None or size in vci.SYSTEM_DISK_GIB:
        return None if size is None else str(size)
    place.error(f"{size} GiB is outside 40 to 500; VCI would refuse the Pod")
    return None


def _flag(place: Place) -> str | None:
    flag = place.boolean()
    return None if flag is None else str(flag).lower()


def _resource_tags(place: Place) -> str | None:
    tags = []
    for key, (text, at) in place.string_map().items():
        if not key or "," in key + text or ":" in key:
            at.error("a tag is written key:value, comma-separated; remove the comma or colon")
        tags.append(f"{key}:{text}")
    return ",".join(tags) or None


_FIRST_CLASS: dict[str, tuple[str, Callable[[Place], str | None]]] = {
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


def _warn_unusual(fields: dict[str, Place], key: str, value: str) -> None:
    names = [name for name, (set_key, _) in _FIRST_CLASS.items() if set_key == key]
    place = next((fields[n] for n in (*names, "annotations") if n in fields), None)
    if place and (what := unusual(key, value)):
        place.warning(what)


def unusual(key: str, value: str) -> str | None:
    """Say which ids in the value of a VCI annotation do not look like ids; None when all do."""
    if key not in vci.USUAL:
        return None
    what, pattern = vci.USUAL[key]
    odd = [item for item in value.split(",") if not pattern.fullmatch(item.strip())]
    return f"{quoted(odd[0])} does not look like a VCI {what}; check its spelling" if odd else None


def _tolerations(place: Place) -> tuple[Mapping[str, Any], ...]:
    return tuple(t for item in place.items() if (t := _toleration(item)) is not None)


def _toleration(place: Place) -> dict[str, Any] | None:
    """Read one toleration by the API server's own rules (core validation, ValidateTolerations)."""
    before = place.report.errors()
    known = ("key", "operator", "value", "effect", "tolerationSeconds")
    fields = place.known_fields(known)
    found: dict[str, Any] = {}
    if "key" in fields and (key := fields["key"].string()):
        found["key"] = key
        if problem := key_problem(key):
            fields["key"].error(problem)
    if "operator" in fields and (operator := fields["operator"].choice(("Exists", "Equal"))):
        found["operator"] = operator
    if "value" in fields and (value := fields["value"].string()):
        found["value"] = value
        if problem := value_problem(value):
            fields["value"].error(problem)
    if "effect" in fields and (effect := fields["effect"].choice((*_TAINT_EFFECTS, ""))):
        found["effect"] = effect
    if "tolerationSeconds" in fields:
        found["tolerationSeconds"] = fields["tolerationSeconds"].integer()
    _check_toleration(place, found)
    return found if place.report.errors() == before else None


def _check_toleration(place: Place, toleration: dict[str, Any]) -> None:
    exists = toleration.get("operator") == "Exists"
    if exists and toleration.get("value"):
        place.error("Exists takes no value; remove the value or use Equal")
    if not exists and "key" not in toleration:
        place.error("a toleration without key needs operator Exists; add the key")
    if "tolerationSeconds" in toleration and toleration.get("effect") != "NoExecute":
        place.error("tolerationSeconds needs effect NoExecute; remove it or set the effect")
    if exists and "key" not in toleration:
        place.warning("tolerates every taint, that of a broken node too; name the key")
