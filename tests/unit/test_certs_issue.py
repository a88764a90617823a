"""What a CA and a serving certificate are, and that strict TLS clients accept them."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.errors import AuthorityUnusableError
from certs.issue import BACKDATED, Pair, Span, issue_ca, issue_serving, valid_until
from certs.names import Names
from tests.unit.tls_handshake import shake_hands

NOW = datetime(2031, 3, 14, 15, 9, 26, tzinfo=UTC)
SERVICE = Names(dns=("vci-webhook.kube-system.svc",))


def load(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate)


def test_ca_signs_certificates_and_nothing_below_a_ca() -> None:
    """A CA may sign certificates and CRLs, no further CA, and serves no TLS itself."""
    extensions = load(issue_ca(NOW)).extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature


def test_serving_certificate_serves_and_signs_nothing() -> None:
    """A serving certificate is for TLS servers only and is no CA."""
    extensions = load(issue_serving(issue_ca(NOW), SERVICE, NOW)).extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert constraints.critical
    assert not constraints.value.ca
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_key_identifiers_link_the_certificate_to_its_ca() -> None:
    """The authority key identifier of the leaf is the subject key identifier of the CA."""
    ca = issue_ca(NOW)
    authority = load(ca).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    leaf = load(issue_serving(ca, SERVICE, NOW)).extensions
    link = leaf.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = leaf.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert link.key_identifier == authority.digest
    assert own.digest != authority.digest


def test_names_are_there_once_and_in_order() -> None:
    """DNS names and addresses stand in the subject alternative name, duplicates dropped."""
    loopback = ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")
    names = Names(("b.svc", "a.svc", "b.svc"), (*loopback, loopback[0]))
    leaf = load(issue_serving(issue_ca(NOW), names, NOW))
    found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == ["b.svc", "a.svc"]
    assert found.get_values_for_type(x509.IPAddress) == list(loopback)


def test_keys_are_p256_and_signatures_sha256() -> None:
    """Both keys are on P-256 and both signatures use SHA-256; the PEM key is the certificate's."""
    ca = issue_ca(NOW)
    for pair in (ca, issue_serving(ca, SERVICE, NOW)):
        certificate = load(pair)
        key = serialization.load_pem_private_key(pair.key, password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(key.curve, ec.SECP256R1)
        assert key.public_key() == certificate.public_key()
        assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)


def test_certificates_are_valid_an_hour_before_they_are_made() -> None:
    """A node whose clock is up to an hour behind accepts a certificate at once."""
    ca = issue_ca(NOW)
    for pair in (ca, issue_serving(ca, SERVICE, NOW)):
        assert load(pair).not_valid_before_utc == NOW - BACKDATED


def test_lifetimes_are_as_asked() -> None:
    """The end of validity is the lifetime after now; by default two years and thirty days."""
    ca = issue_ca(NOW)
    assert valid_until(ca.certificate) == NOW + timedelta(days=730)
    assert valid_until(issue_serving(ca, SERVICE, NOW).certificate) == NOW + timedelta(days=30)
    day = timedelta(days=1)
    assert valid_until(issue_ca(NOW, Span(day)).certificate) == NOW + day
    assert valid_until(issue_serving(ca, SERVICE, NOW, Span(day)).certificate) == NOW + day


def test_serving_certificate_stays_within_the_life_of_its_ca() -> None:
    """However long a lifetime is asked for, a leaf is valid only while its CA is."""
    ca = issue_ca(NOW, Span(timedelta(days=2)))
    later = NOW + timedelta(days=1)
    late = load(issue_serving(ca, SERVICE, later, Span(timedelta(days=99))))
    assert late.not_valid_after_utc == load(ca).not_valid_after_utc
    early = load(issue_serving(ca, SERVICE, NOW - timedelta(minutes=30)))
    assert early.not_valid_before_utc == load(ca).not_valid_before_utc


def test_no_two_certificates_share_serial_or_ca_name() -> None:
    """Serial numbers are random, and CAs can be told apart by their name."""
    authorities = [load(issue_ca(NOW)) for _ in range(20)]
    assert len({ca.serial_number for ca in authorities}) == 20
    assert len({ca.subject.rfc4514_string() for ca in authorities}) == 20
    assert all(0 < ca.serial_number.bit_length() <= 159 for ca in authorities)


