"""Certificates, files and servers that the contract tests share."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.contract.api_server import ScriptedApiServer, scripted_api_server
from tests.contract.followed import Followed, followed
from tests.contract.serving import (
    Files,
    ServeProcess,
    ServerThread,
    serve_process,
    serve_thread,
)
from webhook.tls_pair import TlsFiles

PROFILE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "vci-profile", "namespace": "kube-system"},
    "data": {
        "enforceSelectorToVci": "true",
        "preferredSubnetIds": "subnet-1, subnet-2",
        "selectors": json.dumps(
            [
                {
                    "name": "workflows",
                    "namespaceSelector": {"matchLabels": {"vci": "true"}},
                    "effect": {"annotations": {"example.com/team": "batch"}},
                }
            ]
        ),
    },
}
NAMESPACES = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for name, labels in {
            "argo": {"vci": "true"},
            "plain": {},
            "kube-system": {"vci": "true"},
        }.items()
    ],
}


@pytest.fixture(scope="session")
def tls_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair for loopback as a Secret's directory has it, and beside it the CA."""
    directory = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(directory / "ca.crt")
    write_pair(directory, ca.issue_cert("localhost", "127.0.0.1"))
    return directory


def write_pair(directory: Path, leaf: trustme.LeafCert) -> None:
    """Write a certificate and its key as ``tls.crt`` and ``tls.key``."""
    leaf.private_key_pem.write_to_path(directory / "tls.key")
    leaf.cert_chain_pems[0].write_to_path(directory / "tls.crt")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory, tls_dir: Path) -> Files:
    """A profile of one rule, and namespaces with and without its label."""
    directory = tmp_path_factory.mktemp("files")
    profile, namespaces = directory / "profile.json", directory / "namespaces.json"
    profile.write_text(json.dumps(PROFILE))
    namespaces.write_text(json.dumps(NAMESPACES))
    return Files(profile, namespaces, tls_dir)


@pytest.fixture(scope="session")
def webhook(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    """One ``vci-webhook serve`` for all tests; none of them may make it log a traceback."""
    log_file = tmp_path_factory.mktemp("webhook") / "log"
    with serve_process(files, log_file) as process:
        yield process
        assert process.process.poll() is None, process.log
        assert "traceback" not in process.log.lower(), process.log


@pytest.fixture(scope="session")
def server_thread(tls_dir: Path) -> Iterator[ServerThread]:
    """One server whose profile and namespaces a test replaces."""
    with serve_thread(TlsFiles(tls_dir)) as server:
        yield server


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ScriptedApiServer]:
    """An API server with a profile and two namespaces."""
    with scripted_api_server(tmp_path) as server:
        yield server


@pytest.fixture
def pair(api: ScriptedApiServer, tls_dir: Path) -> Iterator[Followed]:
    """A server that follows it, and has caught up."""
    with followed(api, tls_dir) as both:
        yield both
