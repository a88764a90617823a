"""A cluster where nothing is wrong, for the doctor to look at: all objects, and a server.

The part of the kubelet is played: ``follow`` writes the Secret into the volume, whereupon the
server serves it. The server is the real one, at an address that an EndpointSlice can have.
"""

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT
from tempfile import mkdtemp
from typing import Any

import yaml

from tests.cluster.client import SERVER_SIDE_APPLY, ApiError, Object, read_manifests
from tests.cluster.control_plane import EXAMPLES, Cluster, ControlPlane
from tests.cluster.following import PROFILE, profile
from tests.cluster.process import eventually, free_port, running, wait_until_ready
from webhook.cli import main

ADDRESS = "10.88.0.1"  # of nobody else inside of the tests' own network
NAME = "vci-webhook"
MUTATING, VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
CONFIGURATIONS = ((MUTATING, "/mutate"), (VALIDATING, "/validate"))
OPERATORS = "vci-webhook-operators"
LABELLED = "doctored"
FILES = ("tls.crt", "tls.key", "ca.crt")
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAME}/endpointslices"


@dataclass(slots=True)
class Doctored:
    """The cluster, where the server is, and a person with the documented rights and no others."""

    cluster: Cluster
    folder: Path
    port: int
    server: "subprocess.Popen[bytes] | None" = None

    @property
    def plane(self) -> ControlPlane:
        """The control plane."""
        return self.cluster.plane

    @property
    def tls_dir(self) -> Path:
        """What the server has for its volume."""
        return self.folder / "tls"

    def doctor(self, *flags: str, user: str = "operator") -> "subprocess.CompletedProcess[str]":
        """Run the command as a person who has its rights; in this process, as it starts slowly."""
        command = ["doctor", f"--kubeconfig={self.plane.folder / user}.kubeconfig", *flags]
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = main(command)
        return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())

    def rows(self, *flags: str) -> list[Object]:
        """Give the rows that are about something."""
        done = self.doctor("--output=json", f"--tls-dir={self.tls_dir}", *flags)
        assert done.stderr == ""
        rows: list[Object] = json.loads(done.stdout)["rows"]
        return rows

    def wrong(self, *flags: str) -> dict[str, Object]:
        """Give the first row about each thing that something is wrong with, by what it is."""
        rows = [row for row in self.rows(*flags) if row["severity"] in ("warning", "error")]
        return {row["what"]: row for row in reversed(rows)}

    def apply(self, command: str) -> str:
        """Do what a remedy says, as an administrator, in a shell."""
        done = self.run("admin", "sh", "-c", command)
        assert not done.returncode, (command, done.stdout, done.stderr)
        return done.stdout

    def run(self, user: str, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as a user, with kubectl and Python where a shell finds them."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith("VCI_WEBHOOK_")}
        programs = [str(Path(sys.executable).parent), str(self.plane.programs["kubectl"].parent)]
        extra = {
            "PATH": os.pathsep.join([*programs, kept["PATH"]]),
            "PYTHONPATH": str(EXAMPLES.parent),  # commands run where their files are
            "KUBECONFIG": str(self.plane.folder / f"{user}.kubeconfig"),
        }
        return subprocess.run(
            command,
            env={**kept, **extra},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def secret(self, name: str) -> dict[str, bytes]:
        """Read a Secret."""
        data = self.cluster.admin.get("Secret", name, NAME)["data"]
        return {key: base64.b64decode(value) for key, value in data.items()}

    def change_secret(self, name: str, **data: bytes) -> None:
        """Put something into a Secret; ``_`` stands for the dot in a key."""
        encoded = {
            key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()
        }
        self.cluster.admin.patch("Secret", name, NAME, {"data": encoded})

    def change_bundle(self, kind: str, bundle: bytes) -> None:
        """Put another bundle into a configuration."""
        found = self.cluster.admin.get(kind, NAME)
        found["webhooks"][0]["clientConfig"]["caBundle"] = base64.b64encode(bundle).decode()
        self.cluster.admin.patch(kind, NAME, "", {"webhooks": found["webhooks"]})

    def bundle(self, kind: str) -> bytes:
        """Read the bundle of a configuration."""
        client = self.cluster.admin.get(kind, NAME)["webhooks"][0]["clientConfig"]
        return base64.b64decode(client.get("caBundle", ""))

    def follow(self) -> None:
        """Write the Secret into the volume, key first, as the kubelet would in a minute."""
        self.tls_dir.mkdir(exist_ok=True)
        data = self.secret(f"{NAME}-tls")
        for name in reversed(FILES):
            self.tls_dir.joinpath(name).write_bytes(data[name])

    def set_ready(self, *, ready: bool) -> None:
        """Have the Service's endpoint ready, or not."""
        manifest = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "by-hand", "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": ready}}],
            "ports": [{"name": "https", "port": self.port, "protocol": "TCP"}],
        }
        path = f"{SLICES}/by-hand?fieldManager=doctored&force=true"
        self.cluster.admin.send("PATCH", path, json.dumps(manifest).encode(), SERVER_SIDE_APPLY)

    def configure(self, *kinds: str) -> None:
        """Install the configurations, without a bundle."""
        for kind, path in CONFIGURATIONS:
            if not kinds or kind in kinds:
                self.cluster.admin.apply(configuration(kind, path))

    def issue_anew(self) -> None:
        """Have the certs program begin at the beginning, as when it was installed."""
        for secret in (f"{NAME}-ca", f"{NAME}-tls"):
            self.cluster.admin.delete("Secret", secret, NAME)
        for kind, _ in CONFIGURATIONS:
            self.change_bundle(kind, b"")
        self.apply("python -m certs ensure")
        self.follow()

    def is_well(self) -> bool:
        """Tell whether the doctor finds nothing wrong, nothing unwise and nothing unknown."""
        return self.doctor(f"--tls-dir={self.tls_dir}", "--strict").returncode == 0


