"""Who finds the Pods, who may reach them, and who decides how many there are."""

import re
from typing import Any

import pytest

from tests.chart.collected import TARGET
from tests.chart.rendering import VALUES, Chart, Object, Rendered
from tests.chart.traffic import Peer, lets_in, lets_out, selects

REVIEWS, MANAGEMENT, DNS = 8443, 8080, 53
API_SERVER = Peer("10.1.2.3")
PROMETHEUS = Peer(
    pod={"app": "prometheus"}, namespace={"kubernetes.io/metadata.name": "monitoring"}
)
STRANGER = Peer(pod={"app": "miner"}, namespace={"kubernetes.io/metadata.name": "default"})
COMPONENTS = {"vci-webhook": "webhook", "vci-webhook-certs": "certs"}
OTHERS = {
    "certManager": {"mode": "certManager", "certManager": {"issuerRef": {"name": "ca"}}},
    "provided": {
        "mode": "provided",
        "provided": {"caBundle": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="},
    },
}
SWITCHES = {
    "networkPolicy": "NetworkPolicy",
    "podMonitor": "PodMonitor",
    "serviceMonitor": "ServiceMonitor",
    "prometheusRule": "PrometheusRule",
    "autoscaling": "HorizontalPodAutoscaler",
}


def _pod_labels(rendered: Rendered, name: str) -> dict[str, str]:
    labels: dict[str, str] = rendered.get("Deployment", name)["spec"]["template"]["metadata"][
        "labels"
    ]
    return labels


def _names(rendered: Rendered, kind: str) -> set[str]:
    return {each["metadata"]["name"] for each in rendered.of(kind)}


def _port(rendered: Rendered, deployment: str, name: str) -> int:
    (container,) = rendered.pods()[deployment]["containers"]
    (port,) = (each["containerPort"] for each in container["ports"] if each["name"] == name)
    return int(port)


@pytest.mark.parametrize("section", SWITCHES)
def test_nothing_of_it_is_there_unless_asked_for(chart: Chart, section: str) -> None:
    """Each section has one switch; without it there is no object of its kind."""
    assert not chart.render({}).of(SWITCHES[section])
    assert chart.render({section: {"enabled": True}}).of(SWITCHES[section])


@pytest.mark.parametrize("mode", OTHERS)
@pytest.mark.parametrize("section", ["networkPolicy", "podMonitor", "serviceMonitor"])
def test_there_is_one_for_each_program(chart: Chart, section: str, mode: str) -> None:
    """Server and certs program have one each; where the latter does not run there is only one."""
    kind, switch = SWITCHES[section], {section: {"enabled": True}}
    assert _names(chart.render(switch), kind) == set(COMPONENTS)
    assert _names(chart.render({**switch, "certificates": OTHERS[mode]}), kind) == {"vci-webhook"}


def test_pod_monitors_find_the_pods(chart: Chart) -> None:
    """Each selects the Pods of its Deployment and no others; it has the label that VMP wants."""
    rendered = chart.render({"podMonitor": {"enabled": True, "labels": {"release": "prometheus"}}})
    for monitor in rendered.of("PodMonitor"):
        labels = monitor["metadata"]["labels"]
        assert {"volcengine.vmp": "true", "release": "prometheus"}.items() <= labels.items()
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        for name in COMPONENTS:
            found = selects(monitor["spec"]["selector"], _pod_labels(rendered, name))
            assert found == (name == monitor["metadata"]["name"])
            assert _port(rendered, name, endpoint["port"]) == MANAGEMENT
        _assert_labels(endpoint, monitor["metadata"]["name"])


def test_service_monitors_find_services_of_their_own(chart: Chart) -> None:
    """Each selects one headless Service, which has a Deployment's Pods also while not ready."""
    rendered = chart.render({"serviceMonitor": {"enabled": True, "interval": "1m"}})
    for monitor in rendered.of("ServiceMonitor"):
        name = monitor["metadata"]["name"]
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["interval"] == "1m"
        _assert_labels(endpoint, name)
        (service,) = (
            each["spec"]
            for each in rendered.of("Service")
            if selects(monitor["spec"]["selector"], each["metadata"]["labels"])
        )
        assert service["clusterIP"] == "None"
        assert service["publishNotReadyAddresses"]
        assert service["selector"].items() <= _pod_labels(rendered, name).items()
        assert [port["name"] for port in service["ports"]] == [endpoint["port"]]
        assert _port(rendered, name, service["ports"][0]["targetPort"]) == MANAGEMENT


def test_the_service_that_is_called_has_no_port_for_metrics(chart: Chart) -> None:
    """Monitoring changes nothing of the Service by which API servers call."""
    plain = chart.render({}).get("Service")
    assert chart.render({"serviceMonitor": {"enabled": True}}).get("Service") == plain
    assert [port["targetPort"] for port in plain["spec"]["ports"]] == ["reviews"]


def test_names_of_services_have_room(chart: Chart) -> None:
    """Also with the longest name none is longer than a Service's may be."""
    values = {"serviceMonitor": {"enabled": True}, "fullnameOverride": "x" * 50}
    rendered = chart.render(values)
    assert len(rendered.of("Service")) == 3
    assert all(len(each["metadata"]["name"]) <= 63 for each in rendered.of("Service"))


def _assert_labels(endpoint: Object, job: str) -> None:
    """See that series get the labels by which alerts and dashboard find them, and lose none."""
    labels = {**TARGET, "job": "anything", "endpoint": "management"}
    for step in endpoint["relabelings"]:
        if step.get("action") == "labeldrop":
            labels = {k: v for k, v in labels.items() if not re.fullmatch(step["regex"], k)}
        else:
            labels[step["targetLabel"]] = step["replacement"]
    assert labels == {**TARGET, "job": job}
    assert not endpoint.keys() & {"metricRelabelings", "honorLabels"}


def test_the_same_pods_are_not_found_twice(chart: Chart) -> None:
    """Both kinds of monitors would count everything twice, and are refused."""
    both = {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}
    (told,) = chart.refusal(both)
    assert told == (
        "podMonitor.enabled and serviceMonitor.enabled: both find the same Pods, "
        "and all would be counted twice; enable one of them"
    )


def _policies(chart: Chart, **values: Any) -> tuple[Object, Object]:
    rendered = chart.render({"networkPolicy": {"enabled": True, **values}})
    policies = rendered.get("NetworkPolicy"), rendered.get("NetworkPolicy", "vci-webhook-certs")
    for policy in policies:
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        for name in COMPONENTS:
            chosen = selects(policy["spec"]["podSelector"], _pod_labels(rendered, name))
            assert chosen == (name == policy["metadata"]["name"])
    return policies


def test_without_addresses_a_policy_closes_ports(chart: Chart) -> None:
    """As nobody said where API servers are, every address may call, but only where something is."""
    webhook, certs = _policies(chart)
    for peer in (API_SERVER, PROMETHEUS, STRANGER):
        assert lets_in(webhook, peer, REVIEWS)
        assert lets_in(webhook, peer, MANAGEMENT)
        assert lets_in(certs, peer, MANAGEMENT)
        assert not lets_in(certs, peer, REVIEWS)
        assert not lets_in(webhook, peer, 22)


@pytest.fixture
def closed(chart: Chart) -> tuple[Object, Object]:
    """Have policies that know API servers and Prometheus."""
    known = {"namespaceSelector": {"matchLabels": dict(PROMETHEUS.namespace)}}
    known["podSelector"] = {"matchLabels": {"app": "prometheus"}}
    return _policies(chart, apiServerCIDRs=["10.0.0.0/8"], prometheus=known)


def test_a_policy_lets_in_who_has_to_come(closed: tuple[Object, Object]) -> None:
    """Reviews come from API servers, metrics go to Prometheus, and nobody does anything else."""
    webhook, certs = closed
    assert lets_in(webhook, API_SERVER, REVIEWS)
    assert lets_in(webhook, PROMETHEUS, MANAGEMENT)
    assert lets_in(certs, PROMETHEUS, MANAGEMENT)
    impostor = Peer(pod=PROMETHEUS.pod, namespace=STRANGER.namespace)
    for peer in (STRANGER, impostor, Peer(pod=STRANGER.pod, namespace=PROMETHEUS.namespace)):
        assert not any(
            lets_in(each, peer, port) for each in closed for port in (REVIEWS, MANAGEMENT)
        )
    assert not lets_in(webhook, API_SERVER, MANAGEMENT)
    assert not lets_in(webhook, PROMETHEUS, REVIEWS)


def test_a_policy_lets_out_to_names_and_the_api_server(closed: tuple[Object, Object]) -> None:
    """Both programs ask DNS, and the API server by its Service's port and its own; nothing else."""
    for policy in closed:
        assert lets_out(policy, STRANGER, DNS, "UDP")
        assert lets_out(policy, STRANGER, DNS)
        assert lets_out(policy, API_SERVER, 443)
        assert lets_out(policy, API_SERVER, 6443)
        assert not lets_out(policy, Peer("198.51.100.7"), 443)
        assert not lets_out(policy, API_SERVER, 80)


def test_a_policy_lets_helm_test_call(chart: Chart, closed: tuple[Object, Object]) -> None:
    """The Pod of ``helm test`` reaches the port for reviews, also where only API servers do."""
    rendered = chart.render({"networkPolicy": {"enabled": True, "apiServerCIDRs": ["10.0.0.0/8"]}})
    (test,) = rendered.of("Pod")
    own = {"kubernetes.io/metadata.name": "vci-webhook"}
    assert lets_in(closed[0], Peer(pod=test["metadata"]["labels"], namespace=own), REVIEWS)
    assert not lets_in(closed[0], Peer(pod=test["metadata"]["labels"]), REVIEWS)


def test_the_ports_are_those_of_the_pods(chart: Chart) -> None:
    """A policy has ports by number, as not every network knows names: they are the Pods' own."""
    rendered = chart.render({"networkPolicy": {"enabled": True}})
    assert _port(rendered, "vci-webhook", "reviews") == REVIEWS
    assert _port(rendered, "vci-webhook", "management") == MANAGEMENT
    assert _port(rendered, "vci-webhook-certs", "management") == MANAGEMENT


def test_the_autoscaler_scales_the_server(chart: Chart) -> None:
    """It has the Deployment's name, which leaves the number of replicas to it, and requests CPU."""
    rendered = chart.render(VALUES / "autoscaling.yaml")
    spec = rendered.get("HorizontalPodAutoscaler")["spec"]
    assert spec["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "vci-webhook",
    }
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 9)
    (metric,) = spec["metrics"]
    assert metric["resource"] == {
        "name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": 70},
    }
    assert "replicas" not in rendered.get("Deployment")["spec"]
    (container,) = rendered.pods()["vci-webhook"]["containers"]
    assert container["resources"]["requests"]["cpu"]


def test_an_autoscaler_without_room_is_refused(chart: Chart) -> None:
    """The most may not be less than the fewest."""
    (told,) = chart.refusal({"autoscaling": {"enabled": True, "minReplicas": 8}})
    assert told == ("autoscaling.maxReplicas: 6 is less than minReplicas, 8; give at least as many")
