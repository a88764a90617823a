"""The Pods of the chart: what they may do on a node, and that their programs take what they get."""

from pathlib import Path
from typing import Any

import click
import pytest

from certs import flags
from certs.__main__ import build_parser
from certs.parameters import Parameters
from tests.chart.rendering import NAMESPACE, RELEASE, VALUES, Chart, Object, values_files
from webhook.cli.doctor import doctor
from webhook.cli.serve import serve

FILES = values_files()
each_file = pytest.mark.parametrize("values", FILES, ids=[path.stem for path in FILES])
USER = 65532  # the image's


@each_file
def test_pods_are_as_restricted_as_kubernetes_knows(chart: Chart, values: Path) -> None:
    """Each meets the Pod Security Standard ``restricted``, and its root cannot be written."""
    for name, pod in chart.render(values).pods().items():
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        }, name
        assert pod.keys() & {"hostNetwork", "hostPID", "hostIPC", "initContainers"} == set()
        assert all(volume.keys() & {"secret", "configMap"} for volume in pod.get("volumes", []))
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert all(mount["readOnly"] for mount in container.get("volumeMounts", []))


@each_file
def test_a_token_is_mounted_only_where_it_is_used(chart: Chart, values: Path) -> None:
    """No ServiceAccount gives its token away; each Pod names its own account and asks for it."""
    rendered = chart.render(values)
    assert not any(each["automountServiceAccountToken"] for each in rendered.of("ServiceAccount"))
    pods = rendered.pods().values()
    assert all(pod["automountServiceAccountToken"] for pod in pods)
    assert len({pod["serviceAccountName"] for pod in pods}) == len(pods)


@each_file
def test_services_set_no_variables(chart: Chart, values: Path) -> None:
    """A Service of our name would set ``VCI_WEBHOOK_PORT``, which is a setting of the server."""
    assert not any(pod["enableServiceLinks"] for pod in chart.render(values).pods().values())


@each_file
def test_resources_are_set(chart: Chart, values: Path) -> None:
    """Each container asks for CPU and memory, is limited in memory, and never in CPU."""
    for pod in chart.render(values).pods().values():
        for container in pod["containers"]:
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert container["resources"]["limits"].keys() == {"memory"}


@each_file
def test_the_programs_take_what_they_are_given(chart: Chart, values: Path) -> None:
    """Every flag exists, and every value of one is legal, with each option."""
    pods = chart.render(values).pods()
    for program, container in ((each, container_of(pod)) for each, pod in pods.items()):
        match container["command"]:
            case ["vci-webhook", "serve"]:
                parse(serve, container["args"])
            case ["vci-webhook", "doctor"]:
                parse(doctor, container["args"])
            case ["python", "-m", "certs", "run"]:
                certs_parameters(container["args"])
            case other:
                pytest.fail(f"{program}: runs {other}")


def container_of(pod: Object) -> Object:
    (container,) = pod["containers"]
    found: Object = container
    return found


def parse(command: click.Command, arguments: list[str]) -> dict[str, Any]:
    return command.make_context(command.name, [*arguments]).params  # click takes from the list


def certs_parameters(arguments: list[str]) -> Parameters:
    options = build_parser().parse_args(["run", *arguments])
    return flags.read_flags(options, flags.RUN, {})[0]


def serve_container(chart: Chart, values: Any, **where: str) -> Object:
    release = where.get("release", RELEASE)
    name = release if RELEASE in release else f"{release}-{RELEASE}"
    return container_of(chart.render(values, **where).pods()[name])


def test_the_server_is_told_who_it_is(chart: Chart) -> None:
    """It knows its own namespace and Service, whatever they are called, and its profile."""
    where = {"release": "trial", "namespace": "vci-trial"}
    values = {"profile": {"name": "trial-profile", "namespace": "batch"}}
    told = parse(serve, serve_container(chart, values, **where)["args"])
    assert told["own_namespace"] == "vci-trial"
    assert told["service_name"] == "trial-vci-webhook"
    assert (told["profile_namespace"], told["profile_name"]) == ("batch", "trial-profile")


