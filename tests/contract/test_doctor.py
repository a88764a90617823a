"""``vci-webhook doctor`` with a real server and an API server that says what a test tells it to."""

import base64
import io
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from tests.contract.api_server import (
    TOKEN,
    Answer,
    ScriptedApiServer,
    profile,
    refuse,
)
from tests.contract.conftest import write_pair
from tests.contract.serving import ServerThread, run_command, serve_thread
from webhook.cli import main
from webhook.tls_pair import TlsFiles

HOST = "vci-webhook.vci-webhook.svc"
OWN = "/api/v1/namespaces/vci-webhook"
ADMISSION = "GET /apis/admissionregistration.k8s.io/v1"
MUTATING = f"{ADMISSION}/mutatingwebhookconfigurations/vci-webhook"
VALIDATING = f"{ADMISSION}/validatingwebhookconfigurations/vci-webhook"
TLS_SECRET = f"GET {OWN}/secrets/vci-webhook-tls"
CA_SECRET = f"GET {OWN}/secrets/vci-webhook-ca"
PROGRAM = "GET /apis/apps/v1/namespaces/vci-webhook/deployments/vci-webhook-certs"
SERVICE = f"GET {OWN}/services/vci-webhook"
SLICES = "GET /apis/discovery.k8s.io/v1/namespaces/vci-webhook/endpointslices"
PROFILE = "GET /api/v1/namespaces/kube-system/configmaps/vci-profile"
EVERYTHING = (MUTATING, VALIDATING, TLS_SECRET, CA_SECRET, PROGRAM, SERVICE, SLICES, PROFILE)


def answer(value: Any, *headers: tuple[str, str]) -> Answer:
    """Answer with an object."""
    return Answer(pieces=(json.dumps(value).encode(),), headers=headers)


def encoded(data: bytes) -> str:
    """Write bytes as they stand in an object."""
    return base64.b64encode(data).decode()


def configuration(path: str, ca: bytes, **client: Any) -> dict[str, Any]:
    """Make a webhook configuration."""
    service = {"namespace": "vci-webhook", "name": "vci-webhook", "path": path, "port": 443}
    selector = {"matchLabels": {"vci": "true"}} if path == "/mutate" else {}
    webhook = {
        "name": "x.vci-webhook.test",
        "clientConfig": {"caBundle": encoded(ca), **(client or {"service": service})},
        "failurePolicy": "Ignore",
        "namespaceSelector": selector,
        "rules": [
            {
                "operations": ["CREATE", "UPDATE"],
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "resources": ["pods" if path == "/mutate" else "configmaps"],
            }
        ],
    }
    return {"metadata": {}, "webhooks": [webhook]}


@dataclass
class Doctor:
    """The command, what it is told about the cluster, and what it looks at."""

    api: ScriptedApiServer
    server: ServerThread
    tls_dir: Path
    kubeconfig: Path

    @property
    def address(self) -> str:
        """Where the server is."""
        return self.server.url.removeprefix("https://").removesuffix("/mutate")

    def run(self, *flags: str) -> "subprocess.CompletedProcess[str]":
        """Run it to its end, in this process: it takes a second to start."""
        out, err = io.StringIO(), io.StringIO()
        arguments = ["doctor", f"--kubeconfig={self.kubeconfig}", *flags]
        with redirect_stdout(out), redirect_stderr(err):
            status = main(arguments)
        return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())

    def rows(self, *flags: str) -> list[dict[str, str]]:
        """Run it, and give the rows."""
        done = self.run("--output=json", *flags)
        assert done.stderr == ""
        rows: list[dict[str, str]] = json.loads(done.stdout)["rows"]
        return rows

    def said(self, what: str, *flags: str) -> list[tuple[str, str]]:
        """Give what is said about one thing."""
        return [(r["severity"], r["finding"]) for r in self.rows(*flags) if r["what"] == what]


