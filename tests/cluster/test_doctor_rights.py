"""``vci-webhook doctor`` with the rights of a Pod that tests an installation: no Secrets."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster.client import Object
from tests.cluster.control_plane import Cluster
from tests.cluster.doctored import ADDRESS, MUTATING, NAME, VALIDATING, Doctored, doctored
from tests.cluster.needs import need_namespaces
from tests.cluster.process import eventually

TESTER = "vci-webhook-tester"
RIGHTS: dict[str, list[Object]] = {  # by namespace; of the cluster as a whole without one
    "": [
        {
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
            "resourceNames": [NAME],
            "verbs": ["get"],
        },
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]},
    ],
    NAME: [
        {"apiGroups": [""], "resources": ["services"], "resourceNames": [NAME], "verbs": ["get"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]},
    ],
    "kube-system": [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": ["vci-profile"],
            "verbs": ["get"],
        }
    ],
}


def roles() -> Iterator[Object]:
    """Make the roles, and bind them to the tester."""
    for namespace, rules in RIGHTS.items():
        prefix = "" if namespace else "Cluster"
        metadata = {"name": TESTER, **({"namespace": namespace} if namespace else {})}
        kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}
        group = "rbac.authorization.k8s.io"
        yield {**kind, "kind": f"{prefix}Role", "rules": rules}
        yield {
            **kind,
            "kind": f"{prefix}RoleBinding",
            "roleRef": {"apiGroup": group, "kind": f"{prefix}Role", "name": TESTER},
            "subjects": [{"apiGroup": group, "kind": "Group", "name": TESTER}],
        }


@pytest.fixture(scope="module")
def sick(session_cluster: Cluster) -> Iterator[Doctored]:
    """A cluster to be broken, and a tester."""
    need_namespaces()
    with doctored(session_cluster) as made:
        for role in roles():
            made.cluster.admin.apply(role)
        made.plane.write_kubeconfig("tester", "tester", TESTER)
        yield made
        for role in roles():
            metadata = role["metadata"]
            made.cluster.admin.delete(role["kind"], metadata["name"], metadata.get("namespace", ""))


@pytest.fixture
def patient(sick: Doctored) -> Iterator[Doctored]:
    """A cluster that is well, and that a test leaves well again."""
    eventually(lambda: judge(sick)[0] == 0, "a cluster that is well", 10)
    yield sick
    eventually(lambda: judge(sick)[0] == 0, "a cluster that is well again", 10)


def judge(patient: Doctored, severity: str = "error") -> tuple[int, dict[str, str]]:
    """Give the exit status, and what is said with this severity."""
    done = patient.doctor("--output=json", "--certificates=self", user="tester")
    assert done.stderr == ""
    rows = json.loads(done.stdout)["rows"]
    return done.returncode, {r["what"]: r["finding"] for r in rows if r["severity"] == severity}


def test_what_it_may_not_read_is_not_known_and_all_else_is_well(patient: Doctored) -> None:
    """Status 0: each replica presents what both bundles vouch for, and the rules can act."""
    done = patient.doctor("--certificates=self", user="tester")
    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1] == "nothing is wrong, 3 not known, 7 ok"
    assert [line.split(": ")[1] for line in lines if line.startswith("unknown: ")] == [
        f"Deployment {NAME}/{NAME}-certs",
        f"Secret {NAME}/{NAME}-ca",
        f"Secret {NAME}/{NAME}-tls",
    ]
    assert f"ok: server {ADDRESS}:{patient.port}: presents certificate" in done.stdout
    assert "ok: rules: each can act" in done.stdout


@pytest.mark.parametrize("kind", [MUTATING, VALIDATING])
def test_a_replica_that_is_not_trusted(patient: Doctored, kind: str) -> None:
    """The bundle does not vouch for what it presents: status 1."""
    bundle = patient.bundle(kind)
    patient.change_bundle(kind, patient.plane.authority.certificate.read_bytes())
    status, wrong = judge(patient)
    patient.change_bundle(kind, bundle)
    assert status == 1
    assert f"of server {ADDRESS}:{patient.port}: its issuer is" in wrong[f"{kind} {NAME}"]


def test_nobody_who_answers(patient: Doctored) -> None:
    """No ready endpoint: status 1."""
    patient.set_ready(ready=False)
    status, wrong = judge(patient)
    patient.set_ready(ready=True)
    assert (status, list(wrong)) == (1, [f"Service {NAME}/{NAME}"])


def test_nobody_who_asks(patient: Doctored) -> None:
    """No mutating configuration: status 1."""
    bundle = patient.bundle(MUTATING)
    patient.cluster.admin.delete(MUTATING, NAME)
    status, wrong = judge(patient)
    patient.configure(MUTATING)
    patient.change_bundle(MUTATING, bundle)
    assert (status, list(wrong)) == (1, [f"{MUTATING} {NAME}"])
