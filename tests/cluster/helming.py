"""The chart and the real helm: a release is installed, upgraded, rolled back and taken away."""

import base64
import json
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from types import MappingProxyType

import yaml

from tests.cluster.binaries import CERTIFICATE_CRDS, MONITORING_CRDS, Binaries
from tests.cluster.client import Client, Object, Watch
from tests.cluster.control_plane import EXAMPLES, PODS_CREATED, Cluster, ControlPlane, control_plane
from tests.cluster.node.agent import Agent
from tests.cluster.node.image import Image
from tests.cluster.node.running import PLACED_HERE, running_node
from tests.cluster.nodes import RUNNING
from tests.cluster.process import eventually

CHART = EXAMPLES.parent / "charts" / "vci-webhook"
NAME = "vci-webhook"
MUTATING, VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
PATIENCE = "60s"
WAIT = ("--wait", "--timeout", PATIENCE)
# Pods of these namespaces run on the node that runs processes, whoever makes them: the commands of
# the documentation need no values for it.
API_SERVER_FLAGS = {"enable-admission-plugins": "PodNodeSelector,PodTolerationRestriction"}
SENT_HERE = {
    "scheduler.alpha.kubernetes.io/node-selector": f"{RUNNING}=true",
    "scheduler.alpha.kubernetes.io/defaultTolerations": json.dumps(PLACED_HERE["tolerations"]),
}
DELETIONS: tuple[Object, ...] = ({"level": "Metadata", "verbs": ["delete"]},)
ISSUED = ("certificates", "issuers", "clusterissuers")
MONITORED = ("podmonitors", "servicemonitors", "prometheusrules")
RESTRICTED = {
    f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")
}


def helm_environment(folder: Path, programs: Binaries, kubeconfig: Path) -> dict[str, str]:
    """Give the variables with which helm leaves nothing outside of a folder."""
    found = os.pathsep.join(str(programs[name].parent) for name in ("helm", "kubectl"))
    homes = {
        f"HELM_{name}_HOME": str(folder / name.lower()) for name in ("CACHE", "CONFIG", "DATA")
    }
    return {
        **{n: v for n, v in os.environ.items() if not n.startswith(("VCI_WEBHOOK_", "HELM_"))},
        **homes,
        "HOME": str(folder),
        "KUBECONFIG": str(kubeconfig),
        "PATH": os.pathsep.join((found, os.environ["PATH"])),
    }


