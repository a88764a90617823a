"""About which Pods the API server asks, by the chart's configuration: with nobody there to answer.

Every call fails, and every call that fails refuses its Pod: what is created was not asked about.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendering import Chart, Object
from tests.cluster.client import ApiError, Client
from tests.cluster.configuration import configured
from tests.cluster.control_plane import Cluster
from tests.cluster.workloads import bare_pod, create_namespace

KIND = "MutatingWebhookConfiguration"
OWNER = {"apiVersion": "apps/v1", "name": "owner", "uid": "0f0f0f0f-0000-4000-8000-000000000000"}
# Each may have none of what the conditions look at.
ASKED: list[Object] = [
    {},
    {"ownerReferences": [{**OWNER, "kind": "ReplicaSet", "controller": True}]},
    {"annotations": {"a": "b"}, "labels": {"vci-webhook/inject": "true"}},
]
NOT_ASKED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"nodeName": "some-node"}),
    ({"ownerReferences": [{**OWNER, "kind": "DaemonSet", "controller": True}]}, {}),
    ({"ownerReferences": [{**OWNER, "kind": "DaemonSet"}]}, {}),
    ({"labels": {"vci-webhook/inject": "false"}}, {}),
    ({"annotations": {"kubernetes.io/config.mirror": "0"}}, {"nodeName": "some-node"}),
]


@pytest.fixture(scope="module")
def chart(session_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Chart:
    programs = session_cluster.plane.programs
    return Chart(Path(programs["helm"]), tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def namespaces(session_cluster: Cluster) -> Iterator[Sequence[str]]:
    """One with the label, one with it that opted out, one without, one of the second entry."""
    admin = session_cluster.admin
    labels = {
        "asked": {"asked": "yes"},
        "opted-out": {"asked": "yes", "vci-webhook/inject": "false"},
        "unlabelled": {},
        "enforced": {"asked": "yes", "vci-webhook/enforced": "true"},
        "excluded": {"asked": "yes"},
        "own": {"asked": "yes"},
    }
    names = [f"conditions-{name}" for name in labels]
    for name, each in zip(names, labels.values(), strict=True):
        create_namespace(admin, name, each)
    yield names
    for name in names:
        admin.delete("Namespace", name)


def configuration(chart: Chart, **webhook: Any) -> Object:
    """Render the one that asks about these namespaces alone, and refuses what it cannot ask."""
    selector = {"matchLabels": {"vci": None, "asked": "yes"}}
    values = {
        "webhook": {
            "failurePolicy": "Fail",
            "namespaceSelector": selector,
            "excludedNamespaces": ["conditions-excluded"],
            **webhook,
        }
    }
    return chart.render(values, release="conditions", namespace="conditions-own").get(
        KIND, "conditions-vci-webhook"
    )


def asked_by(admin: Client, namespace: str, metadata: Object, spec: Object) -> str:
    """Name the entry that would have been asked about a Pod; empty when none."""
    pod = bare_pod(**spec)
    pod["metadata"] = {**pod["metadata"], **metadata}
    try:
        admin.create(pod, namespace, "?dryRun=All")
    except ApiError as error:
        text = str(error)
        assert "failed calling webhook" in text
        return "enforced" if '"enforced.vci-webhook.io"' in text else "pods"
    return ""


def test_what_is_left_alone_costs_no_call(
    cluster: Cluster, chart: Chart, namespaces: Sequence[str]
) -> None:
    """Pods with a node, mirror Pods, Pods of DaemonSets and those that opted out are not sent."""
    admin, here = cluster.admin, namespaces[0]
    with configured(admin, configuration(chart), lambda: asked_by(admin, here, {}, {}) != ""):
        assert [asked_by(admin, here, each, {}) for each in ASKED] == ["pods"] * len(ASKED)
        assert [asked_by(admin, here, *each) for each in NOT_ASKED] == [""] * len(NOT_ASKED)


def test_each_namespace_is_asked_about_once(
    cluster: Cluster, chart: Chart, namespaces: Sequence[str]
) -> None:
    """By its labels, by the first entry or by the second, or not at all."""
    admin, made = cluster.admin, configuration(chart, enforced={"enabled": True})
    asked, opted_out, unlabelled, enforced, excluded, own = namespaces
    with configured(admin, made, lambda: asked_by(admin, asked, {}, {}) != ""):
        found = {name: asked_by(admin, name, {}, {}) for name in namespaces}
    assert found == {
        asked: "pods",
        opted_out: "",
        unlabelled: "",
        enforced: "enforced",
        excluded: "",
        own: "",
    }


def test_everywhere_but_where_the_system_is(
    cluster: Cluster, chart: Chart, namespaces: Sequence[str]
) -> None:
    """With ``scope: all`` the label is not needed, and what is excluded stays excluded."""
    # Fail with scope all is refused by the chart, so the policy is set here, to see who is asked.
    made = configuration(chart, failurePolicy="Ignore", scope="all")
    made["webhooks"][0]["failurePolicy"] = "Fail"
    admin = cluster.admin
    system = ("kube-system", "kube-public", "kube-node-lease")
    with configured(admin, made, lambda: asked_by(admin, namespaces[0], {}, {}) != ""):
        found = [asked_by(admin, name, {}, {}) for name in (*namespaces, *system)]
    assert found == ["pods", "", "pods", "pods", "", "", "", "", ""]


def test_ones_own_condition_comes_on_top(
    cluster: Cluster, chart: Chart, namespaces: Sequence[str]
) -> None:
    """A condition of ``webhook.matchConditions`` keeps out what does not meet it."""
    label = "workflows.argoproj.io/workflow"
    expression = f'has(object.metadata.labels) && "{label}" in object.metadata.labels'
    made = configuration(chart, matchConditions=[{"name": "workflow", "expression": expression}])
    admin, here = cluster.admin, namespaces[0]
    of_a_workflow = {"labels": {label: "steps"}}
    with configured(admin, made, lambda: asked_by(admin, here, of_a_workflow, {}) != ""):
        assert [asked_by(admin, here, each, {}) for each in ({}, of_a_workflow)] == ["", "pods"]
