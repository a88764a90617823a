"""``python -m certs`` under its own account, with the rights of ``examples/rbac-certs.yaml``.

The API server is one of these tests' own: they use the names of a real installation.
"""

import base64
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from cryptography import x509

from tests.cluster.client import SERVER_SIDE_APPLY, Client, Object, object_path, read_manifests
from tests.cluster.control_plane import EXAMPLES, ControlPlane
from tests.cluster.process import free_port, running, wait_until_ready

NAME = "vci-webhook"
ACCOUNT = "vci-webhook-certs"
USER = f"system:serviceaccount:{NAME}:{ACCOUNT}"
HOST = f"{NAME}.{NAME}.svc"
CA_SECRET, SERVING_SECRET = "vci-webhook-ca", "vci-webhook-tls"
MUTATING, VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
COMMAND = (sys.executable, "-m", "certs")
MORTAL = (sys.executable, "-m", "tests.cluster.mortal")
# A whole life of a CA in less than a minute.
SHORT = (
    *("--ca-lifetime", "40s", "--serving-lifetime", "15s", "--renew-at", "0.5"),
    *("--publish-wait", "2s"),
)
# What was issued with the first is an age of 19 s for who runs with the second.
OLD, YOUNG = ("--clock-skew", "20s"), ("--clock-skew", "1s")


