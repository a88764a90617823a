"""Node affinity as an effect may ask for it, checked by the API server's own rules."""

import re
from collections.abc import Mapping
from typing import Any

from webhook.labels import key_problem, value_problem
from webhook.place import Place, quoted

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_WEIGHTS = range(1, 101)
_INT64 = range(-(2**63), 2**63)

Terms = tuple[Mapping[str, Any], ...]


def read_node_affinity(place: Place) -> tuple[Terms, Terms]:
    """Read a nodeAffinity; return its required terms (ORed) and its preferred terms."""
    fields = place.known_fields((_REQUIRED, _PREFERRED))
    required: Terms = ()
    preferred: Terms = ()
    if _REQUIRED in fields:
        required = _required(fields[_REQUIRED])
    if _PREFERRED in fields:
        preferred = tuple(_preferred(item) for item in fields[_PREFERRED].items())
    return required, preferred


def _required(place: Place) -> Terms:
    terms = place.known_fields(("nodeSelectorTerms",)).get("nodeSelectorTerms")
    if terms is None or not terms.items():
        place.error("no nodeSelectorTerms; add a term or remove the field")
        return ()
    return tuple(_term(item) for item in terms.items())


def _preferred(place: Place) -> Mapping[str, Any]:
    fields = place.known_fields(("weight", "preference"))
    weight = fields["weight"].integer() if "weight" in fields else None
    if "preference" not in fields:
        place.error("no preference; add the term to prefer")
        return {}
    if weight is None or weight not in _WEIGHTS:
        place.error(f"weight {quoted(weight)} is not an integer from 1 to 100; write one")
    return {"weight": weight, "preference": _term(fields["preference"])}


def _term(place: Place) -> Mapping[str, Any]:
    fields = place.known_fields(("matchExpressions", "matchFields"))
    found = {}
    if "matchExpressions" in fields:
        found["matchExpressions"] = [_expression(e) for e in fields["matchExpressions"].items()]
    if "matchFields" in fields:
        found["matchFields"] = [_field(f) for f in fields["matchFields"].items()]
    found = {name: requirements for name, requirements in found.items() if requirements}
    if not found:
        place.error("an empty term matches no node at all; add an expression or remove the term")
    return found


def _requirement(place: Place) -> dict[str, Any]:
    fields = place.known_fields(("key", "operator", "values"))
    found: dict[str, Any] = {}
    for name in ("key", "operator"):
        if name not in fields:
            place.error(f"no {name}; add it")
    if "key" in fields:
        found["key"] = fields["key"].string() or ""
    if "operator" in fields:
        found["operator"] = fields["operator"].choice(_OPERATORS)
    if "values" in fields and (values := fields["values"].strings()):
        found["values"] = values
    return found


def _expression(place: Place) -> dict[str, Any]:
    found = _requirement(place)
    values: list[str] = found.get("values", [])
    if problem := key_problem(found.get("key", "")):
        place.error(problem)
    match found.get("operator"):
        case "In" | "NotIn":
            if not values:
                place.error(f"{found['operator']} needs at least one value; add it")
        case "Exists" | "DoesNotExist":
            if values:
                place.error(f"{found['operator']} takes no values; remove them")
        case "Gt" | "Lt":
            if len(values) != 1 or not _is_integer(values[0]):
                place.error(f"{found['operator']} needs exactly one value, an integer in quotes")
    for value in values:
        if problem := value_problem(value):
            place.error(f"{quoted(value)}: {problem}")
    return found


def _field(place: Place) -> dict[str, Any]:
    found = _requirement(place)
    if found.get("key") != "metadata.name":
        place.error("the one field to match is metadata.name; use it or matchExpressions")
    if found.get("operator") not in ("In", "NotIn") or len(found.get("values", [])) != 1:
        place.error("a field takes In or NotIn and exactly one value; use one term a name")
    return found


def _is_integer(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?\d{1,19}", text)) and int(text) in _INT64
