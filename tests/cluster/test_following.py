"""The webhook follows a real API server: what is applied there acts on the next Pods."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.cluster.client import Client, Object
from tests.cluster.configuration import configured, webhook_configuration
from tests.cluster.control_plane import Cluster
from tests.cluster.following import (
    LABEL,
    PROFILE,
    SOAK,
    Following,
    following,
    grant_rights,
    marks_of,
    profile,
    repeated,
)
from tests.cluster.process import eventually
from tests.cluster.workloads import bare_pod, create_namespace

ACTS_WITHIN_SECONDS = 1.0
LABEL_WITHIN_SECONDS = 0.2
NO_PROFILE = "no profile, so no rules"  # news, whenever a test has deleted it
_names = (f"followed-{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def served(session_cluster: Cluster) -> Iterator[Following]:
    """One webhook for all tests of this file."""
    grant_rights(session_cluster.admin)
    with following(session_cluster.plane, session_cluster.admin) as webhook:
        yield webhook


@pytest.fixture
def webhook(served: Following, cluster: Cluster) -> Iterator[Following]:
    """The webhook, on a profile of one rule; afterwards there is none."""
    cluster.admin.apply(profile("first"))
    eventually(lambda: served.metric("profile_rules") == 1, "the profile", 5)
    yield served
    cluster.admin.delete(*PROFILE)
    eventually(lambda: served.metric("profile_rules") == 0, "the end of the profile", 5)


@pytest.fixture
def labelled(cluster: Cluster) -> Iterator[str]:
    """A namespace that the rule selects."""
    with namespace(cluster.admin, LABEL) as name:
        yield name


@contextmanager
def namespace(admin: Client, labels: dict[str, str]) -> Iterator[str]:
    """Have a namespace in which Pods can be created."""
    name = next(_names)
    create_namespace(admin, name, labels)
    yield name
    admin.delete("Namespace", name)


@contextmanager
def in_force(cluster: Cluster, webhook: Following, name: str) -> Iterator[None]:
    """Have the API server ask the webhook about the Pods of a namespace."""
    configuration = webhook_configuration(f"ask-{name}", webhook.url, webhook.authority, [name])
    with configured(cluster.admin, configuration, lambda: bool(created(cluster.admin, name))):
        yield


def created(admin: Client, namespace: str) -> list[str]:
    """Create a Pod, but for the last step, and give its marks."""
    return marks_of(admin.create(bare_pod(), namespace, "?dryRun=All"))


@dataclass(frozen=True, slots=True)
class Creation:
    """A Pod's creation: when it was asked for, and the marks that the Pod got."""

    begun: float
    marks: list[str]


@contextmanager
def stream_of(create: Callable[[], list[str]], threads: int = 2) -> Iterator[list[Creation]]:
    """Create Pods one after the other for as long as the block runs."""
    done: list[Creation] = []
    stopping = threading.Event()

    def go_on() -> None:
        while not stopping.is_set():
            begun = time.monotonic()
            done.append(Creation(begun, create()))

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(go_on) for _ in range(threads)]
        try:
            yield done
        finally:
            stopping.set()
    for thread in running:
        thread.result()


def test_a_profile_acts_within_a_second(
    cluster: Cluster, webhook: Following, labelled: str
) -> None:
    """The first Pod a second after the apply has the new marks, and no Pod has a mixture."""
    applied = {}
    with (
        in_force(cluster, webhook, labelled),
        stream_of(lambda: created(cluster.admin, labelled)) as pods,
    ):
        for mark in ("second", "third", "fourth"):
            cluster.admin.apply(profile(mark))
            applied[mark] = time.monotonic()
            wanted = applied[mark] + 1.5 * ACTS_WITHIN_SECONDS
            eventually(lambda end=wanted: _begun_after(end, pods), "more Pods", 10)  # type: ignore[misc]  # a default that binds
    assert all(len(pod.marks) == 2 and len(set(pod.marks)) == 1 for pod in pods)
    for mark, following_mark in itertools.pairwise([*applied, "none"]):
        begin = applied[mark] + ACTS_WITHIN_SECONDS
        end = applied.get(following_mark, float("inf"))
        marks = {pod.marks[0] for pod in pods if begin <= pod.begun < end - 0.2}
        assert marks == {mark}
    print(f"{len(pods)} Pods")


