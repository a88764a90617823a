"""One item of ``selectors``: read, checked and compiled into an immutable rule."""

from dataclasses import dataclass, field

from webhook.effect import Effect, read_effect
from webhook.labels import OPERATORS, Requirement, Selector, key_problem, value_problem
from webhook.place import Place
from webhook.wording import quoted

PLACEMENTS = ("enforce", "prefer", "overflow", "allow", "off")
ALIASES = {  # the names that the sister products use
    "virtualNodeOnly": "enforce",
    "normalNodePrefer": "overflow",
    "fair": "allow",
    "normalNodeOnly": "off",
}
_FIELDS = (
    "name",
    "priority",
    "namespaceSelector",
    "objectSelector",
    "matchAll",
    "placement",
    "effect",
    "onConflict",
    "onIncompatible",
    "final",
    "mode",
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that can be evaluated: nothing in it needs parsing any more."""

    name: str
    path: str
    priority: int = 0
    namespace_selector: Selector = field(default_factory=Selector)
    object_selector: Selector = field(default_factory=Selector)
    placement: str | None = None
    effect: Effect = field(default_factory=Effect)
    override: bool = False
    place_incompatible: bool = False
    final: bool = False
    shadow: bool = False

    @property
    def ends(self) -> bool:
        """Whether no later rule is evaluated after this one matched."""
        return self.final or self.placement == "off"


def read_rule(place: Place, virtual_node_key: str) -> Rule | None:
    """Read one rule; None when anything in it is an error: half a rule is not the rule meant."""
    before = place.report.errors()
    if not isinstance(place.node.value, dict):
        place.error("a rule is a mapping with at least a name; write one")
        return None
    fields = place.known_fields(_FIELDS)
    effect, burst = (
        read_effect(fields["effect"], virtual_node_key) if "effect" in fields else (Effect(), None)
    )
    namespace_selector, object_selector = _selectors(place, fields)
    rule = Rule(
        name=_name(place, fields),
        path=place.path,
        priority=_integer(fields, "priority"),
        namespace_selector=namespace_selector,
        object_selector=object_selector,
        placement=_placement(fields, burst),
        effect=effect,
        override=_choice(fields, "onConflict", "keep", "override"),
        place_incompatible=_choice(fields, "onIncompatible", "skip", "place"),
        final=_boolean(fields, "final"),
        shadow=_choice(fields, "mode", "active", "shadow"),
    )
    if rule.placement == "off" and effect != Effect():
        fields["effect"].error('"off" ends the evaluation and injects nothing; remove the effect')
    return rule if place.report.errors() == before else None


def _selectors(place: Place, fields: dict[str, Place]) -> tuple[Selector, Selector]:
    """Read both selectors; a rule for every Pod of the cluster must say that it means it."""
    before = place.report.errors()
    selectors = _selector(fields, "namespaceSelector"), _selector(fields, "objectSelector")
    constrained = any(selector.requirements for selector in selectors)
    match_all = _boolean(fields, "matchAll")
    if not constrained and not match_all and place.report.errors() == before:
        place.error(
            "neither selector constrains anything, so it would match every Pod; "
            "add a selector, or matchAll: true if that is meant"
        )
    return selectors


def _name(place: Place, fields: dict[str, Place]) -> str:
    if "name" not in fields:
        place.error("no name; add one, it is what a Pod's trace and the metrics show")
        return ""
    name = fields["name"].string()
    if name is not None and (not name or value_problem(name)):
        fields["name"].error(
            f"{quoted(name)} is no name of a rule; write 1 to 63 of A-Z, a-z, 0-9, '-', '_', '.', "
            "beginning and ending with a letter or digit"
        )
    return name or ""


def _integer(fields: dict[str, Place], name: str) -> int:
    return (fields[name].integer() if name in fields else None) or 0


def _boolean(fields: dict[str, Place], name: str) -> bool:
    return bool(fields[name].boolean()) if name in fields else False


def _choice(fields: dict[str, Place], name: str, default: str, other: str) -> bool:
    """Tell whether the field says ``other``."""
    return name in fields and fields[name].choice((default, other)) == other


def _placement(fields: dict[str, Place], burst: Place | None) -> str | None:
    placement = _written_placement(fields["placement"]) if "placement" in fields else None
    if burst is None:
        return placement
    if burst.node.value != "enforce":
        burst.error('the only value with a meaning is "enforce"; remove this and use placement')
    elif placement not in (None, "enforce"):
        burst.error("contradicts the rule's placement; keep one of them")
    elif "placement" not in fields:
        burst.warning("taken as placement: enforce; write that instead")
    return "enforce"


def _written_placement(place: Place) -> str | None:
    if place.node.value is False:  # YAML reads an unquoted off as false
        return "off"
    text = place.string()
    if text in ALIASES:
        place.warning(f"{quoted(text)} is an alias; write {quoted(ALIASES[text])}")
        return ALIASES[text]
    return place.choice(PLACEMENTS) if text is not None else None


def _selector(fields: dict[str, Place], name: str) -> Selector:
    """Compile a LabelSelector; an absent or null one does not constrain."""
    if name not in fields:
        return Selector()
    parts = fields[name].known_fields(("matchLabels", "matchExpressions"))
    found = []
    if "matchLabels" in parts:
        for key, (value, place) in parts["matchLabels"].string_map().items():
            if problem := key_problem(key):
                parts["matchLabels"].key(key).error(f"{quoted(key)} {problem}")
            if problem := value_problem(value):
                place.error(f"{quoted(value)} {problem}")
            found.append(Requirement(key, "In", frozenset({value})))
    if "matchExpressions" in parts:
        found += [_requirement(item) for item in parts["matchExpressions"].items()]
    return Selector(tuple(found))


def _requirement(place: Place) -> Requirement:
    fields = place.known_fields(("key", "operator", "values"), required=("key", "operator"))
    key = fields["key"].string() if "key" in fields else None
    if key is not None and (problem := key_problem(key)):
        fields["key"].error(f"{quoted(key)} {problem}")
    operator = fields["operator"].choice(OPERATORS) if "operator" in fields else None
    values = fields["values"].items() if "values" in fields else []
    texts = [_label_value(value) for value in values]
    if operator in ("In", "NotIn") and not values:
        place.error(f"{operator} needs at least one value; add it")
    if operator in ("Exists", "DoesNotExist") and values:
        place.error(f"{operator} takes no values; remove them")
    return Requirement(key or "", operator or "Exists", frozenset(texts))


def _label_value(place: Place) -> str:
    text = place.string()
    if text is not None and (problem := value_problem(text)):
        place.error(f"{quoted(text)} {problem}")
    return text or ""
