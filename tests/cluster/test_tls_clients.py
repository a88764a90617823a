"""``--client-ca`` with a real API server that presents a certificate, by docs/certificates.md.

The page's commands and files are what is run. The API server is one of its own: it reads them when
it starts.
"""

import base64
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from textwrap import dedent

import pytest
import yaml

from tests.cluster import binaries, pki
from tests.cluster.client import ApiError, Client, Object
from tests.cluster.configuration import configured, webhook_configuration
from tests.cluster.control_plane import EXAMPLES, ControlPlane, start_api_server
from tests.cluster.needs import lack, need_namespaces
from tests.cluster.process import eventually, free_port
from tests.cluster.workloads import bare_pod
from tests.contract.client import Connection, trusting
from tests.contract.reviews import encoded
from tests.contract.serving import Files, ServeProcess, serve_process

PAGE = EXAMPLES.parent / "docs" / "certificates.md"
BLOCK = re.compile(r"^ +```(?P<kind>sh|yaml)\n(?P<text>.*?)^ +```$", re.MULTILINE | re.DOTALL)
PLACE = "/etc/kubernetes/admission"  # on the page
NAME = "kube-apiserver-webhook-client"
SERVICE = "vci-webhook"  # and its namespace
ADDRESS = "10.99.0.1"  # of the Service's endpoint; the API server wants none of loopback
PODS = "clients"
MARK = {"name": "mark", "matchAll": True, "effect": {"labels": {"marked": "true"}}}


@dataclass(frozen=True, slots=True)
class Place:
    """An API server that presents a certificate, and the folder of the page's files."""

    plane: ControlPlane
    admin: Client
    folder: Path
    port: int


