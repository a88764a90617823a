"""A rule is what its author wrote, or it is left out with every reason why."""

import pytest

from tests.unit.profiles import Refusal, assert_one, read, refusals, refused, rule_of, warned
from webhook.effect import Effect
from webhook.labels import Requirement, Selector
from webhook.rules import ALIASES, PLACEMENTS

RULE = "selectors[0]"
NAME_LENGTH = 63


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_placement_is_accepted(placement: str) -> None:
    """The five names of a placement mean themselves."""
    assert rule_of(f"placement: '{placement}'").placement == placement


@pytest.mark.parametrize("written", ["off", "Off", "no", "false"])
def test_an_unquoted_off_is_off(written: str) -> None:
    """YAML reads it as false, so false is accepted as off."""
    assert rule_of(f"placement: {written}").placement == "off"


@pytest.mark.parametrize(("alias", "placement"), ALIASES.items())
def test_an_alias_is_accepted_and_reported(alias: str, placement: str) -> None:
    """The sister products' names are understood, and the message names ours."""
    problems = warned(f"placement: {alias}")
    assert_one(problems, "warning", f"{RULE}.placement", alias, f'write "{placement}"')
    profile, _ = read({"selectors": f"[{{name: r, matchAll: true, placement: {alias}}}]"})
    assert profile is not None
    assert profile.rules[0].placement == placement


def test_a_rule_without_optional_fields_has_the_documented_defaults() -> None:
    """Priority 0, keep, skip, active, not final, no placement, no effect."""
    rule = rule_of("")
    assert (rule.name, rule.priority, rule.placement, rule.effect) == ("r", 0, None, Effect())
    assert {rule.override, rule.place_incompatible, rule.final, rule.shadow} == {False}
    assert not rule.ends


def test_every_optional_field_is_read() -> None:
    """What is written is what the rule does."""
    rule = rule_of(
        """
        priority: -7
        onConflict: override
        onIncompatible: place
        final: true
        mode: shadow
        """
    )
    assert rule.priority == -7
    assert rule.override
    assert rule.place_incompatible
    assert rule.final
    assert rule.ends
    assert rule.shadow


def test_off_ends_the_evaluation() -> None:
    """A rule with placement off is the last one to be evaluated, without final."""
    rule = rule_of("placement: 'off'")
    assert rule.ends
    assert not rule.final


def test_selectors_are_compiled() -> None:
    """Labels and expressions of both selectors become requirements."""
    rule = rule_of(
        """
        namespaceSelector: {matchLabels: {a: b}}
        objectSelector:
          matchExpressions:
          - {key: c/d, operator: NotIn, values: [x, y]}
          - {key: e, operator: Exists}
          - {key: f, operator: DoesNotExist, values: []}
        """
    )
    assert rule.namespace_selector == Selector((Requirement("a", "In", frozenset("b")),))
    assert rule.object_selector == Selector(
        (
            Requirement("c/d", "NotIn", frozenset("xy")),
            Requirement("e", "Exists"),
            Requirement("f", "DoesNotExist"),
        )
    )


@pytest.mark.parametrize("name", ["namespaceSelector", "objectSelector"])
@pytest.mark.parametrize("value", ["null", "{}", "{matchLabels: null, matchExpressions: []}"])
def test_an_absent_null_or_empty_selector_does_not_constrain(name: str, value: str) -> None:
    """It matches whatever the labels are."""
    rule = rule_of(f"{name}: {value}")
    assert rule.namespace_selector == rule.object_selector == Selector()


@pytest.mark.parametrize(
    "selectors",
    [
        "[{name: r}]",
        "[{name: r, matchAll: false}]",
        "[{name: r, namespaceSelector: {}, objectSelector: {matchLabels: {}}}]",
        "[{name: r, namespaceSelector: null}]",
    ],
)
def test_a_rule_for_everything_must_say_so(selectors: str) -> None:
    """Without matchAll: true a rule whose selectors are empty is refused: it may be a typo."""
    profile, problems = read({"selectors": selectors})
    assert profile is not None
    assert profile.rules == ()
    assert_one(problems, "error", RULE, "every Pod", "add a selector, or matchAll: true")


def test_a_misread_selector_does_not_suggest_match_all() -> None:
    """A typo in a selector is reported, and not that the rule would match every Pod."""
    _, problems = read({"selectors": "[{name: r, objectSelector: {matchLabel: {a: b}}}]"})
    assert_one(problems, "error", f"{RULE}.objectSelector.matchLabel", "did you mean")


def test_an_expression_without_key_and_operator_lacks_both() -> None:
    """Each missing field is a problem of its own."""
    problems = refused("objectSelector: {matchExpressions: [{}]}")
    assert [problem.message for problem in problems] == [
        "no key; add it",
        "no operator; add it",
    ]


