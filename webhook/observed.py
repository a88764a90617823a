"""What was seen of a webhook and its cluster at one moment: plain data, which is then diagnosed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from webhook.labels import Selector

if TYPE_CHECKING:
    from datetime import datetime

    from webhook.problems import Problem
    from webhook.profile import Profile

Mode = Literal["self", "certManager", "provided"]
MODES: tuple[Mode, ...] = ("self", "certManager", "provided")
Labels = Mapping[str, str]
Kind = Literal["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unread:
    """Something could not be seen; ``right`` is the least one that is missing, if that is why."""

    why: str
    right: str = ""


Seen: TypeAlias = T | Unread | None
"""What was read; why it was not; or None when there is no such object."""


@dataclass(frozen=True, slots=True)
class Names:
    """What our objects are called."""

    namespace: str = "vci-webhook"
    service: str = "vci-webhook"
    mutating: str = "vci-webhook"
    validating: str = "vci-webhook"
    profile_namespace: str = "kube-system"
    profile_name: str = "vci-profile"
    ca_secret: str = "vci-webhook-ca"  # noqa: S105 - a name
    tls_secret: str = "vci-webhook-tls"  # noqa: S105 - a name

    @classmethod
    def of(cls, service: str, namespace: str, **others: str | None) -> Names:
        """Call everything as an installation does whose Service has this name.

        ``others`` are called otherwise, but for those that are None.
        """
        usual = {
            "mutating": service,
            "validating": service,
            "ca_secret": f"{service}-ca",
            "tls_secret": f"{service}-tls",
        }
        named = {field: name for field, name in others.items() if name is not None}
        return cls(namespace, service, **{**usual, **named})

    @property
    def program(self) -> str:
        """The Deployment of the certs program."""
        return f"{self.service}-certs"

    @property
    def host(self) -> str:
        """The name by which the API server calls the Service, and that certificates are for."""
        return f"{self.service}.{self.namespace}.svc"


@dataclass(frozen=True, slots=True)
class Program:
    """A Deployment: how many of its Pods are wanted, and how many are ready."""

    wanted: int
    ready: int
    annotations: Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Secret:
    """A Secret; what a command prints of it is never its data."""

    data: Mapping[str, bytes] = field(repr=False)
    annotations: Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory with a pair, as the server reads it."""

    directory: str
    files: Mapping[str, bytes] | Unread = field(repr=False)


@dataclass(frozen=True, slots=True)
class Presented:
    """The chain that a server showed, PEM; or why it showed none. Asked: named by a person."""

    address: str
    chain: bytes | Unread = field(repr=False)
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One of the ``webhooks`` of a configuration."""

    name: str
    bundle: bytes = field(default=b"", repr=False)
    service: tuple[str, str] | None = None  # namespace and name
    port: int = 443
    path: str = ""
    url: str = ""
    failure_policy: str = "Fail"
    selector: Selector = field(default_factory=Selector)
    objects: Selector = field(default_factory=Selector)
    operations: frozenset[str] = frozenset()  # on Pods, or of a validating one on ConfigMaps
    conditions: tuple[str, ...] = ()  # the names of matchConditions, which nobody here evaluates

    @property
    def host(self) -> str:
        """The name that the certificate must be for."""
        if self.service is not None:
            namespace, name = self.service
            return f"{name}.{namespace}.svc"
        authority = self.url.partition("://")[2].partition("/")[0].partition("?")[0]
        host, colon, port = authority.rpartition(":")
        return (host if colon and port.isdigit() else authority).strip("[]")


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration by which the API server calls webhooks."""

    kind: Kind
    name: str
    entries: tuple[Entry, ...] = ()
    annotations: Labels = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Service:
    """Our Service: its ports with their names, and the labels of the Pods behind it."""

    ports: Mapping[int, str]
    selector: Labels = field(default_factory=dict)
    annotations: Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A Pod behind the Service."""

    address: str
    port: int
    ready: bool

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class LiveProfile:
    """The profile that is in the cluster, as the server reads it."""

    profile: Profile | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """All of it; ``now`` is by the API server's clock, where that was seen."""

    now: datetime
    names: Names = field(default_factory=Names)
    api_server: str | Unread = ""  # its version
    ahead_seconds: float | None = None  # our clock, of the API server's
    mutating: Seen[Configuration] = None
    validating: Seen[Configuration] = None
    ca: Seen[Secret] = None
    tls: Seen[Secret] = None
    program: Seen[Program] = None
    mount: Mount | None = None
    presented: Sequence[Presented] = ()
    service: Seen[Service] = None
    endpoints: Sequence[Endpoint] | Unread = ()
    namespaces: Mapping[str, Labels] | Unread = field(default_factory=dict)
    profile: Seen[LiveProfile] = None

    def configurations(self) -> list[Configuration]:
        """List those that are there."""
        found = (self.mutating, self.validating)
        return [each for each in found if isinstance(each, Configuration)]
