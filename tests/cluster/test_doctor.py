"""``vci-webhook doctor`` on a real API server: each thing broken, seen, and repaired as it says."""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.cluster.client import Object, read_manifests
from tests.cluster.control_plane import EXAMPLES, Cluster
from tests.cluster.doctored import ADDRESS, LABELLED, MUTATING, NAME, VALIDATING, Doctored, doctored
from tests.cluster.needs import need_namespaces
from tests.cluster.process import eventually

ENSURE = "python -m certs ensure"
SECRET = "Secret vci-webhook/vci-webhook-tls"  # noqa: S105 - a name
SERVICE = "Service vci-webhook/vci-webhook"
ISSUED = "cert-manager.io/certificate-name"
HOST = "vci-webhook.vci-webhook.svc"


@pytest.fixture(scope="module")
def sick(session_cluster: Cluster) -> Iterator[Doctored]:
    """A cluster to be broken; without a network of its own no server has an address."""
    need_namespaces()
    with doctored(session_cluster) as made:
        yield made


@pytest.fixture
def patient(sick: Doctored) -> Iterator[Doctored]:
    """A cluster that is well, and that a test leaves well again."""
    yield sick
    assert sick.server is not None
    assert sick.server.poll() is None
    assert sick.is_well(), sick.doctor(f"--tls-dir={sick.tls_dir}").stdout


def sign(patient: Doctored, host: str = HOST, days: int = 30) -> dict[str, bytes]:
    """Sign a pair with the CA of the cluster, as somebody could who has read its Secret."""
    secret = patient.secret(f"{NAME}-ca")
    ca = x509.load_pem_x509_certificate(secret["tls.crt"])
    key = serialization.load_pem_private_key(secret["tls.key"], None)
    own = serialization.load_pem_private_key(patient.secret(f"{NAME}-tls")["tls.key"], None)
    end = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ca.subject)
        .public_key(own.public_key())  # type: ignore[arg-type]  # ECDSA, which it can be
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - dt.timedelta(days=40))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
    )
    signed = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]  # the same
    return {"tls_crt": signed.public_bytes(serialization.Encoding.PEM)}


def catch_up(patient: Doctored) -> None:
    """Have the server follow the Secret, as it does when the kubelet has written the volume."""
    patient.follow()
    eventually(patient.is_well, "the server with the Secret's certificate", 30)


def test_with_the_documented_rights_everything_is_known(patient: Doctored) -> None:
    """The server is found by the Service's endpoints; each thing has its row, and all are well."""
    done = patient.doctor(f"--tls-dir={patient.tls_dir}", "--strict")
    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, summary = done.stdout.splitlines()
    assert summary == "nothing is wrong, 10 ok"
    assert [line.split(": ")[:2] for line in lines] == [
        ["ok", "API server"],
        ["note", "certificates"],
        ["note", f"Deployment {NAME}/{NAME}-certs"],
        ["ok", SERVICE],
        ["ok", f"{MUTATING} {NAME}"],
        ["ok", f"{VALIDATING} {NAME}"],
        ["ok", f"Secret {NAME}/{NAME}-ca"],
        ["ok", SECRET],
        ["ok", f"mounted pair {patient.tls_dir}"],
        ["ok", f"server {ADDRESS}:{patient.port}"],
        ["ok", "profile kube-system/vci-profile"],
        ["ok", "rules"],
    ]


def rights() -> list[tuple[Object, int]]:
    """List each rule of each role that the doctor needs."""
    manifests = read_manifests(EXAMPLES / "rbac-doctor.yaml")
    named = [each for each in manifests if each["metadata"]["name"] == "vci-webhook-doctor"]
    return [(role, index) for role in named for index in range(len(role.get("rules", [])))]


@pytest.mark.parametrize(
    ("role", "index"),
    [pytest.param(r, i, id=r["rules"][i]["resources"][0] + str(i)) for r, i in rights()],
)
def test_no_right_is_more_than_needed(patient: Doctored, role: Object, index: int) -> None:
    """Without any one of them something is not known, and the table says which right it is."""
    (taken,) = role["rules"][index : index + 1]
    less = [rule for rule in role["rules"] if rule != taken]
    admin = patient.cluster.admin

    def unknown() -> list[str]:
        return [row["remedy"] for row in patient.rows() if row["severity"] == "unknown"]

    admin.apply({**role, "rules": less})
    try:
        told = eventually(unknown, "a right that is missing", 10)
    finally:
        admin.apply(role)
    what = taken["verbs"][0], taken["resources"][0], taken.get("resourceNames", [""])[0]
    assert any(" ".join(what).strip() in each for each in told), told
    eventually(lambda: not unknown(), "the rights again", 10)


