"""Reads what the doctor judges: our objects, by name; what may not be read is noted with the right.

Nothing is written, and of a Secret nothing but the verdict leaves the process.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from webhook.errors import ClusterError
from webhook.kube import Call, Connection
from webhook.objects import (
    read_configuration,
    read_endpoints,
    read_program,
    read_secret,
    read_service,
    read_version,
)
from webhook.observe import METADATA_LIST, NAMESPACES, Named, Observer
from webhook.observed import (
    Configuration,
    Endpoint,
    Kind,
    Labels,
    LiveProfile,
    Mount,
    Names,
    Observed,
    Presented,
    Secret,
    Seen,
    Service,
    Unread,
)
from webhook.peer import fetch_chain
from webhook.profile import parse_profile
from webhook.watch import read_object
from webhook.wording import shortened

READ_SECONDS = 10.0
ENDPOINTS_LIMIT = 16  # servers that are asked for their certificate
OUR_PORT = 443
FILES = ("tls.crt", "tls.key", "ca.crt")

_CORE = "/api/v1/namespaces"
_APPS = "/apis/apps/v1/namespaces"
_SLICES = "/apis/discovery.k8s.io/v1/namespaces"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_DATE_SECONDS = 0.5  # on average, as the header has no fraction
_AGREEING_SECONDS = 2.0  # less than that is the network's

Server = tuple[str, int, str]  # address, port, and the name by which it is called
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Examination:
    """One look at everything, with the names that it goes by."""

    connection: Connection
    names: Names
    servers: Sequence[Server] = ()
    tls_dir: Path | None = None

    async def observe(self) -> Observed:
        """Look; whatever cannot be seen is noted as that."""
        version, ahead = await self._read_version()
        now = datetime.now(UTC)
        if ahead is not None and abs(ahead) > _AGREEING_SECONDS:
            now -= timedelta(seconds=ahead)
        observed = Observed(now, self.names, version, ahead, mount=self._read_mount())
        if isinstance(version, Unread):
            observed = _unread(observed, version)
        else:
            observed = await self._read_cluster(observed)
        return replace(observed, presented=await self._ask_servers(observed))

    async def _read_version(self) -> tuple[str | Unread, float | None]:
        """Ask which Kubernetes it is, and what time it is there: our clock's lead in seconds."""
        began = datetime.now(UTC)
        try:
            async with self.connection.send(Call("/version", READ_SECONDS)) as response:
                ahead = _ahead(response.date, began, datetime.now(UTC))
                return read_version(await response.body()), ahead
        except ClusterError as error:
            if error.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                return "", None
            return Unread(f"does not answer: {shortened(str(error))}"), None

    async def _read_cluster(self, observed: Observed) -> Observed:
        names = self.names
        services = f"{_CORE}/{names.namespace}/services"
        deployments = f"{_APPS}/{names.namespace}/deployments"
        async with asyncio.TaskGroup() as tasks:
            mutating = tasks.create_task(
                self._read_configuration("MutatingWebhookConfiguration", names.mutating)
            )
            validating = tasks.create_task(
                self._read_configuration("ValidatingWebhookConfiguration", names.validating)
            )
            ca = tasks.create_task(self._read_secret(names.ca_secret))
            tls = tasks.create_task(self._read_secret(names.tls_secret))
            program = tasks.create_task(self._read(deployments, names.program, read_program))
            service = tasks.create_task(self._read(services, names.service, read_service))
            namespaces = tasks.create_task(self._read_namespaces())
            profile = tasks.create_task(self._read_profile())
        return replace(
            observed,
            mutating=mutating.result(),
            validating=validating.result(),
            ca=ca.result(),
            tls=tls.result(),
            program=program.result(),
            service=service.result(),
            endpoints=await self._read_endpoints(service.result()),
            namespaces=namespaces.result(),
            profile=profile.result(),
        )

    async def _read(self, path: str, name: str, decode: Callable[[bytes], T]) -> Seen[T]:
        """Read one object."""
        call = Call(f"{path}/{name}", READ_SECONDS)
        return await self._get(call, f"get {_right(path, name)}", decode)

    async def _get(self, call: Call, right: str, decode: Callable[[bytes], T]) -> Seen[T]:
        try:
            async with self.connection.send(call) as response:
                return decode(await response.body())
        except ClusterError as error:
            return None if error.status == HTTPStatus.NOT_FOUND else _why(error, right)

    async def _read_secret(self, name: str) -> Seen[Secret]:
        return await self._read(f"{_CORE}/{self.names.namespace}/secrets", name, read_secret)

    async def _read_configuration(self, kind: Kind, name: str) -> Seen[Configuration]:
        path = f"{_ADMISSION}/{kind.lower()}s"
        return await self._read(path, name, lambda body: read_configuration(body, kind, name))

    async def _read_profile(self) -> Seen[LiveProfile]:
        path = f"{_CORE}/{self.names.profile_namespace}/configmaps"
        return await self._read(path, self.names.profile_name, _parse)

    async def _read_namespaces(self) -> Mapping[str, Labels] | Unread:
        try:
            pages = Observer(self.connection).pages(NAMESPACES, Named, METADATA_LIST)
            return {
                each.metadata.name: each.metadata.labels or {}
                async for page in pages
                for each in page
            }
        except ClusterError as error:
            return _why(error, "list namespaces")

    async def _read_endpoints(self, service: Seen[Service]) -> Sequence[Endpoint] | Unread:
        if not isinstance(service, Service) or not service.ports:
            return ()
        port_name = service.ports.get(OUR_PORT, next(iter(service.ports.values())))
        path = f"{_SLICES}/{self.names.namespace}/endpointslices"
        query = (("labelSelector", f"kubernetes.io/service-name={self.names.service}"),)
        found = await self._get(
            Call(path, READ_SECONDS, query),
            f"list {_right(path, '')}",
            lambda body: read_endpoints(body, port_name),
        )
        return found or ()

    def _read_mount(self) -> Mount | None:
        if self.tls_dir is None:
            return None
        return Mount(str(self.tls_dir), _read_files(self.tls_dir))

    async def _ask_servers(self, observed: Observed) -> tuple[Presented, ...]:
        """Ask whoever a person named, else whoever the API server calls, for the certificate."""
        asked = bool(self.servers)
        servers = self.servers or _called(observed)
        ask = (asyncio.to_thread(_ask, server, asked=asked) for server in servers)
        return tuple(await asyncio.gather(*ask))


