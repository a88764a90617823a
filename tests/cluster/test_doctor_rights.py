"""``vci-webhook doctor`` with the rights of a Pod that tests an installation: no Secrets."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chart.rendering import Chart
from tests.cluster.binaries import Binaries
from tests.cluster.client import Object
from tests.cluster.control_plane import Cluster
from tests.cluster.doctored import ADDRESS, MUTATING, NAME, VALIDATING, Doctored, doctored
from tests.cluster.needs import need_namespaces
from tests.cluster.process import eventually

Judge = Callable[[], tuple[int, dict[str, Object]]]  # the exit status, and each error
TESTER = "vci-webhook-test"


@dataclass(frozen=True, slots=True)
class Examiner:
    """The Pod that the chart has for `helm test`: its rights, and its flags."""

    roles: list[Object]
    flags: list[str]


def render(programs: Binaries, folder: Path) -> Examiner:
    """Take it from the chart; its account is played by a group that a certificate can name."""
    rendered = Chart(Path(programs["helm"]), folder).render({})
    kinds = [f"{prefix}Role{suffix}" for prefix in ("", "Cluster") for suffix in ("", "Binding")]
    roles = [
        each
        for kind in kinds
        for each in rendered.of(kind)
        if each["metadata"]["name"].startswith(TESTER)
    ]
    for role in roles:
        if "subjects" in role:
            group = {"kind": "Group", "name": TESTER, "apiGroup": "rbac.authorization.k8s.io"}
            role["subjects"] = [group]
    (container,) = rendered.get("Pod", TESTER)["spec"]["containers"]
    assert container["command"] == ["vci-webhook", "doctor"]
    return Examiner(roles, container["args"])


@pytest.fixture(scope="module")
def tester(session_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Examiner:
    """The tester."""
    return render(session_cluster.plane.programs, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def sick(session_cluster: Cluster, tester: Examiner) -> Iterator[Doctored]:
    """A cluster to be broken, in which the tester has its rights."""
    need_namespaces()
    with doctored(session_cluster) as made:
        for role in tester.roles:
            made.cluster.admin.apply(role)
        made.plane.write_kubeconfig("tester", "tester", TESTER)
        yield made
        for role in tester.roles:
            metadata = role["metadata"]
            made.cluster.admin.delete(role["kind"], metadata["name"], metadata.get("namespace", ""))


@pytest.fixture
def judge(sick: Doctored, tester: Examiner) -> Iterator[Judge]:
    """Run it; the cluster is well before and after."""

    def run() -> tuple[int, dict[str, Object]]:
        done = sick.doctor(*tester.flags, "--output=json", user="tester")
        assert done.stderr == ""
        rows = json.loads(done.stdout)["rows"]
        return done.returncode, {row["what"]: row for row in rows if row["severity"] == "error"}

    eventually(lambda: run()[0] == 0, "a cluster that is well", 10)
    yield run
    eventually(lambda: run()[0] == 0, "a cluster that is well again", 10)


@pytest.mark.usefixtures("judge")
def test_what_it_may_not_read_is_not_known_and_all_else_is_well(
    sick: Doctored, tester: Examiner
) -> None:
    """Status 0: each replica presents what both bundles vouch for, and the rules can act."""
    done = sick.doctor(*tester.flags, user="tester")
    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1] == "nothing is wrong, 2 not known, 7 ok"
    unknown = [line for line in lines if line.startswith("unknown: ")]
    for line, secret in zip(unknown, (f"{NAME}-ca", f"{NAME}-tls"), strict=True):
        assert line.startswith(f"unknown: Secret {NAME}/{secret}: may not be read; needs the right")
    assert f"ok: server {ADDRESS}:{sick.port}: presents certificate" in done.stdout
    assert "ok: rules: each can act: " in done.stdout


@pytest.mark.parametrize("kind", [MUTATING, VALIDATING])
def test_a_replica_that_is_not_trusted(sick: Doctored, judge: Judge, kind: str) -> None:
    """The bundle does not vouch for what it presents: status 1."""
    bundle = sick.bundle(kind)
    sick.change_bundle(kind, sick.plane.authority.certificate.read_bytes())
    status, wrong = judge()
    sick.change_bundle(kind, bundle)
    assert status == 1
    assert f"of server {ADDRESS}:{sick.port}: its issuer is" in wrong[f"{kind} {NAME}"]["finding"]


def test_nobody_who_answers(sick: Doctored, judge: Judge) -> None:
    """No ready endpoint: status 1."""
    sick.set_ready(ready=False)
    status, wrong = judge()
    sick.set_ready(ready=True)
    assert (status, list(wrong)) == (1, [f"Service {NAME}/{NAME}"])


def test_nobody_who_asks(sick: Doctored, judge: Judge) -> None:
    """No mutating configuration: status 1; the command is Helm's, where Helm installed it."""
    bundle = sick.bundle(MUTATING)
    release = f"meta.helm.sh/release-name={NAME} meta.helm.sh/release-namespace={NAME}"
    sick.apply(f"kubectl annotate service {NAME} --namespace {NAME} {release}")
    sick.cluster.admin.delete(MUTATING, NAME)
    status, wrong = judge()
    sick.configure(MUTATING)
    sick.change_bundle(MUTATING, bundle)
    assert (status, list(wrong)) == (1, [f"{MUTATING} {NAME}"])
    assert wrong[f"{MUTATING} {NAME}"]["command"].startswith(f"helm upgrade {NAME} ")
