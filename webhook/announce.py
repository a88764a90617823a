"""Tells people what became of a version of the profile: in the log, in metrics, in an Event.

An Event on the ConfigMap is what ``kubectl describe`` shows to whoever has just applied it.
Replicas find the same problems and give their Event the same name, so that there is one of it;
whether another replica has already counted a version stands in the Event itself.
"""

import asyncio
import hashlib
import logging
import random
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec

from webhook.activate import Version
from webhook.backoff import Backoff
from webhook.errors import Cause, ClusterError
from webhook.kube import Call, Connection
from webhook.log import fields
from webhook.metrics import Metrics
from webhook.seldom import Seldom

COMPONENT = "vci-webhook"
MESSAGE_LIMIT = 1024  # bytes that the API server accepts
POST_SECONDS = 5.0
# Somebody who tries things out sees each attempt; a loop that rewrites the profile floods nobody.
BURST = 10
REFILL_SECONDS = 6.0
# An Event that is lost is written again for ten minutes: after that, whoever has changed the
# profile looks at something else.
RESEND_SECONDS = 600.0

logger = logging.getLogger("webhook")


class Announcer:
    """Announces versions one after the other; when they come too fast, the newest."""

    def __init__(
        self, connection: Connection, namespace: str, name: str, reporter: str, metrics: Metrics
    ) -> None:
        self._connection = connection
        self._namespace = namespace
        self._name = name
        self._reporter = reporter
        self._metrics = metrics
        self._newest: Version | None = None
        self._arrived = asyncio.Event()
        self._had_errors = False
        self._allowances = {"problems": Allowance(), "none": Allowance()}
        self._seldom = Seldom()
        self._backoff = Backoff()

    def tell(self, version: Version) -> None:
        """Take note of a version; the metrics are right at once."""
        warnings = len(version.problems) - version.errors
        self._metrics.profile_read(version.errors, warnings, rejected=version.profile is None)
        if version.profile is not None:
            self._metrics.profile_active(version.profile)
        if version.is_news:
            self._metrics.profile_reloaded(version.errors, rejected=version.profile is None)
            self._newest = version
            self._arrived.set()

    async def run(self) -> None:
        """Announce until cancelled."""
        while True:
            await self._arrived.wait()
            problems = self._newest is not None and self._newest.problems
            allowance = self._allowances["problems" if problems else "none"]
            await asyncio.sleep(allowance.take(time.monotonic()))
            self._arrived.clear()
            if (version := self._newest) is None:
                continue
            try:
                await asyncio.to_thread(self._log, version)
                await self._tell_by_event(version)
            except Exception:
                logger.exception("announcing the profile failed")

    def _log(self, version: Version) -> None:
        where = f"{self._namespace}/{self._name}"
        told = fields(name=where, version=version.resource_version, problems=len(version.problems))
        if version.profile is None:
            logger.error("profile rejected, the one before it stays active", extra=told)
        elif not version.uid:
            logger.warning("no profile, so no rules", extra=fields(name=where))
        else:
            told["fields"]["rules"] = len(version.profile.rules)
            logger.info("profile active", extra=told)
        for problem in version.problems:
            level = logging.ERROR if problem.severity == "error" else logging.WARNING
            logger.log(level, "profile %s@%s: %s", where, version.resource_version, problem)

    async def _tell_by_event(self, version: Version) -> None:
        """Write an Event about problems, or about their end; again if it was lost, until news."""
        had_errors, self._had_errors = self._had_errors, bool(version.errors)
        if not version.uid or not (version.problems or had_errors):
            return
        event = event_of(version, self._namespace, self._name, self._reporter, datetime.now(UTC))
        until = time.monotonic() + RESEND_SECONDS
        while error := await self._failure_of(event):
            if error.cause is Cause.DENIED or time.monotonic() > until:
                return
            pause = self._backoff.pause(error, time.monotonic(), random.random())  # noqa: S311 - no secret
            if await self._arrives_within(pause):
                return

    async def _failure_of(self, event: dict[str, Any]) -> ClusterError | None:
        """Write an Event; give what went wrong."""
        try:
            await self._send(event)
        except ClusterError as error:
            if self._seldom.allows(error.cause):
                logger.warning("event not written", extra=fields(problem=str(error)))
            return error
        return None

    async def _arrives_within(self, seconds: float) -> bool:
        """Wait a while; tell whether there is something newer to announce."""
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True

    async def _send(self, event: dict[str, Any]) -> None:
        path = f"/api/v1/namespaces/{self._namespace}/events"
        try:
            await self._call("POST", path, event)
        except ClusterError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            await self._count(f"{path}/{event['metadata']['name']}", event)

    async def _count(self, path: str, event: dict[str, Any]) -> None:
        """Count one more time in an Event that exists, unless another replica has done so."""
        existing = msgspec.json.decode(await self._call("PATCH", path, {}), type=_Event)
        if existing.involved_object.resource_version == event["involvedObject"]["resourceVersion"]:
            return
        change = {
            "metadata": {"resourceVersion": existing.metadata.resource_version},
            "involvedObject": event["involvedObject"],
            "lastTimestamp": event["lastTimestamp"],
            "count": existing.count + 1,
        }
        try:
            await self._call("PATCH", path, change)
        except ClusterError as error:  # a conflict: just now another replica has done so
            if error.status != HTTPStatus.CONFLICT:
                raise

    async def _call(self, method: str, path: str, body: dict[str, Any]) -> bytes:
        async with self._connection.send(
            Call(path, POST_SECONDS, method=method, body=body)
        ) as response:
            return await response.body()


