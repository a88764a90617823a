"""The API server as the official client reaches it: address, credentials, TLS, raw answers.

The client's models and its informer stay out of it: a page of the list goes as bytes to a decoder
that looks at nothing but what we need. Nothing else in this project imports ``kubernetes``.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from weakref import WeakSet

import aiohttp
import yaml
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException, load_kube_config
from kubernetes.aio.config.incluster_config import InClusterConfigLoader

from webhook import __version__
from webhook.errors import Cause, ClusterError, SettingsError
from webhook.settings import both
from webhook.watch import refusal

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CONNECT_SECONDS = 3.0
CREDENTIALS_SECONDS = 30.0  # a kubeconfig may name a program that fetches them
# Far below any real piece, so that digesting one never keeps a review waiting.
PIECE_BYTES = 64 * 1024
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

# A peer that is gone without a word is found out in half a minute; no NAT forgets the connection.
_KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
_CLEAR = (ConfigException, OSError, yaml.YAMLError)
_UNUSABLE = (*_CLEAR, ValueError, KeyError, TypeError, AttributeError)


class Cluster:
    """Where the API server is and who we are to it, found out anew for each set of connections."""

    def __init__(
        self,
        kubeconfig: str | None,
        environment: Mapping[str, str] = os.environ,
        service_account: Path = SERVICE_ACCOUNT,
    ) -> None:
        self._kubeconfig = kubeconfig or environment.get("KUBECONFIG") or None
        self._environment = environment
        self._service_account = service_account

    @property
    def from_pod(self) -> bool:
        """Tell whether it is known from the Pod that we are, not from a kubeconfig."""
        return self._kubeconfig is None

    async def check(self) -> str:
        """Give the API server's address; SettingsError when it cannot be told."""
        if self._kubeconfig is None and not self._environment.get("KUBERNETES_SERVICE_HOST"):
            raise SettingsError(
                f"{both('kubeconfig')}: missing, and this is not a Pod; name a kubeconfig file, "
                "or serve from files with --profile and --namespaces"
            )
        try:
            async with asyncio.timeout(CREDENTIALS_SECONDS):
                configuration = await self.configuration()
        except _UNUSABLE as error:
            where = self._kubeconfig or self._service_account
            what = _told(error) if isinstance(error, _CLEAR) else "not a kubeconfig"
            raise SettingsError(
                f"{both('kubeconfig')}: {where}: no usable credentials: {what}; "
                "name a file that kubectl can use"
            ) from error
        return str(configuration.host)

    async def configuration(self) -> Configuration:
        """Read address, CA bundle and credentials as they are now."""
        configuration = Configuration()
        if self._kubeconfig is not None:
            if not any(map(os.path.exists, self._kubeconfig.split(os.pathsep))):
                raise FileNotFoundError("no such file")
            await load_kube_config(
                self._kubeconfig, client_configuration=configuration, persist_config=False
            )
        else:
            InClusterConfigLoader(
                str(self._service_account / "token"),
                str(self._service_account / "ca.crt"),
                environ=self._environment,
            ).load_and_set(configuration)
        # Go's clients do not insist on key identifiers in a CA certificate, and many have none.
        configuration.disable_strict_ssl_verification = True
        return configuration


class _RestClient(RESTClientObject):
    """The client's, with sockets that notice when their peer is gone, and that can be broken off.

    An event loop closes TLS with a goodbye, and waits half a minute for that of the peer; a peer
    that hangs would keep our process from ending.
    """

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        self._sockets: WeakSet[socket.socket] = WeakSet()

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            limit=self.maxsize, ssl=self.ssl_context, socket_factory=self._open_socket
        )

    def _open_socket(self, address: Any) -> socket.socket:
        family, kind, protocol, *_ = address
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):  # Linux has them all
                opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._sockets.add(opened)
        return opened

    async def close(self) -> None:
        await super().close()
        for opened in list(self._sockets):
            with suppress(OSError):  # closed already
                opened.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the API server; when nothing comes for so long, it has failed."""

    path: str
    silence_seconds: float
    query: tuple[tuple[str, str], ...] = ()
    accept: str = JSON
    method: str = "GET"
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that is a success; its body is still to be read."""

    _answer: aiohttp.ClientResponse

    @property
    def date(self) -> str:
        """When it was sent, by the clock of who sent it; empty when not told."""
        return self._answer.headers.get("Date", "")

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, and let others have their turn between two pieces."""
        while piece := await self._answer.content.read(PIECE_BYTES):
            yield piece
            await asyncio.sleep(0)

    async def body(self) -> bytes:
        """Read the body to its end."""
        return b"".join([piece async for piece in self.pieces()])


class Connection:
    """Requests to the API server by one user of it, one after the other or at once.

    Credentials that are refused, and a certificate that is not trusted, are read anew before the
    next request; a ServiceAccount's token is read anew each minute besides, as it rotates.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._client: ApiClient | None = None
        self._connecting = asyncio.Lock()  # reads come at once, and one client is enough for them

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Response]:
        """Send a request; the block reads its answer.

        Raises:
            ClusterError: no answer, or one that is an error; also while the block reads.
        """
        try:
            async with await self._answer(call) as answer:
                response = Response(answer)
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    retry_after = answer.headers.get("Retry-After", "")
                    raise refusal(answer.status, retry_after, await response.body())
                yield response
        except ClusterError as error:
            if error.status == HTTPStatus.UNAUTHORIZED:
                await self.close()
            raise
        except (ssl.SSLCertVerificationError, aiohttp.ClientSSLError) as error:
            await self.close()
            raise ClusterError(_told(error), Cause.UNTRUSTED) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ClusterError(_told(error), Cause.UNREACHABLE) from error

    async def _answer(self, call: Call) -> aiohttp.ClientResponse:
        client = await self._connected()
        headers = {"Accept": call.accept, "Accept-Encoding": "identity"}
        if call.body is not None:
            headers["Content-Type"] = MERGE_PATCH if call.method == "PATCH" else JSON
        try:
            request = await client.param_serialize(
                call.method,
                call.path,
                query_params=list(call.query),
                header_params=headers,
                body=call.body,
                auth_settings=["BearerToken"],
            )
        except _UNUSABLE as error:  # the token that it reads anew
            raise _no_credentials(error) from error
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=call.silence_seconds
        )
        answer: aiohttp.ClientResponse
        answer = (await client.call_api(*request, _request_timeout=timeout)).response
        return answer

    async def close(self) -> None:
        """Close what is open; the next request opens it anew."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _connected(self) -> ApiClient:
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> ApiClient:
        try:
            async with asyncio.timeout(CREDENTIALS_SECONDS):
                configuration = await self._cluster.configuration()
        except _UNUSABLE as error:
            raise _no_credentials(error) from error
        client = ApiClient(configuration)
        client.rest_client = _RestClient(configuration)
        client.user_agent = f"vci-webhook/{__version__}"
        return client


def _no_credentials(error: Exception) -> ClusterError:
    return ClusterError(f"no usable credentials: {_told(error)}", Cause.DENIED)


def _told(error: BaseException) -> str:
    """Say what went wrong with a connection, in a few words."""
    text = str(error) or type(error).__name__
    return " ".join(text.split())[:200]
