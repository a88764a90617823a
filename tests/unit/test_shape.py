"""Tests of the shape: all of a Pod that a decision depends on, and nothing that it does not."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.model.answers import Data, Json, Labels, admit, admit_all
from tests.model.pods import hindered_pods, pods
from tests.model.profiles import lifting_profiles, profiles
from tests.model.strategies import namespace_labels
from tests.unit.pods import make_pod, make_profile, make_review, make_snapshot, place
from webhook import vci
from webhook.admission import review
from webhook.manifests import namespaces_from_manifests, profile_from_manifest
from webhook.profile import Profile
from webhook.state import Snapshot

ROOT = Path(__file__).parents[2]
RECORDED = sorted((ROOT / "tests" / "recorded").glob("*.json"))
EXAMPLES = settings(
    max_examples=int(os.environ.get("VCI_WEBHOOK_EXAMPLES", "50")),
    deadline=None,
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
)


def example_snapshot() -> Snapshot:
    profile, _ = profile_from_manifest((ROOT / "examples/vci-profile.yaml").read_bytes(), "profile")
    namespaces = namespaces_from_manifests(
        (ROOT / "examples/namespace.yaml").read_bytes(), "namespace"
    )
    return Snapshot(profile, namespaces)


def remember_nothing(some: list[Json], labels: Labels, data: Data) -> None:
    """Compare answers of one webhook, which remembers, with those of webhooks that are new."""
    twice = [*some, *some]
    for pod, seen in zip(twice, admit_all(twice, "argo", labels, data), strict=True):
        assert seen == admit(pod, "argo", labels, data)


def test_memory_changes_no_answer() -> None:
    """Whatever was answered before, a Pod is answered as by a webhook that has just started."""
    some = st.lists(pods(), min_size=2, max_size=6)
    EXAMPLES(given(some, namespace_labels, profiles())(remember_nothing))()


def test_memory_changes_no_answer_about_what_vci_cannot_run() -> None:
    """The same for Pods with obstacles, and profiles that lift some of them."""
    some = st.lists(hindered_pods(), min_size=2, max_size=6)
    EXAMPLES(given(some, st.just({}), lifting_profiles())(remember_nothing))()


def test_recorded_reviews_are_answered_alike_with_and_without_memory() -> None:
    """Byte by byte, in any order."""
    remembering = example_snapshot()
    bodies = [path.read_bytes() for path in RECORDED]

    for body in [*bodies, *reversed(bodies)]:
        assert review(body, remembering) == review(body, example_snapshot())


def test_the_pods_of_a_workflow_share_their_shape() -> None:
    """All thirteen of one, a retry among them, are decided once."""
    snapshot = example_snapshot()
    frames = [path for path in RECORDED if path.name.startswith("blender")]

    for path in frames:
        review(path.read_bytes(), snapshot)

    assert len(frames) == 13
    assert len(snapshot.profile.mutations) == 1


def _shapes(profile: Profile, *some: dict[str, Any]) -> int:
    """Count the shapes of Pods."""
    snapshot = make_snapshot(profile)
    for pod in some:
        review(make_review(pod), snapshot)
    return len(profile.mutations)


def test_what_no_rule_looks_at_is_no_part_of_the_shape() -> None:
    """Names, images, environment, foreign labels and annotations; values that no selector names."""
    profile = make_profile(
        {"objectSelector": {"matchExpressions": [{"key": "workflow", "operator": "Exists"}]}}
    )
    one, other = (
        make_pod(
            metadata={
                "name": name,
                "labels": {"workflow": name, "foreign": name},
                "annotations": {"node-id": name},
            },
            containers=[{"name": "main", "image": name, "env": [{"name": "N", "value": name}]}],
            serviceAccountName=name,
        )
        for name in ("one", "other")
    )

    assert _shapes(profile, one, other) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda pod: pod["metadata"].update(labels={}),
        lambda pod: pod["metadata"].update(labels={"team": "a"}),
        lambda pod: pod["metadata"].update(labels={"team": "b"}),
        lambda pod: pod["metadata"].update(labels={"added": "x"}),
        lambda pod: pod["metadata"].update(annotations={}),
        lambda pod: pod["metadata"].update(annotations={"given": "x"}),
        lambda pod: pod["metadata"].update(annotations={vci.BURST: "enforce"}),
        lambda pod: pod["metadata"].update(annotations={vci.SKIPPED: "{}"}),
        lambda pod: pod["spec"].update(nodeSelector={"disk": "ssd"}),
        lambda pod: pod["spec"].update(tolerations=[{"operator": "Exists"}]),
        lambda pod: pod["spec"].update(affinity={}),
        lambda pod: pod["spec"].update(affinity={"nodeAffinity": {}}),
        lambda pod: pod["spec"].update(hostNetwork=True),
        lambda pod: pod["spec"].update(hostIPC=True),
        lambda pod: pod["spec"].update(hostPID=True),
        lambda pod: pod["spec"].update(os={"name": "windows"}),
        lambda pod: pod["spec"].update(dnsPolicy="ClusterFirstWithHostNet"),
        lambda pod: pod["spec"].update(volumes=[{"name": "v", "hostPath": {"path": "/v"}}]),
        lambda pod: pod["spec"].update(volumes=[{"name": "v", "image": {"reference": "v"}}]),
        lambda pod: pod["spec"]["containers"][0].update(ports=[{"hostPort": 80}]),
        lambda pod: pod["spec"]["containers"][0].update(securityContext={"privileged": True}),
        lambda pod: pod["spec"].update(
            initContainers=[{"name": "i", "securityContext": {"privileged": True}}]
        ),
        lambda pod: pod["spec"]["containers"][0].update(
            resources={"requests": {"nvidia.com/gpu": 1}}
        ),
    ],
)
def test_what_can_change_the_answer_is_part_of_the_shape(
    change: Callable[[dict[str, Any]], None],
) -> None:
    """A Pod that differs in one such thing is decided anew."""
    rules = {
        "objectSelector": {
            "matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["b"]}]
        },
        "effect": {"labels": {"added": "x"}, "annotations": {"given": "x"}},
    }
    changed = make_pod()
    change(changed)

    assert _shapes(make_profile(rules), make_pod(), changed) == 2


def test_a_pod_of_another_namespace_is_decided_by_the_labels_of_that() -> None:
    """Equal Pods of two namespaces get what the rules say of each."""
    profile = make_profile({"effect": {"labels": {"placed": "yes"}}})
    snapshot = Snapshot(profile, {"in": {"vci": "true"}, "out": {"vci": "false"}, "none": {}})

    matched = [
        review(make_review(make_pod(), namespace=name), snapshot).mutation
        for name in ("in", "out", "none", "in", "out", "none")
    ]

    assert [each and each.rules for each in matched] == 2 * [("rule-0",), (), ()]


def test_a_size_that_can_matter_is_looked_at_each_time() -> None:
    """Of two Pods that differ in the bytes of foreign annotations only, one has room for ours."""
    profile = make_profile({"effect": {"annotations": {"given": "x" * 200_000}}})
    small, large = (
        make_pod(metadata={"annotations": {"foreign": "y" * size}}) for size in (10, 62_200)
    )

    assert "given" in place(small, profile)["metadata"]["annotations"]
    assert place(large, profile) == large
    assert "given" in place(small, profile)["metadata"]["annotations"]


def test_a_large_pod_is_decided_but_not_remembered() -> None:
    """What a Pod's author can make large does not fill the memory."""
    profile = make_profile({"placement": "enforce"})
    many = [{"key": f"key-{number}", "operator": "Exists"} for number in range(5_000)]

    assert _shapes(profile, make_pod(tolerations=many)) == 0
    assert place(make_pod(tolerations=many), profile)["spec"]["tolerations"][:-1] == many


def test_an_error_is_not_remembered_and_names_its_place() -> None:
    """What is kept as text until it is needed is still checked then."""
    pod = make_pod(affinity={"nodeAffinity": 7})
    profile = make_profile({"placement": "enforce"})

    for _ in range(2):
        with pytest.raises(Exception, match=r"affinity\.nodeAffinity"):
            review(make_review(pod), make_snapshot(profile))
    assert not profile.mutations


def test_escaped_names_are_the_same_names() -> None:
    """JSON may write any character as an escape; a Pod written so has the same shape."""
    profile = make_profile({"placement": "enforce"})
    body = make_review(make_pod(resources=None, nodeSelector={"disk": "ssd"}))
    escaped = body.replace(b'"disk"', rb'"d\u0069sk"').replace(b'"nodeS', rb'"n\u006fdeS')

    assert review(escaped, make_snapshot(profile)).body == review(body, make_snapshot(profile)).body
    assert json.loads(escaped) == json.loads(body)
    assert len(profile.mutations) == 1
