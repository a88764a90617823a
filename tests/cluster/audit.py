"""What the API server itself noted about the creation of Pods, read as it is written."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from tests.cluster.client import Object
from tests.cluster.process import eventually

ROUND = "mutation.webhook.admission.k8s.io/"


def new_id() -> str:
    """Return an id to send with a request, in the header ``Audit-ID``."""
    return str(uuid4())


@dataclass(slots=True)
class AuditLog:
    """The audit log from now on, event by event."""

    path: Path
    events: list[Object] = field(default_factory=list)
    _by_id: dict[str, Object] = field(default_factory=dict)
    _position: int = 0

    def __post_init__(self) -> None:
        self._position = self.path.stat().st_size

    def read(self) -> list[Object]:
        """Return all events so far; half a line is left for the next time."""
        with self.path.open("rb") as file:
            file.seek(self._position)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._position += len(line)
                event = json.loads(line)
                self.events.append(event)
                self._by_id[event["auditID"]] = event
        return self.events

    def find(self, audit_id: str) -> Object:
        """Wait for the event of a request."""

        def seek() -> Object | None:
            self.read()
            return self._by_id.get(audit_id)

        return eventually(seek, f"request {audit_id} in the audit log", seconds=10)

    def created(self, namespace: str) -> int:
        """Count the Pods that were really created in a namespace."""
        return sum(
            event["objectRef"]["namespace"] == namespace
            and event["responseStatus"]["code"] == 201
            and "dryRun" not in event["requestURI"]
            for event in self.read()
        )


def was_mutated(event: Object, webhook: str) -> bool:
    """Tell whether a webhook's patch changed the object of a request."""
    rounds = (
        json.loads(text)
        for key, text in event.get("annotations", {}).items()
        if key.startswith(ROUND)
    )
    (mutated,) = (each["mutated"] for each in rounds if each["webhook"] == webhook)
    return bool(mutated)