def test_without_any_right_it_is_no_crash(patient: Doctored) -> None:
    """All that a person without rights learns is what is presented, and what is missing."""
    patient.plane.write_kubeconfig("nobody", "nobody")
    done = patient.doctor(f"--server={ADDRESS}:{patient.port}", user="nobody")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("unknown: ") == 8
    assert f"ok: server {ADDRESS}:{patient.port}: presents certificate" in done.stdout


def test_check_works_with_the_documented_rights(patient: Doctored) -> None:
    """Nothing is left out for want of rights; and the webhook's own namespace is a flag."""
    check = ("python", "-m", "webhook", "check", "--cluster", "--output=json")

    def namespaces(*flags: str) -> int:
        done = patient.run("operator", *check, *flags)
        (judged,) = json.loads(done.stdout)["files"]
        assert (done.returncode, judged["cluster"]["notes"]) == (0, [])
        return int(judged["cluster"]["rules"][0]["namespaces"])

    # Those of other tests may be on their way out, so it is ours that makes the difference.
    eventually(
        lambda: namespaces() - namespaces("--own-namespace", LABELLED) == 1, "one namespace less"
    )


def test_check_need_not_list_configurations_when_it_is_told_the_name(patient: Doctored) -> None:
    """To read the one takes less of a right than to look for it."""
    admin = patient.cluster.admin
    manifests = read_manifests(EXAMPLES / "rbac-doctor.yaml")
    role = next(m for m in manifests if m["metadata"]["name"] == "vci-webhook-check")
    less = [r for r in role["rules"] if "mutatingwebhookconfigurations" not in r["resources"]]
    check = ("python", "-m", "webhook", "check", "--cluster", "--output=json")

    def notes(*flags: str) -> list[str]:
        done = patient.run("operator", *check, *flags)
        (judged,) = json.loads(done.stdout)["files"]
        found: list[str] = judged["cluster"]["notes"]
        return found

    admin.apply({**role, "rules": less})
    try:
        (note,) = eventually(notes, "a right that is missing", 20)
        assert note.startswith(
            "not judged: whether the webhook is called for what rules match: 403"
        )
        assert notes(f"--service-name={NAME}") == []
    finally:
        admin.apply(role)
    eventually(lambda: not notes(), "the rights again", 20)


@pytest.mark.parametrize("kind", [MUTATING, VALIDATING])
def test_an_emptied_bundle(patient: Doctored, kind: str) -> None:
    """The command writes it again."""
    patient.change_bundle(kind, b"")
    row = patient.wrong()[f"{kind} {NAME}"]
    assert row["finding"] == "its caBundle is empty, so only public CAs are trusted"
    assert row["command"] == ENSURE
    patient.apply(row["command"])
    assert patient.is_well()


def test_a_foreign_authority(patient: Doctored) -> None:
    """It vouches for none of the certificates there are, which are named."""
    patient.change_bundle(MUTATING, patient.plane.authority.certificate.read_bytes())
    (row,) = patient.wrong().values()
    for place in (SECRET, f"mounted pair {patient.tls_dir}", f"server {ADDRESS}:{patient.port}"):
        assert place in row["finding"]
    assert 'and the bundle has "control-plane"' in row["finding"]
    patient.apply(row["command"])
    assert patient.is_well()


def test_rubbish_in_the_secret_and_then_an_old_certificate_presented(patient: Doctored) -> None:
    """A new pair repairs the Secret; until volume and server follow, each is told to be behind."""
    patient.change_secret(f"{NAME}-tls", tls_crt=b"rubbish", tls_key=b"rubbish")
    (row,) = patient.wrong().values()
    assert (row["what"], row["finding"]) == (SECRET, "its tls.crt is not PEM certificates")
    patient.apply(row["command"])
    behind = patient.wrong()
    assert set(behind) == {
        f"mounted pair {patient.tls_dir}",
        f"server {ADDRESS}:{patient.port}",
    }
    for row in behind.values():
        assert row["finding"].startswith("has another certificate (")
        assert (
            row["command"]
            == "kubectl rollout restart deployment vci-webhook --namespace vci-webhook"
        )
        assert row["remedy"].startswith("the kubelet and the server take two minutes at most")
    catch_up(patient)


