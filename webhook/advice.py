"""What is legal but unwise in a profile: rules that never act, or would act differently twice.

Everything here is a warning; the rules act as they are written.
"""

from collections.abc import Iterator, Mapping, Sequence

from webhook import vci
from webhook.defaults import Defaults
from webhook.hidden import Hidden, find_hidden
from webhook.labels import Allowed
from webhook.place import Place
from webhook.placement import TERMS_LIMIT, excludes, read_term
from webhook.problems import Report
from webhook.rules import Rule
from webhook.wording import listed, quoted

_NAMESPACE_NAME = "kubernetes.io/metadata.name"  # a label that every namespace has


def advise(
    rules: Sequence[Rule], defaults: Defaults, places: Mapping[str, Place], report: Report
) -> None:
    """Report what is unwise; ``rules`` in the order of evaluation, ``places`` by their path."""
    setters = _label_setters(rules, defaults)
    for rule in rules:
        place = places[rule.path]
        _advise_selectors(rule, place)
        _advise_unstable_labels(place, setters)
        _advise_affinity(rule, place, defaults)
        _advise_burst_label(rule, place, defaults)
    hidden, checked = find_hidden(rules)
    for one in hidden:
        places[one.rule.path].warning(_why_hidden(one))
    if checked < len(rules):
        report.warning(
            "selectors",
            f"from rule {quoted(rules[checked].name)} on it was not checked which rules never act: "
            "too many overlap; select by label values",
        )


def _why_hidden(hidden: Hidden) -> str:
    if hidden.ended:
        return (
            f"never evaluated: {listed(hidden.earlier)} comes first, matches every Pod that this "
            "rule matches, and ends the evaluation; give this rule a higher priority, or remove it"
        )
    return (
        f"changes nothing: wherever it matches, {listed(hidden.earlier)} came first and decided "
        "all that it names; give it a higher priority, or remove it"
    )


def _advise_selectors(rule: Rule, place: Place) -> None:
    """Report a selector that no Pod can meet, or only Pods that are never touched."""
    for name, selector in (
        ("namespaceSelector", rule.namespace_selector),
        ("objectSelector", rule.object_selector),
    ):
        if not selector.requirements:
            continue
        at = place.below(name)
        allowed = selector.allowed()
        if key := selector.contradiction():
            at.warning(f"no object meets all conditions on {quoted(key)}; correct one of them")
        elif _needs_one_of(allowed.get(vci.OPT_OUT), {"false"}):
            at.warning(f'"{vci.OPT_OUT}: false" keeps the webhook away; select by another label')
        elif name == "namespaceSelector" and _needs_one_of(
            allowed.get(_NAMESPACE_NAME), vci.SYSTEM_NAMESPACES
        ):
            at.warning("Pods in the system's own namespaces are never touched; name others")


def _needs_one_of(allowed: Allowed | None, values: "set[str] | frozenset[str]") -> bool:
    return allowed is not None and not allowed.absent and (allowed.values or {""}) <= values


def _label_setters(rules: Sequence[Rule], defaults: Defaults) -> dict[str, str]:
    """Map each label that a Pod may be given to what gives it, as a person would name it."""
    setters: dict[str, str] = {}
    if defaults.self_built:
        setters[vci.BURST] = "placement enforce, with clusterType selfBuilt"
    for rule in rules:
        for key in rule.effect.labels:
            setters.setdefault(key, f"rule {quoted(rule.name)}")
    return setters


def _advise_unstable_labels(place: Place, setters: Mapping[str, str]) -> None:
    """Report a selector that may see, at a second admission, what the first one added."""
    told = set()
    for key, at in _object_selector_keys(place):
        if key in setters and key not in told:
            told.add(key)
            at.warning(
                f"the label {quoted(key)} is also set by {setters[key]}, so that the same Pod may "
                "match differently when it is admitted again; select by another label"
            )


def _object_selector_keys(place: Place) -> Iterator[tuple[str, Place]]:
    """Yield each key of the objectSelector with the place where it is written."""
    selector = place.below("objectSelector")
    labels = selector.node.get("matchLabels")
    for key, node in (labels.keys if labels is not None else {}).items():
        yield key, Place(node, f"{selector.path}.matchLabels", place.report)
    expressions = selector.node.get("matchExpressions")
    items = expressions.value if expressions is not None else None
    for index, item in enumerate(items if isinstance(items, list) else ()):
        path = f"{selector.path}.matchExpressions[{index}]"
        at = Place(item, path, place.report).below("key")
        yield str(at.node.value), at


def _advise_burst_label(rule: Rule, place: Place, defaults: Defaults) -> None:
    """Report a label that demands, at a second admission, what the first one did not do."""
    placement = rule.placement or defaults.placement
    demands = defaults.self_built and rule.effect.labels.get(vci.BURST) == "enforce"
    if demands and placement != "enforce":
        place.below("effect").below("labels").below(vci.BURST).warning(
            f"demands enforce when the same Pod is admitted again, where the placement is "
            f"{quoted(placement)} now; use placement: enforce"
        )


def _advise_affinity(rule: Rule, place: Place, defaults: Defaults) -> None:
    """Report required terms that keep every Pod of the rule from being placed."""
    placement = rule.placement or defaults.placement
    terms = [read_term(term) for term in rule.effect.required_terms]
    at = place.below("effect").below("nodeAffinity")
    if len(terms) > TERMS_LIMIT:
        at.warning(
            f"more than {TERMS_LIMIT} required terms, so every Pod of this rule is left alone; "
            "use fewer"
        )
    elif placement != "off" and excludes(terms, defaults.virtual_node.label):
        what = "every Pod is left alone" if placement == "enforce" else "no Pod runs on one"
        at.warning(f"no virtual node meets the required terms, so {what}; correct them")