@pytest.fixture(scope="module")
def place(session_cluster: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Follow the page, and start an API server on its files."""
    assert session_cluster  # which skips or fails where there are no programs
    if not shutil.which("openssl"):
        lack("no openssl, whose commands are on the page; install the package openssl")
    run = tmp_path_factory.mktemp("clients") / "run"
    folder, port = run / "admission", free_port()
    (run / "logs").mkdir(parents=True)
    follow_page(folder, port)
    flags: dict[str, object] = {"admission-control-config-file": folder / "admission.yaml"}
    plane = ControlPlane(run, binaries.locate(), pki.Authority(run), api_server_flags=flags)
    with ExitStack() as stack:
        admin = plane.client(plane.write_kubeconfig("admin", "admin", "system:masters"))
        start_api_server(plane, admin, stack)
        for manifest in objects():
            admin.create(manifest, manifest["metadata"].get("namespace", ""))
        yield Place(plane, admin, folder, port)
    rmtree(run / "etcd")


def follow_page(folder: Path, port: int) -> None:
    """Run the page's commands, and write its files; a URL's port is not known before."""
    folder.mkdir()
    _, _, section = PAGE.read_text("utf-8").partition("\n## Require the API server's certificate")
    for found in BLOCK.finditer(section):
        text = dedent(found["text"])
        if found["kind"] == "sh":
            command = ["bash", "-euc", text]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        else:
            first, _, rest = text.partition("\n")
            name = first.removeprefix(f"# {PLACE}/")
            (folder / name).write_text(rest.replace(PLACE, str(folder)), "utf-8")
    path = folder / "webhooks.yaml"
    config = yaml.safe_load(path.read_text("utf-8"))
    config["users"].append({**config["users"][0], "name": f"127.0.0.1:{port}"})
    path.write_text(yaml.safe_dump(config), "utf-8")


def objects() -> Iterator[Object]:
    """Give what Pods need where no controller makes it, and the Service."""
    for name in (PODS, SERVICE):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    metadata = {"name": SERVICE, "namespace": SERVICE}
    account = {"name": "default", "namespace": PODS}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}
    port = {"name": "https", "port": 443, "targetPort": 8443}
    yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [port]}}
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": SERVICE}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": 8443}],
    }


@pytest.fixture(params=["url", "service"])
def host(request: pytest.FixtureRequest) -> str:
    """The address that the webhook is called at: by a URL, or by a Service."""
    if request.param == "url":
        return "127.0.0.1"
    need_namespaces()
    subprocess.run(["ip", "address", "replace", f"{ADDRESS}/32", "dev", "lo"], check=True)
    return ADDRESS


@pytest.fixture
def files(tmp_path: Path, place: Place) -> Files:
    """A profile that marks every Pod, the namespaces, and a serving certificate."""
    tls = tmp_path / "tls"
    tls.mkdir()
    names = ("localhost", f"{SERVICE}.{SERVICE}.svc")
    serving = place.plane.authority.issue_serving("webhook", names)
    shutil.copy(serving.certificate, tls / "tls.crt")
    shutil.copy(serving.key, tls / "tls.key")
    profile, namespaces = tmp_path / "profile.yaml", tmp_path / "namespaces.yaml"
    profile.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "vci-profile", "namespace": "kube-system"},
                "data": {"selectors": yaml.safe_dump([MARK])},
            }
        )
    )
    namespaces.write_text(yaml.safe_dump(next(objects())))
    return Files(profile, namespaces, tls, place.plane.authority.certificate)


def configuration(place: Place, host: str) -> Object:
    """Have Pods sent to the webhook; whatever goes wrong refuses them."""
    authority = place.plane.authority.certificate.read_bytes()
    url = f"https://{host}:{place.port}/mutate"
    made = webhook_configuration("clients", url, authority, [PODS], failurePolicy="Fail")
    if host == ADDRESS:
        made["webhooks"][0]["clientConfig"] = {
            "service": {"name": SERVICE, "namespace": SERVICE, "path": "/mutate", "port": 443},
            "caBundle": base64.b64encode(authority).decode(),
        }
    return made


def flags_of(place: Place, host: str, client_ca: Path) -> list[str]:
    """Say where to listen, and whom to let in."""
    port = 8443 if host == ADDRESS else place.port
    flags = [f"--host={host}", f"--port={port}"]
    return [*flags, f"--client-ca={client_ca}", f"--client-name={NAME}"]


def is_marked(admin: Client) -> bool:
    """Create a Pod, and tell whether the webhook had a say in it."""
    pod = admin.create(bare_pod("pod"), PODS, "?dryRun=All")
    return bool(pod["metadata"].get("labels", {}).get("marked"))


def test_the_api_server_is_let_in_and_nobody_else(
    place: Place, files: Files, host: str, tmp_path: Path
) -> None:
    """A create is placed by way of its certificate; without one, or by another name, no answer."""
    flags = flags_of(place, host, place.folder / "client-ca.crt")
    made = configuration(place, host)
    with (
        serve_process(files, tmp_path / "log", *flags) as webhook,
        configured(place.admin, made, lambda: is_marked(place.admin)),
    ):
        assert is_marked(place.admin)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            webhook.post(encoded())
        assert status_of_another(place, webhook) == 403
        assert is_marked(place.admin)


def status_of_another(place: Place, webhook: ServeProcess) -> int:
    """Ask with a certificate of the same CA and another name, as a kubelet might have."""
    commands = """
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=system:node:a" \
      -keyout other.key -out other.csr
    openssl x509 -req -in other.csr -CA client-ca.crt -CAkey client-ca.key -days 1 -out other.crt
    """
    subprocess.run(["bash", "-euc", commands], cwd=place.folder, check=True, capture_output=True)
    context = trusting(webhook.ca)
    context.load_cert_chain(place.folder / "other.crt", place.folder / "other.key")
    with Connection(webhook.url, context) as connection:
        return connection.post(encoded()).status


def test_the_wrong_ca_refuses_the_api_server(
    place: Place, files: Files, host: str, tmp_path: Path
) -> None:
    """What an administrator then reads is that the connection ended, in one of two ways."""
    flags = flags_of(place, host, place.plane.authority.certificate)

    def refusal() -> str:
        try:
            place.admin.create(bare_pod("pod"), PODS, "?dryRun=All")
        except ApiError as error:
            return str(error)
        return ""  # the configuration is not in force yet

    with serve_process(files, tmp_path / "log", *flags):
        place.admin.create(configuration(place, host))
        try:
            assert re.search("EOF$|connection reset by peer$", eventually(refusal, "a refusal"))
        finally:
            place.admin.delete("MutatingWebhookConfiguration", "clients")
