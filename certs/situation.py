"""What was observed, understood: which CAs are to be trusted, who may sign, what is wrong where."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from cryptography import x509

from certs.authorities import Authorities, Authority, Reading, Times, read_authorities
from certs.certificates import (
    Certificates,
    find_anchors,
    fingerprint,
    is_authority,
    is_key_of,
    is_ours,
    is_signed_by,
    is_valid,
    lacking_names,
    parse_certificates,
)
from certs.observed import SERVING_TYPE, Configuration, Observed, Target
from certs.parameters import Parameters

CERTIFICATE, KEY, CA = "tls.crt", "tls.key", "ca.crt"
# CAs that nobody remembers are kept for a while; somebody who deletes the CA Secret again and
# again must not make the bundle grow without end.
KEPT_LIMIT = 8
_MOMENT = timedelta(seconds=5)  # API servers' clocks differ, and tell whole seconds


@dataclass(frozen=True)
class Situation:
    """One look at the cluster, at one moment of the API server's clock."""

    observed: Observed
    now: datetime
    parameters: Parameters

    @cached_property
    def reading(self) -> Reading:
        return read_authorities(self.observed.ca, self.now)

    @cached_property
    def configurations(self) -> dict[Target, Configuration]:
        """The configurations that exist and are ours to write."""
        return {
            target: found
            for target, found in self.observed.configurations.items()
            if found and not found.injected
        }

    @cached_property
    def chain(self) -> Certificates:
        """The serving certificate, and what follows it in its file."""
        secret = self.observed.serving
        return parse_certificates(secret.data.get(CERTIFICATE, b"")) if secret else ()

    @cached_property
    def authorities(self) -> Authorities:
        """The CAs as the CA Secret should hold them, before anything is renewed."""
        found = self.reading.authorities
        old = self._old()
        keyed = found.keyed
        return replace(
            found,
            successor=found.successor if found.successor != found.signer else None,
            old=old,
            seen_since={
                each.fingerprint: found.seen_since[each.fingerprint]
                for each in keyed
                if self.is_seen(each) and self._is_plausible(found.seen_since, each)
            },
            kept_until={fingerprint(each): self._kept_until(each) for each in old},
        )

    def _old(self) -> Certificates:
        """The CAs without a key of ours that are to be trusted still."""
        found = self.reading.authorities
        keyed = {each.certificate for each in found.keyed}
        wanted = dict.fromkeys([*found.old, *self._recovered()])
        margin = self.now - self.parameters.clock_skew
        return tuple(
            each
            for each in wanted
            if each not in keyed and is_authority(each) and each.not_valid_after_utc > margin
        )

    def _recovered(self) -> Certificates:
        """The CAs that the CA Secret does not know, and that certificates in use depend on."""
        published = dict.fromkeys(
            each
            for configuration in self.configurations.values()
            for bundle in configuration.bundles
            for each in parse_certificates(bundle)
        )
        serving = self.observed.serving
        if self.reading.lost and serving:
            published |= dict.fromkeys(parse_certificates(serving.data.get(CA, b"")))
        in_use = find_anchors(self.chain, published) if self.leaf_works else ()
        if not self.reading.lost:
            return in_use
        ours = [each for each in published if is_ours(each) and is_valid(each, self.now)]
        newest = sorted(ours, key=lambda each: each.not_valid_before_utc, reverse=True)
        return tuple(dict.fromkeys([*in_use, *newest[:KEPT_LIMIT]]))

    def _kept_until(self, certificate: x509.Certificate) -> datetime:
        """Tell when the last leaf of an old CA has expired, at the latest."""
        known = self.reading.authorities.kept_until.get(fingerprint(certificate))
        if known is None:
            known = self.now + self.parameters.serving_lifetime
        if self.leaf_works and self.is_leaf_of(certificate):
            known = max(known, self.chain[0].not_valid_after_utc)
        return min(known, certificate.not_valid_after_utc)

    def leaves_at(self, certificate: x509.Certificate) -> datetime:
        """Tell when an old CA leaves the bundle: by the clock of everybody."""
        return self.authorities.kept_until[fingerprint(certificate)] + self.parameters.clock_skew

    @cached_property
    def retired(self) -> Certificates:
        """The old CAs on which nothing depends any more."""
        return tuple(
            each
            for each in self.authorities.old
            if self.leaves_at(each) <= self.now and not self.is_leaf_of(each)
        )

    def _is_plausible(self, times: Times, authority: Authority) -> bool:
        """Tell whether a CA was seen at a time that is not in the future."""
        time = times.get(authority.fingerprint)
        return time is not None and time <= self.now + _MOMENT

    def is_seen(self, authority: Authority) -> bool:
        """Tell whether a CA is in every bundle now."""
        return all(
            authority.certificate in parse_certificates(bundle)
            for configuration in self.configurations.values()
            for bundle in configuration.bundles
        )

    def published_at(self, authority: Authority) -> datetime | None:
        """Tell since when, or from when on, a CA may sign; None: it is not in every bundle."""
        if self.authorities.trusted == (authority.certificate,):
            return self.now  # nobody trusts another one, so nobody can lose anything
        since = self.authorities.seen_since.get(authority.fingerprint)
        return since + self.parameters.publish_wait if since else None

    def may_sign(self, authority: Authority) -> bool:
        time = self.published_at(authority)
        return time is not None and time <= self.now

    @cached_property
    def leaf_fault(self) -> str:
        """What keeps a server from presenting the serving certificate to anybody; else nothing."""
        secret = self.observed.serving
        if secret is None:
            return "there is no serving Secret"
        if not self.chain:
            return f"{CERTIFICATE} holds no certificate"
        if not is_key_of(secret.data.get(KEY, b""), self.chain[0]):
            return f"{KEY} is not the key of {CERTIFICATE}"
        return self._why_unusable(self.chain[0])

    def _why_unusable(self, leaf: x509.Certificate) -> str:
        if self.now < leaf.not_valid_before_utc:
            return "it is not valid yet"
        if self.now >= leaf.not_valid_after_utc:
            return f"it expired at {leaf.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC"
        if lacking := lacking_names(leaf, self.parameters.names.dns[:1]):
            return f"it is not valid for {lacking[0]}"
        return ""

    @property
    def leaf_works(self) -> bool:
        return not self.leaf_fault

    def is_leaf_of(self, authority: x509.Certificate) -> bool:
        """Tell whether the serving certificate depends on a CA."""
        return bool(self.chain) and bool(find_anchors(self.chain, [authority]))

    def why_sign(self, signer: Authority) -> str:
        """Say why there should be a new serving certificate, or nothing."""
        if self.leaf_fault or self.observed.serving is None:
            return self.leaf_fault
        leaf, serving = self.chain[0], self.observed.serving
        if not is_signed_by(leaf, signer.certificate):
            known = any(self.is_leaf_of(each) for each in self.authorities.old)
            return f"it was signed by {'the CA before' if known else 'a CA that is not trusted'}"
        if parse_certificates(serving.data.get(CA, b"")) != (signer.certificate,):
            return f"{CA} does not hold its CA"
        if serving.type != SERVING_TYPE:
            return f"its Secret is not of type {SERVING_TYPE}"
        return self._why_renew(leaf, signer.certificate.not_valid_after_utc)

    def _why_renew(self, leaf: x509.Certificate, end: datetime) -> str:
        if lacking := lacking_names(leaf, self.parameters.names.dns):
            return f"it is not valid for {lacking[0]}"
        # One that ends with its CA could not be signed for longer: the CA is what is renewed.
        is_due = self.now >= self.due(leaf, self.parameters.serving_lifetime)
        if is_due and leaf.not_valid_after_utc < end:
            return f"{self.parameters.renew_at:.0%} of its life are over"
        return ""

    def due(self, certificate: x509.Certificate, lifetime: timedelta) -> datetime:
        """Tell when a certificate is to be renewed; a shorter lifetime acts at once."""
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        issued = begin + self.parameters.clock_skew
        if issued >= end:  # it was not backdated by as much
            issued = begin
        life = end - issued
        return issued + min(life, lifetime) * self.parameters.renew_at
