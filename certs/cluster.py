"""The API server: two Secrets and the webhook configurations, read, written and watched by name.

The only importer of ``kubernetes``. Each request has a deadline, each write names the version that
it is based on, and the time is the API server's own: it is the one that verifies certificates.
"""

import asyncio
import json
import os
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_kube_config
from kubernetes.aio.config.incluster_config import InClusterConfigLoader

from certs.errors import ClusterError, ConflictError, UsageError
from certs.objects import (
    change,
    collection_path,
    creation,
    object_path,
    read_configuration,
    read_secret,
)
from certs.observed import Configuration as WebhookConfiguration
from certs.observed import Observed, Secret, Target
from certs.owner import Owner, read_owner
from certs.parameters import Parameters
from certs.perform import SecretWrite, Write

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CONNECT_SECONDS = 3.0
REQUEST_SECONDS = 10.0
CREDENTIALS_SECONDS = 30.0  # a kubeconfig may name a program that fetches them
WATCH_SECONDS = 300
MANAGER = "vci-webhook-certs"
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"

_CLEAR = (ConfigException, OSError, yaml.YAMLError)
_UNUSABLE = (*_CLEAR, ValueError, KeyError, TypeError, AttributeError)
_FAILED = (aiohttp.ClientError, TimeoutError, OSError)
# Their sentences may quote what was sent.
_QUOTING = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)


