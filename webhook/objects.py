"""Objects of Kubernetes as they are written, as far as we look; bytes in, plain data out."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from webhook.errors import Cause, ClusterError
from webhook.labels import Requirement, Selector
from webhook.observed import Configuration, Endpoint, Entry, Kind, Program, Secret, Service

T = TypeVar("T")

_ANY = "*"
_OURS: dict[Kind, str] = {
    "MutatingWebhookConfiguration": "pods",
    "ValidatingWebhookConfiguration": "configmaps",
}


class _Requirement(Struct, gc=False):
    key: str
    operator: str
    values: list[str] | None = None


class LabelSelector(Struct, rename="camel", gc=False):
    """A LabelSelector as it is written."""

    match_labels: dict[str, str] | None = None
    match_expressions: list[_Requirement] | None = None


def compile_selector(written: LabelSelector | None) -> Selector:
    """Make of a LabelSelector what can be evaluated; None matches everything."""
    written = written or LabelSelector()
    pairs = (written.match_labels or {}).items()
    found = [Requirement(key, "In", frozenset({value})) for key, value in pairs]
    found += [
        Requirement(each.key, each.operator, frozenset(each.values or ()))
        for each in written.match_expressions or ()
    ]
    return Selector(tuple(found))


class _Metadata(Struct, gc=False):
    name: str = ""
    annotations: dict[str, str] | None = None


class _Secret(Struct, gc=False):
    metadata: _Metadata
    data: dict[str, bytes] | None = None


class _ServicePort(Struct, gc=False):
    port: int
    name: str = ""


class _ServiceSpec(Struct, gc=False):
    ports: list[_ServicePort] | None = None
    selector: dict[str, str] | None = None


class _Service(Struct, gc=False):
    spec: _ServiceSpec
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class _Conditions(Struct, gc=False):
    ready: bool | None = None


class _Endpoint(Struct, gc=False):
    addresses: list[str]
    conditions: _Conditions = msgspec.field(default_factory=_Conditions)


class _Port(Struct, gc=False):
    port: int | None = None
    name: str | None = None


class _Slice(Struct, gc=False):
    endpoints: list[_Endpoint] | None = None
    ports: list[_Port] | None = None


class _Reference(Struct, gc=False):
    namespace: str
    name: str
    path: str = ""
    port: int = 443


class _ClientConfig(Struct, rename="camel", gc=False):
    url: str = ""
    ca_bundle: bytes = b""
    service: _Reference | None = None


class _Rule(Struct, rename="camel", gc=False):
    operations: list[str] | None = None
    api_groups: list[str] | None = None
    api_versions: list[str] | None = None
    resources: list[str] | None = None
    scope: str = _ANY


class _Condition(Struct, gc=False):
    name: str


class _Webhook(Struct, rename="camel", gc=False):
    name: str
    client_config: _ClientConfig
    failure_policy: str = "Fail"
    namespace_selector: LabelSelector | None = None
    object_selector: LabelSelector | None = None
    rules: list[_Rule] | None = None
    match_conditions: list[_Condition] | None = None


class WebhookConfiguration(Struct, gc=False):
    """A configuration as it is written."""

    metadata: _Metadata
    webhooks: list[_Webhook] | None = None


class _Slices(Struct, gc=False):
    items: list[_Slice] | None = None


class _Replicas(Struct, rename="camel", gc=False):
    replicas: int | None = None
    ready_replicas: int | None = None


class _Deployment(Struct, gc=False):
    spec: _Replicas
    status: _Replicas = msgspec.field(default_factory=_Replicas)
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class _Version(Struct, rename="camel", gc=False):
    git_version: str = ""


def read_version(body: bytes) -> str:
    """Read which Kubernetes it is."""
    return _decode(_Version, body).git_version


def read_secret(body: bytes) -> Secret:
    """Read a Secret."""
    secret = _decode(_Secret, body)
    return Secret(secret.data or {}, secret.metadata.annotations or {})


def read_program(body: bytes) -> Program:
    """Read a Deployment."""
    found = _decode(_Deployment, body)
    wanted = 1 if found.spec.replicas is None else found.spec.replicas
    annotations = found.metadata.annotations or {}
    return Program(wanted, found.status.ready_replicas or 0, annotations)


def read_service(body: bytes) -> Service:
    """Read a Service."""
    found = _decode(_Service, body)
    ports = {each.port: each.name for each in found.spec.ports or ()}
    return Service(ports, found.spec.selector or {}, found.metadata.annotations or {})


def read_endpoints(body: bytes, port_name: str) -> tuple[Endpoint, ...]:
    """Read a list of EndpointSlices: the endpoints of one port of their Service."""
    found = {}
    for part in _decode(_Slices, body).items or ():
        numbers = [each.port for each in part.ports or () if (each.name or "") == port_name]
        for endpoint in part.endpoints or ():
            ready = endpoint.conditions.ready is not False  # unknown counts as ready
            for number in filter(None, numbers):
                for address in endpoint.addresses[:1]:  # the same Pod, says Kubernetes
                    found[address, number] = Endpoint(address, number, ready)
    return tuple(found[key] for key in sorted(found))


def read_configuration(body: bytes, kind: Kind, name: str) -> Configuration:
    """Read a webhook configuration."""
    return configuration_of(_decode(WebhookConfiguration, body), kind, name)


def configuration_of(written: WebhookConfiguration, kind: Kind, name: str) -> Configuration:
    """Make of a configuration what can be judged."""
    entries = tuple(_entry(webhook, _OURS[kind]) for webhook in written.webhooks or ())
    return Configuration(kind, name, entries, written.metadata.annotations or {})


def _entry(webhook: _Webhook, resource: str) -> Entry:
    client, service = webhook.client_config, webhook.client_config.service
    return Entry(
        webhook.name,
        client.ca_bundle,
        (service.namespace, service.name) if service else None,
        service.port if service else 0,
        service.path if service else "",
        client.url,
        webhook.failure_policy,
        compile_selector(webhook.namespace_selector),
        compile_selector(webhook.object_selector),
        frozenset(_operations(webhook.rules or (), resource)),
        tuple(condition.name for condition in webhook.match_conditions or ()),
    )


def _operations(rules: Sequence[_Rule], resource: str) -> Iterator[str]:
    """Yield what is asked about a resource of the core group; wildcards mean it as well."""
    names = {_ANY, resource, f"{resource}/{_ANY}", f"{_ANY}/{_ANY}"}
    for rule in rules:
        if (
            names.intersection(rule.resources or ())
            and {_ANY, ""}.intersection(rule.api_groups or ())
            and {_ANY, "v1"}.intersection(rule.api_versions or ())
            and rule.scope in (_ANY, "Namespaced")
        ):
            for operation in rule.operations or ():
                yield from ("CREATE", "UPDATE") if operation == _ANY else (operation,)


def _decode(kind: type[T], body: bytes) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ClusterError(
            "what came is not the object that was asked for", Cause.GARBLED
        ) from None
