"""One container of a Pod: started, probed, started again when it ends, and stopped in order."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.client import Object
from tests.cluster.node.probes import Probe, Target, check

POLL_SECONDS = 0.02
LAST_SECONDS = 2.0  # that SIGTERM has at least, however long the hook before it took


@dataclass(frozen=True, slots=True)
class Launch:
    """How a container is started: the command with everything around it, and its environment."""

    command: Sequence[str]
    environment: dict[str, str]


@dataclass(slots=True)
class Container:
    """A container and the process of its present run."""

    spec: Object
    target: Target
    log: Path
    tell: Callable[[str], None]
    wake: Callable[[], None]
    restarts: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    ended_at: float = 0.0
    last_exit: int | None = None
    waiting: str = "ContainerCreating"
    _deadline: float = 0.0
    _probes: dict[str, Probe] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def has_started(self) -> bool:
        """Tell whether the startup probe has succeeded, where there is one."""
        startup = self._probes.get("startupProbe")
        return self.runs and (startup is None or startup.passes)

    @property
    def is_ready(self) -> bool:
        readiness = self._probes.get("readinessProbe")
        return self.has_started and (readiness is None or readiness.passes)

    def start(self, launch: Launch) -> None:
        """Start the process, and probe it."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                launch.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=launch.environment,
                start_new_session=True,
            )
        self.started_at = time.time()
        self.tell(f"started {self.name}")
        self._probes = {}
        self._probe("startupProbe")
        if "startupProbe" not in self.spec:
            self.probe_after_start()

    def probe_after_start(self) -> None:
        """Begin with the probes that wait for the startup probe, once."""
        for name in ("livenessProbe", "readinessProbe"):
            if name not in self._probes:
                self._probe(name)

    def _probe(self, name: str) -> None:
        if name in self.spec:
            probe = Probe(self.spec[name], self.target, self.wake, passes=name == "livenessProbe")
            self._probes[name] = probe
            probe.start()

    def failed_probe(self) -> str:
        """Name the probe that demands a restart, if one does."""
        for name in ("startupProbe", "livenessProbe"):
            if name in self._probes and self._probes[name].failed:
                return name
        return ""

    def collect_exit(self) -> bool:
        """Tell, once for each run, that the process has ended."""
        if self.process is None or self.process.poll() is None:
            return False
        self.last_exit, self.ended_at = self.process.returncode, time.time()
        self.process = None
        self.stop_probes("startupProbe", "livenessProbe", "readinessProbe")
        self.tell(f"{self.name} ended: {self.last_exit}")
        return True

    def stop_probes(self, *names: str) -> None:
        for name in names:
            if name in self._probes:
                self._probes[name].stop()

    def stop(self, grace_seconds: float) -> threading.Thread:
        """Stop it in order on a thread: hook, SIGTERM, and SIGKILL when the time is over."""
        self.stop_probes("startupProbe", "livenessProbe")
        self._deadline = time.monotonic() + grace_seconds
        thread = threading.Thread(target=self._stop, daemon=True)
        thread.start()
        return thread

    def hurry(self, grace_seconds: float) -> None:
        """Shorten the time that is left."""
        self._deadline = min(self._deadline, time.monotonic() + grace_seconds)

    def _stop(self) -> None:
        process = self.process
        if process is None:
            return
        hook = self.spec.get("lifecycle", {}).get("preStop")
        if hook:
            self._run_hook(hook, self._deadline)
        self.signal(signal.SIGTERM)
        least = time.monotonic() + LAST_SECONDS
        while process.poll() is None and time.monotonic() < max(least, self._deadline):
            time.sleep(POLL_SECONDS)
        if process.poll() is None:
            self.tell(f"{self.name}: grace period over")
            self.signal(signal.SIGKILL)
            process.wait()
        self.wake()

    def _run_hook(self, hook: Object, deadline: float) -> None:
        self.tell(f"{self.name}: preStop")
        seconds = max(0.0, deadline - time.monotonic())
        if "sleep" in hook:
            threading.Event().wait(min(seconds, hook["sleep"]["seconds"]))
        elif not check(hook, self.target, seconds):
            self.tell(f"{self.name}: preStop failed")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; SIGKILL goes to everything that the process started."""
        process = self.process
        if process is None or process.poll() is not None:
            return
        self.tell(f"{self.name}: {number.name}")
        if number is signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)

    def kill(self) -> None:
        """End it at once, and wait until it has ended."""
        process = self.process
        self.signal(signal.SIGKILL)
        if process is not None:
            process.wait()

    def status(self) -> dict[str, Any]:
        """Give the container's part of the Pod's status."""
        ended = None if self.last_exit is None else {"terminated": self._terminated()}
        return {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": "",
            "ready": self.is_ready,
            "started": self.has_started,
            "restartCount": self.restarts,
            "state": self._state(),
            "lastState": (ended if self.restarts else None) or {},
        }

    def _state(self) -> Object:
        if self.process is not None:
            return {"running": {"startedAt": written(self.started_at)}}
        if self.waiting:
            return {"waiting": {"reason": self.waiting}}
        return {"terminated": self._terminated()}

    def _terminated(self) -> Object:
        code = self.last_exit or 0
        return {
            "exitCode": code if code >= 0 else 128 - code,
            "reason": "Error" if code else "Completed",
            "startedAt": written(self.started_at),
            "finishedAt": written(self.ended_at),
        }


def written(seconds: float) -> str:
    """Write a time as Kubernetes does."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
