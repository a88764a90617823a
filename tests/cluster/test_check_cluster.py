"""``vci-webhook check --cluster`` on a real API server, with objects of every kind it reads."""

import asyncio
import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.cluster.client import ApiError, Object, read_manifests
from tests.cluster.control_plane import EXAMPLES, Cluster
from tests.cluster.following import PROFILE, grant_rights, request_token, write_kubeconfig
from tests.cluster.process import eventually
from tests.cluster.workloads import bare_pod, create_namespace
from webhook import kube
from webhook.observe import Observer
from webhook.profile import parse_profile

GROUP, VERSION = "scheduling.vke.volcengine.com", "v1beta1"
SUBNETS = "vke.volcengine.com/preferred-subnet-ids"
RULES = [
    {
        "name": "checked",
        "namespaceSelector": {"matchLabels": {"checked": "yes"}},
        "placement": "enforce",
        "effect": {"subnetIds": ["subnet-2fe6kt7dgy8lc59gp67abcdfe"]},
    },
    {"name": "nobody", "namespaceSelector": {"matchLabels": {"checked": "never"}}},
]
POLICIES = f"/apis/{GROUP}/{VERSION}/namespaces/checked/resourcepolicies"


def profile() -> Object:
    """Make a profile with nothing wrong but in a cluster such as this."""
    kind, name, namespace = PROFILE
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "data": {"selectors": json.dumps(RULES)},
    }