def test_a_secret_that_is_gone(patient: Doctored) -> None:
    """The certs program makes another."""
    patient.cluster.admin.delete("Secret", f"{NAME}-tls", NAME)
    row = patient.wrong()[SECRET]
    assert row["finding"] == "does not exist"
    patient.apply(row["command"])
    catch_up(patient)


def test_an_expired_certificate(patient: Doctored) -> None:
    """It is of the right CA and for the right name, and of no use."""
    patient.change_secret(f"{NAME}-tls", **sign(patient, days=-1))
    row = patient.wrong()[SECRET]
    assert "expired at " in row["finding"]
    patient.apply(row["command"])
    catch_up(patient)


def test_a_certificate_for_another_name(patient: Doctored) -> None:
    """The API server calls the Service by a name that it does not have."""
    patient.change_secret(f"{NAME}-tls", **sign(patient, host="other.vci-webhook.svc"))
    row = patient.wrong()[SECRET]
    assert row["finding"] == (
        f'is not for "{HOST}", by which the API server calls, but for "other.vci-webhook.svc"'
    )
    patient.apply(row["command"])
    catch_up(patient)


def test_no_ready_endpoint(patient: Doctored) -> None:
    """The command shows the Pods that should be ready; here there are none to see."""
    patient.set_ready(ready=False)
    (row,) = patient.wrong().values()
    assert (row["what"], row["severity"]) == (SERVICE, "error")
    assert row["finding"].startswith("has no ready endpoint (1 not ready)")
    patient.apply(row["command"])
    patient.set_ready(ready=True)


def test_a_server_that_is_not_there(patient: Doctored) -> None:
    """Who names a server is told that it does not answer, and how to reach one."""
    done = patient.doctor("--server=127.0.0.1:1")
    assert done.returncode == 1
    assert "error: server 127.0.0.1:1: shows no certificate: [Errno 111]" in done.stdout
    assert (
        "kubectl port-forward --namespace vci-webhook service/vci-webhook 8443:443" in done.stdout
    )


def test_a_configuration_that_is_gone(patient: Doctored) -> None:
    """Installed again it has no bundle, and the next row says what to do about that."""
    patient.cluster.admin.delete(MUTATING, NAME)
    row = patient.wrong()[f"{MUTATING} {NAME}"]
    assert row["finding"] == "does not exist, so no Pod is placed"
    patient.configure(MUTATING)
    row = patient.wrong()[f"{MUTATING} {NAME}"]
    patient.apply(row["command"])
    patient.cluster.admin.delete(VALIDATING, NAME)
    row = patient.wrong()[f"{VALIDATING} {NAME}"]
    assert row["severity"] == "warning"
    patient.configure(VALIDATING)
    patient.apply(patient.wrong()[f"{VALIDATING} {NAME}"]["command"])


def test_a_configuration_that_calls_somebody_else(patient: Doctored) -> None:
    """The command has it call the Service again, and leaves the rest of it alone."""
    found = patient.cluster.admin.get(MUTATING, NAME)
    found["webhooks"][0]["clientConfig"]["service"].update(name="other", path="/other")
    patient.cluster.admin.patch(MUTATING, NAME, "", {"webhooks": found["webhooks"]})
    row = patient.wrong()[f"{MUTATING} {NAME}"]
    assert row["finding"] == f"calls other.vci-webhook.svc, not our Service {HOST}"
    patient.apply(row["command"])


def test_no_namespace_is_called_for(patient: Doctored) -> None:
    """The command labels one; the rule says the same of itself."""
    patient.apply("kubectl label namespace doctored vci-")
    rows = patient.wrong()
    assert "matches none of" in rows[f"{MUTATING} {NAME}"]["finding"]
    assert rows[f"{MUTATING} {NAME}"]["command"] == "kubectl label namespace NAME vci=true"
    patient.apply("kubectl label namespace doctored vci=true")


