"""What a kubelet says of a Pod: phase, conditions, addresses, containers."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.cluster.client import Object

READY_CONDITIONS = ("Ready", "ContainersReady")
ALWAYS_TRUE = ("PodReadyToStartContainers", "Initialized")


def pod_status(
    containers: Sequence[Object], addresses: Mapping[str, str], phase: str, started: str
) -> dict[str, Any]:
    """Say how a Pod is; conditions are without their times."""
    ready = phase == "Running" and all(container["ready"] for container in containers)
    conditions = [{"type": kind, "status": "True"} for kind in ALWAYS_TRUE]
    conditions += [
        {"type": kind, "status": "True" if ready else "False"} for kind in READY_CONDITIONS
    ]
    return {
        "phase": phase,
        "hostIP": addresses["host"],
        "hostIPs": [{"ip": addresses["host"]}],
        "podIP": addresses["pod"],
        "podIPs": [{"ip": addresses["pod"]}],
        "startTime": started,
        "conditions": conditions,
        "containerStatuses": list(containers),
    }


def phase_of(containers: Sequence[Object], *, restart: bool) -> str:
    """Tell a Pod's phase by its containers' states."""
    states = [container["state"] for container in containers]
    if all("terminated" in state for state in states) and not restart:
        good = all(state["terminated"]["exitCode"] == 0 for state in states)
        return "Succeeded" if good else "Failed"
    began = any("running" in s for s in states) or any(c["restartCount"] for c in containers)
    return "Running" if began else "Pending"
