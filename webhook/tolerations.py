"""Tolerations as an effect may ask for them, checked by the API server's own rules."""

from collections.abc import Mapping
from typing import Any

from webhook.labels import key_problem, value_problem
from webhook.place import Place
from webhook.wording import quoted

TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_INT64 = range(-(2**63), 2**63)


def read_tolerations(place: Place) -> tuple[Mapping[str, Any], ...]:
    """Read a list of tolerations; those with an error are left out."""
    return tuple(t for item in place.items() if (t := _toleration(item)) is not None)


def _toleration(place: Place) -> dict[str, Any] | None:
    before = place.report.errors()
    known = ("key", "operator", "value", "effect", "tolerationSeconds")
    fields = place.known_fields(known)
    found: dict[str, Any] = {}
    if "key" in fields and (key := fields["key"].string()):
        found["key"] = key
        if problem := key_problem(key):
            fields["key"].error(f"{quoted(key)} {problem}")
    if "operator" in fields and (operator := fields["operator"].choice(("Exists", "Equal"))):
        found["operator"] = operator
    if "value" in fields and (value := fields["value"].string()):
        found["value"] = value
        if problem := value_problem(value):
            fields["value"].error(f"{quoted(value)} {problem}")
    if "effect" in fields and (effect := fields["effect"].choice((*TAINT_EFFECTS, ""))):
        found["effect"] = effect
    if "tolerationSeconds" in fields:
        found["tolerationSeconds"] = _seconds(fields["tolerationSeconds"])
    if place.report.errors() == before:
        _check_toleration(place, found)
    return found if place.report.errors() == before else None


def _seconds(place: Place) -> int | None:
    seconds = place.integer()
    if seconds is not None and seconds not in _INT64:
        place.error(f"{quoted(place.node.written)} is no 64-bit integer; write a smaller one")
    return seconds


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
