"""A cluster as plain data, for the certificate program: what is stored, and what others see of it.

API servers see a bundle with a delay, servers present a pair with a delay. Both delays are modelled
by their worst: whatever was stored within the delay may be in force somewhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from certs.observed import Configuration, Observed, Secret, Target
from certs.parameters import Parameters
from certs.perform import BundleWrite, SecretWrite, Write, apply, perform
from certs.plan import Plan, Step, plan

PARAMETERS = Parameters()
START = datetime(2031, 3, 14, 15, 9, 26, tzinfo=UTC)
NAME = "vci-webhook.vci-webhook.svc"
SECOND = timedelta(seconds=1)
BUNDLE_DELAY = PARAMETERS.publish_wait - SECOND  # of API servers
PAIR_DELAY = timedelta(minutes=10)  # of the kubelet, and of the server that looks now and then
MUTATING, VALIDATING = PARAMETERS.configurations
STEP_LIMIT = 30

Pair = tuple[bytes, bytes]


@lru_cache(maxsize=4096)
def parse(content: bytes) -> tuple[x509.Certificate, ...]:
    """Read certificates as Go does: what is no certificate is passed over."""
    found = []
    for text in content.split(b"-----BEGIN CERTIFICATE-----")[1:]:
        try:
            found.append(x509.load_pem_x509_certificate(b"-----BEGIN CERTIFICATE-----" + text))
        except ValueError:
            continue
    return tuple(found)


@lru_cache(maxsize=100_000)
def verifies(bundle: bytes, leaf: bytes, now: datetime) -> bool:
    """Verify a serving certificate as a strict TLS client does."""
    if not (authorities := parse(bundle)):
        return False
    builder = PolicyBuilder().store(Store([*authorities])).time(now)
    try:
        builder.build_server_verifier(x509.DNSName(NAME)).verify(parse(leaf)[0], [])
    except VerificationError:
        return False
    return True


@lru_cache(maxsize=4096)
def _public_key(key: bytes) -> object:
    try:
        return serialization.load_pem_private_key(key, password=None).public_key()
    except (ValueError, TypeError):
        return None


def presentable(secret: Secret | None, now: datetime) -> Pair | None:
    """Give the pair that a server would present; what it cannot use it does not take."""
    if secret is None:
        return None
    certificate, key = (secret.data.get(name, b"") for name in ("tls.crt", "tls.key"))
    found = parse(certificate)
    if not found or _public_key(key) != found[0].public_key():
        return None
    if not found[0].not_valid_before_utc <= now < found[0].not_valid_after_utc:
        return None
    return certificate, key


@dataclass
class World:
    """What is stored, since when, and how it is changed: by whoever saw the newest version."""

    stored: Observed
    now: datetime = START
    was_good: bool = False
    pair: Pair | None = None  # the last usable one of those that no server presents any more
    _versions: int = 0
    _history: list[tuple[datetime, Observed]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._store(self.stored)

    def plan(self) -> Plan:
        """Say what is to be done now."""
        return plan(self.stored, self.now, PARAMETERS)

    def prepare(self, step: Step) -> Write:
        """Say what a step would write now."""
        return perform(step, self.stored, self.now, PARAMETERS)

    def write(self, write: Write) -> bool:
        """Write, unless somebody else did since; that a write got lost looks the same."""
        if isinstance(write, BundleWrite):
            there: Secret | Configuration | None
            there = self.stored.configurations[write.target]
        else:
            there = self.stored.ca if write.target == PARAMETERS.ca else self.stored.serving
        if (there and there.version) != (write.before and write.before.version):
            return False
        if isinstance(write, SecretWrite) and write.replaces:
            self._store(self._without(write.target))
            self.check()
        self._store(self._numbered(apply(self.stored, write), write.target))
        self.check()
        return True

    def damage(self, stored: Observed) -> None:
        """Let somebody else change things at will; who is cut off by that is not our concern."""
        self._store(stored)
        self.was_good = self.was_good and self.is_served()

    def go_on(self, span: timedelta) -> None:
        """Let time pass."""
        self.now += span
        self.check()

    def rest(self) -> list[Step]:
        """Do everything that can be done now."""
        done = []
        while steps := self.plan().steps:
            done.append(steps[0])
            assert len(done) < STEP_LIMIT, [f"{s.act}: {s.target}: {s.why}" for s in done]
            assert self.write(self.prepare(steps[0]))
        return done

    def live(self, span: timedelta) -> list[Step]:
        """Let time pass while a program does what is due when it is due."""
        done, end = self.rest(), self.now + span
        while self.now < end:
            times = [each.when for each in self.plan().later if each.when > self.now]
            self.go_on(min([end, *times]) - self.now)
            done += self.rest()
        return done

    def bundles(self) -> Iterator[bytes]:
        """Give every bundle that some API server may use now."""
        for stored in self._within(BUNDLE_DELAY):
            for found in stored.configurations.values():
                if found and not found.injected:
                    yield from found.bundles

    def pairs(self) -> Iterator[Pair]:
        """Give every pair that some server may present now."""
        kept = self._within(PAIR_DELAY)
        seen = [presentable(stored.serving, self.now) for stored in kept]
        if seen[0] is None:  # a server keeps what it has until it gets something better
            seen.append(self._last_pair(len(kept)))
        yield from dict.fromkeys(pair for pair in seen if pair)

    def is_served(self) -> bool:
        """Tell whether every API server can verify every server, whatever the delays."""
        pairs, bundles = [*self.pairs()], set(self.bundles())
        return bool(pairs) and all(
            verifies(bundle, certificate, self.now)
            for certificate, _ in pairs
            for bundle in bundles
        )

    def check(self) -> None:
        """Hold what must hold: once it was good, nobody meets what it cannot verify."""
        served = self.is_served()
        assert served or not self.was_good, "a client cannot verify a server"
        self.was_good = served

    def is_sound(self) -> bool:
        """Tell whether everything is as it should be, without asking the plan."""
        ca, serving = self.stored.ca, self.stored.serving
        if ca is None or serving is None or serving.type != "kubernetes.io/tls":
            return False
        pair = presentable(serving, self.now)
        signer = ca.data["tls.crt"]
        bundles = [
            bundle
            for found in self.stored.configurations.values()
            if found
            for bundle in found.bundles
        ]
        return (
            pair is not None
            and serving.data["ca.crt"] == signer
            and _public_key(ca.data["tls.key"]) == parse(signer)[0].public_key()
            and all(bundle == ca.data["ca.crt"] for bundle in bundles)
            and all(verifies(each, pair[0], self.now) for each in (*bundles, signer))
            and parse(pair[0])[0].not_valid_after_utc - self.now > PARAMETERS.serving_lifetime / 3
        )

    def _within(self, delay: timedelta) -> list[Observed]:
        """Give what was stored at some time in the past so long, the oldest first."""
        ends = [*(since for since, _ in self._history[1:]), self.now + SECOND]
        return [
            stored
            for (_, stored), end in zip(self._history, ends, strict=True)
            if end > self.now - delay
        ]

    def _store(self, stored: Observed) -> None:
        self.stored = stored
        self._history.append((self.now, stored))
        kept = self._within(PAIR_DELAY)
        self.pair = self._last_pair(len(kept))
        self._history = self._history[-len(kept) :]

    def _last_pair(self, kept: int) -> Pair | None:
        """Give the pair that was usable last, before the newest things that were stored."""
        pair = self.pair
        for _, gone in self._history[:-kept]:
            pair = presentable(gone.serving, self.now) or pair
        return pair

    def _without(self, target: Target) -> Observed:
        if target == PARAMETERS.ca:
            return replace(self.stored, ca=None)
        return replace(self.stored, serving=None)

    def _numbered(self, stored: Observed, target: Target) -> Observed:
        """Give the object that was written a version that no object ever had."""
        self._versions += 1
        version = f"n{self._versions}"
        if target == PARAMETERS.ca and stored.ca:
            return replace(stored, ca=replace(stored.ca, version=version))
        if target == PARAMETERS.serving and stored.serving:
            return replace(stored, serving=replace(stored.serving, version=version))
        found = stored.configurations[target]
        numbered = replace(found, version=version) if found else None
        return replace(stored, configurations={**stored.configurations, target: numbered})