def write_kubeconfig(folder: Path, api: ScriptedApiServer) -> Path:
    """Write how the API server is reached."""
    cluster = {
        "server": f"https://127.0.0.1:{api.port}",
        "certificate-authority": str(api.service_account / "ca.crt"),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "x", "cluster": cluster}],
        "users": [{"name": "x", "user": {"token": TOKEN}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "current-context": "x",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def doctor(
    api: ScriptedApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Doctor]:
    """A cluster where nothing is wrong, and where a person brings the certificates."""
    for name in [name for name in os.environ if name.startswith("VCI_WEBHOOK")]:
        monkeypatch.delenv(name)
    ca = trustme.CA()
    leaf = ca.issue_cert(HOST)
    tls_dir = tmp_path / "tls"
    tls_dir.mkdir()
    write_pair(tls_dir, leaf)
    files = {
        "tls.crt": leaf.cert_chain_pems[0].bytes(),
        "tls.key": leaf.private_key_pem.bytes(),
        "ca.crt": ca.cert_pem.bytes(),
    }
    (tls_dir / "ca.crt").write_bytes(files["ca.crt"])
    secret = {"metadata": {}, "data": {name: encoded(data) for name, data in files.items()}}
    api.script("GET /version", answer({"gitVersion": "v1.37.2"}))
    api.script(MUTATING, answer(configuration("/mutate", files["ca.crt"])))
    api.script(VALIDATING, answer(configuration("/validate", files["ca.crt"])))
    api.script(TLS_SECRET, answer(secret))
    api.script(CA_SECRET, refuse(404, "NotFound"))
    api.script(SERVICE, answer({"spec": {"ports": [{"port": 443}], "selector": {"app": "x"}}}))
    api.script(PROFILE, answer(profile()))
    with serve_thread(TlsFiles(tls_dir)) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        endpoints = [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]
        slices = {"items": [{"endpoints": endpoints, "ports": [{"port": port}]}]}
        api.script(SLICES, answer(slices))
        yield Doctor(api, server, tls_dir, write_kubeconfig(tmp_path, api))


def test_all_is_well(doctor: Doctor) -> None:
    """The Service's own endpoints are asked for their certificate; each thing has one row."""
    flags = (f"--kubeconfig={doctor.kubeconfig}", "--strict")
    done = run_command("doctor", *flags, VCI_WEBHOOK_TLS_DIR=str(doctor.tls_dir))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1] == "nothing is wrong, 9 ok"
    assert [line.split(": ")[1] for line in lines[:-1]] == [
        "API server",
        "certificates",
        "Service vci-webhook/vci-webhook",
        "MutatingWebhookConfiguration vci-webhook",
        "ValidatingWebhookConfiguration vci-webhook",
        "Secret vci-webhook/vci-webhook-tls",
        f"mounted pair {doctor.tls_dir}",
        f"server {doctor.address}",
        "profile kube-system/vci-profile",
        "rules",
    ]


def test_one_flag_names_another_installation(doctor: Doctor) -> None:
    """All else is named after the Service; whatever is not is named by itself."""
    doctor.run("--service-name=a-vci-webhook", "--own-namespace=here", "--tls-secret=own")
    own, admission = "/api/v1/namespaces/here", ADMISSION
    assert {request.kind for request in doctor.api.requests} == {
        "GET /version",
        "namespaces list",
        f"{admission}/mutatingwebhookconfigurations/a-vci-webhook",
        f"{admission}/validatingwebhookconfigurations/a-vci-webhook",
        f"GET {own}/secrets/own",
        f"GET {own}/secrets/a-vci-webhook-ca",
        "GET /apis/apps/v1/namespaces/here/deployments/a-vci-webhook-certs",
        f"GET {own}/services/a-vci-webhook",
        PROFILE,
    }
    doctor.api.requests.clear()
    doctor.run("--webhook-configuration=m", "--validating-configuration=v")
    asked = {request.kind for request in doctor.api.requests}
    assert {f"{ADMISSION}/mutatingwebhookconfigurations/m", SERVICE} <= asked
    assert f"{ADMISSION}/validatingwebhookconfigurations/v" in asked


def test_only_our_objects_are_read(doctor: Doctor) -> None:
    """Each by its name and once, with GET; lists are namespaces and the Service's endpoints."""
    doctor.run()
    asked = [request.kind for request in doctor.api.requests]
    assert sorted(asked) == sorted([*EVERYTHING, "GET /version", "namespaces list"])
    assert {request.method for request in doctor.api.requests} == {"GET"}
    assert doctor.api.last(SLICES).query == {
        "labelSelector": "kubernetes.io/service-name=vci-webhook"
    }


def test_rights_that_are_missing_are_rows(doctor: Doctor) -> None:
    """Each names the least that is needed; none is an error, and what is left is judged."""
    for kind in (*EVERYTHING, "namespaces list"):
        doctor.api.script(kind, refuse(403, "Forbidden"))
    rows = doctor.rows(f"--server={doctor.address}")
    needed = [row["remedy"] for row in rows if row["severity"] == "unknown"]
    assert all(each.endswith("; examples/rbac-doctor.yaml grants it") for each in needed)
    assert [each.split(" the right to ")[1].partition(";")[0] for each in needed] == [
        "get deployments vci-webhook-certs in namespace vci-webhook",
        "get services vci-webhook in namespace vci-webhook",
        "get mutatingwebhookconfigurations vci-webhook",
        "get validatingwebhookconfigurations vci-webhook",
        "list namespaces",
        "get secrets vci-webhook-ca in namespace vci-webhook",
        "get secrets vci-webhook-tls in namespace vci-webhook",
        "get configmaps vci-profile in namespace kube-system",
    ]
    assert ("ok", "x") in [
        (row["severity"], "x") for row in rows if row["what"].startswith("server")
    ]
    assert doctor.run(f"--server={doctor.address}").returncode == 0
    assert doctor.run(f"--server={doctor.address}", "--strict").returncode == 1


def test_endpoints_that_may_not_be_listed(doctor: Doctor) -> None:
    """Are a row about the Service."""
    doctor.api.script(SLICES, refuse(403, "Forbidden"))
    (row,) = (row for row in doctor.rows() if row["severity"] == "unknown")
    assert row["what"] == "Service vci-webhook/vci-webhook"
    assert "the right to list endpointslices in namespace vci-webhook" in row["remedy"]


def test_an_api_server_that_does_not_answer_is_an_error(doctor: Doctor) -> None:
    """What is here is judged all the same: the mounted pair, and the server that is named."""
    doctor.api.down()
    done = doctor.run("--output=json", f"--tls-dir={doctor.tls_dir}", f"--server={doctor.address}")
    assert done.returncode == 1
    told = json.loads(done.stdout)["rows"]
    assert [(row["severity"], row["what"]) for row in told] == [
        ("error", "API server"),
        ("note", "certificates"),
        ("ok", f"mounted pair {doctor.tls_dir}"),
        ("ok", f"server {doctor.address}"),
    ]
    assert told[0]["finding"].startswith("does not answer: ")


def test_credentials_that_are_refused_are_an_error(doctor: Doctor) -> None:
    """401 is for all requests: it is said once."""
    for kind in ("GET /version", *EVERYTHING):
        doctor.api.script(kind, refuse(401, "Unauthorized"))
    rows = doctor.rows(f"--server={doctor.address}")
    assert [row["what"] for row in rows] == [
        "API server",
        "certificates",
        f"server {doctor.address}",
    ]
    assert rows[0]["finding"].startswith("does not answer: 401")


def test_a_clock_that_differs_from_the_api_servers(doctor: Doctor) -> None:
    """Certificates are judged by the clock of the one who verifies them."""
    then = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 1000 * 365 * 86400))
    late = Answer(pieces=(b"{}",), headers=(("Date", then),), without_date=True)
    doctor.api.script("GET /version", late)
    ((severity, finding),) = doctor.said("API server")
    assert severity == "warning"
    assert finding.startswith("the clock here is 31,5")
    assert "s behind its clock" in finding
    ((severity, finding),) = doctor.said("Secret vci-webhook/vci-webhook-tls")
    assert severity == "error"
    assert "expired at" in finding


