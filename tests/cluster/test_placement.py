"""The main job: unchanged workflows through the real API server, webhook, scheduler and Argo."""

import json
import re
from collections.abc import Iterator

import pytest
import yaml

from tests.cluster.client import Object
from tests.cluster.configuration import configured, webhook_configuration
from tests.cluster.control_plane import Cluster
from tests.cluster.kubelet import ARGO, Outcome
from tests.cluster.nodes import ORDINARY_NODE, VIRTUAL_NODE
from tests.cluster.placing import PLACED, PROFILE, examples_in_force, is_placed
from tests.cluster.process import eventually
from tests.cluster.webhook import Served
from tests.cluster.workloads import (
    bare_pod,
    create_namespace,
    example_workflow,
    finished_workflow,
    one_pod_workflow,
    pods_of,
    prepare_examples,
    step_of,
)

PLAIN = "plain"  # a namespace without the label
MADE_UP = re.compile(rb'"(uid|resourceVersion|creationTimestamp|time)":"[^"]*"')


@pytest.fixture(scope="module")
def without_webhook(session_cluster: Cluster) -> bytes:
    """Create a Pod in the plain namespace while no webhook is configured; return the answer."""
    admin = session_cluster.admin
    create_namespace(admin, PLAIN)
    assert not admin.list("MutatingWebhookConfiguration")
    answer = admin.create_raw(bare_pod("untouched"), PLAIN)
    admin.delete("Pod", "untouched", PLAIN, {"gracePeriodSeconds": 0})
    return answer


@pytest.fixture(scope="module")
def webhook(session_cluster: Cluster, without_webhook: bytes) -> Iterator[Served]:
    """Put the real webhook in force, as the examples configure it."""
    assert without_webhook
    prepare_examples(session_cluster.admin)
    with examples_in_force(session_cluster, PLAIN) as served:
        yield served


@pytest.fixture(scope="module")
def asked_elsewhere(session_cluster: Cluster, webhook: Served) -> Iterator[str]:
    """Have the API server ask for the plain namespace too; return that configuration's name."""
    configuration = webhook_configuration(
        "elsewhere", webhook.url, webhook.authority, [PLAIN], failurePolicy="Fail"
    )
    name = configuration["webhooks"][0]["name"]

    def acts() -> bool:
        session_cluster.admin.create(bare_pod(), PLAIN, "?dryRun=All")
        return answered_calls(session_cluster, name) > 0

    with configured(session_cluster.admin, configuration, acts):
        yield name


def profile() -> Object:
    """Read the profile of the examples."""
    data: Object = yaml.safe_load(PROFILE.read_text("utf-8"))["data"]
    return data


def run_example(cluster: Cluster, name: str, **parameters: str) -> dict[str, Object]:
    """Run an example's workflow to its good end, and return its Pods by their steps."""
    submitted = cluster.admin.create(example_workflow(name, **parameters))
    workflow = finished_workflow(cluster.admin, submitted)
    assert workflow["status"]["phase"] == "Succeeded", workflow["status"]
    return {step_of(pod): pod for pod in pods_of(cluster.admin, workflow)}


@pytest.fixture(scope="module")
def greetings(session_cluster: Cluster, webhook: Served) -> dict[str, Object]:
    """Run the workflow that says nothing of VCI."""
    assert webhook.name
    return run_example(session_cluster, "steps")


def test_an_unchanged_workflow_runs_on_the_virtual_node(greetings: dict[str, Object]) -> None:
    """Every Pod of a workflow that says nothing of VCI is placed as the profile asks."""
    assert sorted(greetings) == ["hello1", "hello2a", "hello2b"]
    for pod in greetings.values():
        assert pod["spec"]["nodeName"] == VIRTUAL_NODE
        assert is_placed(pod)
        annotations = pod["metadata"]["annotations"]
        subnet = annotations["vke.volcengine.com/preferred-subnet-ids"]
        assert subnet == profile()["preferredSubnetIds"]
        assert annotations["vci.volcengine.com/tls-enable"] == "true"
        assert pod["metadata"]["labels"]["created-by-vci"] == "true"


def test_a_placed_pod_says_why(greetings: dict[str, Object]) -> None:
    """A placed Pod names its placement, the rules that matched, and the profile's version."""
    for pod in greetings.values():
        trace = json.loads(pod["metadata"]["annotations"]["vci-webhook/applied"])
        assert trace["placement"] == "enforce"
        assert trace["rules"] == ["argo-workflows"]
        assert trace["profile"]


def test_argos_own_marks_survive(cluster: Cluster, greetings: dict[str, Object]) -> None:
    """What Argo knows its Pods by is still there after the patch: it marks each as completed."""
    for pod in greetings.values():
        assert pod["metadata"]["annotations"].keys() > {f"{ARGO}/node-id", f"{ARGO}/node-name"}
        assert [c["name"] for c in pod["spec"]["containers"]] == ["wait", "main"]
        name = pod["metadata"]["name"]

        def completed(name: str = name) -> bool:
            labels = cluster.admin.get("Pod", name, PLACED)["metadata"]["labels"]
            return bool(labels[f"{ARGO}/completed"] == "true")

        eventually(completed, f"label completed on Pod {name}")


