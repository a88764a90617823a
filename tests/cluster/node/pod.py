"""The life of one Pod on a node, on a thread of its own: prepared, run, watched over, stopped."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.cluster.client import ApiError, Client, Object
from tests.cluster.control_plane import API_SERVER_ADDRESS
from tests.cluster.node.container import Container, written
from tests.cluster.node.environment import UnsupportedError
from tests.cluster.node.launch import unenforced
from tests.cluster.node.place import Place
from tests.cluster.node.settings import Settings
from tests.cluster.node.status import phase_of, pod_status

TICK_SECONDS = 0.1
RETRY_SECONDS = 1.0
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
UNREACHABLE = (OSError, http.client.HTTPException, ApiError, ValueError)


@dataclass(slots=True)
class RunningPod:
    """A Pod that is bound to the node; ``tell`` notes what happens to it."""

    client: Client
    settings: Settings
    pod: Object
    tell: Callable[[str], None]
    fail: Callable[[Exception], None]
    containers: list[Container] = field(default_factory=list)
    _place: Place | None = None
    _wake: threading.Event = field(default_factory=threading.Event)
    _stops: dict[str, threading.Thread] = field(default_factory=dict)
    _start_at: dict[str, float] = field(default_factory=dict)
    _synced_at: float = 0.0
    _written: Object = field(default_factory=dict)
    _conditions: dict[str, tuple[str, str]] = field(default_factory=dict)
    _began: str = field(default_factory=lambda: written(time.time()))
    _grace_seconds: int | None = None  # since it is to end
    _gone: bool = False
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin its life."""
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    @property
    def _terminating(self) -> bool:
        return self._grace_seconds is not None

    @property
    def name(self) -> str:
        return str(self.pod["metadata"]["name"])

    @property
    def address(self) -> str:
        return self._place.sandbox.address if self._place else ""

    def update(self, pod: Object) -> None:
        """Take in what the API server says now."""
        self.pod = pod
        self._wake.set()

    def forget(self) -> None:
        """End at once: the API server no longer knows the Pod."""
        self._gone = True
        self._wake.set()

    def wait(self, seconds: float) -> None:
        """Wait until the last of it is gone."""
        if self._thread:
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while not self._is_over():
                try:
                    self._step()
                except UnsupportedError as error:
                    self.fail(error)
                    self._wait_for_the_end()
                except UNREACHABLE as error:
                    self._note(error)
                    self._pause(RETRY_SECONDS)
                except LookupError as error:
                    self.tell(f"waits: {error}")
                    self._pause(RETRY_SECONDS)
                else:
                    self._pause(TICK_SECONDS)
        except Exception as error:  # noqa: BLE001 - nobody else sees what happens on this thread
            self.fail(error)
        finally:
            self._clean_up()

    def _pause(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    def _note(self, error: Exception) -> None:
        """An API server that is away is no failure; one that refuses is, unless the Pod is gone."""
        if isinstance(error, ApiError) and error.status in (404, 409):
            self.tell(f"refused: {error}")
        elif isinstance(error, ApiError) and error.status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
            self.fail(error)

    def _wait_for_the_end(self) -> None:
        while not (self._gone or "deletionTimestamp" in self.pod["metadata"]):
            self._pause(RETRY_SECONDS)

    def _step(self) -> None:
        """Do what is due now."""
        if "deletionTimestamp" in self.pod["metadata"]:
            self._terminate(self.pod["metadata"].get("deletionGracePeriodSeconds", 30))
        if not self.containers and not self._terminating:
            self._prepare()
        for container in self.containers:
            self._look_after(container)
        if self._place and time.monotonic() - self._synced_at > self.settings.sync_seconds:
            self._sync(self._place)
        self._write_status()

    def _prepare(self) -> None:
        """Make network, volumes and containers, which is tried again until it works."""
        if self.pod["spec"].get("initContainers"):
            raise UnsupportedError("initContainers")
        if self._place is None:
            self._place = Place(self.client, self.settings, self.pod)
            for what in unenforced(self.pod):
                self.tell(f"not enforced: {what}")
        self._sync(self._place)
        specs = self.pod["spec"]["containers"]
        self.containers = [self._container(self._place, spec) for spec in specs]

    def _sync(self, place: Place) -> None:
        self._synced_at = time.monotonic()
        for name in place.volumes.write():
            self.tell(f"volume {name} written")

    def _container(self, place: Place, spec: Object) -> Container:
        enter = partial(self._enter, place, spec["name"])
        return Container(
            spec, place.target(spec, enter), place.log(spec), self.tell, self._wake.set
        )

    def _enter(self, place: Place, name: str, command: Sequence[str]) -> list[str]:
        """Give the command that runs another one inside a container."""
        process = next(c.process for c in self.containers if c.name == name)
        if process is None:
            raise OSError("the container does not run")
        return [*place.sandbox.join(process.pid), *command]

    def _look_after(self, container: Container) -> None:
        if container.collect_exit():
            self._stops.pop(container.name, None)
            self._plan_restart(container)
        if self._terminating:
            return
        due = self._start_at.setdefault(container.name, 0.0)
        waits = container.process is None and container.waiting
        if self._place and waits and time.monotonic() >= due:
            container.start(self._place.launch(container.spec))
        if container.has_started:
            container.probe_after_start()
        if (failed := container.failed_probe()) and container.name not in self._stops:
            self.tell(f"{container.name}: {failed} failed")
            grace = self.pod["spec"].get("terminationGracePeriodSeconds", 30)
            self._stops[container.name] = container.stop(grace)

    def _plan_restart(self, container: Container) -> None:
        """Decide whether and when a container that ended is started again."""
        policy = self.pod["spec"].get("restartPolicy", "Always")
        again = policy == "Always" or (policy == "OnFailure" and container.last_exit != 0)
        container.waiting = "CrashLoopBackOff" if again and not self._terminating else ""
        if container.waiting:
            wait = (
                self.settings.backoff_seconds * 2**container.restarts / 2
                if container.restarts
                else 0
            )
            self._start_at[container.name] = time.monotonic() + min(wait, 300.0)
            container.restarts += 1

    def _terminate(self, grace_seconds: int) -> None:
        """Begin the end, or hurry when a later deletion gives less time than the first."""
        if self._grace_seconds is None:
            self.tell(f"terminating, {grace_seconds} s")
            for container in self.containers:
                self._stops[container.name] = container.stop(grace_seconds)
        elif grace_seconds < self._grace_seconds:
            self.tell(f"terminating, only {grace_seconds} s")
            for container in self.containers:
                container.hurry(grace_seconds)
        self._grace_seconds = grace_seconds

    def _is_over(self) -> bool:
        if self._gone:
            return True
        ended = not any(container.process for container in self.containers)
        stopped = not any(thread.is_alive() for thread in self._stops.values())
        return self._terminating and ended and stopped

    def _write_status(self) -> None:
        """Say how the Pod is, when that changed."""
        status = self._status()
        if status != self._written and self._place:
            metadata = self.pod["metadata"]
            change = {"metadata": {"uid": metadata["uid"]}, "status": status}
            path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{self.name}/status"
            self.client.send("PATCH", path, json.dumps(change).encode(), STRATEGIC_MERGE)
            self._note_readiness(status)
            self._written = status

    def _status(self) -> dict[str, Any]:
        containers = [container.status() for container in self.containers]
        policy = self.pod["spec"].get("restartPolicy", "Always")
        restart = policy == "Always" and not self._terminating
        phase = phase_of(containers, restart=restart) if containers else "Pending"
        addresses = {"pod": self.address, "host": API_SERVER_ADDRESS}
        status = pod_status(containers, addresses, phase, self._began)
        for condition in status["conditions"]:
            before = self._conditions.get(condition["type"], ("", ""))
            if before[0] != condition["status"]:
                before = condition["status"], written(time.time())
                self._conditions[condition["type"]] = before
            condition["lastTransitionTime"] = before[1]
        return status

    def _note_readiness(self, status: Object) -> None:
        ready, before = (_is_ready(one) for one in (status, self._written))
        if ready != before:
            self.tell("ready" if ready else "not ready")

    def _clean_up(self) -> None:
        """Confirm the deletion, and let go of everything that the Pod had."""
        for container in self.containers:
            container.stop_probes("startupProbe", "livenessProbe", "readinessProbe")
            container.kill()
        with suppress(*UNREACHABLE):
            self._confirm()
        if self._place:
            self._place.leave()
        self.tell("gone")

    def _confirm(self) -> None:
        if self._gone:
            return
        with suppress(*UNREACHABLE):
            self._write_status()
        metadata = self.pod["metadata"]
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        self.client.delete("Pod", self.name, metadata["namespace"], options)


def _is_ready(status: Object) -> bool:
    kinds = {c["type"]: c["status"] for c in status.get("conditions", [])}
    return kinds.get("Ready") == "True"
