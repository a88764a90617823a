"""Node affinity as an effect may ask for it, checked by the API server's own rules."""

import re
from collections.abc import Mapping
from typing import Any

from webhook.labels import is_node_name, key_problem, value_problem
from webhook.place import Place
from webhook.wording import quoted

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_WEIGHTS = range(1, 101)
_NODE_NAME = "metadata.name"
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
    before = place.report.errors()
    terms = place.known_fields(("nodeSelectorTerms",)).get("nodeSelectorTerms")
    items = terms.items() if terms is not None else []
    if not items and place.report.errors() == before:
        place.error("no nodeSelectorTerms; add a term or remove the field")
    return tuple(_term(item) for item in items)


def _preferred(place: Place) -> Mapping[str, Any]:
    fields = place.known_fields(("weight", "preference"), required=("weight", "preference"))
    weight = fields["weight"].integer() if "weight" in fields else None
    if weight is not None and weight not in _WEIGHTS:
        shown = quoted(fields["weight"].node.written)
        fields["weight"].error(f"{shown} is no weight; write an integer from 1 to 100")
    preference = _term(fields["preference"]) if "preference" in fields else {}
    return {"weight": weight, "preference": preference}


def _term(place: Place) -> Mapping[str, Any]:
    before = place.report.errors()
    fields = place.known_fields(("matchExpressions", "matchFields"))
    found = {
        name: [read(item) for item in fields[name].items()]
        for name, read in (("matchExpressions", _expression), ("matchFields", _field))
        if name in fields
    }
    found = {name: requirements for name, requirements in found.items() if requirements}
    if not found and place.report.errors() == before:
        place.error("an empty term matches no node and prefers none; fill it or remove it")
    return found


def _requirement(place: Place, operators: tuple[str, ...]) -> tuple[dict[str, Any], list[Place]]:
    """Read what expressions and fields have in common; return it with the places of its values."""
    fields = place.known_fields(("key", "operator", "values"), required=("key", "operator"))
    found: dict[str, Any] = {}
    if "key" in fields:
        found["key"] = fields["key"].string()
    if "operator" in fields:
        found["operator"] = fields["operator"].choice(operators)
    values = fields["values"].items() if "values" in fields else []
    if values:
        found["values"] = [value.string() for value in values]
    return found, values


def _expression(place: Place) -> dict[str, Any]:
    found, values = _requirement(place, _OPERATORS)
    key, operator = found.get("key"), found.get("operator")
    if key is not None and (problem := key_problem(key)):
        place.below("key").error(f"{quoted(key)} {problem}")
    match operator:
        case "In" | "NotIn" if not values:
            place.error(f"{operator} needs at least one value; add it")
        case "Exists" | "DoesNotExist" if values:
            place.error(f"{operator} takes no values; remove them")
        case "Gt" | "Lt" if len(values) != 1 or not _is_integer(found["values"][0]):
            place.error(f"{operator} compares integers; give exactly one value, in quotes")
    for value in values:
        text = value.node.value
        if isinstance(text, str) and (problem := value_problem(text)):
            value.error(f"{quoted(text)} {problem}")
    return found


def _field(place: Place) -> dict[str, Any]:
    found, values = _requirement(place, ("In", "NotIn"))
    if found.get("key", _NODE_NAME) not in (None, _NODE_NAME):
        place.below("key").error(f"the one field to match is {_NODE_NAME}; use matchExpressions")
    if len(values) != 1:
        place.error("a field takes exactly one value; write a term for each name")
    for value in values:
        text = value.node.value
        if isinstance(text, str) and not is_node_name(text):
            value.error(f"{quoted(text)} is no node's name; write one as kubectl get nodes does")
    return found


def _is_integer(text: str | None) -> bool:
    return (
        text is not None and bool(re.fullmatch(r"[+-]?[0-9]{1,19}", text)) and int(text) in _INT64
    )
