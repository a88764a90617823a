"""What holds for every Pod and every profile, over generated ones.

Each property holds for a fixed set of examples, and for a fresh one in each run.
``VCI_WEBHOOK_EXAMPLES=5000`` asks for that many fresh ones.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any

import jsonpatch
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.model import vocabulary as v
from tests.model.answers import Data, Json, Labels, admit, admit_all
from tests.model.compare import canonical, keeps_own_first
from tests.model.faults import FAULTS
from tests.model.model import decide
from tests.model.pods import hindered_pods, plain_pods, pods
from tests.model.profiles import (
    lifting_profiles,
    many_rules,
    profiles,
    required_effects,
    soft_profiles,
    toleration_effects,
)
from tests.model.reading import read_profile
from tests.model.scheduling import (
    node_allowed,
    term_matches,
    toleration_matches,
    toleration_seconds,
)
from tests.model.strategies import SECONDS, TAINTS, namespace_labels, namespaces, nodes, pod_labels
from webhook.manifests import version_of

Path = tuple[str | int, ...]

ELSEWHERE = {"matchLabels": {"env": "elsewhere"}}

# Big Pods are drawn on purpose, and some drawn profiles do not fit a property.
_SUPPRESSED = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
FRESH = settings(
    max_examples=int(os.environ.get("VCI_WEBHOOK_EXAMPLES", "50")),
    deadline=None,
    suppress_health_check=_SUPPRESSED,
)
FIXED = settings(FRESH, max_examples=50, derandomize=True, database=None)
TERM_COUNTS = [
    (0, 16, 16),
    (0, 16, 17),
    (0, 256, 1),
    (1, 257, 1),
    (64, 2, 2),
    (65, 2, 2),
    (256, 1, 1),
]
BOTH = pytest.mark.parametrize("examples", [FIXED, FRESH], ids=["fixed", "fresh"])


def check(examples: settings, holds: Callable[..., None], *parts: st.SearchStrategy[Any]) -> None:
    """Let a property hold for every drawn example."""
    examples(given(*parts)(holds))()


@BOTH
def test_webhook_and_model_agree(examples: settings) -> None:
    """Pod, decision, rules, reasons and warnings are those of the independent model."""
    many = settings(examples, max_examples=4 * examples.max_examples)
    some = st.lists(pods(), min_size=1, max_size=3)
    check(many, agrees, some, namespaces, namespace_labels, profiles())


def agrees(some: list[Json], namespace: str, labels: Labels, data: Data) -> None:
    """Compare the webhook's answers, given one after the other, with the model's."""
    for pod, seen in zip(some, admit_all(some, namespace, labels, data), strict=True):
        expected = decide(pod, namespace, labels, data, version_of(data))
        assert canonical(seen.pod) == canonical(expected.pod)
        assert keeps_own_first(pod, seen.pod)
        assert (seen.decision, seen.rules) == (expected.decision, expected.rules)
        assert seen.reasons == expected.reasons
        assert bool(seen.warnings) == expected.warning
        assert all(len(warning) <= 120 for warning in seen.warnings)


@BOTH
def test_webhook_and_model_agree_about_what_vci_cannot_run(examples: settings) -> None:
    """What leaves a Pod alone, what is lifted and what stays is as in the independent model."""
    some = st.lists(hindered_pods(), min_size=1, max_size=3)
    check(examples, agrees, some, st.just("argo"), st.just({}), lifting_profiles())


@pytest.mark.parametrize(("own", "first", "second"), TERM_COUNTS)
def test_model_counts_the_same_terms(own: int, first: int, second: int) -> None:
    """The limit counts the product of all terms: 256 are placed, more are not."""
    spec: Json = {"containers": [{"name": "main"}]}
    if own:
        spec["affinity"] = {"nodeAffinity": {v.REQUIRED: terms_named("own", own)}}
    rules = [
        {"name": name, "matchAll": True, "effect": {"nodeAffinity": {v.REQUIRED: asked}}}
        for name, asked in (("a", terms_named("a", first)), ("b", terms_named("b", second)))
    ]
    pod = {"metadata": {"name": "p"}, "spec": spec}
    data = {"selectors": json.dumps(rules)}
    agrees([pod], "argo", {}, data)
    decision = "allow" if max(1, own) * first * second <= 256 else "skipped"
    assert admit(pod, "argo", {}, data).decision == decision


def terms_named(key: str, count: int) -> Json:
    expressions = [{"key": key, "operator": "In", "values": [str(n)]} for n in range(count)]
    return {"nodeSelectorTerms": [{"matchExpressions": [e]} for e in expressions]}


@BOTH
def test_exactly_the_selected_rules_match(examples: settings) -> None:
    """Of many rules, those match whose selectors do, in order of priority and then of the list."""

    def match(labels: Labels, namespace: Labels, data: Data) -> None:
        pod = {"metadata": {"name": "p", "labels": labels}, "spec": {"containers": []}}
        expected = decide(pod, "argo", namespace, data, version_of(data))
        assert admit(pod, "argo", namespace, data).rules == expected.rules

    check(examples, match, pod_labels, namespace_labels, many_rules)


@pytest.mark.parametrize("fault", FAULTS, ids=json.dumps)
def test_faulty_rule_is_left_out(fault: Json) -> None:
    """A rule with a fault does not act; the rule without fault beside it does."""
    good = {"name": "good", "matchAll": True, "effect": {"labels": {"good": "yes"}}}
    faulty = {"name": "faulty", "matchAll": True, "placement": "enforce", "priority": 1, **fault}
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "main"}]}}
    data = {"selectors": json.dumps([faulty, good])}
    seen = admit(pod, "argo", {}, data)
    assert (seen.decision, seen.rules) == ("allow", ("good",))
    assert seen.pod == decide(pod, "argo", {}, data, version_of(data)).pod


@BOTH
def test_required_affinity_is_exactly_the_conjunction(examples: settings) -> None:
    """A node is allowed afterwards exactly when it was allowed before and every rule allows it."""

    def is_conjunction(pod: Json, data: Data, some_nodes: list[Json]) -> None:
        seen = admit(pod, "argo", {}, data)
        rules = [rule for rule in read_profile(data).rules if rule.required_terms]
        assert seen.decision != "skipped"
        for node in some_nodes:
            allowed = all(
                any(term_matches(term, node) for term in rule.required_terms) for rule in rules
            )
            assert node_allowed(seen.pod["spec"], node) == (
                node_allowed(pod["spec"], node) and allowed
            ), node

    some_nodes = st.lists(nodes, min_size=8, max_size=8)
    check(examples, is_conjunction, plain_pods(), soft_profiles(required_effects), some_nodes)


@BOTH
def test_tolerated_taints_are_exactly_the_union(examples: settings) -> None:
    """What is tolerated, and how long, is what the Pod, the rules and the placement tolerate."""

    def is_union(pod: Json, data: Data) -> None:
        profile = read_profile(data)
        seen = admit(pod, "argo", {}, data)
        own = pod["spec"].get("tolerations") or []
        rules = [toleration for rule in profile.rules for toleration in rule.tolerations]
        now = seen.pod["spec"]["tolerations"]
        assert tolerated(now) == tolerated([*own, *rules, profile.toleration])
        assert now[: len(own)] == own

    check(examples, is_union, plain_pods(), soft_profiles(toleration_effects))


def tolerated(tolerations: list[Json]) -> set[tuple[str, str, str, float]]:
    """Return every taint of a small universe with each time for which it is tolerated."""
    return {
        (taint["key"], taint["value"], taint["effect"], seconds)
        for taint in TAINTS
        for seconds in SECONDS
        for toleration in tolerations
        if toleration_matches(toleration, taint) and toleration_seconds(toleration) >= seconds
    }


@BOTH
def test_patched_pod_gets_no_further_patch(examples: settings) -> None:
    """The patch of the patched Pod is empty."""

    def is_idempotent(pod: Json, namespace: str, labels: Labels, data: Data) -> None:
        assume(not sets_labels_that_decide(data))
        once = admit(pod, namespace, labels, data)
        twice = admit(once.pod, namespace, labels, data)
        assert twice.patch == []
        assert (twice.decision, twice.rules) == (once.decision, once.rules)

    check(examples, is_idempotent, pods(), namespaces, namespace_labels, profiles())


def sets_labels_that_decide(data: Data) -> bool:
    """Tell whether a rule sets a label by which a second admission could match differently."""
    profile = read_profile(data)
    rules = profile.rules
    decisive = {v.BURST} if profile.self_built else set()
    for rule in rules:
        selector = rule.object_selector or {}
        decisive |= set(selector.get("matchLabels") or {})
        decisive |= {expression["key"] for expression in selector.get("matchExpressions") or []}
    return any(decisive & set(rule.labels) for rule in rules)


@BOTH
def test_unknown_fields_survive(examples: settings) -> None:
    """A field that nobody knows yet stays where it is, with its value."""

    def survives(pod: Json, namespace: str, labels: Labels, data: Data) -> None:
        pod["futureField"] = pod["spec"]["futureField"] = {"kept": [1, {"deep": None}, 0.1]}
        seen = admit(pod, namespace, labels, data)
        for path, value in unknown_fields(pod):
            assert value_at(seen.pod, path) == value

    check(examples, survives, pods(), namespaces, namespace_labels, profiles())


def unknown_fields(value: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """Yield the place and the value of every field from the future."""
    entries: Iterable[tuple[str | int, Json]] = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    for key, item in entries:
        if key == "futureField":
            yield (*path, key), item
        else:
            yield from unknown_fields(item, (*path, key))


def value_at(value: Json, path: Path) -> Json:
    for key in path:
        value = value[key]
    return value


@BOTH
def test_every_operation_changes_something(examples: settings) -> None:
    """No operation of a patch can be left out, and nothing that was received is changed."""

    def is_lean(pod: Json, namespace: str, labels: Labels, data: Data) -> None:
        before = deepcopy((pod, labels, data))
        seen = admit(pod, namespace, labels, data)
        assert (pod, labels, data) == before
        assert seen.patch or seen.pod == pod
        for index in range(len(seen.patch)):
            assert not gives(pod, seen.patch[:index] + seen.patch[index + 1 :], seen.pod)

    check(examples, is_lean, pods(), namespaces, namespace_labels, profiles())


def gives(pod: Json, patch: list[Json], result: Json) -> bool:
    try:
        return bool(jsonpatch.apply_patch(pod, patch) == result)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException):
        return False


@BOTH
def test_unmatched_pod_is_untouched(examples: settings) -> None:
    """A Pod that no active rule matches is not touched, whatever it says of itself."""

    def is_untouched(pod: Json, namespace: str, labels: Labels, data: Data, shadow: bool) -> None:  # noqa: FBT001 - drawn
        reason = {"mode": "shadow"} if shadow else {"namespaceSelector": ELSEWHERE}
        rules = [{**rule, **reason} for rule in yaml.safe_load(data["selectors"])]
        seen = admit(pod, namespace, labels, {**data, "selectors": json.dumps(rules)})
        assert (seen.patch, seen.decision, seen.rules, seen.warnings) == ([], "", (), ())

    parts = (pods(), namespaces, namespace_labels, profiles(), st.booleans())
    check(examples, is_untouched, *parts)