@pytest.mark.parametrize("case", refusals("rule"), ids=str)
def test_a_rule_with_an_error_is_left_out(case: Refusal) -> None:
    """Each refusal names the place, what is wrong and what to do; half a rule never acts."""
    assert_one(refused(case.text), "error", f"{RULE}.{case.path}".rstrip("."), *case.says)


def test_a_number_without_end_is_no_integer() -> None:
    """It is not even converted, and shown in part."""
    problems = refused(f"priority: {'9' * 5000}")
    assert_one(problems, "error", f"{RULE}.priority", f'a number "{"9" * 77}..." where an integer')


NAMES = {
    "none": ("[{matchAll: true}]", "[0]", "no name; add one"),
    "empty": ("[{name: '', matchAll: true}]", "[0].name", '"" is no name of a rule; write 1 to 63'),
    "long": (f"[{{name: {'x' * 64}, matchAll: true}}]", "[0].name", "is no name of a rule"),
    "blank": ("[{name: a b, matchAll: true}]", "[0].name", '"a b" is no name of a rule'),
    "number": ("[{name: 5, matchAll: true}]", "[0].name", 'an integer "5" where a string belongs'),
    "null": ("[{name: null, matchAll: true}]", "[0].name", "null where a string belongs"),
}


@pytest.mark.parametrize(("text", "path", "words"), NAMES.values(), ids=NAMES)
def test_a_rule_needs_a_name(text: str, path: str, words: str) -> None:
    """A name is required, at most 63 characters, and a legal label value."""
    profile, problems = read({"selectors": text})
    assert profile is not None
    assert profile.rules == ()
    assert_one(problems, "error", f"selectors{path}", words)


def test_the_longest_name_is_accepted() -> None:
    """A name of 63 characters is one."""
    profile, problems = read({"selectors": f"[{{name: {'x' * NAME_LENGTH}, matchAll: true}}]"})
    assert problems == []
    assert profile is not None
    assert len(profile.rules[0].name) == NAME_LENGTH


def test_of_two_rules_with_one_name_the_later_is_bad() -> None:
    """Whatever their priorities, and even when the earlier one is left out itself."""
    profile, problems = read(
        {
            "selectors": "[{name: a, matchAll: true}, {name: b, matchAll: true, x: 1},"
            "{name: a, matchAll: true, priority: 9}, {name: b, matchAll: true}]"
        }
    )
    assert profile is not None
    assert [rule.path for rule in profile.rules] == [RULE]
    named = [(p.path, p.message) for p in problems if "name" in p.path]
    assert named == [
        (f"selectors[{i}].name", f'the name "{n}" is taken by an earlier rule; choose another')
        for i, n in ((2, "a"), (3, "b"))
    ]


@pytest.mark.parametrize("item", ["text", "5", "null", "[a]"])
def test_a_rule_is_a_mapping(item: str) -> None:
    """Anything else in the list is an error of its own, and the other rules act."""
    profile, problems = read({"selectors": f"[{item}, {{name: r, matchAll: true}}]"})
    assert profile is not None
    assert [rule.name for rule in profile.rules] == ["r"]
    assert_one(problems, "error", RULE, "a rule is a mapping", "write one")


def test_burst_under_annotations_is_an_alias() -> None:
    """Without a placement it means placement: enforce; the annotation itself is not injected."""
    text = "effect: {annotations: {vke.volcengine.com/burst-to-vci: enforce}}"
    problems = warned(text)
    path = f"{RULE}.effect.annotations.vke.volcengine.com/burst-to-vci"
    assert_one(problems, "warning", path, "taken as placement: enforce", "write that instead")
    profile, _ = read({"selectors": f"[{{name: r, matchAll: true, {text}}}]"})
    assert profile is not None
    assert profile.rules[0].placement == "enforce"
    assert profile.rules[0].effect.annotations == {}


def test_burst_beside_enforce_says_the_same_twice() -> None:
    """That is no contradiction."""
    rule = rule_of(
        """
        placement: enforce
        effect: {annotations: {vke.volcengine.com/burst-to-vci: enforce}}
        """
    )
    assert rule.placement == "enforce"


def test_burst_beside_a_wrong_placement_is_one_problem() -> None:
    """What the placement was meant to be is not known, so nothing is said to contradict it."""
    problems = refused(
        """
        placement: enforced
        effect: {annotations: {vke.volcengine.com/burst-to-vci: enforce}}
        """
    )
    assert_one(problems, "error", f"{RULE}.placement", "did you mean")


def test_every_problem_of_a_rule_is_named_at_once() -> None:
    """Reading goes on after an error, in the order of the text."""
    problems = refused("priority: x\nfinal: 1\nmode: zzz\neffect: {kubeProxy: 5}")
    assert [problem.path.removeprefix(f"{RULE}.") for problem in problems] == [
        "priority",
        "final",
        "mode",
        "effect.kubeProxy",
    ]
