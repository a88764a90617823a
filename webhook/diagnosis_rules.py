"""Whether there is a profile, and whether its rules can act where the API server calls us."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import get_args

from webhook.calls import advise_about
from webhook.cluster_advice import eligible
from webhook.diagnosis_pairs import Case
from webhook.findings import Row, counted, unread
from webhook.observed import Configuration, LiveProfile, Unread
from webhook.problems import Severity
from webhook.profile import Profile
from webhook.reach import Reach, asking, reaches_of
from webhook.remedies import Remedy, check_flags
from webhook.vci import SYSTEM_NAMESPACES
from webhook.wording import listed, quoted, shortened

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
_NAMED_LIMIT = 3  # rules of which is told how far they reach; check has all of them
_ADVISED_LIMIT = 20  # rows; the same


def judge_profile(case: Case) -> Iterator[Row]:
    """Judge the profile, and each of its rules by the namespaces that there are."""
    names, seen = case.observed.names, case.observed.profile
    what = f"profile {names.profile_namespace}/{names.profile_name}"
    if isinstance(seen, Unread):
        yield unread(what, seen)
    elif seen is None:
        remedy = Remedy("apply one; docs/profile.md says what is in it")
        yield Row("warning", what, "does not exist, so no Pod is placed", remedy)
    else:
        yield from _judge_problems(case, what, seen)
        if seen.profile is not None:
            yield from _judge_rules(case, seen.profile)


def _judge_problems(case: Case, what: str, seen: LiveProfile) -> Iterator[Row]:
    rules = counted(len(seen.profile.rules), "rule") if seen.profile else "no usable rules"
    problems = Counter(problem.severity for problem in seen.problems)
    for severity in SEVERITIES:
        if count := problems[severity]:
            yield Row(severity, what, f"{rules}, {counted(count, severity)}", _check(case))
    if not seen.problems:
        yield Row("ok", what, rules)


def _check(case: Case) -> Remedy:
    command = f"vci-webhook check --cluster{check_flags(case.observed.names)}"
    return Remedy("see each with its place", command)


def _judge_rules(case: Case, profile: Profile) -> Iterator[Row]:
    """Say which rules can never act, or meet nobody; and how far the others reach."""
    observed = case.observed
    if isinstance(observed.namespaces, Unread):
        return
    excluded = SYSTEM_NAMESPACES | {observed.names.namespace}
    namespaces = eligible(observed.namespaces, excluded)
    calls = observed.mutating if isinstance(observed.mutating, Configuration) else None
    reaches = reaches_of(profile.rules, namespaces, calls)
    wrong = [advice for reach in reaches if (advice := advise_about(reach, calls))]
    for advice in wrong[:_ADVISED_LIMIT]:
        what = f"rule {shortened(advice.rule.name)}, {advice.path}"
        yield Row("warning", what, advice.finding, Remedy(advice.todo, advice.command))
    if more := len(wrong[_ADVISED_LIMIT:]):
        finding = f"the same is to be said of {counted(more, 'more rule')}"
        yield Row("warning", "rules", finding, _check(case))
    if calls is None or not (entries := asking(calls)):
        return
    if partly := [reach for reach in reaches if _is_partly_called(reach)]:
        yield Row("note", "rules", _tell_partly(partly))
    if reaches and not wrong:
        aside = ", matchConditions aside" if any(entry.conditions for entry in entries) else ""
        yield Row("ok", "rules", f"each can act: some of what it selects is called for{aside}")


def _is_partly_called(reach: Reach) -> bool:
    """Tell whether a rule that names namespaces matches some that are not called for."""
    return bool(
        reach.rule.namespace_selector.requirements
        and reach.called
        and len(reach.called) < len(reach.matched)
    )


def _tell_partly(reaches: Sequence[Reach]) -> str:
    told = [
        f"{quoted(reach.rule.name)} acts in {len(called)} of {len(reach.matched)}, not in "
        f"{listed(name for name in reach.matched if name not in called)}"
        for reach in reaches[:_NAMED_LIMIT]
        for called in [reach.called or {}]
    ]
    more = len(reaches) - len(told)
    others = f"; and {counted(more, 'other rule')} not in all" if more else ""
    return f"not called for every namespace that rules match: {'; '.join(told)}{others}"
