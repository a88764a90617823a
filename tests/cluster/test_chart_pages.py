"""README's "Install" and the pages on the chart, command by command, as somebody types them.

A test is one page, and begins where the one before it ended.
"""

import json
import sys
from collections.abc import Iterator, Mapping

import pytest

from tests.cluster.client import Client
from tests.cluster.helming import (
    MUTATING,
    NAME,
    Helm,
    create_release_namespace,
    helm_environment,
)
from tests.cluster.inventory import Stored, added, stored_objects
from tests.cluster.nodes import VIRTUAL_NODE
from tests.cluster.placing import PLACED
from tests.cluster.process import eventually
from tests.cluster.reader import Shell, Step, read_steps, shell
from tests.cluster.workloads import EXAMPLES

ROOT = EXAMPLES.parent
DOCS = ROOT / "docs"
README, INSTALL, UPGRADE, UNINSTALL = (
    read_steps(page)
    for page in (
        ROOT / "README.md",
        *(DOCS / f"{name}.md" for name in ("install", "upgrade", "uninstall")),
    )
)
TRIAL = "vci-trial"  # the namespace of the second install
BEGUN = "1. Install"


@pytest.fixture(scope="module")
def before(helm: Helm) -> Mapping[Stored, object]:
    """Make the namespaces, which send their Pods to the node that runs them, and list what is."""
    for name in (NAME, TRIAL):
        create_release_namespace(helm.cluster.admin, name)
    return stored_objects(helm.cluster.admin)


@pytest.fixture(scope="module")
def reader(helm: Helm, before: Mapping[Stored, object]) -> Iterator[Shell]:
    """An administrator's shell, in a folder that looks like the checkout."""
    assert before
    folder = helm.folder / "checkout"
    folder.mkdir()
    for name in ("charts", "examples"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    plane = helm.cluster.plane
    with shell(folder, helm_environment(helm.folder, plane.programs, plane.kubeconfig)) as opened:
        yield opened


def follow(reader: Shell, page: Mapping[str, Step]) -> str:
    """Type all that is on a page."""
    return "".join(reader.follow(step) for step in page.values())


def begin_anew(admin: Client) -> None:
    """Take away what is left of the page before: the namespace of the workflows."""
    admin.delete("Namespace", PLACED)
    eventually(lambda: admin.find("Namespace", PLACED) is None, "the end of the namespace")
    create_release_namespace(admin, NAME)


def test_readme_leads_to_a_workflow_on_vci(helm: Helm, reader: Shell) -> None:
    """The lines of "Install", and the Pods of an unchanged workflow are on the virtual node."""
    output = reader.follow(README["Install"])
    pods = helm.cluster.admin.list("Pod", PLACED)
    assert output.count(VIRTUAL_NODE) == len(pods) == 3


def test_uninstall_leaves_what_was_there_before(
    helm: Helm, reader: Shell, before: Mapping[Stored, object]
) -> None:
    """After the commands of the page nothing is there but the namespace of the workflows."""
    follow(reader, UNINSTALL)
    admin = helm.cluster.admin
    begin_anew(admin)
    eventually(lambda: not added(before, stored_objects(admin)), "nothing left", 45)


def test_install_leads_to_a_workflow_on_vci(helm: Helm, reader: Shell) -> None:
    """Step by step, with what each one prints; a second install comes and goes beside it."""
    output = follow(reader, INSTALL)
    traces = [json.loads(line) for line in output.splitlines() if line.startswith('{"placement"')]
    assert [trace["rules"] for trace in traces] == [["argo-workflows"]] * 3
    assert output.count(VIRTUAL_NODE) == 3
    assert [found["metadata"]["name"] for found in helm.cluster.admin.list(MUTATING)] == [NAME]


def test_upgrade_and_rollback_are_as_the_page_says(helm: Helm, reader: Shell) -> None:
    """Each command succeeds; afterwards two replicas are ready, and their bundle is there."""
    follow(reader, UPGRADE)
    admin = helm.cluster.admin
    assert admin.get("Deployment", NAME, NAME)["status"]["readyReplicas"] == 2
    (entry,) = admin.get(MUTATING, NAME)["webhooks"]
    assert entry["clientConfig"]["caBundle"]


def test_the_emergency_brake_holds_and_is_released(helm: Helm, reader: Shell) -> None:
    """Without its configuration nobody is asked; the next upgrade makes it anew, bundle and all."""
    admin = helm.cluster.admin
    (brake,) = [
        line.removeprefix("$ ")
        for line in (DOCS / "uninstall.md").read_text("utf-8").splitlines()
        if line.startswith("$ kubectl delete mutatingwebhookconfiguration")
    ]
    reader.follow(Step((f"{brake}\n",), ()))
    assert not admin.list(MUTATING)
    reader.follow(UPGRADE[""])
    eventually(
        lambda: "caBundle" in admin.get(MUTATING, NAME)["webhooks"][0]["clientConfig"],
        "the bundle in the new configuration",
    )
