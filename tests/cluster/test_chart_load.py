"""Nobody notices that the chart is upgraded, rolled back or taken away: creates go on.

The namespace has the label for the second entry, whose ``failurePolicy`` is ``Fail``: each review
that is lost is a Pod that is not created.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.audit import AuditLog
from tests.cluster.creating import Creates, creating, tell
from tests.cluster.deployed import is_right
from tests.cluster.following import LABEL, SOAK
from tests.cluster.helming import (
    CHART,
    MUTATING,
    NAME,
    VALIDATING,
    Helm,
    Release,
    bundles_of,
    watching,
)
from tests.cluster.inventory import Stored
from tests.cluster.process import eventually
from tests.cluster.released import LOADED, RATE, await_force, await_the_same, make_room

CHART_VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"]
ROUNDS = 10 if SOAK else 1
ENFORCED = {**LABEL, "vci-webhook/enforced": "true"}
OWN = {"podLabels": {"example.com/team": "platform"}, "webhook": {"enforced": {"enabled": True}}}
SHORTER = {"certificates": {"self": {"servingLifetime": "15d", "caLifetime": "365d"}}}


@pytest.fixture(scope="module")
def before(helm: Helm) -> dict[Stored, object]:
    """Tell what there is without a release."""
    return make_room(helm, ENFORCED)


@pytest.fixture(scope="module")
def release(helm: Helm, before: object) -> Iterator[Release]:
    """The chart's version before this one, with values of somebody's own."""
    assert before
    release = Release(helm)
    release.install(OWN, chart=previous_chart(helm))
    await_force(release)
    yield release
    assert not helm.node.failures


def previous_chart(helm: Helm) -> Path:
    """Give the chart of the newest tag; before the first one, this chart under an older version.

    The small kubelet has one image, whatever tag is asked for: what differs is everything else.
    """
    root = CHART.parents[1]
    git = ["git", "-C", str(root)]
    tag = subprocess.run(
        [*git, "describe", "--tags", "--abbrev=0"], capture_output=True, text=True, check=False
    )
    if tag.returncode:
        return helm.package(CHART, "0.0.9")
    archive = subprocess.run(
        [*git, "archive", tag.stdout.strip(), "charts"], capture_output=True, check=True
    )
    folder = helm.folder / "previous"
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder / "charts" / CHART.name


def check_nothing_was_lost(what: str, release: Release, creates: Creates) -> None:
    """Every create succeeded, and every program that was told to stop did so well."""
    tell(what, creates)
    assert not creates.failures
    ended = release.helm.node.happened(" ended: ", creates.began)
    assert {each.what for each in ended} <= {"webhook ended: 0", "certs ended: 0"}
    assert ended


def test_upgrade_and_rollback_lose_nothing(release: Release) -> None:
    """From the version before, with other lifetimes, and back: every create succeeds.

    In no version of the webhook configurations that was ever stored does an entry lack its bundle,
    and everybody's own values stay.
    """
    assert policies(release) == ["Ignore", "Fail"]
    first = release.bundles()
    with (
        watching(release.admin, MUTATING, NAME) as mutating,
        watching(release.admin, VALIDATING, NAME) as validating,
        creating(release.admin, LOADED, RATE, is_right) as creates,
    ):
        for _ in range(ROUNDS):
            release.upgrade(SHORTER)
            assert release.values() == {**OWN, **SHORTER}
            assert image_tags(release) == {CHART_VERSION}
            release.rollback()
            assert release.values() == OWN
    check_nothing_was_lost("upgraded and rolled back", release, creates)
    stored = [each for each in (*mutating.seen, *validating.seen) if each]
    assert len(stored) > 2 + 2 * ROUNDS
    assert {bundle for each in stored for bundle in bundles_of(each)} == set(first)
    assert first[0]


def policies(release: Release) -> list[str]:
    """Give the policy of each entry."""
    webhooks = release.admin.get(MUTATING, release.fullname)["webhooks"]
    return [webhook["failurePolicy"] for webhook in webhooks]


def image_tags(release: Release) -> set[str]:
    """Give the tags of the images that its Pods run."""
    return {
        container["image"].rpartition(":")[2]
        for pod in release.pods()
        for container in pod["spec"]["containers"]
    }


def test_reused_values_keep_the_bundle_too(release: Release) -> None:
    """With ``--reuse-values``, and nothing to change, nothing is lost and no Pod is replaced."""
    names = {pod["metadata"]["uid"] for pod in release.pods()}
    with creating(release.admin, LOADED, RATE, is_right) as creates:
        release.upgrade(flags=("--reuse-values",), chart=previous_chart(release.helm))
    tell("upgraded with --reuse-values", creates)
    assert not creates.failures
    assert {pod["metadata"]["uid"] for pod in release.pods()} == names
    assert release.values() == OWN


def test_an_upgrade_with_wrong_values_changes_nothing(release: Release) -> None:
    """It is refused with the value's name, and the release stays what it is."""
    before = release.revisions()
    file = release.helm.write_values({"replicas": "two"})
    where = ("--namespace", release.namespace, "--values", file)
    done = release.helm.attempt("upgrade", release.name, CHART, *where)
    assert done.returncode
    assert "replicas" in done.stderr
    assert release.revisions() == before


def test_uninstall_loses_nothing_and_leaves_nothing(
    release: Release, before: dict[Stored, object]
) -> None:
    """Creates succeed while it is taken away, the configurations first; then all of it is gone.

    Installed again at once, it is in force again.
    """
    audit = AuditLog(release.helm.cluster.plane.audit_log)
    with creating(release.admin, LOADED, RATE, lambda _: True) as creates:
        release.uninstall()
        total = creates.total
        eventually(lambda: creates.total > total + 2 * RATE, "two more seconds of creates")
    tell("uninstalled", creates)
    assert not creates.failures
    assert deleted_by_helm(audit)[:2] == [
        ("validatingwebhookconfigurations", NAME),
        ("mutatingwebhookconfigurations", NAME),
    ]
    release.install(OWN)
    await_force(release)
    release.uninstall()
    await_the_same(release, before)


def deleted_by_helm(audit: AuditLog) -> list[tuple[str, str]]:
    """Give what helm had deleted, in order, by the API server's audit log."""
    return [
        (event["objectRef"]["resource"], event["objectRef"].get("name", ""))
        for event in audit.read()
        if event["verb"] == "delete" and event.get("userAgent", "").startswith("Helm/")
    ]
