"""The examples on the page about the profile do what the page says of them."""

from typing import Any

import yaml

from tests.unit.page import PAGE, examples
from tests.unit.pods import make_pod, make_review, make_snapshot, place, response_of, trace_of
from webhook import vci
from webhook.admission import review
from webhook.manifests import profile_from_manifest
from webhook.profile import Profile, parse_profile

MANIFEST, TWO_RULES, APPLIED, SKIPPED, PROBLEM = examples(PAGE.read_text("utf-8"))


def two_rules() -> Profile:
    """Return the example of several rules, in the version that the example of a trace has."""
    profile, problems = parse_profile(yaml.safe_load(TWO_RULES), "1143669")
    assert profile is not None
    assert problems == []
    return profile


def annotations_of(pod: dict[str, Any], example: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return what a Pod has and should have of the annotations in an example."""
    expected: dict[str, str] = yaml.safe_load(example)
    return {key: pod["metadata"]["annotations"].get(key) for key in expected}, expected


def test_the_first_profile_places_pods_of_labelled_namespaces() -> None:
    """It has no problem; Pods get a virtual node, the subnet and the label, elsewhere nothing."""
    profile, problems = profile_from_manifest(MANIFEST.encode(), "docs/profile.md")
    assert problems == ()
    pod = place(make_pod(), profile)
    assert pod["spec"]["nodeSelector"] == {"type": "virtual-kubelet"}
    assert pod["metadata"]["labels"] == {"cost-centre": "rendering"}
    assert pod["metadata"]["annotations"][vci.SUBNETS] == "subnet-2fe79ts9kge9s5oxruwtcmxo6"
    elsewhere = review(make_review(make_pod()), make_snapshot(profile, {}))
    assert "patch" not in response_of(elsewhere)


def test_of_two_rules_each_value_comes_from_the_first_that_names_it() -> None:
    """The family of the first rule, placement and subnets of the second, and the trace shown."""
    pod = place(make_pod(metadata={"labels": {"gpu": "yes"}}), two_rules())
    assert pod["metadata"]["annotations"][vci.FAMILIES] == "vci.gni3"
    assert pod["metadata"]["annotations"][vci.SUBNETS] == "subnet-a,subnet-b"
    assert (trace_of(pod) or {})["placement"] == "enforce"
    found, expected = annotations_of(pod, APPLIED)
    assert found == expected


def test_a_pod_that_is_left_alone_has_the_trace_shown() -> None:
    """With the reason, and the one rule that it matches."""
    found, expected = annotations_of(place(make_pod(hostNetwork=True), two_rules()), SKIPPED)
    assert found == expected


def test_a_problem_is_told_as_shown() -> None:
    """The line of the page is what is said about such a rule."""
    selector = "{matchExpressions: [{key: a, operator: in, values: [b]}]}"
    rules = f"[{{name: a, matchAll: true}}, {{name: b, namespaceSelector: {selector}}}]"
    _, problems = parse_profile({"selectors": rules}, "1")
    assert [str(problem) for problem in problems] == [PROBLEM.strip()]