def test_the_key_given_is_the_key_used() -> None:
    """What makes keys is a parameter, so a caller can hold keys elsewhere."""
    key = ec.generate_private_key(ec.SECP256R1())
    ca = issue_ca(NOW, new_key=lambda: key)
    leaf = issue_serving(ca, SERVICE, NOW, new_key=lambda: key)
    assert load(ca).public_key() == load(leaf).public_key() == key.public_key()


@pytest.mark.parametrize("moment", [NOW - timedelta(hours=2), NOW + timedelta(days=730)])
def test_a_ca_that_is_not_valid_now_signs_nothing(moment: datetime) -> None:
    """Signing with an expired or a future CA would make a certificate that nobody accepts."""
    with pytest.raises(AuthorityUnusableError, match=r"valid from 2031-03-14 14:09 .*; issue a"):
        issue_serving(issue_ca(NOW), SERVICE, moment)


def test_a_ca_with_the_key_of_another_signs_nothing() -> None:
    """A pair that is none is refused before it signs."""
    mixed = Pair(issue_ca(NOW).certificate, issue_ca(NOW).key)
    with pytest.raises(AuthorityUnusableError, match="the CA's key is not its certificate's"):
        issue_serving(mixed, SERVICE, NOW)


def test_a_ca_with_another_kind_of_key_signs_nothing() -> None:
    """An RSA key is not what this program made."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(AuthorityUnusableError, match="the CA's key is not its certificate's"):
        issue_serving(Pair(issue_ca(NOW).certificate, key), SERVICE, NOW)


def test_a_ca_that_is_not_pem_signs_nothing() -> None:
    """Unreadable text in the place of certificate or key is named as that."""
    ca = issue_ca(NOW)
    for pair in (Pair(b"", ca.key), Pair(ca.certificate, b"-----BEGIN"), Pair(b"\xff", b"\x00")):
        with pytest.raises(AuthorityUnusableError, match="not a PEM pair"):
            issue_serving(pair, SERVICE, NOW)


@pytest.mark.parametrize("name", ["vci-webhook.kube-system.svc", "127.0.0.1", "::1", "x.pods.svc"])
def test_strict_clients_accept_the_certificate(name: str, tmp_path: Path) -> None:
    """A client that verifies by the letter of RFC 5280 completes a handshake with each name."""
    addresses = ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")
    names = Names(("vci-webhook.kube-system.svc", "*.pods.svc"), addresses)
    now = datetime.now(UTC)
    ca = issue_ca(now)
    version = shake_hands(issue_serving(ca, names, now), ca.certificate, name, tmp_path)
    assert version == "TLSv1.3"


def test_clients_refuse_another_name(tmp_path: Path) -> None:
    """A name that was not asked for is not accepted."""
    now = datetime.now(UTC)
    ca = issue_ca(now)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(issue_serving(ca, SERVICE, now), ca.certificate, "kube-system.svc", tmp_path)


def test_clients_refuse_another_ca(tmp_path: Path) -> None:
    """A certificate of one CA is worth nothing to who trusts another."""
    now = datetime.now(UTC)
    serving = issue_serving(issue_ca(now), SERVICE, now)
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        shake_hands(serving, issue_ca(now).certificate, SERVICE.dns[0], tmp_path)


def test_two_cas_can_be_trusted_side_by_side(tmp_path: Path) -> None:
    """While one CA follows another, clients that trust both accept leaves of both."""
    now = datetime.now(UTC)
    old, new = issue_ca(now), issue_ca(now)
    bundle = old.certificate + new.certificate
    for ca in (old, new):
        assert shake_hands(issue_serving(ca, SERVICE, now), bundle, SERVICE.dns[0], tmp_path)


def test_clients_refuse_an_expired_certificate(tmp_path: Path) -> None:
    """The end of validity is in force."""
    then = datetime.now(UTC) - timedelta(days=3)
    ca = issue_ca(then)
    serving = issue_serving(ca, SERVICE, then, Span(timedelta(days=1)))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake_hands(serving, ca.certificate, SERVICE.dns[0], tmp_path)
