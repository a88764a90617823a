"""``vci-webhook doctor`` and ``check --cluster`` look at a release of the chart by one flag."""

import io
import json
import subprocess
from contextlib import redirect_stderr, redirect_stdout

import pytest

from tests.cluster.client import Object
from tests.cluster.control_plane import EXAMPLES
from tests.cluster.helming import (
    MUTATING,
    VALIDATING,
    Helm,
    Release,
    create_release_namespace,
    helm_environment,
)
from tests.cluster.process import eventually
from tests.cluster.workloads import create_namespace
from webhook.cli import main

TRIAL = "trial"
NAME = "trial-vci-webhook"
FLAGS = (f"--own-namespace={TRIAL}", f"--service-name={NAME}")
PROFILE = {
    "create": True,
    "data": {
        "selectors": [
            {"name": "labelled", "namespaceSelector": {"matchLabels": {"vci": "true"}}},
            {"name": "film", "namespaceSelector": {"matchLabels": {"team": "film"}}},
        ]
    },
}


@pytest.fixture(scope="module")
def release(helm: Helm) -> Release:
    """A release that has not the name of the chart, with a second entry, and namespaces."""
    admin = helm.cluster.admin
    create_release_namespace(admin, TRIAL)
    create_namespace(admin, "placed", {"vci": "true"})
    create_namespace(admin, "filmed", {"team": "film", "vci-webhook/enforced": "true"})
    release = Release(helm, TRIAL, TRIAL)
    release.install({"profile": PROFILE, "webhook": {"enforced": {"enabled": True}}})
    eventually(lambda: all(map(all, map(release.bundles, (MUTATING, VALIDATING)))), "the bundles")
    return release


def run(release: Release, command: str, *flags: str) -> Object:
    """Run a command as an administrator; its JSON, with the exit status."""
    out, err = io.StringIO(), io.StringIO()
    kubeconfig = f"--kubeconfig={release.helm.cluster.plane.kubeconfig}"
    with redirect_stdout(out), redirect_stderr(err):
        status = main([command, kubeconfig, "--output=json", *FLAGS, *flags])
    assert not err.getvalue()
    told: Object = json.loads(out.getvalue())
    assert told["status"] == status
    return told


def doctor(release: Release) -> dict[str, Object]:
    """Give what is not well, by what it is about."""
    rows = run(release, "doctor")["rows"]
    return {row["what"]: row for row in rows if row["severity"] not in ("ok", "note")}


def apply(release: Release, command: str) -> None:
    """Do what a remedy says, where the chart is."""
    plane = release.helm.cluster.plane
    environment = helm_environment(release.helm.folder, plane.programs, plane.kubeconfig)
    done = subprocess.run(
        ["sh", "-c", command],
        env=environment,
        cwd=EXAMPLES.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, (command, done.stdout, done.stderr)


def test_all_of_it_is_named_after_the_service(release: Release) -> None:
    """Nothing is unknown, and each thing is the release's own; both entries are looked at."""
    eventually(lambda: not doctor(release), "a release that is well")
    told = run(release, "doctor", "--strict")
    named = [row["what"] for row in told["rows"] if row["severity"] == "ok"]
    servers = [each for each in named if each.startswith("server ")]
    assert len(servers) == 2
    assert [each for each in named if each not in servers] == [
        "API server",
        f"Deployment {TRIAL}/{NAME}-certs",
        f"Service {TRIAL}/{NAME}",
        f"{MUTATING} {NAME} pods.vci-webhook.io",
        f"{MUTATING} {NAME} enforced.vci-webhook.io",
        f"{VALIDATING} {NAME}",
        f"Secret {TRIAL}/{NAME}-ca",
        f"Secret {TRIAL}/{NAME}-tls",
        "profile kube-system/vci-profile",
        "rules",
    ]
    (judged,) = run(release, "check", "--cluster")["files"]
    assert judged["problems"] == []
    rules = judged["cluster"]["rules"]
    assert [(r["name"], r["namespaces"], r["called"]) for r in rules] == [
        ("labelled", 1, 1),
        ("film", 1, 1),
    ]


def test_whoever_looks_in_the_wrong_namespace_is_sent_to_the_right_one(release: Release) -> None:
    """The configuration tells where the Service is; nothing is to be changed."""
    rows = run(release, "doctor", "--own-namespace=placed")["rows"]
    wrong = [row for row in rows if row["severity"] == "error" and row["command"]]
    look = f"vci-webhook doctor --own-namespace {TRIAL} --service-name {NAME}"
    assert {row["command"] for row in wrong if "Secret" not in row["what"]} == {look}


def test_what_is_missing_comes_back_by_helm(release: Release) -> None:
    """The command is for this release; the certs program then writes the bundle."""
    admin = release.admin
    for kind, what in ((MUTATING, f"{MUTATING} {NAME}"), ("Service", f"Service {TRIAL}/{NAME}")):
        admin.delete(kind, NAME, TRIAL if kind == "Service" else "")
        row = doctor(release)[what]
        assert row["finding"].startswith("does not exist")
        apply(release, row["command"])
        eventually(lambda: not doctor(release), f"{kind} again")


def test_the_pods_are_found_by_the_labels_of_the_chart(release: Release) -> None:
    """The command for Pods that are not ready has the selector of the release's Service."""
    scale = f"kubectl scale deployment {NAME} --namespace {TRIAL} --replicas"
    apply(release, f"{scale} 0")
    what = f"Service {TRIAL}/{NAME}"
    row = eventually(lambda: doctor(release).get(what), "no endpoint")
    assert row["command"] == (
        f"kubectl describe pods --namespace {TRIAL} --selector "
        f"app.kubernetes.io/component=webhook,app.kubernetes.io/instance={TRIAL},"
        "app.kubernetes.io/name=vci-webhook"
    )
    apply(release, f"{scale} 2")
    eventually(lambda: not doctor(release), "endpoints again")


def test_a_rule_that_no_entry_calls_for(release: Release) -> None:
    """Without the label of the second entry, the command gives the namespace that of the first."""
    apply(release, "kubectl label namespace filmed vci-webhook/enforced-")
    what = "rule film, selectors[1]"
    row = eventually(lambda: doctor(release).get(what), "the rule")
    assert row["command"] == "kubectl label namespace filmed vci=true"
    (judged,) = run(release, "check", "--cluster")["files"]
    (problem,) = judged["problems"]
    assert problem["message"].endswith(row["command"])
    apply(release, row["command"])
    assert not doctor(release)