def _called(observed: Observed) -> tuple[Server, ...]:
    """List the servers that the API server calls, with the name by which it does."""
    found: dict[Server, None] = {}
    for configuration in observed.configurations():
        for entry in configuration.entries:
            if entry.service is None:
                found[entry.host, urlsplit(entry.url).port or OUR_PORT, entry.host] = None
    if isinstance(observed.endpoints, Unread):
        return tuple(found)
    host = observed.names.host
    ready = [each for each in observed.endpoints if each.ready][:ENDPOINTS_LIMIT]
    return (*found, *((each.address, each.port, host) for each in ready))


def _ask(server: Server, *, asked: bool) -> Presented:
    host, port, name = server
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        return Presented(address, fetch_chain(host, port, name), asked)
    except (OSError, ValueError) as error:  # ValueError: a name that cannot be one
        return Presented(address, Unread(shortened(str(error) or type(error).__name__)), asked)


def _read_files(directory: Path) -> Mapping[str, bytes] | Unread:
    """Read a pair's directory; what is not there is not in the mapping."""
    if not directory.is_dir():
        return Unread("is not a directory")
    found = {}
    for name in FILES:
        try:
            found[name] = (directory / name).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            return Unread(f"{name} cannot be read: {error.strerror}")
    return found


def _parse(body: bytes) -> LiveProfile:
    live = read_object(body)
    profile, problems = parse_profile(live.data or {}, live.metadata.resource_version)
    return LiveProfile(profile, tuple(problems))


def _why(error: ClusterError, right: str) -> Unread:
    """Note why something cannot be seen, and the right that is missing if it is that."""
    if error.status == HTTPStatus.FORBIDDEN:
        return Unread("may not be read", right)
    return Unread(f"cannot be read: {shortened(str(error))}")


def _right(path: str, name: str) -> str:
    """Name what a path is of, as in a Role."""
    *above, resource = path.split("/")
    what = f"{resource} {name}".rstrip()
    return f"{what} in namespace {above[-1]}" if "namespaces" in above else what


def _ahead(date: str, began: datetime, ended: datetime) -> float | None:
    """Tell by how much our clock is ahead of the one that wrote the date."""
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return None
    if theirs.tzinfo is None:  # as written without a zone, which HTTP does not do
        return None
    middle = began + (ended - began) / 2
    return (middle - theirs).total_seconds() - _DATE_SECONDS


def _unread(observed: Observed, why: Unread) -> Observed:
    """Note of everything that is in the cluster why it cannot be seen."""
    return replace(
        observed,
        mutating=why,
        validating=why,
        ca=why,
        tls=why,
        program=why,
        service=why,
        endpoints=why,
        namespaces=why,
        profile=why,
    )
