"""A Pod of the webhook whose certificate comes late: it waits, says for what, and is ready then."""

import base64
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
import trustme

from tests.cluster.client import Object, read_manifests
from tests.cluster.control_plane import Cluster
from tests.cluster.deployed import MANIFESTS, NAME
from tests.cluster.following import PROFILE, grant_rights, profile
from tests.cluster.node.agent import Agent
from tests.cluster.node.running import PLACED_HERE
from tests.cluster.process import eventually

POD = "without-certificate"
SECRET = "vci-webhook-tls-late"  # noqa: S105 - its name is not secret
SERVICE = f"{NAME}.{NAME}.svc"


@pytest.fixture
def pod(cluster: Cluster, node: Agent) -> Iterator[str]:
    """Start a Pod whose Secret is not there; give the address of its management port."""
    grant_rights(cluster.admin)
    cluster.admin.apply(profile("late"))
    deployment = next(m for m in read_manifests(MANIFESTS) if m["kind"] == "Deployment")
    spec = {**deployment["spec"]["template"]["spec"], **PLACED_HERE}
    spec["volumes"] = [{"name": "tls", "secret": {"secretName": SECRET, "optional": True}}]
    spec["containers"][0]["args"].append("--drain-seconds=0")
    metadata = {"name": POD, "namespace": NAME}
    cluster.admin.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    try:
        eventually(lambda: "started vci-webhook" in happened(node), "the start", 60)
        yield f"http://{node.pod(POD).address}:8080"
    finally:
        cluster.admin.delete("Pod", POD, NAME)
        cluster.admin.delete(*PROFILE)
        eventually(lambda: cluster.admin.find("Pod", POD, NAME) is None, "the Pod's end", 60)


def happened(node: Agent) -> list[str]:
    """List what has become of the Pod."""
    return [each.what for each in node.history if each.pod == POD]


def ask(url: str) -> tuple[int, str]:
    """Give status and text of a probe; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - a Pod's address
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def write_secret(cluster: Cluster, host: str) -> None:
    """Sign a certificate for a name, and have it mounted."""
    leaf = trustme.CA().issue_cert(host)
    files = {"tls.crt": leaf.cert_chain_pems[0], "tls.key": leaf.private_key_pem}
    secret: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": SECRET, "namespace": NAME},
        "data": {name: base64.b64encode(pem.bytes()).decode() for name, pem in files.items()},
    }
    cluster.admin.apply(secret)


def test_a_pod_waits_for_its_certificate(cluster: Cluster, node: Agent, pod: str) -> None:
    """Without one, and with one for another Service, it is alive and not ready, and never ends."""
    try:
        eventually(lambda: "cannot be read" in ask(f"{pod}/readyz")[1], "the reason", 20)
        assert ask(f"{pod}/healthz")[0] == 200
        write_secret(cluster, f"other.{NAME}.svc")
        wrong = f'covers "other.{NAME}.svc", not "{SERVICE}"; issue one for it'
        eventually(lambda: wrong in ask(f"{pod}/readyz")[1], "the other reason", 20)
        assert ask(f"{pod}/readyz")[0] == 503
        assert "ready" not in happened(node)
        write_secret(cluster, SERVICE)
        eventually(lambda: "ready" in happened(node), "readiness", 20)
        assert happened(node).count("started vci-webhook") == 1
    finally:
        cluster.admin.delete("Secret", SECRET, NAME)