@contextmanager
def another_rule(patient: Doctored, **rule: Any) -> Iterator[None]:
    """Have a further rule in the profile."""
    admin = patient.cluster.admin
    live = admin.get("ConfigMap", "vci-profile", "kube-system")["data"]
    rules = [*yaml.safe_load(live["selectors"]), {"name": "other", **rule}]
    changed = {**live, "selectors": json.dumps(rules)}
    admin.patch("ConfigMap", "vci-profile", "kube-system", {"data": changed})
    try:
        yield
    finally:
        admin.patch("ConfigMap", "vci-profile", "kube-system", {"data": live})


def test_a_rule_that_never_acts(patient: Doctored) -> None:
    """Its namespaces are never called for, until they are labelled by the command."""
    patient.apply("kubectl create namespace filmed && kubectl label namespace filmed team=film")
    selector = {"matchLabels": {"team": "film"}}
    try:
        for mode in ("active", "shadow"):
            with another_rule(patient, namespaceSelector=selector, mode=mode):
                (row,) = patient.wrong().values()
                assert row["what"] == "rule other, selectors[1]"
                verb = "looks" if mode == "shadow" else "acts"
                assert row["finding"].startswith(f"never {verb}: {MUTATING}")
                assert 'does not call for "filmed", the only namespace' in row["finding"]
                assert row["command"] == "kubectl label namespace filmed vci=true"
                patient.apply(row["command"])
                assert patient.wrong() == {}
            patient.apply("kubectl label namespace filmed vci-")
    finally:
        patient.cluster.admin.delete("Namespace", "filmed")


def test_a_rule_that_can_never_act(patient: Doctored) -> None:
    """It demands another value of the label by which the configuration selects."""
    with another_rule(patient, namespaceSelector={"matchLabels": {"vci": "false"}}):
        (row,) = patient.wrong().values()
    assert row["finding"].startswith(f"can never act: {MUTATING}")
    assert row["finding"].endswith('no object meets the conditions of both on "vci"')


def test_certificates_that_a_person_brings(patient: Doctored) -> None:
    """Without the CA's Secret the commands are kubectl's, and they lead to where all is well."""
    patient.cluster.admin.delete("Secret", f"{NAME}-ca", NAME)
    patient.change_bundle(MUTATING, b"")
    row = patient.wrong()[f"{MUTATING} {NAME}"]
    assert row["command"].startswith("kubectl patch mutatingwebhookconfiguration vci-webhook")
    patient.apply(row["command"])
    assert patient.is_well()
    patient.change_secret(f"{NAME}-tls", tls_key=b"rubbish")
    row = patient.wrong()[SECRET]
    assert f"python -m certs issue --dir . --dns {HOST}" in row["remedy"]
    patient.apply(f"python -m certs issue --dir . --dns {HOST}")
    patient.apply(row["command"])
    patient.follow()
    for kind in (MUTATING, VALIDATING):
        patient.apply(patient.wrong()[f"{kind} {NAME}"]["command"])
    eventually(patient.is_well, "the new pair in all places", 30)
    told = [row for row in patient.rows() if row["what"] == "certificates"]
    assert told[0]["finding"].startswith("provided: there is no Secret vci-webhook-ca")
    patient.issue_anew()
    catch_up(patient)


def test_certificates_of_cert_manager(patient: Doctored) -> None:
    """The annotation is the sign of it, and where it is missing the command sets it."""
    patient.apply(f"kubectl annotate secret {NAME}-tls --namespace {NAME} {ISSUED}=serving")
    patient.change_bundle(MUTATING, b"")
    row = patient.wrong()[f"{MUTATING} {NAME}"]
    patient.apply(row["command"])
    found = patient.cluster.admin.get(MUTATING, NAME)["metadata"]["annotations"]
    assert found["cert-manager.io/inject-ca-from"] == "vci-webhook/serving"
    row = patient.wrong()[f"{MUTATING} {NAME}"]
    assert row["command"].startswith("kubectl logs deployment/cert-manager-cainjector")
    patient.apply(f"kubectl annotate secret {NAME}-tls --namespace {NAME} {ISSUED}-")
    patient.apply(
        f"kubectl annotate mutatingwebhookconfiguration {NAME} cert-manager.io/inject-ca-from-"
    )
    patient.apply(ENSURE)
    assert patient.is_well()
