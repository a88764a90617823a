"""The webhook as a Deployment behind its Service, in force with ``failurePolicy: Fail``."""

import base64
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests.cluster.client import ApiError, Object, object_path, read_manifests
from tests.cluster.configuration import configured, webhook_configuration
from tests.cluster.control_plane import Cluster
from tests.cluster.following import ACCOUNT, LABEL, PROFILE, grant_rights, marks_of, profile
from tests.cluster.node.agent import Agent
from tests.cluster.node.pod import RunningPod
from tests.cluster.node.proxy import ServiceProxy
from tests.cluster.node.running import PLACED_HERE
from tests.cluster.process import eventually
from tests.cluster.workloads import bare_pod

NAME = "vci-webhook"
MANIFESTS = Path(__file__).parent / "deployment.yaml"
MARK = "deployed"
SETTLED_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Deployed:
    """A Deployment that can be rolled out, scaled, and hurt."""

    cluster: Cluster
    node: Agent

    def restart(self) -> None:
        """Do what ``kubectl rollout restart`` does: with it, until all Pods are new."""
        self._kubectl("rollout", "restart", f"deployment/{NAME}")
        self.await_rollout()

    def scale(self, replicas: int) -> None:
        """Have so many replicas, and wait until they are there and the others are going."""
        self._kubectl("scale", f"deployment/{NAME}", f"--replicas={replicas}")
        self.await_rollout()
        eventually(lambda: len(self.pods()) == replicas, f"{replicas} replicas", SETTLED_SECONDS)

    def set_policy(self, policy: str) -> None:
        """Say what becomes of Pods that the webhook gives no answer about."""
        admin = self.cluster.admin
        webhooks = admin.get("MutatingWebhookConfiguration", NAME)["webhooks"]
        webhooks[0]["failurePolicy"] = policy
        admin.patch("MutatingWebhookConfiguration", NAME, "", {"webhooks": webhooks})

    def await_rollout(self) -> None:
        """Wait until all Pods are as the Deployment says now; what they print tells why not."""
        try:
            self._kubectl(
                "rollout", "status", f"deployment/{NAME}", f"--timeout={SETTLED_SECONDS}s"
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.node.printed()}") from error

    def await_end_of_old_pods(self) -> None:
        """Wait until every Pod that was asked to stop is gone."""
        eventually(lambda: not self._stopping(), "the end of old Pods", SETTLED_SECONDS)

    def _stopping(self) -> list[Object]:
        return [pod for pod in self.cluster.admin.list("Pod", NAME) if _is_stopping(pod)]

    def pods(self) -> list[RunningPod]:
        """Give the Pods that are there to stay, oldest first."""
        there = [p for p in self.cluster.admin.list("Pod", NAME) if not _is_stopping(p)]
        there.sort(key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
        return [self.node.pod(pod["metadata"]["name"]) for pod in there]

    def endpoints(self) -> set[str]:
        """Give the addresses that the API server may choose from."""
        label = f"kubernetes.io/service-name={NAME}"
        slices = self.cluster.admin.list("EndpointSlice", NAME, labelSelector=label)
        every = [endpoint for slice_ in slices for endpoint in slice_["endpoints"] or ()]
        return {e["addresses"][0] for e in every if e["conditions"]["ready"]}

    def reviews(self, pod: RunningPod) -> float:
        """Tell how many Pods a replica has decided about, by its own figures."""
        with urllib.request.urlopen(f"http://{pod.address}:8080/metrics", timeout=5) as answer:
            text = answer.read().decode()
        return sum(map(float, re.findall(r"(?m)^vci_webhook_reviews_total\{.*\} (\S+)$", text)))

    def _kubectl(self, *arguments: str) -> None:
        self.cluster.plane.kubectl(f"--namespace={NAME}", *arguments)


def _is_stopping(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def is_right(pod: Object) -> bool:
    """Tell whether a Pod has what the profile's rule adds."""
    return marks_of(pod) == [MARK, MARK]


@contextmanager
def deployed(cluster: Cluster, node: Agent, namespace: str, **changes: Any) -> Iterator[Deployed]:
    """Have the Deployment ready and in force for one namespace until the block ends.

    ``changes`` are merged into the spec of its Pods, lists by appending.
    """
    admin = cluster.admin
    grant_rights(admin)
    admin.apply(profile(MARK))
    admin.patch("Namespace", namespace, "", {"metadata": {"labels": LABEL}})
    authority = create_tls_secret(cluster)
    here = Deployed(cluster, node)
    try:
        for manifest in read_manifests(MANIFESTS):
            if manifest["kind"] == "Deployment":
                _change(manifest["spec"]["template"]["spec"], {**PLACED_HERE, **changes})
            admin.create(manifest)
        here.await_rollout()
        configuration = _configuration(namespace, authority)
        with (
            _reachable(cluster),
            configured(admin, configuration, lambda: _acts(cluster, namespace)),
        ):
            yield here
    finally:
        for kind in ("Deployment", "Service"):
            admin.delete(kind, NAME, NAME)
        at_once = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 1}
        admin.send("DELETE", object_path("Pod", NAME), json.dumps(at_once).encode())
        eventually(lambda: not admin.list("Pod", NAME), "the end of all replicas", SETTLED_SECONDS)
        admin.delete(*PROFILE)


def _reachable(cluster: Cluster) -> AbstractContextManager[None]:
    """Where the API server does not find endpoints itself, do what kube-proxy does."""
    if cluster.plane.routes_to_endpoints:
        return nullcontext()
    return ServiceProxy(cluster.admin, NAME, NAME).running()


def create_tls_secret(cluster: Cluster) -> bytes:
    """Issue the certificate of the Service, put it where Pods read it, and give its CA."""
    folder = Path(mkdtemp(prefix="tls-", dir=cluster.plane.folder))
    names = ["--dns", f"{NAME}.{ACCOUNT}.svc"]
    issue = [sys.executable, "-m", "certs", "issue", "--dir", str(folder), *names]
    subprocess.run(issue, check=True, capture_output=True)
    files = {name: (folder / name).read_bytes() for name in ("ca.crt", "tls.crt", "tls.key")}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "vci-webhook-tls", "namespace": NAME},
        "data": {name: base64.b64encode(content).decode() for name, content in files.items()},
    }
    cluster.admin.apply(secret)
    return files["ca.crt"]


def _configuration(namespace: str, authority: bytes) -> Object:
    """Send Pods of the namespace to the Service; without an answer they are not created."""
    made = webhook_configuration(
        NAME, "", authority, [namespace], failurePolicy="Fail", timeoutSeconds=5
    )
    service = {"namespace": NAME, "name": NAME, "path": "/mutate"}
    made["webhooks"][0]["clientConfig"] = {
        "service": service,
        "caBundle": base64.b64encode(authority).decode(),
    }
    return made


def _acts(cluster: Cluster, namespace: str) -> bool:
    try:
        return is_right(cluster.admin.create(bare_pod(), namespace, "?dryRun=All"))
    except ApiError:  # in force, and the replicas are not known yet
        return False


def _change(spec: Object, changes: Object) -> None:
    """Merge changes into a spec: lists grow, a container is found by its name, values replace."""
    for key, value in changes.items():
        if key == "containers":
            for container in value:
                _change(next(c for c in spec[key] if c["name"] == container["name"]), container)
        elif isinstance(value, list):
            spec[key] = [*spec.get(key, []), *value]
        else:
            spec[key] = value
