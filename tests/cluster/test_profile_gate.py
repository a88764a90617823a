"""``kubectl apply`` of a profile: what is wrong is shown at once, and nothing else is refused."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.client import ApiError, Client, Object, read_manifests
from tests.cluster.configuration import client_config
from tests.cluster.control_plane import EXAMPLES, Cluster
from tests.cluster.following import PROFILE, Following, following, grant_rights, profile
from tests.cluster.process import eventually

CONFIGURATION = "ValidatingWebhookConfiguration"
FORCE = {"vci-webhook/force": "true"}
TYPED = """\
- name: batch
  placement: enfroce
  namespaceSelector:
    matchLabels: {vci: "true"}
- name: nightly
  objectSelector:
    matchExpressions:
      - {key: shift, operator: in, values: [night]}
  effect:
    labels: {team: "a b"}
"""


@pytest.fixture(scope="module")
def webhook(session_cluster: Cluster) -> Iterator[Following]:
    """The webhook, asked about the profile as the examples configure it."""
    admin = session_cluster.admin
    grant_rights(admin)
    _, configuration = read_manifests(EXAMPLES / "webhook-configuration.yaml")
    with following(session_cluster.plane, admin) as served:
        (entry,) = configuration["webhooks"]
        url = served.url.replace("/mutate", "/validate")
        entry["clientConfig"] = client_config(url, served.authority)
        admin.apply(configuration)
        try:
            eventually(lambda: _is_refused(admin), "the configuration in force", 20)
            yield served
        finally:
            admin.delete(CONFIGURATION, configuration["metadata"]["name"])


@pytest.fixture
def admin(cluster: Cluster, webhook: Following) -> Iterator[Client]:
    """An administrator, on a cluster without a profile."""
    assert webhook.is_ready()
    cluster.admin.delete(*PROFILE)
    yield cluster.admin
    cluster.admin.delete(*PROFILE)


def _is_refused(admin: Client) -> bool:
    try:
        admin.create(bad(), query="?dryRun=All")
    except ApiError as error:
        return error.status == 422
    return False


def bad() -> Object:
    """Make a profile with three errors."""
    return profile("x", selectors=TYPED)


def annotated(manifest: Object, annotations: dict[str, str]) -> Object:
    """Add annotations to a manifest."""
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}


def kubectl(cluster: Cluster, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run kubectl as the administrator; it may fail."""
    command = [str(cluster.plane.programs["kubectl"]), f"--kubeconfig={cluster.plane.kubeconfig}"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def apply(cluster: Cluster, folder: Path, manifest: Object) -> "subprocess.CompletedProcess[str]":
    """Apply a manifest from a file."""
    file = folder / "profile.yaml"
    file.write_text(yaml.safe_dump(manifest), "utf-8")
    return kubectl(cluster, "apply", "--filename", str(file))


@pytest.mark.usefixtures("admin")
def test_kubectl_shows_everything_that_is_wrong(cluster: Cluster, tmp_path: Path) -> None:
    """A profile with errors is refused, with a line for each, and is not stored."""
    done = apply(cluster, tmp_path, bad())
    print(done.stderr)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("selectors:")] == [
        (
            'selectors:2:14: selectors[0].placement: "enfroce" is not one of enforce, prefer, '
            'overflow, allow, off; did you mean "enforce"?'
        ),
        (
            'selectors:8:32: selectors[1].objectSelector.matchExpressions[0].operator: "in" is '
            'not one of In, NotIn, Exists, DoesNotExist; did you mean "In"?'
        ),
        (
            'selectors:10:20: selectors[1].effect.labels.team: "a b" is not a legal label value; '
            "write at most 63 of A-Z, a-z, 0-9, '-', '_', '.', beginning and ending with a letter "
            "or digit"
        ),
    ]
    assert "3 errors in the profile" in done.stderr
    assert cluster.admin.find(*PROFILE) is None


