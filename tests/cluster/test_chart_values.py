"""What the chart makes of each value is accepted by the API server, and a wrong one by nobody."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.chart.rendering import values_files
from tests.cluster.client import Object, read_manifests
from tests.cluster.helming import CHART, NAME, Helm, Release, create_release_namespace
from tests.cluster.inventory import added, stored_objects

# What cannot be had together with the rest, because it is the other choice or none at all.
OTHER_CHOICES = (
    *("cert-manager", "cert-manager-own", "certificates-self", "client-ca-config-map", "fail"),
    "no-disruption-budget",
    *("no-profile-validation", "no-spread", "no-tests", "own-accounts", "provided", "scope-all"),
    "service-monitor",
)
WRONG: Mapping[str, tuple[Object, str]] = {
    "a typo": ({"webhook": {"failurePolcy": "Fail"}}, "failurePolcy"),
    "a wrong type": ({"replicas": "two"}, "replicas"),
    "no such choice": ({"certificates": {"mode": "magic"}}, "certificates/mode"),
    "nothing to trust": ({"certificates": {"mode": "provided"}}, "caBundle"),
}


@pytest.fixture(scope="module")
def release(helm: Helm) -> Release:
    """Have the namespace, and no release yet."""
    create_release_namespace(helm.cluster.admin, NAME)
    return Release(helm)


@pytest.fixture(scope="module")
def rendered(release: Release) -> dict[str, Path]:
    """Have helm render the chart with each file of values, for the version of the API server."""
    helm = release.helm
    version = json.loads(release.admin.send("GET", "/version"))["gitVersion"]
    choices = {path.stem: [path] for path in values_files()}
    together = [path for name, (path,) in choices.items() if name not in OTHER_CHOICES]
    choices["everything"] = together
    folder = helm.folder / "rendered"
    folder.mkdir()

    def render(name: str) -> Path:
        files = [f"--values={path}" for path in choices[name]]
        where = ("--namespace", release.namespace, "--kube-version", version)
        made = folder / f"{name}.yaml"
        made.write_text(helm.run("template", release.name, CHART, *where, *files), "utf-8")
        return made

    with ThreadPoolExecutor(2) as threads:
        return dict(zip(choices, threads.map(render, choices), strict=True))


def test_each_option_is_accepted(release: Release, rendered: dict[str, Path]) -> None:
    """Every object of every option, and of all at once: no field unknown, no warning, no refusal.

    In a namespace that enforces ``restricted``, the API server would warn of Pods that it refuses.
    """
    plane = release.helm.cluster.plane
    for account in sorted(accounts_of_pods(rendered)):  # not even a dry run does without
        plane.kubectl("create", "serviceaccount", account, f"--namespace={NAME}")
    files = [f"--filename={path}" for path in rendered.values()]
    flags = ("--server-side", "--dry-run=server", "--validate=strict", "--warnings-as-errors")
    made = plane.kubectl("apply", *flags, *files, "--output=name").splitlines()
    kinds = {line.partition("/")[0].partition(".")[0] for line in made}
    assert kinds >= {"certificate", "podmonitor", "prometheusrule", "horizontalpodautoscaler"}
    assert kinds >= {"networkpolicy", "configmap", "poddisruptionbudget", "servicemonitor"}
    assert len(made) > 10 * len(rendered)


def accounts_of_pods(rendered: dict[str, Path]) -> set[str]:
    """Name the ServiceAccounts of Pods that no Deployment makes: of the test."""
    return {
        manifest["spec"]["serviceAccountName"]
        for manifest in read_manifests(*rendered.values())
        if manifest["kind"] == "Pod"
    }


@pytest.fixture
def nothing_new(release: Release) -> Iterator[None]:
    """Whatever a test does, it leaves no object."""
    before = stored_objects(release.admin)
    yield
    assert not added(before, stored_objects(release.admin))


@pytest.mark.usefixtures("nothing_new")
@pytest.mark.parametrize("name", WRONG)
def test_wrong_values_are_refused(release: Release, name: str) -> None:
    """Before anything is created, with a message that names the value."""
    values, named = WRONG[name]
    file = release.helm.write_values(values)
    done = release.helm.attempt(
        "install", release.name, CHART, "--namespace", release.namespace, "--values", file
    )
    assert done.returncode
    assert named in done.stderr