@pytest.mark.parametrize("date", ["soon", "", "Tue, 24 Nov 2026 12:00:00 -0000"])
def test_a_clock_that_is_not_told_is_not_judged(doctor: Doctor, date: str) -> None:
    """Then our own has to do."""
    answered = Answer(pieces=(b"{}",), headers=(("Date", date),), without_date=True)
    doctor.api.script("GET /version", answered)
    assert doctor.said("API server") == [("ok", "answers")]


def test_a_server_that_cannot_be_reached(doctor: Doctor) -> None:
    """Named, it is an error; found, it is not known, and how to reach it is told."""
    doctor.api.script(
        SLICES,
        answer({"items": [{"endpoints": [{"addresses": ["127.0.0.1"]}], "ports": [{"port": 1}]}]}),
    )
    (row,) = (row for row in doctor.rows() if row["severity"] == "unknown")
    assert (
        '"127.0.0.1:1" cannot be reached from here ([Errno 111] Connection refused)'
        in row["finding"]
    )
    assert row["command"] == (
        "kubectl port-forward --namespace vci-webhook service/vci-webhook 8443:443"
    )
    assert doctor.said("server 127.0.0.1:1", "--server=127.0.0.1:1")[0][0] == "error"
    assert doctor.run("--server=127.0.0.1:1").returncode == 1


