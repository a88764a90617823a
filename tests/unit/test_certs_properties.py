"""Whatever state a cluster is found in, it gets well, and on the way nobody is cut off.

Nobody: no API server that trusts a bundle which was published, however late it learns of a new one,
meets a certificate that it cannot verify, however late a server presents a new one.
``VCI_WEBHOOK_EXAMPLES=5000`` asks for that many fresh examples.
"""

import os
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from certs.observed import Observed, Secret
from certs.perform import perform
from certs.plan import Step
from tests.unit.certs_states import RUBBISH, states, working_states
from tests.unit.certs_world import PAIR_DELAY, PARAMETERS, World

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
ENOUGH = 3 * MINUTE  # for everything but what waits for a certificate's end
# A program that was kept from acting on what it saw for longer looks again first.
STALE = timedelta(seconds=30)
WRITES = 25  # of a state that holds everything that can be wrong
EXAMPLES = int(os.environ.get("VCI_WEBHOOK_EXAMPLES", "60"))
FIXED = settings(max_examples=60, derandomize=True, database=None)
FRESH = settings(max_examples=EXAMPLES)


def gets_well(state: Observed) -> None:
    world = World(state)
    assert len(world.live(ENOUGH)) <= WRITES
    assert world.is_sound()
    assert world.plan().is_good
    world.go_on(PAIR_DELAY)
    assert world.is_served()


def stays_well(state: Observed) -> None:
    world = World(state)
    world.check()
    assert world.was_good
    world.live(ENOUGH)
    assert world.is_sound()
    world.live(100 * DAY)
    assert world.is_sound()


@FIXED
@given(states())
def test_any_state_gets_well(state: Observed) -> None:
    """Objects absent, damaged, old or foreign: within minutes and few writes all is sound."""
    gets_well(state)


@FRESH
@given(states())
def test_any_other_state_gets_well(state: Observed) -> None:
    """The same, for states that were never drawn before."""
    gets_well(state)


@FIXED
@given(working_states())
def test_what_works_is_never_interrupted(state: Observed) -> None:
    """Whoever issued what works now, it goes on working while our own takes its place."""
    stays_well(state)


@FRESH
@given(working_states())
def test_what_works_otherwise_is_never_interrupted(state: Observed) -> None:
    """The same, for states that were never drawn before."""
    stays_well(state)


@dataclass
class Program:
    """A program that saw something and acts on it, later or never."""

    observed: Observed | None = None
    at: datetime | None = None
    steps: list[Step] = field(default_factory=list)


class Interrupted(RuleBasedStateMachine):
    """Two programs at once, stopped anywhere, while somebody deletes and damages things.

    The version of what was damaged repeats itself, which no API server does: all the harder.
    """

    @initialize(state=working_states())
    def begin(self, state: Observed) -> None:
        """Begin with what works, of which some program has seen which CA it depends on.

        Were the serving Secret lost as well before that, an unrelated CA Secret would be believed.
        """
        self.world = World(state)
        self.world.check()
        first = self.world.plan().steps[:1]
        if first and first[0].target == PARAMETERS.ca:
            self.world.write(self.world.prepare(first[0]))
        self.programs = (Program(), Program())

    @rule(which=st.integers(0, 1))
    def look(self, which: int) -> None:
        """Look at everything, and plan."""
        steps = [*self.world.plan().steps]
        program = self.programs[which]
        program.observed, program.at, program.steps = self.world.stored, self.world.now, steps

    @rule(which=st.integers(0, 1), chosen=st.integers(0, 9))
    def act(self, which: int, chosen: int) -> None:
        """Take one of the planned steps, in any order; others may have written since."""
        program = self.programs[which]
        if program.steps and program.observed and program.at:
            step = program.steps.pop(chosen % len(program.steps))
            if self.world.now - program.at <= STALE:
                self.world.write(perform(step, program.observed, program.at, PARAMETERS))

    @rule(which=st.integers(0, 1))
    def stop(self, which: int) -> None:
        """Stop a program between two steps; another one starts in its place."""
        self.programs[which].steps.clear()

    @rule(seconds=st.sampled_from([1, 20, 59, 61]))
    def go_on(self, seconds: int) -> None:
        """Let time pass."""
        self.world.go_on(timedelta(seconds=seconds))

    @rule(days=st.sampled_from([1, 21, 31, 500]))
    def live(self, days: int) -> None:
        """Let a program do what is due for a long time, and another one miss it all."""
        self.world.live(days * DAY)

    @rule(content=st.none() | st.sampled_from(RUBBISH))
    def damage_ca(self, content: bytes | None) -> None:
        """Delete the CA Secret, or overwrite it."""
        self.world.damage(replace(self.world.stored, ca=_rubbish(content, "Opaque")))

    @rule(content=st.none() | st.sampled_from(RUBBISH))
    def damage_serving(self, content: bytes | None) -> None:
        """Delete the serving Secret, or overwrite it."""
        secret = _rubbish(content, "kubernetes.io/tls")
        self.world.damage(replace(self.world.stored, serving=secret))

    @rule(content=st.sampled_from(RUBBISH), which=st.integers(0, 1))
    def damage_bundles(self, content: bytes, which: int) -> None:
        """Overwrite the bundles of a configuration, which cuts its API servers off until healed."""
        configurations = dict(self.world.stored.configurations)
        target = sorted(configurations, key=str)[which]
        if found := configurations[target]:
            bundles = (content,) * len(found.bundles)
            configurations[target] = replace(found, version="damaged", bundles=bundles)
            self.world.damage(replace(self.world.stored, configurations=configurations))

    def teardown(self) -> None:
        """In the end everything is sound, and nobody was cut off."""
        if hasattr(self, "world"):
            self.world.live(ENOUGH)
            assert self.world.is_sound()


def _rubbish(content: bytes | None, kind: str) -> Secret | None:
    if content is None:
        return None
    return Secret("damaged", kind, dict.fromkeys(("tls.crt", "tls.key", "ca.crt"), content))


def test_two_programs_that_are_stopped_anywhere_cut_nobody_off() -> None:
    """Two at once, each stopped and delayed at will, lost and damaged Secrets: all is served."""
    run_state_machine_as_test(Interrupted, settings=settings(FRESH, stateful_step_count=40))
