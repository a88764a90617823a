"""The certificate program against a real API server, with exactly the rights of the example."""

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree

import pytest
from cryptography import x509

from tests.cluster import binaries, pki
from tests.cluster.certifying import (
    ACCOUNT,
    CA_SECRET,
    MORTAL,
    MUTATING,
    NAME,
    OLD,
    SERVING_SECRET,
    SHORT,
    USER,
    VALIDATING,
    YOUNG,
    Certifying,
    Program,
    configurations,
    grant_rights,
    verifies,
    write_kubeconfig,
)
from tests.cluster.client import ApiError, Object, object_path
from tests.cluster.control_plane import ControlPlane, is_ready, start_api_server
from tests.cluster.process import eventually, stop
from tests.cluster.test_clock import clock, faked

__all__ = ["clock"]  # a fixture

AUDITED: Object = {"level": "Metadata", "users": [USER]}
HEALED_SECONDS = 10
UNFINISHED = 3  # exit status
FIRST_STEPS = 5  # a CA, two bundles, a note, a certificate


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    """What runs for all tests of this file."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def place(
    session_cluster: object, tmp_path_factory: pytest.TempPathFactory, stack: ExitStack
) -> Iterator[Certifying]:
    """An API server, and an account with rights."""
    assert session_cluster  # which skips or fails where there are no programs
    folder = tmp_path_factory.mktemp("certs") / "run"
    (folder / "logs").mkdir(parents=True)
    plane = ControlPlane(folder, binaries.locate(), pki.Authority(folder))
    admin = plane.client(plane.write_kubeconfig("admin", "admin", "system:masters"))
    start_api_server(plane, admin, stack, AUDITED)
    grant_rights(admin)
    yield Certifying(plane, admin, folder, write_kubeconfig(plane, admin, folder))
    stack.close()
    rmtree(folder / "etcd")


@pytest.fixture
def fresh(place: Certifying) -> Certifying:
    """Nothing but configurations without a bundle."""
    place.install()
    return place


@pytest.fixture
def installed(fresh: Certifying) -> Certifying:
    """All is well."""
    assert fresh.ensure().returncode == 0
    return fresh


def certificates(content: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(content)


def test_a_first_install_is_good_at_once(fresh: Certifying) -> None:
    """One pass makes CA, bundles and certificate, without waiting for anything, and says so."""
    done = fresh.ensure()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.rstrip().endswith("all is well")
    assert fresh.is_sound()
    assert fresh.admin.get("Secret", SERVING_SECRET, NAME)["type"] == "kubernetes.io/tls"
    (leaf,) = certificates(fresh.secret(SERVING_SECRET)["tls.crt"])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    service = f"{NAME}.{NAME}"
    expected = {NAME, service, f"{service}.svc", f"{service}.svc.cluster.local"}
    assert set(names.get_values_for_type(x509.DNSName)) == expected


def test_a_second_pass_writes_nothing(installed: Certifying) -> None:
    """When all is well nothing is written, and both commands say so."""
    before = installed.versions()
    for flags in ((), ("--dry-run",)):
        done = installed.ensure(*flags)
        assert done.returncode == 0
        assert done.stdout.rstrip().endswith("all is well, nothing to do")
    assert installed.versions() == before


def test_a_dry_run_tells_and_writes_nothing(fresh: Certifying) -> None:
    """It shows each step with its reason, and ends with a status of its own."""
    before = fresh.versions()
    done = fresh.ensure("--dry-run")
    assert done.returncode == UNFINISHED
    for told in (
        "issue a CA",
        "there is no CA Secret",
        "sign a certificate",
        "nothing was written",
    ):
        assert told in done.stdout
    assert fresh.versions() == before
    assert fresh.secret(CA_SECRET) == {}


def test_a_configuration_may_come_later(fresh: Certifying) -> None:
    """What does not exist is said and is no failure; once it exists it gets the bundle."""
    fresh.admin.delete(VALIDATING, NAME)
    done = fresh.ensure()
    assert done.returncode == 0
    assert f"{VALIDATING}/{NAME}: there is none; once there is, it gets its bundle" in done.stdout
    fresh.admin.create(configurations()[1])
    assert fresh.ensure().returncode == 0
    assert len(fresh.bundles()) == 2
    assert fresh.is_sound()


def test_a_first_install_may_be_killed_after_every_step(fresh: Certifying) -> None:
    """A program that dies after each write is well after as many lives as there are steps."""
    lives = 0
    while (done := fresh.ensure(command=MORTAL)).returncode != 0:
        assert done.returncode == -signal.SIGKILL, done.stderr
        lives += 1
    assert lives == FIRST_STEPS
    assert fresh.is_sound()


def test_a_rotation_may_be_killed_after_every_step(fresh: Certifying) -> None:
    """Until the old CA is gone, each life sees to one write, and every bundle verifies the leaf."""
    assert fresh.ensure(*SHORT, *OLD).returncode == 0
    (old,) = certificates(fresh.bundles()[0])
    states = set()

    def is_over() -> bool:
        done = fresh.ensure(*SHORT, *YOUNG, command=MORTAL)
        assert done.returncode in (0, UNFINISHED, -signal.SIGKILL), done.stdout + done.stderr
        assert fresh.is_sound()
        bundle = certificates(fresh.bundles()[0])
        states.add((old in bundle, len(bundle)))
        return old not in bundle

    eventually(is_over, "the end of the old CA", 60)
    assert (True, 2) in states


def test_any_number_may_install_at_once(place: Certifying) -> None:
    """Of several programs that begin together one issues the CA, and all of them end well."""
    for _ in range(5):
        place.install()
        with ThreadPoolExecutor(4) as threads:
            done = [each.result() for each in [threads.submit(place.ensure) for _ in range(4)]]
        assert [each.returncode for each in done] == [0] * 4, [each.stdout for each in done]
        assert len(certificates(place.bundles()[0])) == 1
        assert place.is_sound()


@pytest.fixture
def program(installed: Certifying) -> Iterator[Program]:
    """A program that runs, after it found that all is well."""
    with installed.running() as program:
        eventually(lambda: program.get("/readyz")[0] == 200, "the first pass", 10)
        yield program
    assert "traceback" not in program.log.read_text("utf-8").lower()
    assert "PRIVATE KEY" not in program.log.read_text("utf-8")


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("kind", [MUTATING, VALIDATING])
@pytest.mark.parametrize("content", [b"", b"rubbish"])
def test_a_bundle_is_restored(installed: Certifying, kind: str, content: bytes) -> None:
    """Emptied or overwritten, it is as it was within seconds, and nothing else is written."""
    wanted, secret = installed.bundles(), installed.secret(SERVING_SECRET)
    installed.set_bundle(kind, content)
    eventually(lambda: installed.bundles() == wanted, "the bundle", HEALED_SECONDS)
    assert installed.secret(SERVING_SECRET) == secret


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("damage", ["deleted", "rubbish", "immutable", "another type"])
def test_a_serving_secret_is_restored(installed: Certifying, damage: str) -> None:
    """Whatever becomes of it, there is a good one within seconds, signed by the same CA."""
    wanted = installed.bundles()
    spoil(installed, SERVING_SECRET, damage)
    eventually(lambda: is_restored(installed), "the serving certificate", HEALED_SECONDS)
    assert installed.bundles() == wanted


def is_restored(place: Certifying) -> bool:
    secret = place.admin.find("Secret", SERVING_SECRET, NAME)
    return (
        secret is not None
        and secret["type"] == "kubernetes.io/tls"
        and not secret.get("immutable")
        and "tls.crt" in place.secret(SERVING_SECRET)
        and place.secret(SERVING_SECRET)["tls.crt"].startswith(b"-----BEGIN")
        and place.is_sound()
    )


def spoil(place: Certifying, name: str, damage: str) -> None:
    """Do to a Secret what people do."""
    if damage != "rubbish":
        place.admin.delete("Secret", name, NAME)
    if damage == "rubbish":
        place.overwrite(name, **dict.fromkeys(("tls.crt", "tls.key", "ca.crt"), b"rubbish"))
    elif damage != "deleted":
        data = {"tls.crt": "", "tls.key": ""}
        kind = "Opaque" if damage == "another type" else "kubernetes.io/tls"
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind}
        with suppress(ApiError):  # the program was faster, and made a good one
            place.admin.create({**secret, "data": data, "immutable": damage == "immutable"}, NAME)


@pytest.mark.parametrize("damage", ["deleted", "rubbish"])
def test_a_ca_secret_is_replaced_without_haste(fresh: Certifying, damage: str) -> None:
    """The CA in use stays in the bundle without its key, and a new one signs after the wait."""
    assert fresh.ensure(*SHORT, *YOUNG).returncode == 0
    leaf = fresh.secret(SERVING_SECRET)["tls.crt"]
    (old,) = certificates(fresh.bundles()[0])
    with fresh.running(*SHORT, *YOUNG, "--interval", "1s") as program:
        spoil(fresh, CA_SECRET, damage)
        eventually(lambda: len(certificates(fresh.bundles()[0])) == 2, "both CAs", HEALED_SECONDS)
        published = time.monotonic()
        assert fresh.is_sound()
        eventually(lambda: fresh.secret(SERVING_SECRET)["tls.crt"] != leaf, "a new leaf", 10)
        assert time.monotonic() - published > 1.5
        assert fresh.is_sound()
        eventually(lambda: old not in certificates(fresh.bundles()[0]), "its end", 30)
        assert fresh.is_sound()
    assert "let the new CA sign" in program.messages()


def test_an_old_ca_can_be_dropped_by_hand(installed: Certifying) -> None:
    """With the two commands that docs/certificates.md gives, once nothing depends on it."""
    kubectl = installed.plane.kubectl
    (old,) = certificates(installed.bundles()[0])
    kubectl("--namespace", NAME, "delete", "secret", CA_SECRET)
    assert installed.ensure("--publish-wait", "1s").returncode == UNFINISHED
    eventually(lambda: installed.ensure("--publish-wait", "1s").returncode == 0, "the new CA", 10)
    assert old in certificates(installed.bundles()[0])
    path = "jsonpath={.metadata.annotations.vci-webhook/kept-until}"
    kept = json.loads(kubectl("--namespace", NAME, "get", "secret", CA_SECRET, "-o", path))
    past = json.dumps(dict.fromkeys(kept, "2020-01-01T00:00:00Z"))
    annotation = f"vci-webhook/kept-until={past}"
    kubectl("--namespace", NAME, "annotate", "--overwrite", "secret", CA_SECRET, annotation)
    assert installed.ensure().returncode == 0
    assert old not in certificates(installed.bundles()[0])
    assert installed.is_sound()


def test_it_stops_when_asked(installed: Certifying) -> None:
    """SIGTERM ends it within a second or so, in order, also while it watches."""
    with installed.running() as program:
        eventually(lambda: "all is well" in program.messages(), "the first pass", 10)
        started = time.monotonic()
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(5) == 0
        assert time.monotonic() - started < 2
    assert program.messages() == ["started", "all is well", "stopped"]


def test_it_tells_what_it_does(fresh: Certifying) -> None:
    """One line a step with its reason, and metrics of both certificates."""
    with fresh.running() as program:
        eventually(lambda: "all is well" in program.messages(), "the first pass", 10)
        steps = [each for each in program.records() if "why" in each]
        assert [each["message"] for each in steps].count("publish the bundle") == 2
        assert len(steps) == FIRST_STEPS
        month, years = 30 * 86400, 730 * 86400
        assert month - 60 < program.metric('expiry_seconds{certificate="serving"}') <= month
        assert years - 60 < program.metric('expiry_seconds{certificate="ca"}') <= years
        renewed = program.metric('last_renewal_timestamp_seconds{certificate="serving"}')
        assert time.time() - 60 < renewed <= time.time()
        assert program.metric('steps_total{step="sign"}') == 1
        assert program.metric("good") == 1
        assert program.metric("last_error_timestamp_seconds") == 0
        assert program.get("/nothing")[0] == 404


def test_an_api_server_that_is_away_is_waited_for(
    installed: Certifying, program: Program, stack: ExitStack
) -> None:
    """It says what is wrong, is not ready and alive, and is well again after its return."""
    stop(installed.plane.processes["kube-apiserver"], signal.SIGKILL)
    eventually(lambda: program.get("/readyz")[0] == 503, "the failure", 40)
    assert "GET /api/v1/namespaces/" in program.get("/readyz")[1]
    assert program.get("/healthz")[0] == 200
    assert program.metric("errors_total") >= 1
    installed.plane.start_again(stack, "kube-apiserver")
    eventually(lambda: is_ready(installed.admin), "the API server", 60)
    eventually(lambda: program.get("/readyz")[0] == 200, "the next pass", 40)


def test_what_it_may_not_do_is_said(installed: Certifying) -> None:
    """Without the right to write one configuration everything else goes on, and the exit tells."""
    wanted = installed.bundles()
    with without(installed, "ClusterRole", "patch", "mutatingwebhookconfigurations"):
        for kind in (MUTATING, VALIDATING):
            installed.set_bundle(kind, b"")
        spoil(installed, SERVING_SECRET, "deleted")
        done = installed.ensure()
        assert done.returncode == 1
        assert 'cannot patch resource "mutatingwebhookconfigurations"' in done.stdout
        assert installed.bundles() == [b"", wanted[1]]
        assert verifies(wanted[1], installed.secret(SERVING_SECRET)["tls.crt"])


@pytest.mark.parametrize(
    ("role", "resource", "verb"),
    [
        *(("Role", "secrets", verb) for verb in ("get", "watch", "create", "patch", "delete")),
        *(("ClusterRole", "mutatingwebhookconfigurations", v) for v in ("get", "watch", "patch")),
        *(("ClusterRole", "validatingwebhookconfigurations", v) for v in ("get", "watch", "patch")),
    ],
)
def test_it_needs_every_right(fresh: Certifying, role: str, resource: str, verb: str) -> None:
    """Without any one of them something is refused; so the role has nothing to spare."""
    spoil(fresh, SERVING_SECRET, "immutable")
    refusal = f'cannot {verb} resource "{resource}"'
    with without(fresh, role, verb, resource), fresh.running() as program:
        eventually(lambda: refusal in program.problems(), "the refusal", 10)


@contextmanager
def without(place: Certifying, kind: str, verb: str, resource: str) -> Iterator[None]:
    """Take one right away, for the length of the block."""
    namespace = NAME if kind == "Role" else ""
    role = place.admin.get(kind, ACCOUNT, namespace)
    path = object_path(kind, namespace, ACCOUNT)
    left = []
    for rule in role["rules"]:
        others = [each for each in rule["resources"] if each != resource]
        left += [{**rule, "resources": others}] if others else []
        verbs = [each for each in rule["verbs"] if each != verb]
        left += [{**rule, "resources": [resource], "verbs": verbs}]
    assert any(rule["verbs"] != role["rules"][0]["verbs"] for rule in left)
    place.admin.send("PUT", path, json.dumps({**role, "rules": left}).encode())
    try:
        eventually(lambda: not place.may(verb, resource), "the end of the right", 10)
        yield
    finally:
        grant_rights(place.admin)
        eventually(lambda: place.may(verb, resource), "the return of the right", 10)


def test_it_asks_for_nothing_but_its_own_objects(installed: Certifying) -> None:
    """Every request names one of four objects, and none was refused."""
    begin = len(installed.plane.audit_log.read_text("utf-8").splitlines())
    with installed.running() as program:
        eventually(lambda: "all is well" in program.messages(), "the first pass", 10)
        spoil(installed, SERVING_SECRET, "deleted")
        eventually(lambda: is_restored(installed), "the serving certificate", HEALED_SECONDS)
    lines = installed.plane.audit_log.read_text("utf-8").splitlines()[begin:]
    events = [json.loads(line) for line in lines]
    named = {(each["objectRef"]["resource"], each["objectRef"]["name"]) for each in events}
    assert named == {
        ("secrets", CA_SECRET),
        ("secrets", SERVING_SECRET),
        ("mutatingwebhookconfigurations", NAME),
        ("validatingwebhookconfigurations", NAME),
    }
    assert {each["verb"] for each in events} == {"get", "watch", "patch"}
    assert all(each["responseStatus"]["code"] in (200, 201, 404) for each in events)


@pytest.mark.parametrize("step", ["-1h", "+1h"])
def test_a_clock_that_is_wrong_changes_nothing(fresh: Certifying, clock: Path, step: str) -> None:
    """The time is the API server's, so what is signed is valid now, and no wait is cut short."""
    clock.write_text(step, "ascii")
    environment = faked(clock)
    done = fresh.ensure(environment=environment)
    assert done.returncode == 0, done.stderr
    (leaf,) = certificates(fresh.secret(SERVING_SECRET)["tls.crt"])
    issued = leaf.not_valid_before_utc + timedelta(hours=1)
    assert abs(issued - datetime.now(UTC)) < timedelta(minutes=1)
    spoil(fresh, CA_SECRET, "deleted")
    assert fresh.ensure(environment=environment).returncode == UNFINISHED
    assert fresh.ensure().returncode == UNFINISHED
    assert fresh.is_sound()
