"""The certificate that a server presents, whatever it is: fetched to be looked at, not trusted."""

import socket
import ssl
from typing import Any

CONNECT_SECONDS = 3.0


def fetch_chain(host: str, port: int, server_name: str, seconds: float = CONNECT_SECONDS) -> bytes:
    """Shake hands as the API server does, and give the chain that was shown, as PEM.

    Raises:
        OSError: nobody there, or nobody who speaks TLS.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # a certificate that is wrong is what is looked for
    with (
        socket.create_connection((host, port), timeout=seconds) as connected,
        context.wrap_socket(connected, server_hostname=server_name) as wrapped,
    ):
        return _chain_of(wrapped)


def _chain_of(wrapped: ssl.SSLSocket) -> bytes:
    """Give the whole chain where Python can tell it, else what comes first in it."""
    if hasattr(wrapped, "get_unverified_chain"):  # Python 3.13
        chain = wrapped.get_unverified_chain()
        return "".join(map(ssl.DER_cert_to_PEM_cert, chain)).encode()
    inner: Any = getattr(wrapped, "_sslobj", None)  # before, it had it but did not show it
    if hasattr(inner, "get_unverified_chain"):
        return "".join(each.public_bytes() for each in inner.get_unverified_chain()).encode()
    return ssl.DER_cert_to_PEM_cert(wrapped.getpeercert(binary_form=True) or b"").encode()
