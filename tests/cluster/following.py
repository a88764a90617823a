"""A webhook that follows the control plane under its own ServiceAccount, with no other rights."""

import base64
import datetime as dt
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT
from tempfile import mkdtemp
from typing import Any

import jsonpatch

from tests.cluster.client import Client, Object, read_manifests
from tests.cluster.control_plane import EXAMPLES, ControlPlane
from tests.cluster.process import free_port, running, wait_until_ready
from tests.cluster.workloads import bare_pod

ACCOUNT = "vci-webhook"
USER = f"system:serviceaccount:{ACCOUNT}:{ACCOUNT}"
PROFILE = ("ConfigMap", "vci-profile", "kube-system")
LABEL = {"vci": "true"}
MARKS = ("example.com/team", "example.com/shift")
SOAK = "VCI_WEBHOOK_SOAK" in os.environ  # the long versions of the tests: minutes, and thousands


@dataclass(slots=True)
class Following:
    """A running webhook, asked as the API server asks it."""

    process: "subprocess.Popen[bytes]"
    log: Path
    port: int
    management_port: int
    folder: Path
    _local: threading.local = field(default_factory=threading.local)
    _connections: list[http.client.HTTPSConnection] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where reviews go."""
        return f"https://127.0.0.1:{self.port}/mutate"

    @property
    def authority(self) -> bytes:
        """The CA of its certificate."""
        return (self.folder / "ca.crt").read_bytes()

    def review(self, namespace: str) -> tuple[int, Object]:
        """Ask for a Pod in a namespace, on a connection of this thread that stays open."""
        body = json.dumps(_review(namespace))
        headers = {"Content-Type": "application/json"}
        was_open = self._is_connected()
        connection = self._connection()
        try:
            connection.request("POST", "/mutate?timeout=5s", body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self._local.connection = None
            if was_open:  # closed because nobody had used it for two minutes
                return self.review(namespace)
            raise

    def _is_connected(self) -> bool:
        return getattr(self._local, "connection", None) is not None

    def _connection(self) -> http.client.HTTPSConnection:
        kept: http.client.HTTPSConnection | None = getattr(self._local, "connection", None)
        if kept is None:
            context = ssl.create_default_context(cafile=self.folder / "ca.crt")
            kept = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=10)
            self._local.connection = kept
            self._connections.append(kept)
        return kept

    def hang_up(self) -> None:
        """Close the connections of all threads."""
        for connection in self._connections:
            connection.close()

    def marks(self, namespace: str) -> list[str]:
        """Give what the profile's rule leaves on a Pod of a namespace, if it acts there."""
        status, answer = self.review(namespace)
        assert status == 200, answer
        return marks_of(_patched(answer))

    def is_ready(self) -> bool:
        """Ask as the kubelet does."""
        return self._get("/readyz")[0] == 200

    def metric(self, name: str) -> float:
        """Read a metric; 0 when it is not there."""
        text = self._get("/metrics")[1]
        found = re.search(rf"^(?:vci_webhook_)?{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def watches(self) -> bool:
        """Tell whether both watches are up."""
        resources = ("namespaces", "configmaps")
        return all(self.metric(f'watch_up{{resource="{name}"}}') == 1 for name in resources)

    def _get(self, path: str) -> tuple[int, str]:
        try:
            url = f"http://127.0.0.1:{self.management_port}{path}"
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError:
            return 0, ""

    def resident_mb(self) -> float:
        """Tell how much memory it occupies."""
        return self.metric("process_resident_memory_bytes") / 1e6

    def records(self) -> list[Object]:
        """Give its log, without the reviews."""
        lines = self.log.read_text("utf-8").splitlines()
        return [r for line in lines if (r := json.loads(line))["message"] != "reviewed"]


def _review(namespace: str) -> Object:
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "b9c5f0a4-5a0d-4f0a-9d6d-0f5f6f1f7c11",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "namespace": namespace,
            "operation": "CREATE",
            "object": bare_pod(),
        },
    }


def _patched(answer: Object) -> Object:
    patch = base64.b64decode(answer["response"].get("patch", "W10="))
    patched: Object = jsonpatch.apply_patch(bare_pod(), json.loads(patch))
    return patched


def marks_of(pod: Object) -> list[str]:
    """Give the marks on a Pod, in order."""
    annotations = pod["metadata"].get("annotations", {})
    return [annotations[mark] for mark in MARKS if mark in annotations]


def profile(mark: str, **data: str) -> Object:
    """Make a profile whose one rule leaves the same mark twice, so that a mixture would show."""
    rule = {
        "name": "workflows",
        "namespaceSelector": {"matchLabels": LABEL},
        "effect": {"annotations": dict.fromkeys(MARKS, mark)},
    }
    kind, name, namespace = PROFILE
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "data": {"selectors": json.dumps([rule]), **data},
    }


def grant_rights(admin: Client) -> None:
    """Create the account and what it may do, as the example says."""
    for manifest in read_manifests(EXAMPLES / "rbac-webhook.yaml"):
        admin.apply(manifest)


def request_token(admin: Client, bound_to: Object | None = None) -> str:
    """Ask for a token of the account, as the kubelet does."""
    spec: dict[str, Any] = {"expirationSeconds": 3600}
    if bound_to is not None:
        spec["boundObjectRef"] = bound_to
    return admin.request_token(ACCOUNT, ACCOUNT, **spec)


def write_kubeconfig(plane: ControlPlane, folder: Path, token: str) -> Path:
    """Write a kubeconfig that names a file for the token, which is written anew as it rotates."""
    (folder / "token").write_text(token, "ascii")
    path = folder / "kubeconfig"
    path.write_text(plane.render_kubeconfig(ACCOUNT, {"tokenFile": str(folder / "token")}), "utf-8")
    return path


@contextmanager
def following(
    plane: ControlPlane,
    admin: Client,
    *,
    token: str = "",
    wait: bool = True,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Following]:
    """Run the webhook until the block ends; its rights must have been granted."""
    folder = Path(mkdtemp(prefix="following-", dir=plane.folder))
    issue = [sys.executable, "-m", "certs", "issue", "--dir", str(folder), "--ip", "127.0.0.1"]
    subprocess.run(issue, check=True, capture_output=True)
    kubeconfig = write_kubeconfig(plane, folder, token or request_token(admin))
    port, management_port = free_port(), free_port()
    command: list[str | Path] = [
        *(sys.executable, "-m", "webhook", "serve", "--log-format", "json"),
        *("--kubeconfig", kubeconfig, "--tls-dir", folder),
        *("--port", str(port), "--management-port", str(management_port)),
    ]
    log = folder / "log"
    with running(command, log, environment, SIGINT) as process:
        webhook = Following(process, log, port, management_port, folder)
        if wait:
            wait_until_ready(process, log, webhook.is_ready, seconds=20)
        try:
            yield webhook
        finally:
            webhook.hang_up()
        started = time.monotonic()
    assert time.monotonic() - started < 3
    assert "traceback" not in log.read_text("utf-8").lower()


def repeated(records: list[Object]) -> list[Object]:
    """Give the records about a failure that came less than ten seconds after the same one."""
    last: dict[tuple[object, ...], dt.datetime] = {}
    too_soon = []
    for record in records:
        if record["level"] == "info" or record["message"].startswith("profile "):
            continue
        key = record["message"], record.get("resource"), record.get("cause")
        now = dt.datetime.fromisoformat(record["time"])
        if key in last and now - last[key] < dt.timedelta(seconds=9.9):
            too_soon.append(record)
        last[key] = now
    return too_soon
