"""What the certificate program would do, and why, in the situations that operators know."""

from dataclasses import replace
from datetime import timedelta

import pytest

from certs.authorities import KEPT_UNTIL, SEEN_SINCE
from certs.issue import Span, issue_ca, issue_serving
from certs.observed import Configuration, Observed, Secret
from certs.perform import SecretWrite, perform
from certs.plan import Act, Step, plan
from tests.unit.certs_world import MUTATING, PARAMETERS, START, VALIDATING, World, parse

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
CA, SERVING = PARAMETERS.ca, PARAMETERS.serving


def fresh() -> World:
    """Give an installation to which nothing has happened yet."""
    configurations = {
        MUTATING: Configuration("1", (b"",)),
        VALIDATING: Configuration("2", (b"", b"")),
    }
    return World(Observed(configurations=configurations))


def installed() -> World:
    """Give an installation where all is well, and has been for a while."""
    world = fresh()
    world.live(HOUR)
    assert world.was_good
    assert world.plan().is_good
    return world


def acts(steps: list[Step]) -> list[Act]:
    return [step.act for step in steps]


def bundle(world: World, which: int = 0) -> tuple[object, ...]:
    found = [*world.stored.configurations.values()][which]
    assert found
    return parse(found.bundles[0])


def secret(data: bytes | dict[str, bytes]) -> Secret:
    if isinstance(data, bytes):
        data = dict.fromkeys(("tls.crt", "tls.key", "ca.crt"), data)
    return Secret("damaged", "kubernetes.io/tls", data)


def test_a_first_install_waits_for_nothing() -> None:
    """A CA, its bundle in every configuration, a certificate: nobody trusted anything before."""
    world = fresh()
    steps = world.rest()
    assert acts(steps) == [Act.ISSUE, Act.PUBLISH, Act.PUBLISH, Act.NOTE, Act.SIGN]
    assert [step.why for step in steps[:2]] == ["there is no CA Secret", "it has no bundle"]
    assert world.is_sound()
    assert world.plan().is_good


def test_a_leaf_is_renewed_at_two_thirds() -> None:
    """Twenty days of thirty, and nothing else is written for it."""
    world = installed()
    assert world.live(19 * DAY) == []
    (step,) = world.live(DAY)
    assert step == Step(Act.SIGN, SERVING, "67% of its life are over")


def test_a_whole_rotation_of_the_ca() -> None:
    """Published beside the old one, seen for a minute, signs; the old one leaves a month later."""
    world = installed()
    world.live(486 * DAY)
    (old,) = bundle(world)
    world.go_on(DAY)
    steps = world.rest()
    assert acts(steps)[-4:] == [Act.ISSUE, Act.PUBLISH, Act.PUBLISH, Act.NOTE]
    assert steps[-4].why == "67% of the CA's life are over"
    assert old in bundle(world)
    assert len(bundle(world)) == 2
    waiting = [each for each in world.plan().later if each.waiting]
    assert [each.when - world.now for each in waiting] == [MINUTE + timedelta(seconds=1)]
    assert not world.plan().is_good
    assert acts(world.live(2 * MINUTE)) == [Act.PROMOTE, Act.SIGN]
    assert acts(world.live(30 * DAY + 2 * HOUR))[-3:] == [Act.RETIRE, Act.PUBLISH, Act.PUBLISH]
    assert old not in bundle(world)
    assert world.is_sound()


def test_two_years_pass_without_an_interruption() -> None:
    """The whole life of a CA and of all its leaves, with delays at their worst."""
    world = installed()
    world.live(1500 * DAY)
    assert world.is_sound()
    assert world.was_good


@pytest.mark.parametrize("content", [None, b"", b"rubbish"])
def test_without_its_ca_secret_a_leaf_stays_trusted(content: bytes | None) -> None:
    """The CA that verifies it is kept without its key, and the new one signs after the wait."""
    world = installed()
    (old,) = bundle(world)
    leaf = world.stored.serving
    world.damage(replace(world.stored, ca=None if content is None else secret(content)))
    assert acts(world.rest()) == [Act.ISSUE, Act.PUBLISH, Act.PUBLISH, Act.NOTE]
    assert world.stored.serving == leaf
    assert old in bundle(world)
    assert acts(world.live(2 * MINUTE)) == [Act.PROMOTE, Act.SIGN]
    world.live(31 * DAY)
    assert old not in bundle(world)