def test_its_limits_are_values(chart: Chart) -> None:
    """Each of the ``server`` values arrives, large numbers too."""
    told = parse(serve, serve_container(chart, VALUES / "server.yaml")["args"])
    names = ("host", "drain_seconds", "request_seconds", "max_connections", "max_in_flight")
    assert [told[name] for name in names] == ["::", 40, 20, 4000, 1_000_000]
    others = ("max_in_flight_mib", "log_format", "log_level", "log_reviews_per_second")
    assert [told[name] for name in others] == [64, "text", "debug", 0]


@pytest.mark.parametrize(("drain", "timeout", "grace"), [(15, 5, 30), (40, 10, 60), (0, 1, 11)])
def test_a_pod_has_time_to_end(chart: Chart, drain: int, timeout: int, grace: int) -> None:
    """The grace period is the drain, the longest that a review may take, and ten seconds."""
    values = {"server": {"drainSeconds": drain}, "webhook": {"timeoutSeconds": timeout}}
    pod = chart.render(values).pods()[RELEASE]
    assert pod["terminationGracePeriodSeconds"] == grace
    assert "lifecycle" not in container_of(pod)  # it drains by itself


def test_a_roll_out_takes_no_replica_away_before_its_successor_is_ready(chart: Chart) -> None:
    """There are two replicas, one more during a roll-out, and never one less."""
    spec = chart.render({}).get("Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"] == {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert chart.render({}).get("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_replicas_are_spread_over_nodes_and_zones(chart: Chart) -> None:
    """Replicas of one version go to different nodes and zones, as far as there are any."""
    constraints = chart.render({}).pods()[RELEASE]["topologySpreadConstraints"]
    keys = [each["topologyKey"] for each in constraints]
    assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert {each["whenUnsatisfiable"] for each in constraints} == {"ScheduleAnyway"}
    assert {tuple(each["matchLabelKeys"]) for each in constraints} == {("pod-template-hash",)}
    old = chart.render({}, kubernetes="1.26.0").pods()[RELEASE]["topologySpreadConstraints"]
    assert all("matchLabelKeys" not in each for each in old)


def test_no_pod_runs_on_a_virtual_node(chart: Chart) -> None:
    """Unless somebody has it otherwise: what places Pods on VCI does not depend on VCI."""
    off = {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]}
    for pod in chart.render({}).pods().values():
        wanted = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert wanted == {"nodeSelectorTerms": [{"matchExpressions": [off]}]}


def test_an_autoscaler_alone_decides_how_many_there_are(chart: Chart) -> None:
    """With it the Deployment says nothing of replicas, so no upgrade undoes what it did."""
    rendered = chart.render(VALUES / "autoscaling.yaml")
    assert "replicas" not in rendered.get("Deployment")["spec"]


def test_the_certs_program_looks_after_what_the_chart_named(chart: Chart) -> None:
    """It is told the namespace, Service, both Secrets and both configurations by their names."""
    where = {"release": "trial", "namespace": "vci-trial"}
    pods = chart.render({}, **where).pods()
    told = certs_parameters(container_of(pods["trial-vci-webhook-certs"])["args"])
    assert (told.namespace, told.service) == ("vci-trial", "trial-vci-webhook")
    assert told.ca_secret == "trial-vci-webhook-ca"  # noqa: S105 - a name
    assert told.mutating == told.validating == ("trial-vci-webhook",)
    (volume,) = pods["trial-vci-webhook"]["volumes"]
    assert volume["secret"]["secretName"] == told.serving_secret


def test_its_lifetimes_are_values(chart: Chart) -> None:
    """Each of ``certificates.self`` arrives; the defaults are the program's own."""
    pods = chart.render(VALUES / "certificates-self.yaml").pods()
    told = certs_parameters(container_of(pods["vci-webhook-certs"])["args"])
    hours = [each.total_seconds() / 3600 for each in (told.ca_lifetime, told.serving_lifetime)]
    assert hours == [365 * 24, 7 * 24]
    assert told.renew_at == 0.5
    assert [each.total_seconds() for each in (told.publish_wait, told.clock_skew)] == [120, 300]
    default = certs_parameters(container_of(chart.render({}).pods()["vci-webhook-certs"])["args"])
    names = ("ca_lifetime", "serving_lifetime", "publish_wait", "clock_skew")
    assert all(getattr(default, name) == getattr(Parameters(), name) for name in names)
    assert default.renew_at == pytest.approx(Parameters().renew_at, abs=0.01)


def test_without_validation_no_validating_configuration_is_looked_after(chart: Chart) -> None:
    """The program is not told of one that does not exist."""
    rendered = chart.render(VALUES / "no-profile-validation.yaml")
    told = certs_parameters(container_of(rendered.pods()["vci-webhook-certs"])["args"])
    assert told.validating == ()
    assert rendered.of("ValidatingWebhookConfiguration") == []


@pytest.mark.parametrize("file", ["cert-manager", "cert-manager-own", "provided"])
def test_nobody_else_issues(chart: Chart, file: str) -> None:
    """In the other modes there is no certs program, and nothing that it would need."""
    names = chart.render(VALUES / f"{file}.yaml").names()
    assert not [name for _, _, name in names if name.endswith("-certs")]


def test_the_image_is_the_versions_unless_told(chart: Chart) -> None:
    """A digest goes before a tag, and a tag before the version; all Pods have the same."""
    repository = "registry.example.com/team/vci-webhook"
    digest = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
    for file, image in (
        ("defaults", "vci-webhook:0.1.0"),
        ("image", f"{repository}:9.9.9-test"),
        ("digest", f"{repository}@{digest}"),
    ):
        pods = chart.render(VALUES / f"{file}.yaml").pods().values()
        assert {container_of(pod)["image"] for pod in pods} == {image}
        assert len(pods) == 3


def test_clients_are_judged_by_the_ca_that_is_mounted(chart: Chart) -> None:
    """The CA of ``certificates.clientCA`` is mounted from its Secret or ConfigMap, and named."""
    for file, kind, key, names in (
        ("client-ca", "secret", "clients.crt", {"kube-apiserver-webhook-client", "other"}),
        ("client-ca-config-map", "configMap", "ca.crt", None),
    ):
        pod = chart.render(VALUES / f"{file}.yaml").pods()[RELEASE]
        told = parse(serve, container_of(pod)["args"])
        mounted = {each["name"]: each["mountPath"] for each in container_of(pod)["volumeMounts"]}
        assert told["client_ca"] == Path(mounted["client-ca"], key)
        assert told["client_name"] == names
        (volume,) = (each for each in pod["volumes"] if each["name"] == "client-ca")
        assert "webhook-clients" in volume[kind].values()


def test_the_certificate_is_mounted_where_the_server_looks(chart: Chart) -> None:
    """It is waited for: the volume is not optional, so no Pod starts without a certificate."""
    for file, secret in (("defaults", "vci-webhook-tls"), ("provided", "webhook-certificate")):
        pod = chart.render(VALUES / f"{file}.yaml").pods()[RELEASE]
        (mount,) = container_of(pod)["volumeMounts"]
        assert parse(serve, container_of(pod)["args"])["tls_dir"] == Path(mount["mountPath"])
        assert pod["volumes"] == [{"name": "tls", "secret": {"secretName": secret}}]


def test_the_service_reaches_the_port_for_reviews(chart: Chart) -> None:
    """The Service selects the serving Pods and no others, and its port is theirs by name."""
    rendered = chart.render({})
    service, labels = rendered.get("Service")["spec"], {}
    for deployment in rendered.of("Deployment"):
        template = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= template.items()
        labels[deployment["metadata"]["name"]] = template
    found = [name for name, each in labels.items() if service["selector"].items() <= each.items()]
    assert found == [RELEASE]
    ports = container_of(rendered.pods()[RELEASE])["ports"]
    assert [(each["port"], each["targetPort"]) for each in service["ports"]] == [(443, "reviews")]
    assert {"name": "reviews", "containerPort": 8443} in ports
    assert rendered.get("Service")["metadata"]["namespace"] == NAMESPACE
