"""The real webhook in force on the control plane, with the examples' profile and namespace."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.cluster.client import Client, Object, read_manifests
from tests.cluster.configuration import client_config, configured
from tests.cluster.control_plane import Cluster
from tests.cluster.nodes import VIRTUAL_NODE_TAINT
from tests.cluster.scripted import PROBE
from tests.cluster.webhook import Served, serve
from tests.cluster.workloads import EXAMPLES, bare_pod

PLACED = "workflows"  # the examples' namespace, with the label that their profile selects
PROFILE = EXAMPLES / "vci-profile.yaml"


@contextmanager
def examples_in_force(cluster: Cluster, *others: str) -> Iterator[Served]:
    """Serve the examples' profile for their namespace, and for others that have no label."""
    namespaces = read_manifests(EXAMPLES / "namespace.yaml")
    namespaces += [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in others
    ]
    with serve(cluster.plane.logs / "webhook.log", PROFILE, namespaces) as webhook:
        configuration, _ = read_manifests(EXAMPLES / "webhook-configuration.yaml")
        (entry,) = configuration["webhooks"]
        entry["clientConfig"] = client_config(webhook.url, webhook.authority)
        with configured(cluster.admin, configuration, lambda: _acts(cluster.admin)):
            yield replace(webhook, name=entry["name"])


def _acts(admin: Client) -> bool:
    return is_placed(admin.create(bare_pod(PROBE), PLACED, "?dryRun=All"))


def is_placed(pod: Object) -> bool:
    """Tell whether a Pod has what the profile gives to a Pod that must run on VCI."""
    spec, annotations = pod["spec"], pod["metadata"].get("annotations", {})
    toleration = {"operator": "Equal", **VIRTUAL_NODE_TAINT}
    return (
        toleration in spec["tolerations"]
        and spec.get("nodeSelector") == {"type": "virtual-kubelet"}
        and annotations.get("vke.volcengine.com/burst-to-vci") == "enforce"
    )