def test_without_its_ca_secret_and_bundles_ca_crt_is_enough() -> None:
    """The CA of the leaf is found in the serving Secret when nobody else has it."""
    world = installed()
    (old,) = bundle(world)
    empty = {MUTATING: Configuration("8", (b"",)), VALIDATING: Configuration("9", (b"", b""))}
    world.damage(replace(world.stored, ca=None, configurations=empty))
    world.rest()
    assert old in bundle(world)
    assert len(bundle(world)) == 2


def test_without_both_secrets_servers_keep_their_leaf() -> None:
    """Servers go on with what they have, so the new CA waits as in a rotation."""
    world = installed()
    world.damage(replace(world.stored, ca=None, serving=None))
    assert Act.SIGN not in acts(world.rest())
    assert acts(world.live(2 * MINUTE)) == [Act.PROMOTE, Act.SIGN]


@pytest.mark.parametrize("content", [None, b"", b"rubbish"])
def test_a_leaf_is_signed_anew_at_once(content: bytes | None) -> None:
    """With the CA that is published already, so it needs no wait."""
    world = installed()
    world.damage(replace(world.stored, serving=None if content is None else secret(content)))
    assert acts(world.rest()) == [Act.SIGN]
    assert world.is_sound()


def test_a_leaf_that_is_lost_during_a_rotation_is_signed_by_the_old_ca() -> None:
    """The new one is not published for long enough, and the old one is."""
    world = installed()
    world.live(486 * DAY)
    world.go_on(DAY)
    world.rest()
    world.damage(replace(world.stored, serving=None))
    assert acts(world.rest()) == [Act.SIGN]
    assert acts(world.live(2 * MINUTE)) == [Act.PROMOTE, Act.SIGN]


@pytest.mark.parametrize("content", [b"", b"rubbish", issue_ca(START).certificate])
def test_a_bundle_is_restored_at_once(content: bytes) -> None:
    """Emptied, damaged, or of somebody else: it becomes what the CA Secret says."""
    world = installed()
    (own,) = bundle(world)
    found = world.stored.configurations[MUTATING]
    assert found
    spoilt = replace(found, bundles=(content,), version="x")
    world.damage(
        replace(world.stored, configurations={**world.stored.configurations, MUTATING: spoilt})
    )
    done = acts(world.rest())
    assert done in ([Act.RECORD, Act.PUBLISH, Act.NOTE], [Act.PUBLISH])
    assert bundle(world) == (own,)


def test_a_bundle_that_was_lost_begins_the_wait_anew() -> None:
    """A new CA must be seen everywhere without interruption before it signs."""
    world = installed()
    world.damage(replace(world.stored, ca=None))
    world.rest()
    world.go_on(50 * timedelta(seconds=1))
    found = world.stored.configurations[VALIDATING]
    assert found
    emptied = replace(found, bundles=(b"", b""), version="x")
    world.damage(
        replace(world.stored, configurations={**world.stored.configurations, VALIDATING: emptied})
    )
    assert acts(world.rest()) == [Act.RECORD, Act.PUBLISH, Act.NOTE]
    world.go_on(50 * timedelta(seconds=1))
    assert world.rest() == []
    world.go_on(12 * timedelta(seconds=1))
    assert acts(world.rest()) == [Act.PROMOTE, Act.SIGN]


def test_a_time_to_come_delays_nothing() -> None:
    """A CA that was seen an hour from now, by a clock that was wrong, was seen now."""
    world = installed()
    world.damage(replace(world.stored, ca=None))
    world.rest()
    ca = world.stored.ca
    assert ca
    (key,) = [each for each in ca.annotations if each == SEEN_SINCE]
    ahead = ca.annotations[key].replace(f"{world.now.hour:02}:", f"{world.now.hour + 1:02}:")
    assert ahead != ca.annotations[key]
    world.damage(replace(world.stored, ca=replace(ca, annotations={**ca.annotations, key: ahead})))
    (record, *_) = world.rest()
    assert record.act is Act.RECORD
    assert "was noted at a time to come" in record.why
    assert acts(world.live(2 * MINUTE)) == [Act.PROMOTE, Act.SIGN]


