"""What an answer adds to the creation of a Pod, through a real API server.

Namespaces side by side: one where nothing is asked, one with a MutatingAdmissionPolicy, one for
each webhook. Clients create the same Pod in each in turn, a few at a time when there are many
clients, so that whatever disturbs one disturbs all; of each round the medians are compared. etcd,
API server, webhooks and clients share the machine as they like.

``python -m tests.load.creates FILE ROUNDS PROGRAM…`` writes the rounds to a file.
"""

import http.client
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from tests.cluster import binaries, pki, session
from tests.cluster.client import ApiError, Client, Object, object_path
from tests.cluster.configuration import webhook_configuration
from tests.cluster.control_plane import ControlPlane, start_api_server
from tests.cluster.process import eventually
from tests.load.contenders import (
    BARE,
    RUNTIME,
    WEBHOOK,
    Server,
    ask,
    changes_of,
    issue,
    servers,
)
from tests.load.figures import Row, Spread
from tests.load.policy import policy
from tests.load.reviews import first, recorded

NOTHING, POLICY = "nothing", "policy"
CONCURRENCIES = (1, 16)
ROUNDS = 6
TURNS = {1: (60, 1), 16: (5, 4)}  # of each way in a round, and Pods of each client in a turn
GOALS = {POLICY: 1.0, RUNTIME: 0.35}
CPU_GOAL = 1 / 12
LEAST = 0.01  # ms or µs: less cannot be measured
NOT_AUDITED: Object = {"level": "None"}


@dataclass(frozen=True)
class Field:
    """Where Pods are created: a namespace for each way of changing them."""

    plane: ControlPlane
    admin: Client
    pod: bytes
    webhooks: list[Server]

    @property
    def ways(self) -> list[str]:
        return [NOTHING, POLICY, *(each.name for each in self.webhooks)]

    def clean(self) -> None:
        """Delete all Pods, at once."""
        for way in self.ways:
            path = object_path("Pod", namespace_of(way))
            self.admin.send("DELETE", f"{path}?gracePeriodSeconds=0")


def namespace_of(way: str) -> str:
    """Name a namespace; that of the webhook is the one of the examples, which it was started on."""
    if way == WEBHOOK:
        return "workflows"
    return "".join(letter if letter.isalnum() else "-" for letter in way.lower())


def pod_of(body: bytes) -> Object:
    """Return the Pod of a review as its author sent it, with a name of the API server's choice."""
    pod: Object = json.loads(first(body))["request"]["object"]
    metadata = pod["metadata"]
    for key in ("name", "namespace", "managedFields", "uid", "creationTimestamp"):
        metadata.pop(key, None)
    metadata["generateName"] = "one-"
    del pod["status"]
    return pod


@contextmanager
def field(programs: Mapping[str, Path]) -> Iterator[Field]:
    """Start an API server and everything that it asks."""
    folder = Path(tempfile.mkdtemp(prefix="vci-webhook-creates-"))
    body = recorded("agent")
    try:
        (folder / "logs").mkdir()
        plane = ControlPlane(
            folder, binaries.locate(assets=binaries.CONTROL_PLANE), pki.Authority(folder)
        )
        with ExitStack() as stack:
            admin = plane.client(plane.write_kubeconfig("admin", "admin", "system:masters"))
            start_api_server(plane, admin, stack, NOT_AUDITED)
            tls_dir = issue(folder)
            started = stack.enter_context(servers(tls_dir, body, programs, core=None))
            webhooks = [each for each in started if each.name != BARE]
            wanted = changes_of(body, ask(webhooks[0], tls_dir, body))
            made = Field(plane, admin, json.dumps(pod_of(body)).encode(), webhooks)
            _prepare(made, wanted, (tls_dir / "ca.crt").read_bytes())
            yield made
    finally:
        shutil.rmtree(folder)


def _prepare(made: Field, wanted: Object, authority: bytes) -> None:
    """Make the namespaces, the policy and the webhooks' configurations, and wait for them."""
    for way in made.ways:
        name = namespace_of(way)
        made.admin.apply(_named("Namespace", name))
        for account in ("default", json.loads(made.pod)["spec"]["serviceAccountName"]):
            made.admin.apply(_named("ServiceAccount", account), name)
    for manifest in policy(wanted, POLICY):
        made.admin.create(manifest)
    for server in made.webhooks:
        name = namespace_of(server.name)
        url = f"https://127.0.0.1:{server.port}/mutate"
        settings = {"failurePolicy": "Fail", "timeoutSeconds": 5}
        made.admin.create(webhook_configuration(name, url, authority, [name], **settings))
    for way in made.ways[1:]:
        eventually(lambda way=way: _changed(made, way, wanted), f"{way} in force")  # type: ignore[misc]  # a default that binds


def _named(kind: str, name: str) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


