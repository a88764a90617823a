"""What a step writes: step and observation in, the new content of one object out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from certs.authorities import Authorities, Authority, write_authorities
from certs.certificates import fingerprint, parse_certificates
from certs.issue import NewKey, Span, issue_ca, issue_serving, new_key
from certs.observed import CA_TYPE, SERVING_TYPE, Configuration, Observed, Secret, Target
from certs.parameters import Parameters
from certs.plan import Act, Step
from certs.situation import CA, CERTIFICATE, KEY, Situation

_SECOND = timedelta(seconds=1)  # the API server tells the time in whole seconds, rounded down


@dataclass(frozen=True, slots=True)
class SecretWrite:
    """A Secret's new data and, of its annotations, ours; ``before`` is what must still be there."""

    target: Target
    before: Secret | None
    type: str
    data: Mapping[str, bytes] = field(repr=False)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def replaces(self) -> bool:
        """Tell whether the Secret has to be deleted first, because it cannot be changed."""
        before = self.before
        return before is not None and (before.immutable or before.type != self.type)


@dataclass(frozen=True, slots=True)
class BundleWrite:
    """The new ``caBundle`` of every webhook of a configuration."""

    target: Target
    before: Configuration
    bundle: bytes


Write = SecretWrite | BundleWrite


def perform(
    step: Step,
    observed: Observed,
    now: datetime,
    parameters: Parameters,
    new_key: NewKey = new_key,
) -> Write:
    """Say what a step writes; the step must come from a plan for the same observation."""
    situation = Situation(observed, now, parameters)
    if step.act is Act.PUBLISH:
        before = situation.configurations[step.target]
        return BundleWrite(step.target, before, situation.authorities.bundle)
    if step.act is Act.SIGN:
        return _sign(situation, new_key)
    if step.act is Act.ADOPT:
        there = observed.ca if step.target == parameters.ca else observed.serving
        return _adopt(step.target, there)
    data, annotations = write_authorities(_change(step.act, situation, new_key))
    return SecretWrite(parameters.ca, observed.ca, CA_TYPE, data, annotations)


def _change(act: Act, situation: Situation, new_key: NewKey) -> Authorities:
    """Say which CAs the CA Secret holds after a step."""
    match act:
        case Act.ISSUE:
            return _issue(situation, new_key)
        case Act.NOTE:
            return _note(situation)
        case Act.PROMOTE:
            return _promote(situation)
        case Act.RETIRE:
            return _retire(situation)
        case _:
            return situation.authorities


def _issue(situation: Situation, new_key: NewKey) -> Authorities:
    """Add a CA: one that waits until it is published, or the first one, for which nobody waits."""
    parameters, authorities = situation.parameters, situation.authorities
    span = Span(parameters.ca_lifetime, parameters.clock_skew)
    pair = issue_ca(situation.now, span, new_key)
    added = Authority(parse_certificates(pair.certificate)[0], pair)
    if authorities.trusted:
        return replace(authorities, successor=added)
    return replace(authorities, signer=added)


def _note(situation: Situation) -> Authorities:
    authorities = situation.authorities
    fresh = {
        each.fingerprint: situation.now + _SECOND
        for each in authorities.keyed
        if situation.is_seen(each)
    }
    return replace(authorities, seen_since={**fresh, **authorities.seen_since})


def _promote(situation: Situation) -> Authorities:
    """Let the successor sign; the CA before stays until the last leaf that it signed is over."""
    authorities = situation.authorities
    before = authorities.signer
    promoted = replace(authorities, signer=authorities.successor, successor=None)
    if before is None:
        return promoted
    until = situation.now + situation.parameters.serving_lifetime
    if situation.is_leaf_of(before.certificate):
        until = max(until, situation.chain[0].not_valid_after_utc)
    return replace(
        promoted,
        old=(*authorities.old, before.certificate),
        seen_since=_without(authorities.seen_since, before.fingerprint),
        kept_until={
            **authorities.kept_until,
            before.fingerprint: min(until, before.certificate.not_valid_after_utc),
        },
    )


def _retire(situation: Situation) -> Authorities:
    authorities, gone = situation.authorities, situation.retired
    return replace(
        authorities,
        old=tuple(each for each in authorities.old if each not in gone),
        kept_until=_without(authorities.kept_until, *map(fingerprint, gone)),
    )


def _without(times: Mapping[str, datetime], *keys: str) -> dict[str, datetime]:
    return {key: time for key, time in times.items() if key not in keys}


def _adopt(target: Target, secret: Secret | None) -> SecretWrite:
    """Write what is there; that it is written by this program makes it this program's."""
    if secret is None:
        raise ValueError("nothing is there to adopt, and no plan says so")
    return SecretWrite(target, secret, secret.type, secret.data)


def _sign(situation: Situation, new_key: NewKey) -> SecretWrite:
    parameters, signer = situation.parameters, situation.authorities.signer
    if signer is None:
        raise ValueError("nobody can sign, and no plan says so")
    span = Span(parameters.serving_lifetime, parameters.clock_skew)
    leaf = issue_serving(signer.pair, parameters.names, situation.now, span, new_key)
    data = {CERTIFICATE: leaf.certificate, KEY: leaf.key, CA: signer.pair.certificate}
    return SecretWrite(parameters.serving, situation.observed.serving, SERVING_TYPE, data)


def apply(observed: Observed, write: Write) -> Observed:
    """Return what will be observed after a write, for telling what a whole run would do."""
    if isinstance(write, BundleWrite):
        bundles = (write.bundle,) * len(write.before.bundles)
        after = replace(write.before, bundles=bundles)
        return replace(observed, configurations={**observed.configurations, write.target: after})
    annotations = dict(write.before.annotations) if write.before else {}
    secret = Secret("", write.type, write.data, {**annotations, **write.annotations})
    if write.type == CA_TYPE:
        return replace(observed, ca=secret)
    return replace(observed, serving=secret)
