"""Objects as Kubernetes writes them, as far as the doctor looks."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from webhook.errors import Cause, ClusterError
from webhook.objects import (
    read_configuration,
    read_endpoints,
    read_program,
    read_secret,
    read_service,
    read_version,
)
from webhook.observed import Endpoint, Program

KIND = "MutatingWebhookConfiguration"


def encoded(value: Any) -> bytes:
    """Write an object."""
    return json.dumps(value).encode()


def test_a_secret_is_decoded() -> None:
    """Its data is what was put in."""
    data = {"tls.crt": base64.b64encode(b"\x00x").decode(), "tls.key": ""}
    secret = read_secret(encoded({"metadata": {"annotations": {"a": "b"}}, "data": data}))
    assert secret.data == {"tls.crt": b"\x00x", "tls.key": b""}
    assert secret.annotations == {"a": "b"}
    assert read_secret(encoded({"metadata": {}})).data == {}
    assert "tls.crt" not in repr(secret)


def test_endpoints_are_those_of_the_port_that_is_called() -> None:
    """Of all slices, each once; what does not say that it is not ready is."""
    endpoints = [
        {"addresses": ["10.0.0.2"], "conditions": {"ready": False}},
        {"addresses": ["10.0.0.1"], "conditions": {}},
        {"addresses": ["fd00::1"]},
    ]
    ports = [{"name": "https", "port": 8443}, {"name": "metrics", "port": 8080}]
    slices = [{"endpoints": endpoints, "ports": ports}, {"endpoints": endpoints[:1], "ports": None}]
    found = read_endpoints(encoded({"items": slices}), "https")
    assert found == (
        Endpoint("10.0.0.1", 8443, ready=True),
        Endpoint("10.0.0.2", 8443, ready=False),
        Endpoint("fd00::1", 8443, ready=True),
    )
    assert str(found[2]) == "[fd00::1]:8443"
    assert read_endpoints(encoded({"items": None}), "https") == ()


def test_a_deployment_counts_its_pods() -> None:
    """One is wanted where nothing is said; none is ready where nobody has looked yet."""
    assert read_program(b'{"spec": {}}') == Program(1, 0)
    scaled = {"spec": {"replicas": 0}, "status": {"readyReplicas": 2}}
    assert read_program(encoded(scaled)) == Program(0, 2)
    annotated = {"metadata": {"annotations": {"a": "b"}}, "spec": {}}
    assert read_program(encoded(annotated)).annotations == {"a": "b"}


def test_a_service_without_names_of_ports() -> None:
    """Has one port, whose name is empty in its slices, too."""
    service = read_service(encoded({"spec": {"ports": [{"port": 443}]}}))
    assert (service.ports, service.selector) == ({443: ""}, {})
    unnamed = {"items": [{"endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 1}]}]}
    assert [str(each) for each in read_endpoints(encoded(unnamed), "")] == ["10.0.0.1:1"]


def test_a_configuration_has_its_entries() -> None:
    """With a Service or a URL, and what they mean when fields are left out."""
    service = {"namespace": "a", "name": "b", "path": "/mutate"}
    selector = {
        "matchLabels": {"vci": "true"},
        "matchExpressions": [{"key": "x", "operator": "Exists"}],
    }
    webhooks = [
        {
            "name": "one",
            "clientConfig": {"service": service, "caBundle": base64.b64encode(b"pem").decode()},
            "namespaceSelector": selector,
            "failurePolicy": "Ignore",
        },
        {"name": "two", "clientConfig": {"url": "https://[::1]:8443/mutate"}},
        {"name": "three", "clientConfig": {"url": "https://example.com/mutate"}},
    ]
    written = {"metadata": {"annotations": {"k": "v"}}, "webhooks": webhooks}
    configuration = read_configuration(encoded(written), "MutatingWebhookConfiguration", "n")
    one, two, three = configuration.entries
    assert (str(configuration), configuration.annotations) == (f"{KIND} n", {"k": "v"})
    assert (one.bundle, one.service, one.port, one.path) == (b"pem", ("a", "b"), 443, "/mutate")
    assert (one.host, two.host, three.host) == ("b.a.svc", "::1", "example.com")
    assert (one.failure_policy, two.failure_policy) == ("Ignore", "Fail")
    assert one.selector.matches({"vci": "true", "x": ""})
    assert not one.selector.matches({"vci": "true"})
    assert two.selector.matches({})
    assert (one.operations, two.conditions) == (frozenset(), ())


WILD = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}
PODS = {
    "operations": ["CREATE", "UPDATE"],
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "resources": ["pods"],
}


@pytest.mark.parametrize(
    ("rule", "operations"),
    [
        (PODS, {"CREATE", "UPDATE"}),
        ({**PODS, "scope": "Namespaced", "resources": ["services", "pods"]}, {"CREATE", "UPDATE"}),
        ({**PODS, "operations": ["DELETE"]}, {"DELETE"}),
        (WILD, {"CREATE", "UPDATE"}),
        ({**WILD, "resources": ["*/*"], "operations": ["CREATE"]}, {"CREATE"}),
        ({**PODS, "resources": ["pods/*"]}, {"CREATE", "UPDATE"}),
        ({**PODS, "resources": ["pods/status", "*/status"]}, set()),
        ({**PODS, "resources": ["deployments"]}, set()),
        ({**PODS, "apiGroups": ["apps"]}, set()),
        ({**PODS, "apiVersions": ["v2"]}, set()),
        ({**WILD, "scope": "Cluster"}, set()),
        ({}, set()),
    ],
)
def test_rules_tell_what_is_asked_about(rule: dict[str, Any], operations: set[str]) -> None:
    """Of a mutating configuration, about Pods; as the API server reads names and wildcards."""
    webhook = {
        "name": "x",
        "clientConfig": {"url": "https://x/mutate"},
        "rules": [rule],
        "objectSelector": {"matchLabels": {"app": "x"}},
        "matchConditions": [{"name": "is-one", "expression": "true"}],
    }
    written = encoded({"metadata": {}, "webhooks": [webhook]})
    (entry,) = read_configuration(written, "MutatingWebhookConfiguration", "n").entries
    assert entry.operations == operations
    assert entry.conditions == ("is-one",)
    assert not entry.objects.matches({})


def test_a_validating_configuration_asks_about_profiles() -> None:
    """Its rules are read for ConfigMaps."""
    webhook = {"name": "x", "clientConfig": {"url": "https://x/validate"}}
    for resource, operations in (("configmaps", {"CREATE", "UPDATE"}), ("pods", set())):
        rules = [{**PODS, "resources": [resource]}]
        written = encoded({"metadata": {}, "webhooks": [{**webhook, "rules": rules}]})
        (entry,) = read_configuration(written, "ValidatingWebhookConfiguration", "n").entries
        assert entry.operations == operations


@pytest.mark.parametrize(
    "read",
    [
        read_secret,
        read_service,
        read_program,
        read_version,
        lambda body: read_endpoints(body, ""),
        lambda body: read_configuration(body, "MutatingWebhookConfiguration", "n"),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"spec": 1, "metadata": 1, "items": 1}', b"\xff"]
)
def test_what_is_no_such_object_is_an_error(read: Callable[[bytes], object], body: bytes) -> None:
    """A proxy's page, or half an answer."""
    if read is read_version and body.startswith(b'{"'):
        assert read(body) == ""  # what has no version has none to show
        return
    with pytest.raises(ClusterError) as raised:
        read(body)
    assert raised.value.cause is Cause.GARBLED