@dataclass(frozen=True, slots=True)
class Helm:
    """The program, as an administrator of one cluster runs it."""

    cluster: Cluster
    node: Agent
    folder: Path

    def attempt(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run it, however it ends."""
        plane = self.cluster.plane
        return subprocess.run(
            [plane.programs["helm"], *arguments],
            env=helm_environment(self.folder, plane.programs, plane.kubeconfig),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    def run(self, *arguments: str | Path) -> str:
        """Run it to its good end, and return what it prints."""
        done = self.attempt(*arguments)
        assert not done.returncode, (arguments, done.stdout, done.stderr)
        return done.stdout

    def write_values(self, values: Mapping[str, object]) -> Path:
        """Write a file of values."""
        path = Path(mkdtemp(prefix="values-", dir=self.folder)) / "values.yaml"
        path.write_text(yaml.safe_dump(dict(values), sort_keys=False), "utf-8")
        return path

    def package(self, chart: Path, version: str) -> Path:
        """Package the chart as another version of itself, image and all."""
        flags = ("--version", version, "--app-version", version)
        folder = Path(mkdtemp(prefix="package-", dir=self.folder))
        self.run("package", chart, "--destination", folder, *flags)
        (package,) = folder.glob("*.tgz")
        return package


@dataclass(slots=True)
class Release:
    """A release, and what of it is in the cluster."""

    helm: Helm
    name: str = NAME
    namespace: str = NAME

    @property
    def admin(self) -> Client:
        return self.helm.cluster.admin

    @property
    def fullname(self) -> str:
        """What the chart calls its objects."""
        return self.name if NAME in self.name else f"{self.name}-{NAME}"

    def install(
        self,
        values: Mapping[str, object] = MappingProxyType({}),
        flags: Sequence[str] = WAIT,
        chart: Path = CHART,
    ) -> str:
        """Install it, and wait until all of it is ready."""
        return self._bring("install", flags, values, chart)

    def upgrade(
        self,
        values: Mapping[str, object] = MappingProxyType({}),
        flags: Sequence[str] = ("--reset-then-reuse-values",),
        chart: Path = CHART,
    ) -> str:
        """Upgrade it, with values besides those that it has."""
        return self._bring("upgrade", [*WAIT, *flags], values, chart)

    def _bring(
        self, verb: str, flags: Sequence[str], values: Mapping[str, object], chart: Path
    ) -> str:
        file = self.helm.write_values(values)
        command = (verb, self.name, chart, "--namespace", self.namespace, "--values", file)
        try:
            return self.helm.run(*command, *flags)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.helm.node.printed()}") from error

    def rollback(self) -> str:
        """Go back by one revision."""
        return self.helm.run("rollback", self.name, "--namespace", self.namespace, *WAIT)

    def uninstall(self) -> str:
        """Take it away."""
        return self.helm.run("uninstall", self.name, "--namespace", self.namespace, "--wait")

    def test(self) -> "subprocess.CompletedProcess[str]":
        """Run its test; without ``--logs``, as the node has no port from which to read them."""
        flags = ("--namespace", self.namespace, "--timeout", PATIENCE)
        return self.helm.attempt("test", self.name, *flags)

    def values(self) -> Object:
        """Give the values that were set."""
        text = self.helm.run(
            "get", "values", self.name, "--namespace", self.namespace, "-o", "yaml"
        )
        found: Object = yaml.safe_load(text) or {}
        return found

    def revisions(self) -> list[Object]:
        """Give its history."""
        where = ("--namespace", self.namespace, "--output", "json")
        found: list[Object] = json.loads(self.helm.run("history", self.name, *where))
        return found

    def pods(self, component: str = "webhook") -> list[Object]:
        """Give its Pods that are there to stay."""
        labels = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        pods = self.admin.list("Pod", self.namespace, labelSelector=labels)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def bundles(self, kind: str = MUTATING) -> list[bytes]:
        """Give the bundle of each entry."""
        return bundles_of(self.admin.get(kind, self.fullname))

    def await_end_of_pods(self) -> None:
        """Wait until no Pod of it is left."""
        labels = f"app.kubernetes.io/instance={self.name}"
        eventually(
            lambda: not self.admin.list("Pod", self.namespace, labelSelector=labels),
            f"the end of the Pods of {self.name}",
        )


def bundles_of(configuration: Object) -> list[bytes]:
    """Read the bundle of each entry of a configuration."""
    clients = [webhook["clientConfig"] for webhook in configuration["webhooks"]]
    return [base64.b64decode(client.get("caBundle", "")) for client in clients]


def create_release_namespace(admin: Client, name: str) -> None:
    """Make a namespace that enforces ``restricted``, with all that controllers put into it."""
    metadata = {"name": name, "labels": dict(RESTRICTED), "annotations": dict(SENT_HERE)}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    eventually(lambda: admin.find("Namespace", name) is None, f"the end of namespace {name}")
    admin.create(manifest)
    eventually(lambda: admin.find("ServiceAccount", "default", name), "ServiceAccount default")
    eventually(lambda: admin.find("ConfigMap", "kube-root-ca.crt", name), "kube-root-ca.crt")


@dataclass(slots=True)
class Versions:
    """Every version of one configuration that was stored since, in order; None is its end."""

    seen: list[Object | None] = field(default_factory=list)


@contextmanager
def watching(admin: Client, kind: str, name: str) -> Iterator[Versions]:
    """Note each version of an object until the block ends."""
    versions = Versions()
    first = admin.get(kind, name)
    versions.seen.append(first)
    resource_version = first["metadata"]["resourceVersion"]
    watch = admin.watch(kind, resource_version, fieldSelector=f"metadata.name={name}")
    thread = threading.Thread(target=_note, args=(watch, versions), daemon=True)
    thread.start()
    try:
        yield versions
        _await_last(admin, kind, name, versions)
    finally:
        watch.end()
        thread.join(10)


def _note(watch: Watch, versions: Versions) -> None:
    with closing(watch):
        for event in watch:
            versions.seen.append(None if event["type"] == "DELETED" else event["object"])


def _await_last(admin: Client, kind: str, name: str, versions: Versions) -> None:
    """Wait until what is there now was seen."""

    def is_seen() -> bool:
        now, last = admin.find(kind, name), versions.seen[-1]
        if now is None or last is None:
            return now is last
        return bool(now["metadata"]["resourceVersion"] == last["metadata"]["resourceVersion"])

    eventually(is_seen, f"the newest {kind} {name}", 20)


@contextmanager
def helming(folder: Path, programs: Binaries, image: Image | None = None) -> Iterator[Helm]:
    """Have a cluster in which nothing of ours was ever installed, and helm."""
    flags: dict[str, object] = {**API_SERVER_FLAGS}
    with (
        control_plane(
            folder, programs, api_server_flags=flags, audited=(PODS_CREATED, *DELETIONS)
        ) as cluster,
        running_node(cluster.plane, cluster.admin, image, sync_seconds=1.0) as node,
    ):
        _define_resources(cluster.plane)
        home = folder / "helm"
        home.mkdir()
        yield Helm(cluster, node, home)
        assert not node.failures
        assert not cluster.kubelet.failures


def _define_resources(plane: ControlPlane) -> None:
    """Have the kinds of cert-manager and prometheus-operator that the chart makes objects of."""
    files = [
        *(plane.programs[CERTIFICATE_CRDS] / f"cert-manager.io_{name}.yaml" for name in ISSUED),
        *(plane.programs[MONITORING_CRDS] / f"monitoring.coreos.com_{n}.yaml" for n in MONITORED),
    ]
    plane.kubectl("create", *(f"--filename={file}" for file in files))
    plane.kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")
