"""TLS of the port for reviews: contexts that serve one certificate each, and never change again.

A pair that does not match, loaded into a context that serves, leaves it without a usable key. So
whoever wants another certificate builds another context, completely, and swaps that.
"""

import ssl
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from webhook.errors import SettingsError
from webhook.tls_pair import CERTIFICATE_FILE, KEY_FILE, Material, TlsFiles

# For clients of TLS 1.2; each agrees on a key of its own and authenticates what it encrypts. Those
# of TLS 1.3 all do.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!PSK"
# API servers resume no session, so a ticket is work for nobody; one is enough for those who do.
TICKETS = 1


@dataclass(frozen=True, slots=True)
class Serving:
    """A certificate that can be served, and the context that does."""

    material: Material
    leaf: x509.Certificate
    context: ssl.SSLContext

    @property
    def expiry(self) -> str:
        """Write the last second in which the certificate is valid."""
        return f"{self.leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"


def new_context(*, require_client: bool = False) -> ssl.SSLContext:
    """Give a context as the API server needs it: TLS 1.2 or later, and HTTP/1.1 only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Every cipher is good, so the client chooses: it knows which one its machine is fast at.
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = TICKETS
    context.set_alpn_protocols(["http/1.1"])
    if require_client:
        _require_client(context)
    return context


def _require_client(context: ssl.SSLContext) -> None:
    """Let nobody in without a certificate, and judge it each time.

    A resumed session is not judged again, so whoever was let in once would come in for hours after
    the CA was replaced. TLS 1.2 resumes even without tickets, as long as the server remembers.
    """
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an intermediate CA may be all we trust
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0


def load_serving(files: TlsFiles, material: Material, now: datetime) -> Serving:
    """Make a new context of what stands in the files; SettingsError when it cannot be."""
    leaf = files.check(material, now)
    context = new_context(require_client=files.client_ca is not None)
    try:
        context.load_cert_chain(files.directory / CERTIFICATE_FILE, files.directory / KEY_FILE)
        if material.client_ca:
            context.load_verify_locations(cadata=material.client_ca.decode("ascii", "ignore"))
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            f"{files.where}: the pair cannot be loaded ({error}); issue a new one"
        ) from error
    return Serving(material, leaf, context)