def _changed(made: Field, way: str, wanted: Object) -> bool:
    """Tell whether a Pod comes out with all changes, and with nothing else changed."""
    before, after = (
        made.admin.create(json.loads(made.pod), namespace_of(each), "?dryRun=All")
        for each in (NOTHING, way)
    )
    for part, key in (
        ("metadata", "annotations"),
        ("metadata", "labels"),
        ("spec", "nodeSelector"),
    ):
        if before[part].get(key, {}) | wanted[part][key] != after[part].pop(key, {}):
            return False
        before[part].pop(key, None)
    tolerations = before["spec"].pop("tolerations") + wanted["spec"]["tolerations"]
    return bool(after["spec"].pop("tolerations") == tolerations and after["spec"] == before["spec"])


class Creator:
    """One client with one connection."""

    def __init__(self, made: Field) -> None:
        self._connection = http.client.HTTPSConnection(
            "127.0.0.1", made.plane.port, context=made.admin.context
        )
        self._pod = made.pod
        self._paths = {way: object_path("Pod", namespace_of(way)) for way in made.ways}

    def create(self, way: str) -> float:
        """Create the Pod in one namespace; return the seconds that it took."""
        started = time.perf_counter()
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", self._paths[way], self._pod, headers)
        response = self._connection.getresponse()
        answer = response.read()
        took = time.perf_counter() - started
        if response.status != http.HTTPStatus.CREATED:
            raise ApiError(response.status, json.loads(answer))
        return took

    def burst(self, way: str, count: int) -> list[float]:
        """Create so many Pods, one after the other."""
        return [self.create(way) for _ in range(count)]


def measure(
    made: Field, creators: Sequence[Creator], turns: int, burst: int
) -> dict[str, list[float]]:
    """Let all clients create a few Pods in one namespace, then in the next; return durations."""
    durations: dict[str, list[float]] = defaultdict(list)
    with ThreadPoolExecutor(len(creators)) as threads:
        for turn in range(turns):
            first_way = turn % len(made.ways)
            for way in made.ways[first_way:] + made.ways[:first_way]:
                done = threads.map(lambda each, way=way: each.burst(way, burst), creators)
                durations[way] += chain.from_iterable(done)
    return durations


def round_of(
    made: Field, creators: Sequence[Creator], turns: int, burst: int
) -> dict[str, dict[str, float]]:
    """Measure once: of each way the median in milliseconds and the webhook's processor time."""
    before = {each.name: each.cpu_seconds() for each in made.webhooks}
    durations = measure(made, creators, turns, burst)
    used = {each.name: each.cpu_seconds() - before[each.name] for each in made.webhooks}
    made.clean()
    return {
        way: {
            "milliseconds": statistics.median(taken) * 1000,
            "cpu_microseconds": used.get(way, 0.0) / len(taken) * 1e6,
        }
        for way, taken in durations.items()
    }


Rounds = Mapping[str, Sequence[dict[str, dict[str, float]]]]


def rows(rounds: Rounds) -> Iterator[Row]:
    """Compare what the webhook adds, and uses, with the others."""
    for concurrency, those in rounds.items():
        group = f"added to a create, {concurrency} at a time"
        ours = [_added(each, WEBHOOK) for each in those]
        for other in [way for way in those[0] if way not in {NOTHING, WEBHOOK}]:
            theirs = [_added(each, other) for each in those]
            found = _compared(ours, theirs)
            yield Row(group, f"against {other}", found, GOALS.get(other), at_most=True)
    for concurrency, those in rounds.items():
        group = f"the webhook's processor time, {concurrency} at a time"
        used = {way: [each[way]["cpu_microseconds"] for each in those] for way in those[0]}
        ours = used.pop(WEBHOOK)
        for other in [way for way, theirs in used.items() if any(theirs)]:
            goal = CPU_GOAL if other == RUNTIME else None
            found = _compared(ours, used[other])
            yield Row(group, f"against {other}", found, goal, at_most=True)


def _compared(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Divide by the other's median: what it adds may be next to nothing in a single round."""
    one = max(statistics.median(theirs), LEAST)
    return Spread.of([each / one for each in ours])


def _added(measured: Mapping[str, Mapping[str, float]], way: str) -> float:
    return measured[way]["milliseconds"] - measured[NOTHING]["milliseconds"]


def summed_up(rounds: Rounds) -> dict[str, dict[str, dict[str, Any]]]:
    """Give the medians of each way, for those who want absolute figures."""
    return {
        concurrency: {
            way: {
                **{
                    key: Spread.of([each[way][key] for each in those]).median
                    for key in those[0][way]
                },
                "added_milliseconds": asdict(Spread.of([_added(each, way) for each in those])),
            }
            for way in those[0]
        }
        for concurrency, those in rounds.items()
    }


def main() -> int:
    """Measure, and write the rounds of each concurrency as JSON."""
    file, wanted, *programs = sys.argv[1:]
    rounds: dict[int, list[dict[str, dict[str, float]]]] = {each: [] for each in CONCURRENCIES}
    with field({Path(each).name: Path(each) for each in programs}) as made:
        creators = [Creator(made) for _ in range(max(CONCURRENCIES))]
        for number in range(int(wanted) + 1):
            for concurrency in CONCURRENCIES:
                one = round_of(made, creators[:concurrency], *TURNS[concurrency])
                if number:  # the first one warms up
                    rounds[concurrency].append(one)
    Path(file).write_text(json.dumps(rounds), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(session.run("tests.load.creates", main))