@pytest.mark.usefixtures("admin")
def test_a_good_profile_passes_with_its_warnings(cluster: Cluster, tmp_path: Path) -> None:
    """What is legal is stored; what is unwise about it is shown."""
    done = apply(cluster, tmp_path, profile("good"))
    assert (done.returncode, done.stderr) == (0, "")
    done = apply(cluster, tmp_path, profile("good", preferedSubnetIds="subnet-1"))
    print(done.stderr)
    assert done.returncode == 0
    assert done.stderr.startswith("Warning: preferedSubnetIds: unknown key, has no effect; did you")


def test_a_good_profile_is_not_replaced_by_a_bad_one(
    cluster: Cluster, admin: Client, tmp_path: Path
) -> None:
    """An update is refused like a creation, and what was there stays."""
    apply(cluster, tmp_path, profile("good"))
    assert apply(cluster, tmp_path, bad()).returncode == 1
    assert admin.get(*PROFILE)["data"] == profile("good")["data"]


def test_the_annotation_lets_it_through(cluster: Cluster, admin: Client, tmp_path: Path) -> None:
    """With vci-webhook/force a bad profile is stored, and its errors are shown as warnings."""
    done = apply(cluster, tmp_path, annotated(bad(), FORCE))
    print(done.stderr)
    assert done.returncode == 0
    assert "Warning: vci-webhook/force: let through with 3 errors" in done.stderr
    assert admin.get(*PROFILE)["data"] == bad()["data"]


def test_a_bad_profile_that_is_there_can_be_labelled_freed_and_deleted(
    cluster: Cluster, admin: Client, tmp_path: Path
) -> None:
    """Whatever is in it, its metadata is an administrator's to change, and so is its end."""
    held = annotated(bad(), FORCE)
    held["metadata"]["finalizers"] = ["example.com/held"]
    admin.create(held)
    place = ("configmap", "vci-profile", "--namespace", "kube-system")
    done = kubectl(cluster, "annotate", *place, "vci-webhook/force-")
    assert done.returncode == 0
    assert "3 errors in the profile, as before" in done.stderr
    assert kubectl(cluster, "label", *place, "team=batch").returncode == 0
    assert apply(cluster, tmp_path, profile("x", selectors="{")).returncode == 1
    assert kubectl(cluster, "delete", "--wait=false", *place).returncode == 0
    free = '{"metadata": {"finalizers": null}}'
    assert kubectl(cluster, "patch", *place, "--type=merge", f"--patch={free}").returncode == 0
    assert admin.find(*PROFILE) is None


@pytest.mark.usefixtures("admin")
def test_other_config_maps_are_never_held(cluster: Cluster) -> None:
    """The same text under another name, or in another namespace, is nobody's business."""
    for name, namespace in (("other", "kube-system"), ("vci-profile", "default")):
        other = bad()
        other["metadata"] = {"name": name, "namespace": namespace}
        cluster.admin.create(other)
        cluster.admin.delete("ConfigMap", name, namespace)


@pytest.mark.usefixtures("admin")
def test_without_an_answer_a_profile_is_stored(cluster: Cluster, tmp_path: Path) -> None:
    """Where nobody answers, an administrator is not locked out."""
    (stored,) = cluster.admin.list(CONFIGURATION)
    (entry,) = stored["webhooks"]
    nobody = {**entry, "clientConfig": {**entry["clientConfig"], "url": "https://127.0.0.1:1/"}}
    cluster.admin.patch(CONFIGURATION, "vci-webhook", "", {"webhooks": [nobody]})
    try:
        eventually(lambda: not _is_refused(cluster.admin), "the change in force", 20)
        assert apply(cluster, tmp_path, bad()).returncode == 0
    finally:
        cluster.admin.patch(CONFIGURATION, "vci-webhook", "", {"webhooks": [entry]})
        cluster.admin.delete(*PROFILE)
        eventually(lambda: _is_refused(cluster.admin), "the configuration in force again", 20)
