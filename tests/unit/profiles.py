"""Profiles as tests write them: a few lines of YAML in, the rule or its problems out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

import yaml

from webhook.problems import Problem
from webhook.profile import Profile, parse_profile
from webhook.rules import Rule


def read(data: Mapping[str, str]) -> tuple[Profile | None, list[Problem]]:
    """Parse the data of a ConfigMap."""
    return parse_profile(data, "1")


def with_rule(fields: str) -> dict[str, str]:
    """Give the data with one rule that matches everything, and these fields besides."""
    return {"selectors": "- name: r\n  matchAll: true\n" + indent(dedent(fields), "  ")}


def rule_of(fields: str) -> Rule:
    """Give the rule with these fields, which has no problem."""
    profile, problems = read(with_rule(fields))
    assert problems == []
    assert profile is not None
    (rule,) = profile.rules
    return rule


def refused(fields: str) -> list[Problem]:
    """Give the problems of a rule with these fields, which is left out."""
    profile, problems = read(with_rule(fields))
    assert profile is not None
    assert profile.rules == ()
    return problems


def warned(fields: str) -> list[Problem]:
    """Give the problems of a rule with these fields, which acts all the same."""
    profile, problems = read(with_rule(fields))
    assert profile is not None
    assert len(profile.rules) == 1
    return problems


def assert_one(problems: list[Problem], severity: str, path: str, *words: str) -> None:
    """Expect one problem, at this path, that says these words and what to do."""
    (problem,) = problems
    assert (problem.severity, problem.path) == (severity, path)
    for word in words:
        assert word in problem.message
    assert "; " in problem.message, "no remedy"
    assert "\n" not in problem.message


@dataclass(frozen=True)
class Refusal:
    """One case of refusals/*.yaml: a part of a rule, and the problem that it is."""

    name: str
    kind: str
    text: str
    path: str
    says: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


def refusals(name: str) -> list[Refusal]:
    """Load the cases of one file."""
    cases = yaml.safe_load(
        Path(__file__).with_name("refusals").joinpath(f"{name}.yaml").read_text()
    )
    found = []
    for case, fields in cases.items():
        path, says = fields.pop("path"), fields.pop("says")
        ((kind, text),) = fields.items()
        found.append(
            Refusal(case, kind, text, path, (says,) if isinstance(says, str) else (*says,))
        )
    return found
