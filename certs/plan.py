"""``plan(observed, now, parameters)``: what is to be done now, and why; and what comes later.

It looks at nothing but what exists now. Whatever it lists is safe by itself, in any order, also
when what comes after it never happens, so a program may be stopped between any two steps.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from certs.authorities import write_authorities
from certs.certificates import describe
from certs.observed import Observed, Target
from certs.parameters import Parameters
from certs.situation import Situation


class Act(StrEnum):
    """The kinds of steps."""

    ISSUE = "issue a CA"
    RECORD = "put the CA Secret in order"
    PUBLISH = "publish the bundle"
    SIGN = "sign a certificate"
    NOTE = "note that it is published"
    PROMOTE = "let the new CA sign"
    RETIRE = "drop an old CA"
    ADOPT = "adopt a Secret"


@dataclass(frozen=True, slots=True)
class Step:
    """One write of one object."""

    act: Act
    target: Target
    why: str


@dataclass(frozen=True, slots=True)
class Later:
    """What will be due by itself; ``waiting`` when something unfinished goes on then."""

    when: datetime
    what: str
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps for now, things for later, and what only a person can put right."""

    steps: tuple[Step, ...] = ()
    later: tuple[Later, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Tell whether everything is as it should be."""
        return not (self.steps or self.problems or any(each.waiting for each in self.later))


def plan(observed: Observed, now: datetime, parameters: Parameters) -> Plan:
    """Say what is to be done now. The CA Secret is put in order first, and alone."""
    situation = Situation(observed, now, parameters)
    problems = tuple(_problems(situation))
    if step := _issue(situation) or _record(situation):
        return Plan((step,), (), problems)
    steps = [*_publish(situation)]
    if step := _note(situation) or _promote(situation):
        steps.append(step)
    if not step or step.act is Act.NOTE:  # who is promoted now signs a moment later
        steps += _sign(situation)
    if not steps and (step := _retire(situation) or _rotate(situation)):
        steps.append(step)
    steps += _adopt(situation, {step.target for step in steps})
    later = (each for each in _later(situation) if each.when > now)
    return Plan(tuple(steps), tuple(sorted(later, key=lambda each: each.when)), problems)


def _problems(situation: Situation) -> Iterator[str]:
    for target, found in situation.observed.configurations.items():
        if found and found.injected:
            yield (
                f"{target}: cert-manager is to write its bundle; take the annotation"
                " cert-manager.io/inject-ca-from away, or do not run this program"
            )


def _issue(situation: Situation) -> Step | None:
    if situation.authorities.keyed:
        return None
    why = "; ".join(situation.reading.faults) or "the CA Secret holds no key"
    return Step(Act.ISSUE, situation.parameters.ca, why)


def _record(situation: Situation) -> Step | None:
    secret = situation.observed.ca
    data, annotations = write_authorities(situation.authorities)
    if secret is None or (
        secret.data == data and annotations.items() <= dict(secret.annotations).items()
    ):
        return None
    whys = [*situation.reading.faults, *_differences(situation)]
    return Step(Act.RECORD, situation.parameters.ca, "; ".join(whys) or "somebody edited it")


def _differences(situation: Situation) -> Iterator[str]:
    """Say what the CA Secret lacks, and what it should not hold."""
    before, after = situation.reading.authorities, situation.authorities
    for each in after.trusted:
        if each not in before.trusted:
            yield f"a certificate in use depends on CA {describe(each)}"
    for each in before.trusted:
        if each not in after.trusted:
            yield f"CA {describe(each)} has expired, or is none"
    for keyed in before.keyed:
        if keyed.fingerprint in before.seen_since.keys() - after.seen_since.keys():
            if situation.is_seen(keyed):
                yield f"CA {describe(keyed.certificate)} was noted at a time to come"
            else:
                yield f"a webhook configuration lost CA {describe(keyed.certificate)}"


def _publish(situation: Situation) -> Iterator[Step]:
    bundle = situation.authorities.bundle
    for target, found in situation.configurations.items():
        wrong = [each for each in found.bundles if each != bundle]
        if wrong:
            why = "its bundle is another one" if any(wrong) else "it has no bundle"
            yield Step(Act.PUBLISH, target, why)


def _note(situation: Situation) -> Step | None:
    authorities = situation.authorities
    for each in authorities.keyed:
        if each.fingerprint not in authorities.seen_since and situation.is_seen(each):
            why = f"every webhook configuration has CA {describe(each.certificate)}"
            return Step(Act.NOTE, situation.parameters.ca, why)
    return None


def _promote(situation: Situation) -> Step | None:
    successor = situation.authorities.successor
    if successor is None or not situation.may_sign(successor):
        return None
    why = f"CA {describe(successor.certificate)} has been published for long enough"
    return Step(Act.PROMOTE, situation.parameters.ca, why)


def _sign(situation: Situation) -> Iterator[Step]:
    signer = situation.authorities.signer
    if signer and situation.may_sign(signer) and (why := situation.why_sign(signer)):
        yield Step(Act.SIGN, situation.parameters.serving, why)


def _retire(situation: Situation) -> Step | None:
    gone = [describe(each) for each in situation.retired]
    if not gone:
        return None
    why = f"everything that CA {', '.join(gone)} signed has expired"
    return Step(Act.RETIRE, situation.parameters.ca, why)


def _adopt(situation: Situation, written: Collection[Target]) -> Iterator[Step]:
    """Have Secrets belong to this program's account; whatever else is written does it as well."""
    parameters, observed = situation.parameters, situation.observed
    for target, found in ((parameters.ca, observed.ca), (parameters.serving, observed.serving)):
        if found and not found.owned and target not in written:
            yield Step(Act.ADOPT, target, "it would stay when this program is uninstalled")


def _rotate(situation: Situation) -> Step | None:
    signer, parameters = situation.authorities.signer, situation.parameters
    if signer is None or situation.authorities.successor:
        return None
    if situation.now < situation.due(signer.certificate, parameters.ca_lifetime):
        return None
    why = f"{parameters.renew_at:.0%} of the CA's life are over"
    return Step(Act.ISSUE, parameters.ca, why)


def _later(situation: Situation) -> Iterator[Later]:
    authorities, parameters = situation.authorities, situation.parameters
    for each in authorities.keyed:
        needed = each == authorities.successor or situation.why_sign(each)
        if needed and not situation.may_sign(each) and (when := situation.published_at(each)):
            yield Later(when, f"CA {describe(each.certificate)} may sign", waiting=True)
    if situation.leaf_works:
        when = situation.due(situation.chain[0], parameters.serving_lifetime)
        yield Later(when, "the serving certificate is renewed")
    if (signer := authorities.signer) and not authorities.successor:
        yield Later(situation.due(signer.certificate, parameters.ca_lifetime), "a new CA is issued")
    for old in authorities.old:
        yield Later(situation.leaves_at(old), f"CA {describe(old)} leaves the bundle")
