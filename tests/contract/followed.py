"""A server that follows a scripted API server, and what a test asks of the two."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.contract.api_server import ScriptedApiServer, poll
from tests.contract.client import Response
from tests.contract.reviews import POD, encoded, patched
from tests.contract.serving import ServerThread
from webhook.cluster import Following
from webhook.follow import Timing
from webhook.kube import Cluster
from webhook.metrics import Metrics
from webhook.state import Snapshot, State
from webhook.tls_pair import TlsFiles

QUICK = Timing(silence_seconds=1.0, list_seconds=2.0, short_seconds=0.2)
PROFILE = ("kube-system", "vci-profile")


@dataclass
class Followed:
    """The pair of them."""

    api: ScriptedApiServer
    server: ServerThread

    def review(self, namespace: str) -> Response:
        """Ask for a Pod in a namespace."""
        with self.server.connect() as connection:
            return connection.post(encoded(namespace=namespace))

    def team(self, namespace: str) -> str:
        """Give the mark that the profile's rule leaves on a Pod; empty when it leaves none."""
        response = self.review(namespace)
        assert response.status == 200, response
        annotations = patched(POD, response.json)["metadata"].get("annotations", {})
        return str(annotations.get("example.com/team", ""))

    def version(self, namespace: str) -> str:
        """Give the version of the profile that stands on a Pod."""
        annotations = patched(POD, self.review(namespace).json)["metadata"]["annotations"]
        return str(json.loads(annotations["vci-webhook/applied"])["profile"])

    def wait_for_team(self, namespace: str, team: str) -> None:
        """Wait until Pods of a namespace get a mark."""
        poll(lambda: self.team(namespace) == team, f'team "{team}" in {namespace}')

    def wait_for(self, *kinds: str) -> None:
        """Wait until answers of these kinds are live."""
        for kind in kinds:
            poll(lambda kind=kind: self.api.live(kind) > 0, kind)  # type: ignore[misc]  # a default that binds

    def ready(self) -> bool:
        """Tell whether the kubelet would send reviews here."""
        return self.server.probe("/readyz").status == 200

    def metric(self, name: str, **labels: str) -> float:
        """Give a metric's value; 0 when there is none."""
        value = self.server.metrics.registry.get_sample_value(f"vci_webhook_{name}", labels)
        return value or 0.0

    def events(self) -> list[dict[str, Any]]:
        """Give the Events that were posted."""
        return [json.loads(r.body) for r in list(self.api.requests) if r.kind == "event post"]


def cluster_of(api: ScriptedApiServer) -> Cluster:
    """Reach the API server as a Pod does."""
    return Cluster(None, api.environment, api.service_account)


@contextmanager
def followed(
    api: ScriptedApiServer, tls_dir: Path, *, timing: Timing = QUICK, synced: bool = True
) -> Iterator[Followed]:
    """Run a server that follows; ``synced`` waits until it is ready and watches."""
    metrics = Metrics()
    source = Following(cluster_of(api), State(Snapshot()), PROFILE, metrics, timing)
    server = ServerThread(source, tls_dir / "ca.crt", metrics)
    with server.running(TlsFiles(tls_dir)):
        pair = Followed(api, server)
        if synced:
            poll(pair.ready, "readiness")
            pair.wait_for("namespaces watch", "configmaps watch")
        yield pair
        started = time.monotonic()
    assert time.monotonic() - started < 1.5, "a stop takes a second at most"


def messages(caplog: Any, message: str) -> list[logging.LogRecord]:
    """Give the log's records of a message."""
    return [record for record in caplog.records if record.message == message]
