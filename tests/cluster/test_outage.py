"""An API server that stops, forgets, refuses: reviews go on, and the webhook catches up by itself.

These tests have an API server and an etcd of their own, which they may stop.
"""

import json
import os
import signal
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from shutil import rmtree

import pytest

from tests.cluster import binaries, pki
from tests.cluster.client import Client, Object
from tests.cluster.control_plane import ControlPlane, is_ready, start_api_server
from tests.cluster.following import (
    ACCOUNT,
    LABEL,
    SOAK,
    USER,
    Following,
    following,
    grant_rights,
    profile,
    repeated,
    request_token,
)
from tests.cluster.process import eventually, stop

CATCH_UP_SECONDS = 2.0
MANY = 10_000 if SOAK else 2_000
QUIET_SECONDS = 240
API_SERVER = "kube-apiserver"
CONFLICT = 409  # of an Event that two webhooks write: one of them is enough
AUDITED: Object = {"level": "Metadata", "users": [USER]}


@dataclass(slots=True)
class Place:
    """An API server that can be stopped, and its administrator."""

    plane: ControlPlane
    admin: Client
    stack: ExitStack

    def down(self) -> None:
        """Stop the API server as a machine stops that loses power."""
        stop(self.plane.processes[API_SERVER], signal.SIGKILL)

    def up(self) -> float:
        """Start it again; return when it was ready."""
        self.plane.start_again(self.stack, API_SERVER)
        eventually(lambda: is_ready(self.admin), "the API server", 60)
        return time.monotonic()

    def restart(self) -> float:
        """Stop it and start it again."""
        self.down()
        return self.up()

    def label(self, name: str, value: str | None) -> None:
        """Set or remove the label that the rule selects."""
        self.admin.patch("Namespace", name, "", {"metadata": {"labels": {"vci": value}}})

    def create_namespace(self, name: str, labels: dict[str, str]) -> None:
        """Create a namespace; nobody here looks after it."""
        metadata = {"name": name, "labels": labels}
        self.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def remove_namespace(self, name: str) -> None:
        """Delete a namespace, and be the controller that lets it go."""
        self.admin.delete("Namespace", name)
        path = f"/api/v1/namespaces/{name}"
        there = json.loads(self.admin.send("GET", path))
        there["spec"]["finalizers"] = []
        self.admin.send("PUT", f"{path}/finalize", json.dumps(there).encode())

    def audited(self) -> list[Object]:
        """Give what the API server noted about the webhook's own requests."""
        lines = self.plane.audit_log.read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def place(session_cluster: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An API server, with rights, a profile and two namespaces."""
    assert session_cluster  # which skips or fails where there are no programs
    folder = tmp_path_factory.mktemp("outage") / "run"
    (folder / "logs").mkdir(parents=True)
    plane = ControlPlane(folder, binaries.locate(), pki.Authority(folder))
    with ExitStack() as stack:
        admin = plane.client(plane.write_kubeconfig("admin", "admin", "system:masters"))
        start_api_server(plane, admin, stack, AUDITED)
        here = Place(plane, admin, stack)
        grant_rights(admin)
        here.create_namespace("placed", LABEL)
        here.create_namespace("plain", {})
        yield here
    rmtree(folder / "etcd")


@pytest.fixture(scope="module")
def served(place: Place) -> Iterator[Following]:
    """One webhook for the tests of this file."""
    with following(place.plane, place.admin) as webhook:
        yield webhook


@pytest.fixture
def webhook(place: Place, served: Following) -> Iterator[Following]:
    """The webhook when all is well: both watches up, the profile active, the labels as created."""
    place.label("placed", "true")
    place.label("plain", None)
    place.admin.apply(profile("first"))
    eventually(lambda: served.marks("placed") == ["first"] * 2, "the profile", 20)
    eventually(lambda: served.marks("plain") == [], "the labels", 20)
    eventually(served.watches, "both watches", 20)
    yield served
    assert repeated(served.records()) == []


@contextmanager
def reviewed(webhook: Following, *expected: list[str]) -> Iterator[None]:
    """Ask for Pods all the time; each must be decided, and in one of the expected ways."""
    seen: Counter[tuple[int, tuple[str, ...]]] = Counter()
    stopping = threading.Event()

    def ask() -> None:
        while not stopping.is_set():
            status, _ = webhook.review("placed")
            seen[status, tuple(webhook.marks("placed"))] += 1
            assert webhook.is_ready()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
    assert seen.keys() == {(200, tuple(marks)) for marks in expected}, seen


@pytest.mark.parametrize("seconds", [5, 60] if SOAK else [4])
def test_an_api_server_that_is_away(place: Place, webhook: Following, seconds: int) -> None:
    """Reviews go on with the last state; within 2 s of the return the webhook follows again."""
    memory = webhook.resident_mb()
    with reviewed(webhook, ["first"] * 2):
        place.down()
        away = time.monotonic()
        eventually(lambda: not webhook.watches(), "the failure", 5)
        eventually(lambda: time.monotonic() - away > seconds, "the end of the outage", 2 * seconds)
        returned = place.up()
        eventually(webhook.watches, "both watches", 10)
        caught_up = time.monotonic() - returned
    assert caught_up < CATCH_UP_SECONDS
    place.label("plain", "true")
    eventually(lambda: webhook.marks("plain") == ["first"] * 2, "the new label", 2)
    assert webhook.resident_mb() - memory < 15
    print(f"caught up {caught_up:.2f} s after the return")


# four minutes are what it takes to see that silence is no alarm: too long for every check
@pytest.mark.skipif(not SOAK, reason="takes minutes, in which nothing happens: make soak")
def test_a_cluster_in_which_nothing_happens(place: Place) -> None:
    """For minutes no alarm is raised, also where the API server has no bookmark to send."""
    with following(place.plane, place.admin) as webhook:
        begun = time.monotonic()
        eventually(lambda: time.monotonic() - begun > QUIET_SECONDS, "the end", 2 * QUIET_SECONDS)
        for resource in ("namespaces", "configmaps"):
            failed = f'watch_failures_total{{cause="unreachable",resource="{resource}"}}'
            assert webhook.metric(failed) == 0
            assert webhook.metric(f'watch_up{{resource="{resource}"}}') == 1
            last = f'watch_last_contact_timestamp_seconds{{resource="{resource}"}}'
            assert time.time() - webhook.metric(last) < 75
        assert webhook.metric('watch_requests_total{resource="namespaces",verb="list"}') == 1


def test_a_start_while_the_api_server_is_away(place: Place, webhook: Following) -> None:
    """It waits, alive and not ready, and is ready within 2 s of the return."""
    token = request_token(place.admin)
    place.down()
    with following(place.plane, place.admin, token=token, wait=False) as late:
        eventually(lambda: late.metric("process_open_fds") > 0, "a start", 20)
        assert not late.is_ready()
        assert late.review("placed")[0] == 503
        returned = place.up()
        eventually(late.is_ready, "readiness", 10)
        assert time.monotonic() - returned < CATCH_UP_SECONDS
        assert late.marks("placed") == ["first"] * 2
    eventually(webhook.watches, "the other one", 10)


def test_a_history_that_was_thrown_away(place: Place, webhook: Following) -> None:
    """After a compaction that we slept through, what was deleted meanwhile is gone for us too."""
    place.create_namespace("doomed", LABEL)
    eventually(lambda: webhook.marks("doomed") == ["first"] * 2, "the namespace", 5)
    os.kill(webhook.process.pid, signal.SIGSTOP)
    try:
        place.remove_namespace("doomed")
        place.label("plain", "true")
        place.down()
        compact(place.plane)
        place.up()
        for number in range(5):  # the version that the webhook knows is not the newest one
            place.label("plain", f"x{number}")
        place.label("plain", "true")
    finally:
        os.kill(webhook.process.pid, signal.SIGCONT)
    eventually(lambda: webhook.marks("plain") == ["first"] * 2, "what is new", 10)
    eventually(lambda: webhook.review("doomed")[0] == 500, "the end of what is gone", 10)


def compact(plane: ControlPlane) -> None:
    """Have etcd forget every version but the newest."""
    flags = plane.flags("etcd")
    url = next(f.partition("=")[2] for f in flags if f.startswith("--listen-client-urls="))

    def ask(path: str, **body: object) -> Object:
        request = urllib.request.Request(f"{url}/v3/{path}", json.dumps(body).encode())  # noqa: S310 - our own etcd
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
            read: Object = json.loads(answer.read())
            return read

    revision = ask("kv/range", key="AA==", range_end="AA==", limit=1)["header"]["revision"]
    ask("kv/compaction", revision=revision, physical=True)


def test_rights_that_are_taken_away_and_given_back(place: Place, webhook: Following) -> None:
    """Without rights the last state stays, the log says which are missing; it recovers alone."""
    with reviewed(webhook, ["first"] * 2):
        for kind, namespace in (("ClusterRoleBinding", ""), ("RoleBinding", "kube-system")):
            place.admin.delete(kind, ACCOUNT, namespace)
        place.restart()
        denied = 'watch_failures_total{cause="denied",resource="namespaces"}'
        eventually(lambda: webhook.metric(denied) > 0, "a denial", 20)
        told = [r for r in webhook.records() if r.get("cause") == "denied"]
        assert any('cannot watch resource "namespaces"' in r["problem"] for r in told), told
        assert {r["level"] for r in told} == {"error"}
        grant_rights(place.admin)
        eventually(webhook.watches, "both watches", 15)
    place.label("plain", "true")
    eventually(lambda: webhook.marks("plain") == ["first"] * 2, "the new label", 2)


def test_a_token_that_ends(place: Place) -> None:
    """A token that the API server no longer accepts is replaced by the one that lies there now."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "binding"}}
    made = place.admin.create(secret, ACCOUNT)
    bound_to = {"apiVersion": "v1", "kind": "Secret", "name": "binding"}
    bound_to["uid"] = made["metadata"]["uid"]
    place.admin.apply(profile("first"))
    token = request_token(place.admin, bound_to)
    with following(place.plane, place.admin, token=token) as webhook:
        place.admin.delete("Secret", "binding", ACCOUNT)
        with reviewed(webhook, ["first"] * 2):
            place.restart()
            denied = 'watch_failures_total{cause="denied",resource="namespaces"}'
            eventually(lambda: webhook.metric(denied) > 0, "a denial", 30)
            (webhook.folder / "token").write_text(request_token(place.admin), "ascii")
            eventually(webhook.watches, "both watches", 15)


def test_many_namespaces_at_the_start(place: Place) -> None:
    """With thousands of namespaces a start is a matter of seconds, and costs little memory."""
    paths = iter(range(MANY))
    lock = threading.Lock()

    def create() -> None:
        while True:
            with lock:
                number = next(paths, None)
            if number is None:
                return
            place.create_namespace(f"many-{number}", LABEL if number % 2 else {})

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    begun = time.monotonic()
    with following(place.plane, place.admin) as webhook:
        ready = time.monotonic() - begun
        assert webhook.metric("namespaces") == len(place.admin.list("Namespace"))
        assert webhook.marks(f"many-{MANY - 1}") == ["first"] * 2
        assert webhook.marks(f"many-{MANY - 2}") == []
        memory = webhook.resident_mb()
        with reviewed(webhook, ["first"] * 2):
            place.restart()
            eventually(webhook.watches, "both watches", 15)
        print(f"{MANY}: ready after {ready:.1f} s, {memory:.0f} MB, {webhook.resident_mb():.0f} MB")
        assert memory < 150
        assert webhook.resident_mb() < 150


def test_no_request_goes_beyond_the_rights(place: Place) -> None:
    """What the webhook asks for is what the example's rights allow: all of it, and nothing else."""
    before = len(place.audited())

    def asked() -> set[tuple[str, str, int]]:
        return {
            (event["verb"], event["objectRef"]["resource"], event["responseStatus"]["code"])
            for event in place.audited()[before:]
            if event["responseStatus"]["code"] != CONFLICT
        }

    place.admin.apply(profile("bad", selectors="[{"))
    with following(place.plane, place.admin) as webhook:
        eventually(lambda: ("create", "events", 201) in asked(), "an Event", 10)
        place.admin.apply(profile("bad", selectors="[{", preferredSubnetIds="subnet-a"))
        eventually(lambda: ("patch", "events", 200) in asked(), "its count", 10)
        place.admin.apply(profile("good"))
        eventually(lambda: webhook.marks("placed") == ["good"] * 2, "the rules", 5)
        assert webhook.review("not-there")[0] == 500
    assert asked() == {
        ("get", "namespaces", 404),
        ("list", "namespaces", 200),
        ("watch", "namespaces", 200),
        ("list", "configmaps", 200),
        ("watch", "configmaps", 200),
        ("create", "events", 201),
        ("patch", "events", 200),
    }
