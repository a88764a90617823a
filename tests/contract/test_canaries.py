"""Secrets planted in Pods and profiles never reach the log, at any level, in any format."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contract.client import JSON_HEADERS
from tests.contract.conftest import PROFILE
from tests.contract.reviews import POD, encoded
from tests.contract.serving import Files, ServeProcess, command, serve_process, wait_until
from tests.contract.test_validate import review_of
from webhook.log import LOG_FORMATS, LOG_LEVELS

CANARY = "canary"


def canary(where: str) -> str:
    """Make a secret that tells where it was planted."""
    return f"{CANARY}-{where}"


def planted_pod(**spec: Any) -> dict[str, Any]:
    """Make a Pod with a secret in every place that has room for one."""
    container = {
        "name": canary("container"),
        "image": canary("image"),
        "command": [canary("command")],
        "args": [canary("argument")],
        "env": [{"name": canary("variable"), "value": canary("value")}],
        "volumeMounts": [{"name": canary("mount"), "mountPath": canary("path")}],
    }
    return {
        "metadata": {
            "generateName": "named-",
            "labels": {"app": canary("label")},
            "annotations": {"example.com/secret": canary("annotation")},
        },
        "spec": {
            "containers": [container],
            "initContainers": [container],
            "nodeSelector": {canary("selector"): canary("selected")},
            "tolerations": [{"key": canary("toleration"), "value": canary("tolerated")}],
            "volumes": [{"name": "v", "secret": {"secretName": canary("volume")}}],
            "serviceAccountName": canary("account"),
            "imagePullSecrets": [{"name": canary("pull")}],
            **spec,
        },
    }


USER = {"username": canary("user"), "uid": canary("uid"), "extra": {"token": [canary("token")]}}
REVIEWS = {
    "placed": encoded(planted_pod(), userInfo=USER),
    "left alone": encoded(planted_pod(hostNetwork=True), userInfo=USER),
    "not touched": encoded(planted_pod(), namespace="plain"),
    "unknown namespace": encoded(planted_pod(), namespace="nobody-knows"),
    "of another type": encoded(planted_pod(nodeSelector=[canary("list")])),
    "an annotation of another type": encoded(
        {**POD, "metadata": {"name": "a", "annotations": {"a": [canary("list")]}}}
    ),
    "cut off": encoded(planted_pod())[:-9],
    "not utf-8": encoded(planted_pod()).replace(b"named-", b"\xff"),
    "not json": canary("body").encode(),
    "an update": encoded(planted_pod(), operation="UPDATE", oldObject=planted_pod()),
}


def planted_rules() -> list[dict[str, Any]]:
    """Make rules with a secret in each value of an annotation, good and bad ones."""
    namespaces = {"matchLabels": {"vci": "true"}}
    values: list[Any] = [canary("rule"), [canary("list")], {"a": canary("map")}, 1]
    return [
        {
            "name": f"rule-{number}",
            "namespaceSelector": namespaces,
            "effect": {"annotations": {"example.com/key": value}},
        }
        for number, value in enumerate(values)
    ] + [
        {
            "name": "unknown-field",
            "namespaceSelector": namespaces,
            "effect": {"annotations": {"example.com/key": canary("good")}},
            "nonsense": canary("nonsense"),
        }
    ]


@contextmanager
def silent_server(files: Files, log_file: Path, *flags: str) -> Iterator[ServeProcess]:
    """Run a server that may not even say where it listens."""
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    chosen = (f"--port={ports[0]}", f"--management-port={ports[1]}", *flags)
    with log_file.open("wb") as stderr:
        process = subprocess.Popen(command("serve", *files.flags(), *chosen), stderr=stderr)
        urls = f"https://127.0.0.1:{ports[0]}/mutate", f"http://127.0.0.1:{ports[1]}"
        server = ServeProcess(process, log_file, files.ca, *urls)
        try:
            wait_until(lambda: _is_ready(server), "readiness")
            yield server
        finally:
            process.terminate()
            process.terminate()
            process.wait()


def _is_ready(server: ServeProcess) -> bool:
    try:
        return server.probe("/readyz").status == 200
    except OSError:
        return False


@pytest.fixture(params=[(form, level) for form in LOG_FORMATS for level in LOG_LEVELS], ids=str)
def server(request: pytest.FixtureRequest, files: Files, tmp_path: Path) -> Iterator[ServeProcess]:
    """A server in each format at each level, with secrets in its profile."""
    log_format, level = request.param
    manifest = json.loads(json.dumps(PROFILE))
    manifest["metadata"]["annotations"] = {"example.com/secret": canary("metadata")}
    manifest["data"]["selectors"] = json.dumps(planted_rules())
    manifest["data"]["unknownKey"] = canary("unknown key")
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(manifest))
    planted = Files(profile, files.namespaces, files.tls_dir)
    flags = (f"--log-format={log_format}", f"--log-level={level}")
    with silent_server(planted, tmp_path / "log", *flags) as running:
        yield running


def test_no_secret_reaches_the_log(server: ServeProcess) -> None:
    """Whatever is asked, on either path and by either way, nothing planted is told."""
    bodies = [*REVIEWS.values(), review_of(json.dumps(planted_rules())), review_of(canary("text"))]
    for target in ("/mutate", "/validate", "/nothing"):
        for content_type in (*JSON_HEADERS.values(), "application/json;"):
            with server.connect() as connection:
                for body in bodies:
                    headers = {"Content-Type": content_type, "Authorization": canary("bearer")}
                    connection.request("POST", f"{target}?{canary('query')}", body, headers)
    server.signal(signal.SIGINT)  # what is still to be written is written now
    server.wait()
    assert CANARY not in server.log


def test_something_is_logged_at_all(files: Files, tmp_path: Path) -> None:
    """The same requests make lines: what is searched for secrets is not empty."""
    with serve_process(files, tmp_path / "log", "--log-level=debug") as server:
        for body in REVIEWS.values():
            server.post(body)
        wait_until(lambda: server.log.count('"message":"review') >= 7, "lines about the reviews")
