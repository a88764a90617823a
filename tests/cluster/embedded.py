"""The real server in a thread of the tests, in force: its profile changes between two Pods."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.cluster.client import Client, Object
from tests.cluster.configuration import configured, webhook_configuration
from tests.cluster.control_plane import Cluster
from tests.cluster.pki import Pair
from tests.cluster.scripted import PROBE
from tests.cluster.workloads import bare_pod
from tests.contract.serving import serve_thread
from webhook.profile import Profile, parse_profile
from webhook.state import Snapshot, State
from webhook.tls_pair import TlsFiles

Labels = Mapping[str, str]
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Embedded:
    """A server in force for some namespaces, whose labels are what a test says."""

    name: str  # in the configuration, and so in the audit log
    state: State

    def use(self, data: Mapping[str, str], namespaces: Mapping[str, Labels]) -> list[str]:
        """Have a profile and labels act on the next Pod; return what is wrong with the profile."""
        profile, problems = parse_profile(data, version="1")
        self.state.snapshot = Snapshot(profile or Profile(), namespaces)
        return [str(problem) for problem in problems if problem.severity == "error"]


@contextmanager
def embedded_webhook(cluster: Cluster, *namespaces: str) -> Iterator[Embedded]:
    """Have a server in force, without rules yet; whatever it cannot answer refuses the Pod."""
    name = f"embedded-{next(_numbers)}"
    folder = cluster.plane.folder / name
    authority = cluster.plane.authority
    _write_tls_folder(folder, authority.issue_serving(name), authority.certificate)
    with serve_thread(TlsFiles(folder)) as server:
        configuration = webhook_configuration(
            name,
            server.url,
            authority.certificate.read_bytes(),
            [*namespaces],
            failurePolicy="Fail",
        )
        embedded = Embedded(configuration["webhooks"][0]["name"], server.state)
        embedded.use(rules(MARKING), {namespace: {} for namespace in namespaces})
        acts = _marks(cluster.admin, namespaces)
        with configured(cluster.admin, configuration, acts):
            embedded.use({}, {namespace: {} for namespace in namespaces})
            yield embedded


MARKING: Object = {"name": "marking", "matchAll": True, "effect": {"labels": {"marked": "true"}}}


def _marks(admin: Client, namespaces: tuple[str, ...]) -> Callable[[], bool]:
    """Return what tells whether Pods of all the namespaces are sent to the server."""

    def acts() -> bool:
        pods = [admin.create(bare_pod(PROBE), name, "?dryRun=All") for name in namespaces]
        return all("marked" in pod["metadata"].get("labels", {}) for pod in pods)

    return acts


def rules(*items: Object, **keys: str) -> dict[str, str]:
    """Return a profile's data: these rules, and cluster-wide keys."""
    return {**keys, "selectors": json.dumps(items)}


def _write_tls_folder(folder: Path, pair: Pair, authority: Path) -> None:
    """Lay the files out as a Secret's volume does."""
    folder.mkdir()
    shutil.copy(pair.certificate, folder / "tls.crt")
    shutil.copy(pair.key, folder / "tls.key")
    shutil.copy(authority, folder / "ca.crt")
