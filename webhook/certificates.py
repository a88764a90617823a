"""What certificates say, and whether a bundle vouches for one, as the API server would judge it.

PEM in, facts out. The API server is written in Go, which asks less of a CA than browsers do; what
it accepts is accepted here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from webhook.wording import listed, quoted, shortened

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

Chain = Sequence[x509.Certificate]  # what is served comes first, then what leads to a CA

DAY_SECONDS = 86_400
_SOON_SECONDS = 30 * DAY_SECONDS  # whoever issues certificates by hand needs a while
_SOON_SHARE = 4  # a quarter of its life: what renews itself has done so at a third
_FINGERPRINT_DIGITS = 8  # enough to tell apart the few that one cluster has
_WHOLE_DAYS = 2  # from here on nobody asks for hours

_CA_POLICY = ExtensionPolicy.permit_all().require_present(
    x509.BasicConstraints, Criticality.AGNOSTIC, None
)
_SERVING_POLICY = ExtensionPolicy.permit_all().require_present(
    x509.SubjectAlternativeName, Criticality.AGNOSTIC, None
)
_SERVER_USAGES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
# What reading a part of a certificate may raise, when somebody made it up.
_UNREADABLE = (
    *(ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound),
    *(x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion),
)


def read_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Read all certificates of a PEM text; none when one of them is not a certificate."""
    try:
        found = tuple(x509.load_pem_x509_certificates(pem))
        for each in found:  # the library looks at most parts when they are asked for
            str((each.subject, each.issuer, each.not_valid_before_utc, each.not_valid_after_utc))
    except _UNREADABLE:
        return ()
    return found


def why_no_key(pem: bytes, leaf: x509.Certificate) -> str:
    """Say why this is not the private key of a certificate; empty when it is."""
    try:
        key = load_pem_private_key(pem, password=None)
        if _public_bytes(key.public_key()) == _public_bytes(leaf.public_key()):
            return ""
    except TypeError:
        return "its key is encrypted"
    except _UNREADABLE:
        return "its key is not a PEM private key"
    return "its key does not belong to its certificate"


def fingerprint(certificate: x509.Certificate) -> str:
    """Give the first digits of the SHA-256 fingerprint, as openssl shows it without colons."""
    return certificate.fingerprint(SHA256()).hex()[:_FINGERPRINT_DIGITS]


def names_of(leaf: x509.Certificate) -> tuple[str, ...]:
    """List the DNS names and addresses that a certificate is for."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except _UNREADABLE:
        return ()
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def covers(leaf: x509.Certificate, host: str) -> bool:
    """Tell whether a certificate is for a host; a wildcard stands for one whole label."""
    wanted = {host.lower(), re.sub(r"^[^.]+", "*", host.lower())}
    return any(name.lower() in wanted for name in names_of(leaf))


def common_name(name: x509.Name) -> str:
    """Show who a certificate is for, or who issued it."""
    try:
        found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
        text = found[0].value if found else name.rfc4514_string()
    except _UNREADABLE:
        return "?"
    return shortened(text if isinstance(text, str) else "?")


def why_not_now(certificate: x509.Certificate, now: datetime) -> str:
    """Say why a certificate is not valid at this time; empty when it is."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        return f"not valid before {begin:%Y-%m-%d %H:%M} UTC"
    return f"expired at {end:%Y-%m-%d %H:%M} UTC" if now > end else ""


def ends_soon(certificate: x509.Certificate, now: datetime) -> bool:
    """Tell whether a certificate should have been renewed by now."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    soon = min(_SOON_SECONDS, (end - begin).total_seconds() / _SOON_SHARE)
    return (end - now).total_seconds() < soon


def left(certificate: x509.Certificate, now: datetime) -> str:
    """Say how long a certificate is still valid."""
    seconds = (certificate.not_valid_after_utc - now).total_seconds()
    if seconds >= _WHOLE_DAYS * DAY_SECONDS:
        return f"{seconds // DAY_SECONDS:.0f} days left"
    return f"{seconds / 3600:.1f} hours left"


def why_untrusted(chain: Chain, bundle: Chain, host: str, now: datetime) -> str:
    """Say why a client that trusts the bundle refuses this host's chain; empty when it does not.

    The name and the validity of the leaf are judged by themselves: when they are wrong, this tells
    whether the rest is.
    """
    leaf, *intermediates = chain
    if not bundle:
        return "there is no CA in it"
    if not _is_for_servers(leaf):
        return "it is not for servers, says its extended key usage"
    named = host if covers(leaf, host) else next(iter(names_of(leaf)), "")
    at = min(max(now, leaf.not_valid_before_utc), leaf.not_valid_after_utc)
    try:
        policy = PolicyBuilder().store(Store(list(bundle))).time(at)
        policy = policy.extension_policies(ca_policy=_CA_POLICY, ee_policy=_SERVING_POLICY)
        if (subject := _subject(named)) is not None:  # else that is what is wrong with it
            policy.build_server_verifier(subject).verify(leaf, intermediates)
    except VerificationError as error:
        return _explain(chain, bundle, at) or _shown(error)
    except _UNREADABLE as error:
        return _shown(error)
    return ""


def _shown(error: Exception) -> str:
    return shortened(str(error).removeprefix("validation failed: ").partition(" (enc")[0])


def _explain(chain: Chain, bundle: Chain, at: datetime) -> str:
    """Find the usual reason, in words; empty when it is none of them."""
    top, *others = chain
    while (above := _issuer_of(top, others)) is not None:
        others.remove(above)
        top = above
    name = quoted(common_name(top.issuer))
    named = [each for each in bundle if each.subject == top.issuer]
    if not named:
        return f"its issuer is {name}, and the bundle has {listed(_common_names(bundle))}"
    issuer = _issuer_of(top, named)
    if issuer is None:
        return f"the CA {name} in the bundle has another key than the one that signed"
    invalid = why_not_now(issuer, at)
    return f"the CA {name} in the bundle is {invalid}" if invalid else ""


def _common_names(certificates: Chain) -> list[str]:
    return [common_name(each.subject) for each in certificates]


def _issuer_of(
    certificate: x509.Certificate, candidates: Iterable[x509.Certificate]
) -> x509.Certificate | None:
    for candidate in candidates:
        try:
            certificate.verify_directly_issued_by(candidate)
        except (*_UNREADABLE, InvalidSignature):
            continue
        if candidate != certificate:
            return candidate
    return None


def _is_for_servers(leaf: x509.Certificate) -> bool:
    """Tell whether a certificate may be used by a server; without a word about usage it may."""
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except _UNREADABLE:
        return False
    return any(each in usage for each in _SERVER_USAGES)


def _subject(host: str) -> x509.DNSName | x509.IPAddress | None:
    if not host:
        return None
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host.replace("*", "any"))


def _public_bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
