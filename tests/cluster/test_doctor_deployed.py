"""``vci-webhook doctor`` with replicas that are real: found by their Service, and from inside."""

import io
import json
import subprocess
from contextlib import redirect_stdout

from tests.cluster.client import Object
from tests.cluster.control_plane import API_SERVER_ADDRESS, Cluster
from tests.cluster.deployed import deployed
from tests.cluster.node.agent import Agent
from tests.cluster.node.image import python_image
from tests.cluster.node.pod import RunningPod
from tests.cluster.process import eventually
from webhook.cli import main

SERVICE = "Service vci-webhook/vci-webhook"
MISSING = "ValidatingWebhookConfiguration vci-webhook"


def rows_from_outside(cluster: Cluster) -> list[Object]:
    """Run the command as an administrator."""
    out = io.StringIO()
    with redirect_stdout(out):
        main(["doctor", f"--kubeconfig={cluster.plane.kubeconfig}", "--output=json"])
    rows: list[Object] = json.loads(out.getvalue())["rows"]
    return rows


def rows_from_inside(cluster: Cluster, pod: RunningPod) -> list[Object]:
    """Run the command in a container, as ``kubectl exec`` does."""
    (container,) = pod.containers
    directory = ("--tls-dir=/etc/vci-webhook/tls", "--server=127.0.0.1:8443")
    command = container.target.enter(["vci-webhook", "doctor", "--output=json", *directory])
    environment = {
        **python_image().environment,
        "KUBERNETES_SERVICE_HOST": API_SERVER_ADDRESS,
        "KUBERNETES_SERVICE_PORT": str(cluster.plane.port),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    rows: list[Object] = json.loads(done.stdout)["rows"]
    return rows


def test_replicas_are_found_and_their_own_view_is_the_same(
    cluster: Cluster, node: Agent, namespace: str
) -> None:
    """Each ready Pod presents the certificate in the Secret; without any, the table says so."""
    with deployed(cluster, node, namespace) as here:
        rows = rows_from_outside(cluster)
        servers = {f"server {pod.address}:8443" for pod in here.pods()}
        assert servers == {row["what"] for row in rows if row["what"].startswith("server ")}
        assert {row["what"] for row in rows if row["severity"] in ("warning", "error")} == {MISSING}
        (pair,) = (row for row in rows if row["what"].startswith("Secret "))
        inside = rows_from_inside(cluster, here.pods()[0])
        judged = [row for row in inside if row["severity"] not in ("note", "unknown")]
        assert [(row["severity"], row["what"]) for row in judged] == [
            ("ok", "API server"),
            ("ok", "mounted pair /etc/vci-webhook/tls"),
            ("ok", "server 127.0.0.1:8443"),
        ]
        assert judged[1]["finding"] == pair["finding"]
        here.scale(0)
        eventually(lambda: not here.endpoints(), "a Service without endpoints")
        (row,) = (row for row in rows_from_outside(cluster) if row["what"] == SERVICE)
        assert (row["severity"], row["finding"].partition(" (")[0]) == (
            "error",
            "has no ready endpoint",
        )
        assert row["command"] == (
            "kubectl describe pods --namespace vci-webhook "
            "--selector app.kubernetes.io/name=vci-webhook"
        )
        here.scale(1)
        eventually(here.endpoints, "an endpoint")
        assert SERVICE in [
            row["what"] for row in rows_from_outside(cluster) if row["severity"] == "ok"
        ]
