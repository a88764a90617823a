"""Node affinity in an effect is what the API server accepts in a Pod, and nothing else."""

import pytest

from tests.unit.profiles import Refusal, assert_one, refusals, refused, rule_of

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
AFFINITY = "selectors[0].effect.nodeAffinity"
TERM = f"{AFFINITY}.{REQUIRED}.nodeSelectorTerms[0]"


def required(term: str) -> str:
    return f"effect: {{nodeAffinity: {{{REQUIRED}: {{nodeSelectorTerms: [{term}]}}}}}}"


def preferred(item: str) -> str:
    return f"effect: {{nodeAffinity: {{{PREFERRED}: [{item}]}}}}"


EXPRESSIONS = [
    {"key": "a/b", "operator": "In", "values": ["c", ""]},
    {"key": "a", "operator": "NotIn", "values": ["b"]},
    {"key": "a", "operator": "Exists"},
    {"key": "a", "operator": "DoesNotExist"},
    {"key": "a", "operator": "Gt", "values": ["5"]},
    {"key": "a", "operator": "Lt", "values": ["9223372036854775807"]},
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_is_kept_as_it_is_written(expression: dict[str, object]) -> None:
    """All six operators."""
    rule = rule_of(required(f"{{matchExpressions: [{expression}]}}"))
    assert rule.effect.required_terms == ({"matchExpressions": [expression]},)
    assert rule.effect.preferred_terms == ()


def test_a_field_is_kept_as_it_is_written() -> None:
    """Nodes may be named, one in a term."""
    field = {"key": "metadata.name", "operator": "NotIn", "values": ["node-1.local"]}
    rule = rule_of(required(f"{{matchFields: [{field}], matchExpressions: []}}"))
    assert rule.effect.required_terms == ({"matchFields": [field]},)


def test_preferred_terms_are_kept_as_they_are_written() -> None:
    """Weight and preference, in order."""
    term = "{matchExpressions: [{key: a, operator: Exists}]}"
    first, last = f"{{weight: 1, preference: {term}}}", f"{{weight: 100, preference: {term}}}"
    rule = rule_of(preferred(f"{first}, {last}"))
    read = {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
    assert rule.effect.preferred_terms == (
        {"weight": 1, "preference": read},
        {"weight": 100, "preference": read},
    )


KINDS = {  # what a case gives, and where that stands in a rule
    "affinity": ("effect: {nodeAffinity: %s}", AFFINITY),
    "term": (required("%s"), TERM),
    "expression": (required("{matchExpressions: [%s]}"), f"{TERM}.matchExpressions[0]"),
    "field": (required("{matchFields: [%s]}"), f"{TERM}.matchFields[0]"),
    "preferred": (preferred("%s"), f"{AFFINITY}.{PREFERRED}[0]"),
}


@pytest.mark.parametrize("case", refusals("affinity"), ids=str)
def test_what_the_api_server_refuses_is_refused(case: Refusal) -> None:
    """Each refusal names the place, what is wrong and what to do."""
    rule, path = KINDS[case.kind]
    assert_one(refused(rule % case.text), "error", f"{path}{case.path}", *case.says)