@dataclass(slots=True)
class Certifying:
    """An API server, its administrator, and the certificate program that looks after it."""

    plane: ControlPlane
    admin: Client
    folder: Path
    kubeconfig: Path

    def ensure(
        self,
        *flags: str,
        command: Sequence[str] = COMMAND,
        environment: Mapping[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run one pass."""
        return subprocess.run(
            (*command, "ensure", "--kubeconfig", str(self.kubeconfig), *flags),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, **(environment or {})},
        )

    @contextmanager
    def running(
        self, *flags: str, environment: Mapping[str, str] | None = None
    ) -> Iterator["Program"]:
        """Run the program until the block ends, in which it is to log nothing but JSON."""
        port = free_port()
        log = Path(mkdtemp(prefix="certs-", dir=self.folder)) / "log"
        command: Sequence[str] = (
            *(*COMMAND, "run", "--kubeconfig", str(self.kubeconfig), "--log-format", "json"),
            *("--port", str(port), *flags),
        )
        with running(command, log, environment) as process:
            program = Program(process, log, port)
            wait_until_ready(process, log, lambda: program.get("/healthz")[0] == 200, seconds=20)
            yield program

    def secret(self, name: str) -> dict[str, bytes]:
        """Give the content of a Secret; nothing when there is none."""
        found = self.admin.find("Secret", name, NAME) or {}
        return {key: base64.b64decode(text) for key, text in (found.get("data") or {}).items()}

    def bundles(self) -> list[bytes]:
        """Give the bundle of each webhook that there is."""
        found = [self.admin.find(kind, NAME) or {} for kind in (MUTATING, VALIDATING)]
        webhooks = [webhook for each in found for webhook in each.get("webhooks", ())]
        return [base64.b64decode(each["clientConfig"].get("caBundle", "")) for each in webhooks]

    def versions(self) -> dict[str, str]:
        """Give the resourceVersion of everything that the program may write."""
        objects = [self.admin.find("Secret", name, NAME) for name in (CA_SECRET, SERVING_SECRET)]
        objects += [self.admin.find(kind, NAME) for kind in (MUTATING, VALIDATING)]
        metadata = [each["metadata"] for each in objects if each]
        return {f"{each['name']}/{each['uid']}": each["resourceVersion"] for each in metadata}

    def is_sound(self) -> bool:
        """Tell whether every webhook's bundle verifies the serving certificate."""
        leaf = self.secret(SERVING_SECRET).get("tls.crt", b"")
        bundles = self.bundles()
        return bool(bundles) and all(verifies(bundle, leaf) for bundle in bundles)

    def may(self, verb: str, resource: str) -> bool:
        """Tell whether the program's account has a right, on the objects of this name."""
        group = "" if resource == "secrets" else "admissionregistration.k8s.io"
        asked = {"verb": verb, "resource": resource, "group": group}
        asked |= {"namespace": NAME, "name": SERVING_SECRET} if not group else {"name": NAME}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": USER, "resourceAttributes": asked},
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        answer = json.loads(self.admin.send("POST", path, json.dumps(review).encode()))
        return bool(answer["status"]["allowed"])

    def overwrite(self, name: str, **data: bytes) -> None:
        """Replace what a Secret holds."""
        encoded = {key: base64.b64encode(content).decode() for key, content in data.items()}
        patch = [{"op": "add", "path": "/data", "value": encoded}]
        body = json.dumps(patch).encode()
        self.admin.send(
            "PATCH", object_path("Secret", NAME, name), body, "application/json-patch+json"
        )

    def set_bundle(self, kind: str, content: bytes) -> None:
        """Overwrite the bundle of every webhook of a configuration."""
        bundle = base64.b64encode(content).decode()
        count = len(self.admin.get(kind, NAME)["webhooks"])
        patch = [
            {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": bundle}
            for index in range(count)
        ]
        body = json.dumps(patch).encode()
        self.admin.send("PATCH", object_path(kind, "", NAME), body, "application/json-patch+json")

    def uninstall(self) -> None:
        """Remove everything that the program writes."""
        for name in (CA_SECRET, SERVING_SECRET):
            self.admin.delete("Secret", name, NAME)
        for kind in (MUTATING, VALIDATING):
            self.admin.delete(kind, NAME)

    def install(self) -> None:
        """Begin anew: no Secrets, and configurations without a bundle."""
        self.uninstall()
        for manifest in configurations():
            self.admin.create(manifest)


@dataclass(slots=True)
class Program:
    """A program that runs, and what it says."""

    process: "subprocess.Popen[bytes]"
    log: Path
    port: int
    _read: int = field(default=0)

    def get(self, path: str) -> tuple[int, str]:
        """Ask its port."""
        try:
            url = f"http://127.0.0.1:{self.port}{path}"
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """Read a metric; 0 when it is not there."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(f"vci_webhook_certs_{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def records(self) -> list[dict[str, Any]]:
        """Give its log."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]

    def problems(self) -> str:
        """Give everything that it complained about."""
        return "\n".join(str(each.get("problem", "")) for each in self.records())

    def messages(self) -> list[str]:
        """Give what each record says."""
        return [str(each["message"]) for each in self.records()]


def verifies(bundle: bytes, leaf: bytes) -> bool:
    """Verify a serving certificate as a TLS client would, with our own eyes."""
    authorities = x509.load_pem_x509_certificates(bundle) if bundle else []
    if not authorities or not leaf:
        return False
    builder = x509.verification.PolicyBuilder().store(x509.verification.Store(authorities))
    verifier = builder.build_server_verifier(x509.DNSName(HOST))
    try:
        verifier.verify(x509.load_pem_x509_certificate(leaf), [])
    except x509.verification.VerificationError:
        return False
    return True


def configurations() -> list[Object]:
    """Make the two configurations of the example, for a Service, and without a bundle."""
    found = read_manifests(EXAMPLES / "webhook-configuration.yaml")
    for manifest in found:
        for webhook in manifest["webhooks"]:
            path = "/" + webhook["clientConfig"]["url"].rpartition("/")[2]
            service = {"namespace": NAME, "name": NAME, "path": path}
            webhook["clientConfig"] = {"service": service}
    return found


def grant_rights(admin: Client) -> None:
    """Create the account and what it may do, as the example says."""
    for manifest in read_manifests(EXAMPLES / "rbac-certs.yaml"):
        path = object_path(manifest["kind"], manifest["metadata"].get("namespace", ""))
        name = manifest["metadata"]["name"]
        query = "?fieldManager=cluster-tests&force=true"
        body = json.dumps(manifest).encode()
        admin.send("PATCH", f"{path}/{name}{query}", body, SERVER_SIDE_APPLY)


def write_kubeconfig(plane: ControlPlane, admin: Client, folder: Path) -> Path:
    """Write a kubeconfig with a token of the account."""
    token = admin.request_token(ACCOUNT, NAME)
    file = folder / "certs.kubeconfig"
    file.write_text(plane.render_kubeconfig(ACCOUNT, {"token": token}), "utf-8")
    return file
