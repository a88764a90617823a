"""The serving certificate: a directory's pair in, a verified and complete SSLContext out.

A context is never changed once it serves: loading a pair that does not match into a live one leaves
it without a usable key. Whoever wants another certificate builds another context and swaps that.
"""

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from webhook.errors import SettingsError
from webhook.files import read_file

CERTIFICATE_FILE = "tls.crt"  # the names of a Secret of type kubernetes.io/tls
KEY_FILE = "tls.key"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate chain and its key, as they stood in the files at one moment."""

    certificate: bytes
    key: bytes


def load_serving_context(directory: Path, where: str, now: datetime) -> ssl.SSLContext:
    """Build a context from the pair in the directory; SettingsError when it cannot serve."""
    pair = _read_pair(directory, where)
    check_pair(pair, f"{where}: {directory}", now)
    context = _new_context()
    try:
        context.load_cert_chain(directory / CERTIFICATE_FILE, directory / KEY_FILE)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            f"{where}: {directory}: the pair cannot be loaded ({error}); issue a new one"
        ) from error
    if _read_pair(directory, where) != pair:  # what was checked must be what was loaded
        raise SettingsError(f"{where}: {directory}: the pair changed while it was read; try again")
    return context


def check_pair(pair: KeyPair, where: str, now: datetime) -> None:
    """Raise SettingsError unless key and certificate belong together and are valid now."""
    leaf = _parse_certificate(pair.certificate, f"{where}/{CERTIFICATE_FILE}")
    public_key = _parse_public_key(pair.key, f"{where}/{KEY_FILE}")
    if _public_bytes(leaf.public_key()) != public_key:
        raise SettingsError(
            f"{where}: {KEY_FILE} is not the key of {CERTIFICATE_FILE}; give the two of one pair"
        )
    _check_validity(leaf, f"{where}/{CERTIFICATE_FILE}", now)


def _new_context() -> ssl.SSLContext:
    """Give a context as the API server needs it: TLS 1.2 or later, and HTTP/1.1 only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _read_pair(directory: Path, where: str) -> KeyPair:
    """Read both files, from a directory that exists."""
    if not directory.is_dir():
        raise SettingsError(
            f"{where}: {directory}: not a directory; name the one that holds {CERTIFICATE_FILE} "
            f"and {KEY_FILE}"
        )
    return KeyPair(
        read_file(directory / CERTIFICATE_FILE, where), read_file(directory / KEY_FILE, where)
    )


def _parse_certificate(content: bytes, where: str) -> x509.Certificate:
    """Give the first certificate, which is the one that is served; the rest is its chain."""
    try:
        return x509.load_pem_x509_certificates(content)[0]
    except ValueError as error:
        raise SettingsError(
            f"{where}: not a PEM certificate; the file begins with -----BEGIN CERTIFICATE-----"
        ) from error


def _parse_public_key(content: bytes, where: str) -> bytes:
    """Give the public half of the private key."""
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError as error:
        raise SettingsError(f"{where}: the key is encrypted; give it without a password") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(
            f"{where}: not a PEM private key; the file begins with -----BEGIN PRIVATE KEY-----"
        ) from error
    return _public_bytes(key.public_key())


def _public_bytes(key: PublicKeyTypes) -> bytes:
    """Encode a public key so that equal keys are equal bytes."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _check_validity(leaf: x509.Certificate, where: str, now: datetime) -> None:
    """Raise SettingsError when the certificate is not valid yet or no longer."""
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now < begin:
        raise SettingsError(
            f"{where}: not valid before {begin:%Y-%m-%d %H:%M:%S} UTC; check this machine's clock"
        )
    if now > end:
        raise SettingsError(f"{where}: expired at {end:%Y-%m-%d %H:%M:%S} UTC; issue a new one")