def test_a_url_is_asked_for_its_certificate(doctor: Doctor) -> None:
    """Where configurations have no Service; what it presents must be for the URL's host."""
    ca = (doctor.tls_dir / "ca.crt").read_bytes()
    for kind, path in ((MUTATING, "/mutate"), (VALIDATING, "/validate")):
        url = f"https://{doctor.address}{path}"
        doctor.api.script(kind, answer(configuration(path, ca, url=url)))
    doctor.api.script(SERVICE, refuse(404, "NotFound"))
    doctor.api.script(TLS_SECRET, refuse(404, "NotFound"))
    ((severity, finding),) = doctor.said(f"server {doctor.address}")
    assert severity == "error"
    assert finding == f'is not for "127.0.0.1", by which the API server calls, but for "{HOST}"'


def test_a_server_that_requires_a_certificate_shows_its_own(doctor: Doctor, tmp_path: Path) -> None:
    """Which it does before it finds that the doctor has none."""
    client_ca = tmp_path / "client-ca.crt"
    trustme.CA().cert_pem.write_to_path(client_ca)
    with serve_thread(TlsFiles(doctor.tls_dir, client_ca=client_ca)) as server:
        address = server.url.removeprefix("https://").removesuffix("/mutate")
        ((severity, finding),) = doctor.said(f"server {address}", f"--server={address}")
    assert (severity, finding[:20]) == ("ok", "presents certificate")


def test_a_chain_that_is_not_whole_is_seen(doctor: Doctor, tmp_path: Path) -> None:
    """The server presents its leaf alone, although a CA in between signed it."""
    root = trustme.CA()
    middle = root.create_child_ca()
    leaf = middle.issue_cert(HOST)
    whole = b"".join(each.bytes() for each in leaf.cert_chain_pems)
    bundle = root.cert_pem.bytes()
    doctor.api.script(MUTATING, answer(configuration("/mutate", bundle)))
    doctor.api.script(VALIDATING, answer(configuration("/validate", bundle)))
    doctor.api.script(TLS_SECRET, refuse(404, "NotFound"))
    for name, chain, wrong in (("whole", whole, 0), ("half", leaf.cert_chain_pems[0].bytes(), 2)):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "tls.crt").write_bytes(chain)
        leaf.private_key_pem.write_to_path(directory / "tls.key")
        with serve_thread(TlsFiles(directory)) as server:
            address = server.url.removeprefix("https://").removesuffix("/mutate")
            rows = doctor.rows(f"--server={address}")
        distrusted = [row for row in rows if "its caBundle does not vouch" in row["finding"]]
        assert len(distrusted) == wrong


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--server=x"], '--server (VCI_WEBHOOK_SERVER): "x" is not a server; give HOST:PORT'),
        (["--server=x:0"], '"x:0" is not a server'),
        (["--server=::1:8443"], '"::1:8443" is not a server'),
        (["--certificates=other"], "give one of self, certManager, provided"),
        (["--output=xml"], "give one of text, json"),
        (["--own-namespace=A"], "is not the name of a namespace"),
        (["--kubeconfig=/nowhere"], "/nowhere: no usable credentials: no such file"),
        (["now"], "unexpected extra argument"),
    ],
)
def test_unusable_input_is_one_line(doctor: Doctor, flags: list[str], said: str) -> None:
    """And exit status 2, before anything is asked."""
    done = doctor.run(*flags)
    assert doctor.api.requests == []
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("vci-webhook: ")
    assert said in line


def test_a_directory_that_is_none_is_a_row(doctor: Doctor) -> None:
    """So is a pair that lacks a file."""
    for directory, said in (
        (doctor.tls_dir / "no", "is not a directory"),
        (Path("/"), "has no tls.crt"),
    ):
        done = doctor.run(f"--tls-dir={directory}")
        assert done.returncode == 1
        assert f"error: mounted pair {directory}: {said}" in done.stdout


def test_no_key_is_ever_shown(doctor: Doctor) -> None:
    """Neither in rows nor in errors, whatever is asked for."""
    key = (doctor.tls_dir / "tls.key").read_text().splitlines()[1]
    doctor.api.script(
        CA_SECRET, answer({"metadata": {}, "data": {"ca.crt": encoded(key.encode())}})
    )
    done = doctor.run("--output=json", f"--tls-dir={doctor.tls_dir}")
    assert done.returncode == 1
    assert key not in done.stdout + done.stderr