def resource_policy_definition() -> Object:
    """Make the definition of a ResourcePolicy, as far as anybody here looks."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    names = {"plural": "resourcepolicies", "singular": "resourcepolicy", "kind": "ResourcePolicy"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"resourcepolicies.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


@pytest.fixture(scope="module")
def checked(session_cluster: Cluster) -> Iterator[str]:
    """A namespace with three Pods that run on, and one that is over; and the live profile."""
    admin = session_cluster.admin
    create_namespace(admin, "checked", {"checked": "yes"})
    for number in range(3):
        pod = bare_pod(f"runs-{number}", restartPolicy="Always")
        pod["metadata"]["annotations"] = {SUBNETS: "subnet-2fe6kt7dgy8lc59gp67abcdef"}
        admin.create(pod, "checked")
    admin.create(bare_pod("over"), "checked")
    eventually(lambda: _phases(session_cluster) == ["Running"] * 3 + ["Succeeded"], "the Pods")
    admin.apply(profile())
    yield "checked"
    admin.delete(*PROFILE)
    admin.delete("Namespace", "checked")


def _phases(cluster: Cluster) -> list[str]:
    return sorted(pod["status"]["phase"] for pod in cluster.admin.list("Pod", "checked"))


@pytest.fixture
def policy(cluster: Cluster, checked: str) -> Iterator[None]:
    """A ResourcePolicy for some of the Pods."""
    definition = resource_policy_definition()
    cluster.admin.create(definition)
    body = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "ResourcePolicy",
        "metadata": {"name": "spread", "namespace": checked},
        "spec": {"selector": {"app": "x"}},
    }

    def create() -> bool:
        try:
            cluster.admin.send("POST", POLICIES, json.dumps(body).encode())
        except ApiError as error:
            if error.status != 404:
                raise
            return False
        return True

    eventually(create, "a ResourcePolicy")
    yield
    cluster.admin.delete("CustomResourceDefinition", definition["metadata"]["name"])


def check(kubeconfig: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    environment = {n: v for n, v in os.environ.items() if not n.startswith("VCI_WEBHOOK_")}
    return subprocess.run(
        [sys.executable, "-m", "webhook", "check", "--cluster", *arguments],
        env={**environment, "KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("policy", "checked")
def test_the_live_profile_is_judged_by_what_runs(cluster: Cluster) -> None:
    """Namespaces and running Pods of each rule, a misspelt subnet, a policy that is disturbed."""
    done = check(cluster.plane.kubeconfig)
    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    misspelt, disturbed, nobody, note, head, first, second, summary = done.stdout.splitlines()
    assert "selectors[0].effect.subnetIds: no running Pod names the subnet" in misspelt
    assert 'ResourcePolicy "checked/spread"' in disturbed
    assert "selectors[1].namespaceSelector: matches no namespace today" in nobody
    assert note.startswith("kube-system/vci-profile: not judged: whether the webhook is called ")
    assert "no MutatingWebhookConfiguration looks like ours" in note
    assert head.split() == [
        *("rule", "placement", "namespaces"),
        *("called", "for", "running", "pods"),
    ]
    assert first.split() == ["checked", "enforce", "1", "?", "3"]
    assert second.split() == ["nobody", "allow", "0", "?", "0"]
    assert summary == "1 file, 3 warnings, 2 active rules"


@pytest.mark.usefixtures("checked")
def test_a_file_is_judged_by_the_cluster_before_it_is_applied(
    cluster: Cluster, tmp_path: Path
) -> None:
    """JSON has for each rule what it would meet; without the CRD there is nothing to disturb."""
    changed = profile()
    changed["data"]["selectors"] = json.dumps(RULES[:1])
    file = tmp_path / "profile.yaml"
    file.write_text(yaml.safe_dump(changed))
    done = check(cluster.plane.kubeconfig, str(file), "--output=json", "--strict")
    assert done.returncode == 1
    (judged,) = json.loads(done.stdout)["files"]
    counts = {"namespaces": 1, "called": None, "pods": 3}
    assert judged["cluster"]["rules"] == [{"name": "checked", "placement": "enforce", **counts}]
    assert [problem["path"] for problem in judged["problems"]] == ["selectors[0].effect.subnetIds"]


@pytest.mark.usefixtures("checked")
def test_lists_are_read_to_their_end(cluster: Cluster) -> None:
    """However many pages there are, every namespace and every running Pod counts."""
    live, problems = parse_profile(profile()["data"], "1")
    assert live is not None
    assert not problems

    async def observe() -> tuple[int, int]:
        connection = kube.Connection(kube.Cluster(str(cluster.plane.kubeconfig)))
        observer = Observer(connection, page_size=1)
        surroundings = await observer.observe(frozenset(), "")
        censuses = await observer.count_pods([live], surroundings)
        await connection.close()
        assert surroundings.namespaces is not None
        assert censuses is not None
        return len(surroundings.namespaces), sum(censuses[0].matched.values())

    assert asyncio.run(observe()) == (len(cluster.admin.list("Namespace")), 3)


@contextmanager
def configured(cluster: Cluster, **names: str) -> Iterator[list[Object]]:
    """Have configurations of these names, each with an entry of its own that may be changed."""
    made = []
    for name, entry in names.items():
        configuration, _ = read_manifests(EXAMPLES / "webhook-configuration.yaml")
        configuration["metadata"]["name"] = name.replace("_", "-")
        configuration["webhooks"][0].update(name=entry)
        configuration["webhooks"][0]["clientConfig"]["url"] = "https://127.0.0.1:1/mutate"
        made.append(cluster.admin.create(configuration))
    try:
        yield made
    finally:
        for configuration in made:
            cluster.admin.delete(configuration["kind"], configuration["metadata"]["name"])


@pytest.mark.usefixtures("checked")
def test_a_configuration_that_never_asks_is_named(cluster: Cluster) -> None:
    """The rule is for a namespace that the API server does not ask about; by name or by looks."""
    with configured(cluster, vci_webhook="pods.vci-webhook.io"):
        for flags in ([], ["--webhook-configuration=vci-webhook"], ["--service-name=vci-webhook"]):
            told = check(cluster.plane.kubeconfig, *flags).stdout
            assert (
                'selectors[0]: never acts: MutatingWebhookConfiguration "vci-webhook" does not '
                'call for "checked", the only namespace that it matches; label it: kubectl label '
                "namespace checked vci=true"
            ) in told
            assert "selectors[1].namespaceSelector: matches no namespace today" in told
            assert "kubectl label namespace NAME checked=never vci=true" in told
            assert "checked  enforce             1           0             3" in told
        other = check(cluster.plane.kubeconfig, "--webhook-configuration=other").stdout
        assert "never acts" not in other
        assert 'match: there is no MutatingWebhookConfiguration "other"; install' in other


@pytest.mark.usefixtures("checked")
def test_all_entries_of_a_configuration_count(cluster: Cluster) -> None:
    """As the chart writes two: one that ignores failures, and one that does not."""
    with configured(cluster, vci_webhook="pods.vci-webhook.io") as (configuration,):
        (first,) = configuration["webhooks"]
        second = copy.deepcopy(first)
        label = {"key": "checked", "operator": "In", "values": ["yes"]}
        second.update(name="enforced.vci-webhook.io", failurePolicy="Fail")
        second["namespaceSelector"] = {"matchExpressions": [label]}
        condition = {"name": "has-no-node", "expression": "!has(object.spec.nodeName)"}
        second["matchConditions"] = [condition]
        first["namespaceSelector"] = {"matchExpressions": [{**label, "operator": "NotIn"}]}

        def told() -> str:
            path = "MutatingWebhookConfiguration", "vci-webhook"
            cluster.admin.patch(*path, "", {"webhooks": [first, second]})
            return check(cluster.plane.kubeconfig).stdout

        assert "checked  enforce             1           1             3" in told()
        second["rules"][0]["operations"] = ["UPDATE"]
        assert (
            'can never act: MutatingWebhookConfiguration "vci-webhook" calls for nothing that it '
            'selects, as no object meets the conditions of both on "checked"; correct one of them'
        ) in told()
        first["rules"][0]["operations"] = ["UPDATE"]
        assert (
            'selectors: no rule acts: MutatingWebhookConfiguration "vci-webhook" does not ask about'
        ) in told()


@pytest.mark.usefixtures("checked")
def test_of_several_installations_a_person_says_which(cluster: Cluster) -> None:
    """Without that nothing is told of either; with the Service's name the right one is taken."""
    with configured(cluster, a_vci_webhook="a.vci-webhook.io", other="b.vci-webhook.io"):
        told = check(cluster.plane.kubeconfig).stdout
        assert "never acts" not in told
        assert 'match: "a-vci-webhook", "other" look like ours; ' in told
        for name in ("a-vci-webhook", "other"):
            told = check(cluster.plane.kubeconfig, f"--service-name={name}").stdout
            assert f'never acts: MutatingWebhookConfiguration "{name}" does not call for' in told


