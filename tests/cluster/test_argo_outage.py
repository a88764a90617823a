"""What becomes of workflows with ``failurePolicy: Fail`` while the webhook cannot be reached.

Argo's controller tells by the text of an error whether it is worth another attempt. A setting of
its own, ``TRANSIENT_ERROR_PATTERN``, makes every failed call of the webhook one.
"""

import base64
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.cluster import binaries, pki
from tests.cluster.client import ApiError, Object
from tests.cluster.configuration import client_config, webhook_configuration
from tests.cluster.control_plane import Cluster, control_plane
from tests.cluster.nodes import VIRTUAL_NODE
from tests.cluster.process import eventually
from tests.cluster.scripted import Reply, ScriptedWebhook
from tests.cluster.test_argo import PLACE, SILENT, pending_node
from tests.cluster.workloads import (
    bare_pod,
    create_namespace,
    finished_workflow,
    one_pod_workflow,
    pods_of,
)

PATTERN = "failed calling webhook"  # in the API server's text, whatever the cause
_numbers = itertools.count(1)
Break = Callable[[Cluster, str, ExitStack], Object]


@pytest.fixture(scope="module")
def patient(session_cluster: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane whose Argo tries again after every failed call of a webhook."""
    assert session_cluster  # which skips or fails where there are no programs
    folder = tmp_path_factory.mktemp("patient") / "run"
    programs = binaries.locate()
    with control_plane(folder, programs, TRANSIENT_ERROR_PATTERN=PATTERN) as cluster:
        yield cluster
        assert not cluster.kubelet.failures


@pytest.fixture
def patient_namespace(patient: Cluster) -> str:
    """A namespace of that control plane."""
    name = f"patient-{next(_numbers)}"
    create_namespace(patient.admin, name)
    return name


def refuses(cluster: Cluster, _namespace: str, _stack: ExitStack) -> Object:
    """A replica whose process is gone, while its address is still listed."""
    return client_config("https://127.0.0.1:1/mutate", authority_of(cluster))


def resets(cluster: Cluster, _namespace: str, stack: ExitStack) -> Object:
    """A replica that is killed with calls in hand."""
    port = stack.enter_context(resetting())
    return client_config(f"https://127.0.0.1:{port}/mutate", authority_of(cluster))


def hangs_up(cluster: Cluster, _namespace: str, stack: ExitStack) -> Object:
    """A replica that closes a connection without an answer."""
    return client_config(scripted(cluster, stack, Reply(hang_up=True)).url, authority_of(cluster))


def says_nothing(cluster: Cluster, _namespace: str, stack: ExitStack) -> Object:
    """A replica that hangs."""
    return client_config(scripted(cluster, stack, SILENT).url, authority_of(cluster))


def has_no_replica(cluster: Cluster, namespace: str, _stack: ExitStack) -> Object:
    """A Service none of whose replicas is ready."""
    ports = [{"port": 443}]
    metadata = {"name": "nobody", "namespace": namespace}
    spec = {"selector": {"app": "nobody"}, "ports": ports}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    cluster.admin.create(service)
    authority = base64.b64encode(authority_of(cluster)).decode()
    return {"service": {**metadata, "path": "/mutate"}, "caBundle": authority}


def is_not_trusted(cluster: Cluster, _namespace: str, stack: ExitStack) -> Object:
    """A certificate that the ``caBundle`` does not vouch for."""
    other = pki.Authority(cluster.plane.folder, "somebody-else")
    return client_config(scripted(cluster, stack, PLACE).url, other.certificate.read_bytes())


def authority_of(cluster: Cluster) -> bytes:
    return cluster.plane.authority.certificate.read_bytes()


def scripted(cluster: Cluster, stack: ExitStack, reply: Reply) -> ScriptedWebhook:
    """Run a webhook that always answers the same."""
    pair = cluster.plane.authority.issue_serving("scripted")
    webhook = stack.enter_context(ScriptedWebhook(pair).running())
    webhook.script = [reply]
    return webhook


@contextmanager
def resetting() -> Iterator[int]:
    """Break every connection as the kernel does for a process that was killed; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # the listener was shut down
                    return
                connection.recv(1)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

        thread = threading.Thread(target=run)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@contextmanager
def broken(cluster: Cluster, namespace: str, how: Break, message: str) -> Iterator[ScriptedWebhook]:
    """Have a webhook in force that cannot be reached; give one that could be in its place."""
    name = f"outage-{namespace}"
    with ExitStack() as stack:
        good = scripted(cluster, stack, PLACE)
        made = webhook_configuration(
            name, good.url, authority_of(cluster), [namespace], failurePolicy="Fail"
        )
        made["webhooks"][0] |= {"timeoutSeconds": 1}
        made["webhooks"][0]["clientConfig"] = how(cluster, namespace, stack)
        cluster.admin.create(made)
        stack.callback(cluster.admin.delete, "MutatingWebhookConfiguration", name)
        eventually(lambda: message in refusal(cluster, namespace), message, 20)
        yield good


def refusal(cluster: Cluster, namespace: str) -> str:
    """Try to create a Pod, and give the API server's words if it does not."""
    try:
        cluster.admin.create(bare_pod(), namespace, "?dryRun=All")
    except ApiError as error:
        return error.message
    return ""


def repair(cluster: Cluster, namespace: str, good: ScriptedWebhook) -> None:
    """Have the webhook reached again."""
    name = f"outage-{namespace}"
    found = cluster.admin.get("MutatingWebhookConfiguration", name)
    found["webhooks"][0]["clientConfig"] = client_config(good.url, authority_of(cluster))
    change = {"webhooks": found["webhooks"]}
    cluster.admin.patch("MutatingWebhookConfiguration", name, "", change)


def waits(cluster: Cluster, namespace: str, how: Break, message: str) -> None:
    """Show that a workflow waits while the webhook is away, and succeeds when it is back."""
    with broken(cluster, namespace, how, message) as good:
        submitted = cluster.admin.create(one_pod_workflow(namespace))
        assert message in pending_node(cluster, submitted)["message"]
        repair(cluster, namespace, good)
        workflow = finished_workflow(cluster.admin, submitted)
    assert workflow["status"]["phase"] == "Succeeded"
    assert [pod["spec"]["nodeName"] for pod in pods_of(cluster.admin, workflow)] == [VIRTUAL_NODE]


WAITED_FOR = [
    pytest.param(refuses, "connect: connection refused", id="refuses"),
    pytest.param(resets, "connection reset by peer", id="resets"),
]
GIVEN_UP = [
    pytest.param(hangs_up, "EOF", id="hangs up"),
    pytest.param(says_nothing, "context deadline exceeded", id="says nothing"),
    pytest.param(has_no_replica, "no endpoints available", id="has no replica"),
    pytest.param(is_not_trusted, "x509: ", id="is not trusted"),
]


@pytest.mark.parametrize(("how", "message"), WAITED_FOR)
def test_a_workflow_waits(cluster: Cluster, namespace: str, how: Break, message: str) -> None:
    """Where a process is gone Argo tries again until the webhook is back, and the Pod is placed."""
    waits(cluster, namespace, how, message)


@pytest.mark.parametrize(("how", "message"), GIVEN_UP)
def test_a_workflow_ends(cluster: Cluster, namespace: str, how: Break, message: str) -> None:
    """What looks like any other error ends the workflow at once, with the API server's words."""
    with broken(cluster, namespace, how, message):
        submitted = cluster.admin.create(one_pod_workflow(namespace))
        workflow = finished_workflow(cluster.admin, submitted)
    (node,) = workflow["status"]["nodes"].values()
    assert workflow["status"]["phase"] == node["phase"] == "Error"
    assert message in node["message"]


@pytest.mark.parametrize(("how", "message"), GIVEN_UP)
def test_a_workflow_waits_where_argo_is_told_to(
    patient: Cluster, patient_namespace: str, how: Break, message: str
) -> None:
    """With TRANSIENT_ERROR_PATTERN, a workflow waits out those as well."""
    waits(patient, patient_namespace, how, message)