@pytest.mark.usefixtures("webhook")
def test_annotations_of_the_workflow_survive(cluster: Cluster) -> None:
    """A workflow that names subnets and an instance family itself keeps both."""
    wanted = example_workflow("steps-annotated")["spec"]["podMetadata"]["annotations"]
    assert wanted["vke.volcengine.com/preferred-subnet-ids"] != profile()["preferredSubnetIds"]
    for pod in run_example(cluster, "steps-annotated").values():
        assert wanted.items() <= pod["metadata"]["annotations"].items()
        assert pod["metadata"]["annotations"]["vci.volcengine.com/tls-enable"] == "true"
        assert pod["spec"]["nodeName"] == VIRTUAL_NODE


def fail_one_slice(pod: Object) -> Outcome | None:
    """Have the first attempt of one slice fail."""
    is_argos = "workflows.argoproj.io/node-name" in pod["metadata"].get("annotations", {})
    return Outcome(exit_code=1) if is_argos and step_of(pod) == "render-3" else None


@pytest.mark.usefixtures("webhook")
def test_a_film_is_rendered_on_the_virtual_node(cluster: Cluster) -> None:
    """A hundred slices at once, with a volume and a retry, all run on the virtual node."""
    with cluster.kubelet.deciding(fail_one_slice):
        pods = run_example(cluster, "blender", slices="20")
    assert sorted(pods) == sorted([f"render-{n}" for n in range(20)] + ["render-3-retry-1"])
    assert pods["render-3"]["status"]["phase"] == "Failed"
    for pod in pods.values():
        assert pod["spec"]["nodeName"] == VIRTUAL_NODE
        assert is_placed(pod)
        claims = [volume.get("persistentVolumeClaim") for volume in pod["spec"]["volumes"]]
        assert {"claimName": "blender"} in claims
    claim = cluster.admin.get("PersistentVolumeClaim", "blender", PLACED)
    assert claim["status"]["phase"] == "Bound"


def test_a_pod_elsewhere_is_untouched(
    cluster: Cluster, without_webhook: bytes, asked_elsewhere: str
) -> None:
    """In a namespace without the label not one byte of a Pod changes.

    The API server's answer to the creation is compared with its answer to the same creation
    before any webhook was configured. Only what the server makes up for each Pod is left out: uid,
    resourceVersion, times, and the five letters at the end of the token volume's name.
    """
    calls = answered_calls(cluster, asked_elsewhere)
    answer = cluster.admin.create_raw(bare_pod("untouched"), PLAIN)
    assert answered_calls(cluster, asked_elsewhere) == calls + 1
    assert comparable(answer) == comparable(without_webhook)


def answered_calls(cluster: Cluster, webhook: str) -> int:
    """Count the API server's calls of a webhook that it got an answer to."""
    metrics = cluster.admin.send("GET", "/metrics").decode()
    answered = (
        rf'^apiserver_admission_webhook_request_total{{.*code="200".*name="{webhook}".*}} (.+)$'
    )
    return sum(int(count) for count in re.findall(answered, metrics, re.MULTILINE))


def comparable(answer: bytes) -> bytes:
    """Blank what the server makes up for each Pod, and leave every other byte as it came."""
    return re.sub(rb"(kube-api-access-)\w{5}", rb"\1", MADE_UP.sub(rb'"\1":""', answer))


@pytest.mark.usefixtures("asked_elsewhere")
def test_a_workflow_elsewhere_runs_on_the_ordinary_node(cluster: Cluster) -> None:
    """In a namespace without the label a workflow's Pod is left alone and runs where it did."""
    submitted = cluster.admin.create(one_pod_workflow(PLAIN))
    workflow = finished_workflow(cluster.admin, submitted)
    assert workflow["status"]["phase"] == "Succeeded"
    (pod,) = pods_of(cluster.admin, workflow)
    assert pod["spec"]["nodeName"] == ORDINARY_NODE
    assert "nodeSelector" not in pod["spec"]
    keys = {*pod["metadata"]["annotations"], *pod["metadata"]["labels"]}
    assert not [key for key in keys if "vci" in key]


def test_the_audit_log_names_decision_and_rule(cluster: Cluster, webhook: Served) -> None:
    """The API server's audit log says of each creation what was decided, by which rule."""
    cluster.admin.create(bare_pod("audited"), PLACED)

    def seek() -> Object | None:
        lines = cluster.plane.audit_log.read_text("utf-8").splitlines()
        events = (json.loads(line) for line in lines)
        return next((e for e in events if e["objectRef"].get("name") == "audited"), None)

    annotations = eventually(seek, "the creation in the audit log")["annotations"]
    assert annotations[f"{webhook.name}/decision"] == "enforce"
    assert annotations[f"{webhook.name}/rule"] == "argo-workflows"