class _EventMetadata(msgspec.Struct, rename="camel"):
    resource_version: str


class _InvolvedObject(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _Event(msgspec.Struct, rename="camel"):
    metadata: _EventMetadata
    involved_object: _InvolvedObject
    count: int = 1


class Allowance:
    """Gives a few at once, then one in a while."""

    def __init__(self, burst: int = BURST, refill_seconds: float = REFILL_SECONDS) -> None:
        self._burst = burst
        self._refill_seconds = refill_seconds
        self._full_at = 0.0  # when nothing would be missing any more

    def take(self, now: float) -> float:
        """Take one; say how many seconds to wait for it."""
        self._full_at = max(self._full_at, now) + self._refill_seconds
        return max(0.0, self._full_at - self._burst * self._refill_seconds - now)


def event_of(
    version: Version, namespace: str, name: str, reporter: str, now: datetime
) -> dict[str, Any]:
    """Make the Event about a version; the same problems of the same ConfigMap give it one name."""
    reason, message = _reason(version)
    digest = hashlib.sha256(f"{version.uid} {reason} {message}".encode()).hexdigest()[:16]
    timestamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{digest}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "namespace": namespace,
            "name": name,
            "uid": version.uid,
            "resourceVersion": version.resource_version,
        },
        "type": "Warning" if version.errors else "Normal",
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": timestamp,
        "lastTimestamp": timestamp,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": reporter,
    }


def _reason(version: Version) -> tuple[str, str]:
    """Say in a word and in a message what became of a version."""
    if version.profile is None:
        reason, begin = "ProfileInvalid", "the profile before this one stays active"
    elif version.errors:
        reason, begin = "RulesInvalid", "active, but for what is wrong in it"
    else:
        reason, begin = "ProfileAccepted", f"active, rules: {len(version.profile.rules)}"
    errors_first = sorted(version.problems, key=lambda problem: problem.severity != "error")
    return reason, _cut("; ".join([begin, *map(str, errors_first)]))


def _cut(message: str) -> str:
    """Cut a message to the bytes that an Event may have, at a character's end."""
    encoded = message.encode(errors="replace")
    if len(encoded) <= MESSAGE_LIMIT:
        return encoded.decode()
    return encoded[: MESSAGE_LIMIT - 3].decode(errors="ignore") + "…"