@dataclass(frozen=True, slots=True)
class Call:
    """A request; ``seconds`` is for all of it, or for each silence of a watch."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    kind: str = "application/json"
    seconds: float = REQUEST_SECONDS

    @property
    def limits(self) -> aiohttp.ClientTimeout:
        total = None if "watch" in self.query else self.seconds
        return aiohttp.ClientTimeout(total, sock_connect=CONNECT_SECONDS, sock_read=self.seconds)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Cluster:
    """One cluster, for one namespace and the objects that the parameters name."""

    def __init__(
        self,
        parameters: Parameters,
        kubeconfig: str | None,
        environment: Mapping[str, str] = os.environ,
        service_account: Path = SERVICE_ACCOUNT,
    ) -> None:
        self._parameters = parameters
        self._kubeconfig = kubeconfig or environment.get("KUBECONFIG") or None
        self._environment = environment
        self._service_account = service_account
        self._client: ApiClient | None = None
        self._owner: Owner | None = None  # who brings a kubeconfig is not uninstalled
        # Of two programs that create one Secret at once, the second must not add to the first.
        self._creator = f"{MANAGER}-{secrets.token_hex(4)}"

    async def check(self) -> str:
        """Give the API server's address; UsageError when it cannot be told."""
        if self._kubeconfig is None and not self._environment.get("KUBERNETES_SERVICE_HOST"):
            raise UsageError("--kubeconfig: missing, and this is not a Pod; name a kubeconfig file")
        try:
            configuration = await self._configuration()
        except _UNUSABLE as error:
            where = self._kubeconfig or self._service_account
            what = _told(error) if isinstance(error, _CLEAR) else "not a kubeconfig"
            raise UsageError(
                f"--kubeconfig: {where}: no usable credentials: {what};"
                " name a file that kubectl can use"
            ) from error
        return str(configuration.host)

    async def look(self) -> tuple[Observed, datetime]:
        """Read everything, and tell what time it was for the API server before that."""
        ca, now = await self._read(self._parameters.ca)
        targets = self._parameters.configurations
        (serving, _), *found = await asyncio.gather(
            self._read(self._parameters.serving), *map(self._read, targets)
        )
        configurations: dict[Target, WebhookConfiguration | None] = {
            target: read_configuration(each) if each else None
            for target, (each, _) in zip(targets, found, strict=True)
        }
        return Observed(self._secret(ca), self._secret(serving), configurations), now

    async def write(self, write: Write) -> None:
        """Write one object, if it still is as it was read.

        Raises:
            ConflictError: somebody else wrote it.
            ClusterError: it cannot be written.
        """
        path = object_path(write.target, self._parameters.namespace)
        if not isinstance(write, SecretWrite):
            await self._patch(path, JSON_PATCH, MANAGER, change(write))
        elif write.before is None or write.replaces:
            if write.before:
                conditions = {"preconditions": {"resourceVersion": write.before.version}}
                await self._request(Call("DELETE", path, body=conditions))
            await self._patch(path, APPLY, self._creator, creation(write, self._owner))
        else:
            await self._patch(path, JSON_PATCH, MANAGER, change(write, self._owner))

    async def watch(self, target: Target) -> AsyncIterator[None]:
        """Yield whenever an object changes, and at first when it is there; ends after a while."""
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={target.name}",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        path = collection_path(target, self._parameters.namespace)
        call = Call("GET", path, query, seconds=WATCH_SECONDS + REQUEST_SECONDS)
        try:
            async with await self._send(call) as answer:
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise await self._refusal(answer, call)
                async for _ in answer.content.iter_any():
                    yield
        except _FAILED as error:
            raise ClusterError(f"{call}: {_told(error)}") from error

    async def close(self) -> None:
        """Close what is open; the next request opens it anew."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _secret(self, there: dict[str, Any] | None) -> Secret | None:
        return read_secret(there, self._owner) if there else None

    async def _read(self, target: Target) -> tuple[dict[str, Any] | None, datetime]:
        return await self._request(Call("GET", object_path(target, self._parameters.namespace)))

    async def _patch(self, path: str, kind: str, manager: str, body: object) -> None:
        there, _ = await self._request(Call("PATCH", path, {"fieldManager": manager}, body, kind))
        if there is None:
            what = "it is gone" if kind == JSON_PATCH else "there is no such namespace"
            raise ConflictError(f"PATCH {path}: {what}", HTTPStatus.NOT_FOUND)

    async def _request(self, call: Call) -> tuple[dict[str, Any] | None, datetime]:
        """Send a request; None is an object that does not exist."""
        try:
            async with await self._send(call) as answer:
                now = _time_of(answer)
                if answer.status == HTTPStatus.NOT_FOUND:
                    return None, now
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise await self._refusal(answer, call)
                return json.loads(await answer.read()), now
        except (*_FAILED, ValueError) as error:
            raise ClusterError(f"{call}: {_told(error)}") from error

    async def _send(self, call: Call) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json"}
        if call.body is not None:
            headers["Content-Type"] = call.kind
        try:
            client = await self._connected()
            request = await client.param_serialize(
                call.method,
                call.path,
                query_params=list(call.query.items()),
                header_params=headers,
                body=call.body,
                auth_settings=["BearerToken"],
            )
        except _UNUSABLE as error:
            raise ClusterError(f"no usable credentials: {_told(error)}") from error
        answer: aiohttp.ClientResponse
        answer = (await client.call_api(*request, _request_timeout=call.limits)).response
        return answer

    async def _refusal(self, answer: aiohttp.ClientResponse, call: Call) -> ClusterError:
        message = _message(answer.status, await answer.read())
        if answer.status == HTTPStatus.UNAUTHORIZED:
            await self.close()  # the credentials are read anew
        kind = ConflictError if answer.status == HTTPStatus.CONFLICT else ClusterError
        return kind(f"{call}: {answer.status} {message}", answer.status)

    async def _connected(self) -> ApiClient:
        if self._client is None:
            self._client = ApiClient(await self._configuration())
        return self._client

    async def _configuration(self) -> Configuration:
        """Read address, CA bundle and credentials as they are now."""
        configuration = Configuration()
        if self._kubeconfig is None:
            token, authority = (self._service_account / name for name in ("token", "ca.crt"))
            loader = InClusterConfigLoader(str(token), str(authority), environ=self._environment)
            loader.load_and_set(configuration)
            self._owner = read_owner(token.read_text("ascii"), self._parameters.namespace)
        else:
            if not any(map(os.path.exists, self._kubeconfig.split(os.pathsep))):
                raise FileNotFoundError("no such file")
            async with asyncio.timeout(CREDENTIALS_SECONDS):
                await load_kube_config(
                    self._kubeconfig, client_configuration=configuration, persist_config=False
                )
        # Each watch keeps a connection, and requests must not wait for one of them to end.
        configuration.connection_pool_maxsize = 0
        # Go's clients do not insist on key identifiers in a CA certificate, and many have none.
        configuration.disable_strict_ssl_verification = True
        return configuration


def _time_of(answer: aiohttp.ClientResponse) -> datetime:
    """Tell what time it is for the API server; a proxy may keep that from us."""
    try:
        return parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return datetime.now(UTC).replace(microsecond=0)


def _message(status: int, body: bytes) -> str:
    """Say why the API server refused, without what it refused."""
    try:
        answer = json.loads(body)
        if status in _QUOTING:
            causes = (answer.get("details") or {}).get("causes") or ()
            return f"{answer['reason']} {', '.join(str(each.get('field')) for each in causes)}"
        return " ".join(str(answer["message"]).split())[:300]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "without a reason that can be read"


def _told(error: BaseException) -> str:
    """Say what went wrong with a connection, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error}"[:200]
    return " ".join((str(error) or type(error).__name__).split())[:200]
