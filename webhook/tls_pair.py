"""A serving certificate and its key, as files: read, and judged before anybody is served with them.

Whatever is wrong is a SettingsError that names the file, so that the log, the command line and
``/readyz`` all say the same.
"""

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
from webhook.settings import both

CERTIFICATE_FILE = "tls.crt"  # the names of a Secret of type kubernetes.io/tls
KEY_FILE = "tls.key"

_NAMES_SHOWN = 5  # of a certificate for very many; the first tell whose it is


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate chain and its key, as they stood in the files at one moment."""

    certificate: bytes
    key: bytes


def read_pair(directory: Path, where: str) -> KeyPair:
    """Read both files, from a directory that exists."""
    if not directory.is_dir():
        raise SettingsError(
            f"{where}: {directory}: not a directory; name the one that holds {CERTIFICATE_FILE} "
            f"and {KEY_FILE}"
        )
    return KeyPair(
        read_file(directory / CERTIFICATE_FILE, where), read_file(directory / KEY_FILE, where)
    )


def check_pair(pair: KeyPair, where: str, now: datetime, name: str = "") -> x509.Certificate:
    """Give the certificate if it is its key's, valid now and good for the name; SettingsError."""
    leaf = parse_certificates(pair.certificate, f"{where}/{CERTIFICATE_FILE}")[0]
    public_key = _parse_public_key(pair.key, f"{where}/{KEY_FILE}")
    if _public_bytes(leaf.public_key()) != public_key:
        raise SettingsError(
            f"{where}: {KEY_FILE} is not the key of {CERTIFICATE_FILE}; give the two of one pair"
        )
    _check_validity(leaf, f"{where}/{CERTIFICATE_FILE}", now)
    _check_name(leaf, f"{where}/{CERTIFICATE_FILE}", name)
    return leaf


def parse_certificates(content: bytes, where: str) -> list[x509.Certificate]:
    """Give all certificates of a file: the first is the one that is served, the rest its chain."""
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise SettingsError(
            f"{where}: not a PEM certificate; the file begins with -----BEGIN CERTIFICATE-----"
        ) from error


def covered_names(leaf: x509.Certificate) -> list[str]:
    """Give the DNS names and addresses that a certificate is good for; its subject is none."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):  # ValueError: an extension that cannot be read
        return []
    return [
        *names.get_values_for_type(x509.DNSName),
        *map(str, names.get_values_for_type(x509.IPAddress)),
    ]


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


def _check_name(leaf: x509.Certificate, where: str, name: str) -> None:
    """Raise SettingsError when API servers would refuse the certificate for its names."""
    covered = covered_names(leaf)
    if not name or any(_covers(pattern.lower(), name) for pattern in covered):
        return
    shown = ", ".join(f'"{each}"' for each in covered[:_NAMES_SHOWN])
    more = f" and {len(covered) - _NAMES_SHOWN} more" if len(covered) > _NAMES_SHOWN else ""
    raise SettingsError(
        f'{where}: covers {shown or "no name"}{more}, not "{name}"; '
        f"issue one for it, or name the Service in {both('service_name')}"
    )


def _covers(pattern: str, name: str) -> bool:
    """Tell whether a name of a certificate is this one; a star is one whole label, the first."""
    if pattern.startswith("*."):
        return pattern[2:] == name.partition(".")[2]
    return pattern == name