def _begun_after(moment: float, pods: list[Creation]) -> bool:
    return any(pod.begun > moment for pod in pods[-5:])


def test_a_label_acts_at_once(cluster: Cluster, webhook: Following) -> None:
    """A namespace's new label acts within 200 ms of the event in which a watch brings it."""
    lags = []
    with namespace(cluster.admin, {}) as name:
        for round_number in range(10):
            labels = LABEL if round_number % 2 == 0 else {"vci": None}
            expected = 2 if round_number % 2 == 0 else 0
            seen = seen_by_a_watch(cluster.admin, name)
            cluster.admin.patch("Namespace", name, "", {"metadata": {"labels": labels}})
            eventually(lambda n=expected: len(webhook.marks(name)) == n, "the label", 5)  # type: ignore[misc]  # a default that binds
            lags.append(time.monotonic() - seen())
    print(f"worst lag {max(lags) * 1000:.0f} ms")
    assert max(lags) < LABEL_WITHIN_SECONDS


def seen_by_a_watch(admin: Client, name: str) -> Callable[[], float]:
    """Watch a namespace; the function that is returned tells when its next event came."""
    version = admin.get("Namespace", name)["metadata"]["resourceVersion"]
    watch = admin.watch("Namespace", version, fieldSelector=f"metadata.name={name}")
    times: list[float] = []

    def read() -> None:
        for _ in watch:
            times.append(time.monotonic())
            break
        watch.close()

    thread = threading.Thread(target=read)
    thread.start()

    def wait() -> float:
        thread.join(10)
        return times[0]

    return wait


def test_a_pod_right_after_its_namespace(cluster: Cluster, webhook: Following) -> None:
    """A Pod that is created the moment its namespace exists is decided by its labels."""
    count = 1000 if SOAK else 100
    before = webhook.metric('namespace_reads_total{result="found"}')
    slowest = 0.0
    for _ in range(count):
        name = next(_names)
        metadata = {"name": name, "labels": LABEL}
        cluster.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        begun = time.monotonic()
        assert webhook.marks(name) == ["first", "first"]
        slowest = max(slowest, time.monotonic() - begun)
        cluster.admin.delete("Namespace", name)
    reads = webhook.metric('namespace_reads_total{result="found"}') - before
    print(f"{reads:.0f} of {count} were read live, the slowest review took {slowest * 1000:.0f} ms")
    assert slowest < 0.6


def events_of(admin: Client) -> list[Object]:
    """List the Events about the profile."""
    selector = "involvedObject.kind=ConfigMap,involvedObject.name=vci-profile"
    return admin.list("Event", "kube-system", fieldSelector=selector)


@pytest.fixture
def no_events(cluster: Cluster) -> None:
    """Begin without Events about the profile."""
    for event in events_of(cluster.admin):
        cluster.admin.delete("Event", event["metadata"]["name"], "kube-system")


@pytest.mark.usefixtures("no_events")
def test_kubectl_describe_says_what_is_wrong(
    cluster: Cluster, webhook: Following, labelled: str
) -> None:
    """An invalid profile changes nothing and is explained on the ConfigMap; so is its repair."""
    cluster.admin.apply(profile("x", selectors="[{"))
    eventually(lambda: webhook.metric("profile_rejected") == 1, "the alarm", 5)
    eventually(lambda: events_of(cluster.admin), "an Event", 15)
    assert webhook.marks(labelled) == ["first", "first"]
    described = cluster.plane.kubectl("describe", "configmap", "vci-profile", "-n", "kube-system")
    assert "ProfileInvalid" in described
    assert "stays active" in described
    cluster.admin.apply(profile("fixed"))
    eventually(lambda: webhook.marks(labelled) == ["fixed", "fixed"], "the repair", 5)
    eventually(lambda: len(events_of(cluster.admin)) == 2, "an Event about it", 15)
    assert {event["reason"] for event in events_of(cluster.admin)} == {
        "ProfileInvalid",
        "ProfileAccepted",
    }