def test_somebody_elses_certificate_is_replaced_without_an_interruption() -> None:
    """What works by an operator's own CA goes on working until ours has taken over."""
    foreign = issue_ca(START - DAY)
    leaf = issue_serving(foreign, PARAMETERS.names, START - DAY, Span(90 * DAY))
    data = {"tls.crt": leaf.certificate, "tls.key": leaf.key}
    published = Configuration("1", (foreign.certificate,))
    world = World(
        Observed(None, secret(data), {MUTATING: published, VALIDATING: replace(published)})
    )
    world.check()
    assert world.was_good
    world.live(3 * MINUTE)
    assert world.is_sound()
    assert parse(foreign.certificate)[0] in bundle(world)
    world.live(91 * DAY)
    assert parse(foreign.certificate)[0] not in bundle(world)


def test_a_ca_is_dropped_at_once_when_a_person_says_so() -> None:
    """After its key was lost to somebody: a date in the past, once nothing in use depends on it."""
    world = installed()
    (old,) = bundle(world)
    world.damage(replace(world.stored, ca=None))
    world.live(15 * MINUTE)
    assert old in bundle(world)
    ca = world.stored.ca
    assert ca
    past = ca.annotations[KEPT_UNTIL].replace(f'"{START.year}-', '"2001-')
    annotations = {**ca.annotations, KEPT_UNTIL: past}
    world.damage(replace(world.stored, ca=replace(ca, annotations=annotations)))
    assert acts(world.rest()) == [Act.RETIRE, Act.PUBLISH, Act.PUBLISH]
    assert old not in bundle(world)


def test_a_configuration_of_cert_manager_is_left_alone() -> None:
    """Two programs must not write one bundle; a person is told, and the rest goes on."""
    world = fresh()
    injected = {**world.stored.configurations, MUTATING: Configuration("1", (b"",), injected=True)}
    world.damage(replace(world.stored, configurations=injected))
    assert MUTATING not in [step.target for step in world.rest()]
    (problem,) = world.plan().problems
    assert "cert-manager.io/inject-ca-from" in problem
    assert not world.plan().is_good
    assert world.stored.serving


def test_what_cannot_be_changed_is_replaced() -> None:
    """An immutable Secret, or one of another type, is deleted and made anew when it is due."""
    world = installed()
    serving = world.stored.serving
    assert serving
    world.damage(replace(world.stored, serving=replace(serving, type="Opaque", version="x")))
    (step,) = world.plan().steps
    assert step.why == "its Secret is not of type kubernetes.io/tls"
    write = world.prepare(step)
    assert isinstance(write, SecretWrite)
    assert write.replaces


def test_without_configurations_there_is_a_certificate_all_the_same() -> None:
    """They may be created later than the Secrets, and nobody is called before that."""
    world = World(Observed(configurations={MUTATING: None, VALIDATING: None}))
    assert acts(world.rest()) == [Act.ISSUE, Act.NOTE, Act.SIGN]
    assert world.plan().is_good


def test_a_shorter_lifetime_acts_at_once() -> None:
    """What was issued for longer is renewed as if it had been issued for that."""
    world = installed()
    shorter = replace(PARAMETERS, serving_lifetime=HOUR)
    planned = plan(world.stored, world.now, shorter)
    assert acts([*planned.steps]) == [Act.SIGN]
    write = perform(planned.steps[0], world.stored, world.now, shorter)
    assert isinstance(write, SecretWrite)
    leaf = parse(write.data["tls.crt"])[0]
    assert leaf.not_valid_after_utc == world.now + HOUR


def test_what_was_issued_for_less_than_the_clock_skew_is_renewed_in_time() -> None:
    """A CA of half an hour, from other parameters, is followed by one of ours before it ends."""
    world = fresh()
    brief = replace(PARAMETERS, ca_lifetime=HOUR / 2, clock_skew=timedelta())
    world.write(perform(world.plan().steps[0], world.stored, world.now, brief))
    world.live(DAY)
    assert world.was_good
    assert world.is_sound()


def test_nothing_that_is_secret_is_shown() -> None:
    """Neither what was observed nor what is to be written shows a key when it is printed."""
    world = fresh()
    write = world.prepare(world.plan().steps[0])
    world.rest()
    assert "PRIVATE" not in f"{write!r} {world.stored!r}"
