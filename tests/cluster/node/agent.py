"""The kubelet of a node: sees which Pods are bound to it, and gives each its thread."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from tests.cluster.client import ApiError, Client, Object, Watch
from tests.cluster.node.pod import RunningPod
from tests.cluster.node.settings import Settings

STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Happening:
    """What happened to a Pod, and when."""

    at: float
    pod: str
    what: str


@dataclass(slots=True)
class Agent:
    """Runs the Pods of one node; ``history`` tells in order what happened to them."""

    client: Client
    settings: Settings
    pods: dict[str, RunningPod] = field(default_factory=dict)  # by uid
    history: list[Happening] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    _stopping: bool = False
    _watch: Watch | None = None

    @contextmanager
    def running(self) -> Iterator["Agent"]:
        """Act until the block ends; Pods that still run then are ended at once."""
        thread = threading.Thread(target=self._run, name=f"node-{self.settings.name}", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stopping = True
            if self._watch:
                self._watch.end()
            thread.join(STOP_SECONDS)
            for pod in list(self.pods.values()):
                pod.forget()
                pod.wait(STOP_SECONDS)

    def happened(self, what: str, since: float = 0.0) -> list[Happening]:
        """Give what happened, of one kind, since a time."""
        return [h for h in list(self.history) if h.at >= since and what in h.what]

    def pod(self, name: str) -> RunningPod:
        """Find a Pod by its name."""
        return next(pod for pod in list(self.pods.values()) if pod.name == name)

    def printed(self, lines: int = 5) -> str:
        """Give the last lines that each container printed, for the message of a failing test."""
        logs = sorted((self.settings.folder / "logs").glob("*.log"))
        tails = {log.stem: log.read_text("utf-8", "replace").splitlines()[-lines:] for log in logs}
        return "\n".join(f"{name}: {line}" for name, tail in tails.items() for line in tail)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._act_on_events()
            except (OSError, ValueError, http.client.HTTPException, ApiError):
                time.sleep(0.2)  # an API server that is away comes back

    def _act_on_events(self) -> None:
        bound = f"spec.nodeName={self.settings.name}"
        with closing(self.client.watch("Pod", "0", fieldSelector=bound)) as watch:
            self._watch = watch
            for event in () if self._stopping else watch:
                self._act(event["type"], event["object"])

    def _act(self, kind: str, pod: Object) -> None:
        uid = pod.get("metadata", {}).get("uid")
        known = self.pods.get(uid)
        if kind == "DELETED" and known:
            known.forget()
            del self.pods[uid]
        elif kind in ("ADDED", "MODIFIED") and known:
            known.update(pod)
        elif kind in ("ADDED", "MODIFIED"):
            self._add(uid, pod)

    def _add(self, uid: str, pod: Object) -> None:
        name = pod["metadata"]["name"]
        added = RunningPod(
            self.client,
            self.settings,
            pod,
            lambda what: self.history.append(Happening(time.time(), name, what)),
            self.failures.append,
        )
        self.pods[uid] = added
        added.start()
