"""What holds for everything that the chart renders, with each of its options."""

import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import (
    CHART,
    KUBERNETES,
    NAMESPACE,
    NEEDS,
    RELEASE,
    Chart,
    is_hook,
    values_files,
)
from tools.chart_values import read_rows

FILES = values_files()
CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
}
LABELS = {
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
    "app.kubernetes.io/version",
    "helm.sh/chart",
}
each_file = pytest.mark.parametrize("values", FILES, ids=[path.stem for path in FILES])


def is_for(values: Path, kubernetes: str) -> bool:
    needed = NEEDS.get(values.stem, KUBERNETES[0])
    return tuple(map(int, kubernetes.split("."))) >= tuple(map(int, needed.split(".")))


@each_file
def test_helm_finds_nothing_to_say(chart: Chart, values: Path) -> None:
    """``helm lint --strict`` passes with each option, without a warning."""
    done = chart.run("lint", "--strict", "--values", values, CHART)
    assert not done.returncode, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@each_file
def test_each_option_renders_for_every_kubernetes(chart: Chart, values: Path) -> None:
    """What is rendered is well-formed, names everything once, and knows where it belongs."""
    for kubernetes in (each for each in KUBERNETES if is_for(values, each)):
        rendered = chart.render(values, kubernetes=kubernetes)
        names = rendered.names()
        assert len(names) == len(set(names))
        for kind, namespace, name in names:
            assert (namespace == "") == (kind in CLUSTER_WIDE), name
            assert len(name) <= 63
        assert all(each["metadata"]["labels"].keys() >= LABELS for each in rendered.objects)


@each_file
def test_nothing_is_a_hook_but_the_test(chart: Chart, values: Path) -> None:
    """An install waits for no hook, and what the test needs is deleted after it."""
    for each in filter(is_hook, chart.render(values, kubernetes=KUBERNETES[-1]).objects):
        annotations = each["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "test"
        policy = "before-hook-creation,hook-succeeded,hook-failed"
        assert annotations["helm.sh/hook-delete-policy"] == policy


@each_file
def test_only_a_bundle_that_was_given_is_rendered(chart: Chart, values: Path) -> None:
    """Whoever issues the certificate owns ``caBundle``: the field is not there at all."""
    rendered = chart.render(values, kubernetes=KUBERNETES[-1])
    given = yaml.safe_load(values.read_text("utf-8")).get("certificates", {})
    bundle = given.get("provided", {}).get("caBundle")
    kinds = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
    entries = [entry for kind in kinds for each in rendered.of(kind) for entry in each["webhooks"]]
    assert {entry["clientConfig"].get("caBundle") for entry in entries} == {bundle}


def test_each_value_is_used_by_one_of_the_files() -> None:
    """Whatever can be set is set here, to something else than its default."""
    text = (CHART / "values.yaml").read_text("utf-8")
    given = [yaml.safe_load(path.read_text("utf-8")) for path in FILES]
    unused = [
        row.path
        for row in read_rows(text)
        if not any(look_up(values, row.path) not in (None, row.default) for values in given)
    ]
    assert unused == []


def look_up(values: Any, path: str) -> Any:
    for key in path.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    return values


def test_two_releases_share_no_name(chart: Chart) -> None:
    """Two installs side by side have no object in common, hooks included."""
    first = chart.render({}).names()
    second = chart.render({}, release="trial", namespace="vci-trial").names()
    assert not set(first) & set(second)
    cluster_wide = [
        {name for kind, _, name in each if kind in CLUSTER_WIDE} for each in (first, second)
    ]
    assert not cluster_wide[0] & cluster_wide[1]


@pytest.mark.parametrize(
    ("release", "values", "fullname"),
    [
        ("vci-webhook", {}, "vci-webhook"),
        ("a", {}, "a-vci-webhook"),
        ("team.a", {}, "team-a-vci-webhook"),
        ("my-vci-webhook-2", {}, "my-vci-webhook-2"),
        ("a", {"nameOverride": "placement"}, "a-placement"),
        ("a", {"fullnameOverride": "placement"}, "placement"),
        ("a" * 53, {}, "a" * 50),
    ],
)
def test_names_come_from_the_release(
    chart: Chart, release: str, values: dict[str, Any], fullname: str
) -> None:
    """All objects are called after the release, as other charts do it."""
    names = {name for _, _, name in chart.render(values, release=release).names()}
    suffixes = ("", "-certs", "-test", "-test-profile")
    assert names == {f"{fullname}{suffix}" for suffix in suffixes}


def test_a_package_has_what_it_needs_and_nothing_else(chart: Chart, tmp_path: Path) -> None:
    """``helm package`` makes an archive that renders alike."""
    done = chart.run("package", CHART, "--destination", tmp_path)
    assert not done.returncode, done.stderr
    (archive,) = tmp_path.glob("vci-webhook-*.tgz")
    with tarfile.open(archive) as packed:
        kinds = {Path(name).suffix or Path(name).name for name in packed.getnames()}
    assert kinds == {".yaml", ".tpl", ".txt", ".json", ".md", "LICENSE", ".helmignore"}
    flags = ("--namespace", NAMESPACE, "--kube-version", KUBERNETES[-1])
    rendered = [
        chart.run("template", RELEASE, source, *flags).stdout for source in (archive, CHART)
    ]
    assert rendered[0] == rendered[1] != ""
