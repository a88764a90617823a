"""The CAs that the CA Secret holds: who signs, who follows, and who is trusted until when.

``tls.crt`` and ``tls.key`` are the CA that signs, ``next.crt`` and ``next.key`` the one that
follows it, ``ca.crt`` is everything that is to be trusted now. Two annotations remember times.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509

from certs.certificates import (
    Certificates,
    encode_bundle,
    fingerprint,
    is_key_of,
    is_ours,
    is_valid,
    parse_certificates,
)
from certs.issue import Pair
from certs.observed import Secret

SEEN_SINCE = "vci-webhook/seen-since"
KEPT_UNTIL = "vci-webhook/kept-until"
BUNDLE = "ca.crt"
_SIGNER, _SUCCESSOR = "tls", "next"

Times = Mapping[str, datetime]


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA of which we have the key."""

    certificate: x509.Certificate
    pair: Pair = field(repr=False)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.certificate)


@dataclass(frozen=True, slots=True)
class Authorities:
    """The CAs that are trusted: who signs now, who will, and who signed before."""

    signer: Authority | None = None
    successor: Authority | None = None
    old: Certificates = ()
    seen_since: Times = field(default_factory=dict)  # in every webhook configuration
    kept_until: Times = field(default_factory=dict)  # the last leaf of an old CA has expired

    @property
    def keyed(self) -> tuple[Authority, ...]:
        return tuple(each for each in (self.signer, self.successor) if each)

    @property
    def trusted(self) -> Certificates:
        """Every CA that belongs into the bundle."""
        return tuple(dict.fromkeys([*(each.certificate for each in self.keyed), *self.old]))

    @property
    def bundle(self) -> bytes:
        return encode_bundle(self.trusted)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a CA Secret holds, and what is wrong with it."""

    authorities: Authorities
    faults: tuple[str, ...] = ()
    lost: bool = False  # which CAs are to be trusted is no longer known


def read_authorities(secret: Secret | None, now: datetime) -> Reading:
    """Read a CA Secret; what is damaged, or not valid now, is left out and named."""
    if secret is None:
        return Reading(Authorities(), ("there is no CA Secret",), lost=True)
    signer = _read_keyed(secret, _SIGNER, now)
    successor = _read_keyed(secret, _SUCCESSOR, now)
    listed = parse_certificates(secret.data.get(BUNDLE, b""))
    faults = [fault for fault in (signer, successor) if isinstance(fault, str)]
    if not listed:
        faults.append(f"{BUNDLE} holds no certificate")
    keyed = [each.certificate for each in (signer, successor) if isinstance(each, Authority)]
    authorities = Authorities(
        signer if isinstance(signer, Authority) else None,
        successor if isinstance(successor, Authority) else None,
        tuple(each for each in listed if each not in keyed),
        _read_times(secret, SEEN_SINCE),
        _read_times(secret, KEPT_UNTIL),
    )
    return Reading(authorities, tuple(faults), lost=not listed)


def write_authorities(authorities: Authorities) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return data and annotations of the CA Secret; reading them gives the same again."""
    data = {BUNDLE: authorities.bundle}
    for name, each in ((_SIGNER, authorities.signer), (_SUCCESSOR, authorities.successor)):
        if each:
            data[f"{name}.crt"], data[f"{name}.key"] = each.pair.certificate, each.pair.key
    annotations = {
        SEEN_SINCE: _write_times(authorities.seen_since),
        KEPT_UNTIL: _write_times(authorities.kept_until),
    }
    return data, annotations


def _read_keyed(secret: Secret, name: str, now: datetime) -> Authority | str | None:
    pair = Pair(secret.data.get(f"{name}.crt", b""), secret.data.get(f"{name}.key", b""))
    if not pair.certificate and not pair.key:
        return None
    found = parse_certificates(pair.certificate)
    if len(found) != 1 or not is_ours(found[0]):
        return f"{name}.crt is not a CA of this program"
    if not is_key_of(pair.key, found[0]):
        return f"{name}.key is not the key of {name}.crt"
    if not is_valid(found[0], now):
        return f"{name}.crt is not valid now"
    return Authority(found[0], pair)


def _read_times(secret: Secret, annotation: str) -> dict[str, datetime]:
    """Read an annotation; whatever cannot be read is as if it were not there."""
    try:
        written = json.loads(secret.annotations.get(annotation, "{}"))
    except (ValueError, RecursionError):
        return {}
    pairs = written.items() if isinstance(written, dict) else ()
    times = {key: _read_time(text) for key, text in pairs if isinstance(text, str)}
    return {key: time for key, time in times.items() if time}


def _read_time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _write_times(times: Times) -> str:
    written = {key: f"{time:%Y-%m-%dT%H:%M:%SZ}" for key, time in times.items()}
    return json.dumps(written, sort_keys=True)
