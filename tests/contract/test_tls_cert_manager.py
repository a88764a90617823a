"""A Secret as cert-manager writes it is served as it is: chains, and keys in each of its forms."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificate

from tests.cluster.node.directory import object_files, write_directory
from tests.contract.client import Connection, trusting
from tests.contract.reviews import encoded
from tests.contract.serving import ServerThread, serve_thread, wait_until
from tests.contract.tls_directory import presented
from webhook.tls_pair import TlsFiles

POLL_SECONDS = 0.02
HOST = "vci-webhook.vci-webhook.svc"
PKCS1, PKCS8 = PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8
FORMS = {
    "RSA, PKCS1": (trustme.KeyType.RSA, PKCS1, b"-----BEGIN RSA PRIVATE KEY-----"),
    "RSA, PKCS8": (trustme.KeyType.RSA, PKCS8, b"-----BEGIN PRIVATE KEY-----"),
    "ECDSA, SEC1": (trustme.KeyType.ECDSA, PKCS1, b"-----BEGIN EC PRIVATE KEY-----"),
    "ECDSA, PKCS8": (trustme.KeyType.ECDSA, PKCS8, b"-----BEGIN PRIVATE KEY-----"),
}


class Issuer:
    """A CA, and the intermediate one that signs for it."""

    def __init__(self) -> None:
        self.root = trustme.CA()
        self._intermediate = self.root.create_child_ca()

    def secret(self, form: str) -> dict[str, Any]:
        """Sign a certificate, and write the Secret of it."""
        key_type, encoding, _ = FORMS[form]
        leaf = self._intermediate.issue_cert(HOST, "localhost", key_type=key_type)
        key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
        data = {
            "ca.crt": self.root.cert_pem.bytes(),
            "tls.crt": b"".join(pem.bytes() for pem in leaf.cert_chain_pems),
            "tls.key": key.private_bytes(Encoding.PEM, encoding, NoEncryption()),
        }
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {
                "name": "vci-webhook-tls",
                "namespace": "vci-webhook",
                "annotations": {"cert-manager.io/certificate-name": "vci-webhook"},
            },
            "data": {name: base64.b64encode(content).decode() for name, content in data.items()},
        }


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    """The issuer of all tests."""
    return Issuer()


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Path:
    """The directory into which the kubelet writes the Secret."""
    directory = tmp_path_factory.mktemp("cert-manager") / "tls"
    write_directory(directory, object_files(issuer.secret("RSA, PKCS1")))
    return directory


@pytest.fixture(scope="module")
def server(mounted: Path) -> Iterator[ServerThread]:
    """A server that reads it, and insists on the Service's name."""
    with serve_thread(TlsFiles(mounted, HOST), None, POLL_SECONDS) as running:
        yield running


def certificate_of(secret: dict[str, Any]) -> int:
    """Give the serial number of a Secret's certificate."""
    return load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"])).serial_number


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_of_cert_manager_is_served(
    server: ServerThread, mounted: Path, issuer: Issuer, form: str
) -> None:
    """A client that trusts ``ca.crt``, which is the root alone, can verify the whole chain."""
    secret = issuer.secret(form)
    assert base64.b64decode(secret["data"]["tls.key"]).startswith(FORMS[form][2])
    write_directory(mounted, object_files(secret))

    def is_served() -> bool:
        with Connection(server.url, trusting(mounted / "ca.crt"), server_name=HOST) as connection:
            assert connection.post(encoded()).status == 200
            return presented(connection) == certificate_of(secret)

    wait_until(is_served, "the Secret's certificate")