@pytest.mark.usefixtures("no_events")
def test_replicas_write_one_event_together(cluster: Cluster, webhook: Following) -> None:
    """Three replicas that find the same problem leave one Event; the same again counts in it."""
    with ExitStack() as stack:
        others = [stack.enter_context(following(cluster.plane, cluster.admin)) for _ in range(2)]
        for times, mark in enumerate(("a", "b"), start=1):
            cluster.admin.apply(profile(mark, selectors="[{"))
            for replica in (webhook, *others):
                eventually(lambda r=replica: r.metric("profile_rejected") == 1, "the alarm", 5)  # type: ignore[misc]  # a default that binds
            eventually(
                lambda n=times: [event.get("count") for event in events_of(cluster.admin)] == [n],  # type: ignore[misc]  # a default that binds
                f"one Event that counts {times}",
                15,
            )
            cluster.admin.apply(profile("good"))
            for replica in (webhook, *others):
                eventually(lambda r=replica: r.metric("profile_rejected") == 0, "the end", 5)  # type: ignore[misc]  # a default that binds
            for event in events_of(cluster.admin):
                if event["reason"] == "ProfileAccepted":
                    cluster.admin.delete("Event", event["metadata"]["name"], "kube-system")


def test_a_profile_deleted_and_made_anew(
    cluster: Cluster, webhook: Following, labelled: str
) -> None:
    """Without the ConfigMap there are no rules, with a new one there are its rules."""
    cluster.admin.delete(*PROFILE)
    eventually(lambda: webhook.marks(labelled) == [], "the end of the rules", 5)
    cluster.admin.apply(profile("anew"))
    eventually(lambda: webhook.marks(labelled) == ["anew", "anew"], "the new rules", 5)
    assert webhook.is_ready()


def test_a_thousand_changes_in_ten_seconds(
    cluster: Cluster, webhook: Following, labelled: str
) -> None:
    """A profile that changes all the time is followed, floods nobody, and its last version acts."""
    memory, events = webhook.resident_mb(), len(events_of(cluster.admin))
    records = len(webhook.records())
    count, seconds = (1000, 10.0) if SOAK else (300, 3.0)
    begun = time.monotonic()
    with stream_of(lambda: webhook.marks(labelled)) as pods:
        for number in range(count):
            cluster.admin.apply(profile(f"m{number}", unknownKey=str(number)))
            behind = begun + number * seconds / count - time.monotonic()
            threading.Event().wait(max(0.0, behind))
        last = [f"m{count - 1}"] * 2
        eventually(lambda: webhook.marks(labelled) == last, "the last version", 2)
    assert all(len(set(pod.marks)) == 1 for pod in pods)
    assert webhook.resident_mb() - memory < 20
    assert len(events_of(cluster.admin)) - events <= 12
    assert len(webhook.records()) - records <= 2 * 12


def test_namespaces_that_come_and_go(cluster: Cluster, webhook: Following, labelled: str) -> None:
    """At fifty a second, reviews stay right, memory stays flat, and nothing is left over."""
    seconds = 60 if SOAK else 4
    memory = webhook.resident_mb()
    begun = time.monotonic()
    with stream_of(lambda: webhook.marks(labelled)) as pods:
        for number in range(50 * seconds):
            name = next(_names)
            metadata = {"name": name, "labels": LABEL}
            cluster.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
            cluster.admin.delete("Namespace", name)
            threading.Event().wait(max(0.0, begun + number / 50 - time.monotonic()))
    assert {tuple(pod.marks) for pod in pods} == {("first", "first")}
    eventually(
        lambda: webhook.metric("namespaces") == len(names_of(cluster.admin)), "as many as exist"
    )
    assert webhook.resident_mb() - memory < 20


def names_of(admin: Client) -> set[str]:
    """List the names of all namespaces."""
    return {item["metadata"]["name"] for item in admin.list("Namespace")}


def test_nothing_is_logged_over_and_over(webhook: Following) -> None:
    """After all of the above, no trouble was logged twice within ten seconds."""
    assert repeated([r for r in webhook.records() if r["message"] != NO_PROFILE]) == []