@pytest.mark.usefixtures("checked", "policy")
def test_what_may_not_be_read_is_said_and_skipped(cluster: Cluster, tmp_path: Path) -> None:
    """The webhook's own account may not list Pods: a line says so, and the rest is judged."""
    grant_rights(cluster.admin)
    kubeconfig = write_kubeconfig(cluster.plane, tmp_path, request_token(cluster.admin))
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(profile()))
    done = check(kubeconfig, str(file))
    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    notes = [line for line in done.stdout.splitlines() if "not judged: " in line]
    assert [note.split("not judged: ")[1].partition(":")[0] for note in notes] == [
        "which ResourcePolicies enforce disturbs",
        "whether the webhook is called for what rules match",
        "how many Pods each rule matches, and how they spell ids",
    ]
    assert "checked  enforce             1           ?             ?" in done.stdout


def test_without_a_profile_or_a_cluster_there_is_nothing_to_judge(
    cluster: Cluster, tmp_path: Path
) -> None:
    """An absent ConfigMap, or an API server that does not answer, is one line and status 2."""
    absent = check(cluster.plane.kubeconfig, "--profile-name=absent")
    assert (absent.returncode, absent.stdout) == (2, "")
    assert "kube-system/absent: no such ConfigMap; apply one, or name a FILE" in absent.stderr
    config = yaml.safe_load(cluster.plane.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(yaml.safe_dump(config))
    unreachable = check(nowhere)
    assert (unreachable.returncode, unreachable.stdout) == (2, "")
    assert len(unreachable.stderr.splitlines()) == 1
    assert "https://127.0.0.1:1: " in unreachable.stderr
