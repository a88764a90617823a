"""A TLS handshake in memory: a client that trusts a CA meets a server that has a pair."""

import contextlib
import ssl
from pathlib import Path

from certs.issue import Pair

STRICT = ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN


def shake_hands(serving: Pair, ca_certificate: bytes, server_name: str, folder: Path) -> str:
    """Return the TLS version agreed on; ssl.SSLError when the client does not trust the server."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = _client(ca_certificate).wrap_bio(to_client, to_server, server_hostname=server_name)
    server = _server(serving, folder).wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):  # a full handshake takes the client two turns and the server two
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    version = client.version()
    if version is None or client.getpeercert() is None:
        raise ssl.SSLError("the handshake did not end")
    return version


def _client(ca_certificate: bytes) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca_certificate.decode())
    context.verify_flags |= STRICT  # the default from Python 3.13 on
    return context


def _server(serving: Pair, folder: Path) -> ssl.SSLContext:
    certificate, key = folder / "server.crt", folder / "server.key"
    certificate.write_bytes(serving.certificate)
    key.write_bytes(serving.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
