"""ConfigMap ``data`` in, an immutable Profile with compiled rules out, every problem by its path.

Only ``selectors`` can make a profile invalid as a whole; one bad rule is left out, a bad value of
any other key has no effect. Each is named.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from webhook.advice import advise
from webhook.compose import DocumentError
from webhook.defaults import DEFAULT_KEYS, Defaults, read_defaults
from webhook.document import parse_documents
from webhook.index import RuleIndex, index_rules
from webhook.memory import Memory
from webhook.node import Node
from webhook.place import Place
from webhook.problems import Problem, Report
from webhook.rules import Rule, read_rule
from webhook.shape import Relevant, Shape, relevant_to
from webhook.wording import nearest, quoted, shortened

if TYPE_CHECKING:
    from webhook.mutate import Mutation
    from webhook.plan import Plan

KEYS = (*DEFAULT_KEYS, "selectors")
_MEMORY_BYTES = 8 << 20  # some three thousand shapes of Pods; a workflow has two or three
_VALUES_LIMIT = 300_000  # of one ConfigMap's selectors; ten thousand rules have half of them


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile that was accepted: rules in the order of their evaluation, shadow rules among them.

    ``index`` finds those that may match a Pod; ``relevant`` is what they look at. ``plans``
    remembers what rules that matched together amount to, ``mutations`` what was decided about Pods
    of a shape; they are memories, no part of the value.
    """

    version: str = ""
    defaults: Defaults = field(default_factory=Defaults)
    rules: tuple[Rule, ...] = ()
    index: RuleIndex = field(default_factory=RuleIndex)
    relevant: Relevant = field(default_factory=Relevant)
    plans: "dict[tuple[int, ...], Plan]" = field(default_factory=dict, compare=False, repr=False)
    mutations: "Memory[Shape, Mutation]" = field(
        default_factory=lambda: Memory(_MEMORY_BYTES), compare=False, repr=False
    )


def build_profile(version: str, defaults: Defaults, rules: Iterable[Rule]) -> Profile:
    """Order the rules by priority, keeping the list's order among equals, and index them."""
    ordered = tuple(sorted(rules, key=lambda rule: -rule.priority))
    relevant = relevant_to(ordered, defaults, version)
    return Profile(version, defaults, ordered, index_rules(ordered), relevant)


def parse_profile(data: Mapping[str, str], version: str) -> tuple[Profile | None, list[Problem]]:
    """Compile the ``data`` of a ConfigMap; the profile is None when it is invalid as a whole.

    ``version`` names the profile on the Pods that it changed: a resourceVersion, or a hash. The
    problems stand in the order of the text.
    """
    report = Report()
    for key in sorted(data.keys() - set(KEYS)):
        near = "" if report.is_full("warning") else nearest(key, KEYS)
        report.warning(shortened(key), f"unknown key, has no effect{near or '; remove it'}")
    defaults = read_defaults(data, report)
    places = _read_selectors(data.get("selectors", ""), report)
    profile = None
    if places is not None:
        profile = build_profile(version, defaults, _read_rules(places, defaults))
        advise(profile.rules, defaults, {place.path: place for place in places}, report)
    return profile, report.listed("selectors")


def _read_selectors(text: str, report: Report) -> list[Place] | None:
    """Return the place of each rule; None when the text is no list."""
    try:
        documents = parse_documents(text, "selectors", _VALUES_LIMIT)
    except DocumentError as error:
        report.error("selectors", error.what, Node(None, error.line, error.column))
        return None
    root = Place(documents[0] if documents else Node([]), "selectors", report)
    if len(documents) > 1:
        report.error("selectors", "more than one document; keep one list", documents[1])
        return None
    before = report.errors()
    places = root.items()
    if report.errors() > before:
        return None
    if not places:
        root.warning("no rules, so no Pod is touched; add one")
    return places


def _read_rules(places: Iterable[Place], defaults: Defaults) -> list[Rule]:
    rules = []
    names: set[str] = set()
    for place in places:
        rule = read_rule(place, defaults.virtual_node.label[0])
        name = place.node.get("name")
        if name is None or not isinstance(name.value, str):
            continue
        if name.value in names:
            taken = f"the name {quoted(name.value)} is taken by an earlier rule; choose another"
            Place(name, f"{place.path}.name", place.report).error(taken)
        elif rule is not None:
            rules.append(rule)
        names.add(name.value)
    return rules