def configuration(kind: str, path: str) -> Object:
    """Make a configuration that calls the Service, as a chart would."""
    manifests = read_manifests(EXAMPLES / "webhook-configuration.yaml")
    manifest = next(each for each in manifests if each["kind"] == kind)
    service = {"namespace": NAME, "name": NAME, "path": path, "port": 443}
    manifest["webhooks"][0]["clientConfig"] = {"service": service}
    return manifest


@contextmanager
def doctored(cluster: Cluster) -> Iterator[Doctored]:
    """Have the cluster until the block ends."""
    folder = Path(mkdtemp(prefix="doctored-", dir=cluster.plane.folder))
    made = Doctored(cluster, folder, free_port())
    _ip("add")
    try:
        _install(made)
        with _serving(made):
            yield made
    finally:
        _remove(made)
        _ip("del")


def _ip(verb: str) -> None:
    subprocess.run(["ip", "address", verb, f"{ADDRESS}/32", "dev", "lo"], check=True)


def _install(made: Doctored) -> None:
    admin = made.cluster.admin
    namespace = {"apiVersion": "v1", "kind": "Namespace"}
    for metadata in ({"name": NAME}, {"name": LABELLED, "labels": {"vci": "true"}}):
        _await_namespace(made, {**namespace, "metadata": metadata})
    for manifest in (*read_manifests(EXAMPLES / "rbac-doctor.yaml"), profile("x")):
        admin.apply(manifest)
    made.plane.write_kubeconfig("operator", "somebody", OPERATORS)
    port = {"name": "https", "port": 443, "targetPort": made.port}
    service: dict[str, Any] = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}}
    admin.apply({**service, "spec": {"selector": {"app": NAME}, "ports": [port]}}, NAME)
    made.set_ready(ready=True)
    made.configure()
    made.issue_anew()


def _await_namespace(made: Doctored, namespace: Object) -> None:
    eventually(lambda: _is_there(made, namespace), f"namespace {namespace['metadata']['name']}")


def _is_there(made: Doctored, namespace: Object) -> bool:
    """Make a namespace, and tell whether it is there to stay: another test may be deleting it."""
    try:
        made.cluster.admin.apply(namespace)
    except ApiError:
        return False
    name = namespace["metadata"]["name"]
    found = made.cluster.admin.find("Namespace", name)
    return found is not None and "deletionTimestamp" not in found["metadata"]


@contextmanager
def _serving(made: Doctored) -> Iterator[None]:
    namespaces = made.folder / "namespaces.yaml"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": LABELLED}}
    namespaces.write_text(yaml.safe_dump(manifest), "utf-8")
    command: list[str | Path] = [
        *(sys.executable, "-m", "webhook", "serve", "--tls-dir", made.tls_dir),
        *("--profile", EXAMPLES / "vci-profile.yaml", "--namespaces", namespaces),
        *("--host", ADDRESS, "--port", str(made.port), "--management-port", "0"),
    ]
    log = made.folder / "log"
    with running(command, log, stop_signal=SIGINT) as process:
        made.server = process
        wait_until_ready(process, log, lambda: "listening for reviews" in log.read_text("utf-8"))
        yield


def _remove(made: Doctored) -> None:
    admin = made.cluster.admin
    for kind, _ in CONFIGURATIONS:
        admin.delete(kind, NAME)
    for manifest in read_manifests(EXAMPLES / "rbac-doctor.yaml"):
        metadata = manifest["metadata"]
        admin.delete(manifest["kind"], metadata["name"], metadata.get("namespace", ""))
    for secret in (f"{NAME}-ca", f"{NAME}-tls"):
        admin.delete("Secret", secret, NAME)
    admin.delete("Service", NAME, NAME)
    admin.send("DELETE", f"{SLICES}/by-hand")
    admin.delete(*PROFILE)
    admin.delete("Namespace", LABELLED)
