"""A kubelet that runs nothing: it says of each bound Pod that its containers did what they should.

Pods that restart always run and are ready; all others end. Of Argo's Pods it writes first what
Argo's ``wait`` container would write, the WorkflowTaskResult, as the Pod's own ServiceAccount:
Argo 3.5.5 does not take a step for finished without it.
"""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.cluster.client import ApiError, Client, Object, Watch
from tests.cluster.nodes import RUNNING_NODE

ARGO = "workflows.argoproj.io"
# a Pod of that node is run for real, by tests.cluster.node
BOUND = f"spec.nodeName!=,spec.nodeName!={RUNNING_NODE}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a Pod's own containers end."""

    exit_code: int = 0
    message: str = ""
    after_seconds: float = 0


Hook = Callable[[Object], Outcome | None]


class Kubelet:
    """Acts on every bound Pod, on a thread of its own."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._hooks: list[Hook] = []
        self._seen: set[str] = set()
        self._stopping = False
        self._watch: Watch | None = None
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)
        self.failures: list[Exception] = []

    @contextmanager
    def running(self) -> Iterator["Kubelet"]:
        """Act until the block ends."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stopping = True
            if self._watch:
                self._watch.end()
            self._thread.join(timeout=10)

    @contextmanager
    def deciding(self, hook: Hook) -> Iterator[None]:
        """Let ``hook`` name the outcome of Pods inside the block; None leaves one to the others."""
        self._hooks.insert(0, hook)
        try:
            yield
        finally:
            self._hooks.remove(hook)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._act_on_events()
            except (OSError, ValueError, http.client.HTTPException, ApiError) as error:
                if not self._stopping:
                    self.failures.append(error)
                    time.sleep(0.1)

    def _act_on_events(self) -> None:
        with closing(self._client.watch("Pod", "0", fieldSelector=BOUND)) as watch:
            self._watch = watch
            for event in () if self._stopping else watch:
                if event["type"] in ("ADDED", "MODIFIED"):
                    self._act(event["object"])

    def _act(self, pod: Object) -> None:
        metadata = pod["metadata"]
        if "deletionTimestamp" in metadata:
            self._remove(metadata)
        elif metadata["uid"] not in self._seen:
            self._seen.add(metadata["uid"])
            self._start(pod)

    def _remove(self, metadata: Object) -> None:
        """Confirm a deletion, which waits for the kubelet while a Pod is bound."""
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        self._ignoring_gone(
            lambda: self._client.delete("Pod", metadata["name"], metadata["namespace"], options)
        )

    def _start(self, pod: Object) -> None:
        if pod["spec"]["restartPolicy"] == "Always":
            self._ignoring_gone(lambda: self._write_status(pod, running_status(pod)))
            return
        outcome = next((found for hook in self._hooks if (found := hook(pod))), Outcome())
        if not outcome.after_seconds:
            self._finish(pod, outcome)
            return
        self._ignoring_gone(lambda: self._write_status(pod, running_status(pod)))
        timer = threading.Timer(outcome.after_seconds, self._finish, (pod, outcome))
        timer.daemon = True
        timer.start()

    def _finish(self, pod: Object, outcome: Outcome) -> None:
        if f"{ARGO}/node-id" in pod["metadata"].get("annotations", {}):
            self._report_task_result(pod)
        self._ignoring_gone(lambda: self._write_status(pod, finished_status(pod, outcome)))

    def _report_task_result(self, pod: Object) -> None:
        metadata = pod["metadata"]
        account = (
            f"system:serviceaccount:{metadata['namespace']}:{pod['spec']['serviceAccountName']}"
        )
        result = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "WorkflowTaskResult",
            "metadata": {
                "name": metadata["annotations"][f"{ARGO}/node-id"],
                "labels": {
                    f"{ARGO}/workflow": metadata["labels"][f"{ARGO}/workflow"],
                    f"{ARGO}/report-outputs-completed": "true",
                },
            },
        }
        self._ignoring_gone(
            lambda: self._client.impersonate(account).create(result, metadata["namespace"])
        )

    def _write_status(self, pod: Object, status: Object) -> None:
        metadata = pod["metadata"]
        change = {"metadata": {"uid": metadata["uid"]}, "status": status}
        self._client.patch("Pod", metadata["name"], metadata["namespace"], change, "/status")

    def _ignoring_gone(self, request: Callable[[], Any]) -> None:
        """Send a request; that the Pod or its namespace went meanwhile is no failure."""
        try:
            request()
        except ApiError as error:
            if error.status not in (404, 409) and "being terminated" not in error.message:
                self.failures.append(error)


def running_status(pod: Object) -> Object:
    """Say that every container runs and is ready."""
    state = {"running": {"startedAt": _now()}}
    containers = [_container_status(c, state, ready=True) for c in pod["spec"]["containers"]]
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": _now()}
    return {"phase": "Running", "conditions": [ready], "containerStatuses": containers}


def finished_status(pod: Object, outcome: Outcome) -> Object:
    """Say that every container ended; with the outcome's exit code, but for Argo's own."""

    def ended(container: Object) -> Object:
        code = 0 if container["name"] in ("init", "wait") else outcome.exit_code
        terminated = {
            "exitCode": code,
            "reason": "Error" if code else "Completed",
            "startedAt": _now(),
            "finishedAt": _now(),
        }
        return _container_status(container, {"terminated": terminated}, ready=False)

    spec = pod["spec"]
    return {
        "phase": "Failed" if outcome.exit_code else "Succeeded",
        "message": outcome.message or None,
        "initContainerStatuses": [ended(c) for c in spec.get("initContainers", [])],
        "containerStatuses": [ended(c) for c in spec["containers"]],
    }


def _container_status(container: Object, state: Object, *, ready: bool) -> Object:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": ready,
        "restartCount": 0,
        "state": state,
    }


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
