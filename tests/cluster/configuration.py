"""Puts a webhook in force: the MutatingWebhookConfiguration, and knowing when it acts."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.cluster.client import Client, Object
from tests.cluster.control_plane import Cluster
from tests.cluster.process import eventually
from tests.cluster.scripted import ALLOW, PROBE, Reply, ScriptedWebhook
from tests.cluster.workloads import bare_pod


def client_config(url: str, authority: bytes) -> Object:
    """Say where a webhook is, and who vouches for it."""
    return {"url": url, "caBundle": base64.b64encode(authority).decode()}


def webhook_configuration(
    name: str,
    url: str,
    authority: bytes,
    namespaces: list[str],
    **settings: Any,
) -> Object:
    """Return a configuration that sends the CREATE of Pods in some namespaces to a URL."""
    in_namespaces = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
    }
    webhook = {
        "name": f"{name}.vci-webhook.test",
        "clientConfig": client_config(url, authority),
        "rules": [rule],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "namespaceSelector": {"matchExpressions": [in_namespaces]},
        **settings,
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    }


@contextmanager
def configured(client: Client, configuration: Object, acts: Callable[[], bool]) -> Iterator[None]:
    """Have a configuration in force inside the block; ``acts`` tells when it is."""
    name = configuration["metadata"]["name"]
    client.create(configuration)
    try:
        eventually(acts, f"webhook configuration {name} in force")
        yield
    finally:
        client.delete("MutatingWebhookConfiguration", name)


@contextmanager
def scripted_webhook(
    cluster: Cluster, namespace: str, *script: Reply, **settings: Any
) -> Iterator[ScriptedWebhook]:
    """Have a scripted webhook in force for the Pods of one namespace."""
    authority = cluster.plane.authority
    with ScriptedWebhook(authority.issue_serving("scripted")).running() as webhook:
        webhook.script = list(script) or [ALLOW]
        configuration = webhook_configuration(
            f"scripted-{namespace}",
            webhook.url,
            authority.certificate.read_bytes(),
            [namespace],
            **settings,
        )

        def acts() -> bool:
            cluster.admin.create(bare_pod(PROBE), namespace, "?dryRun=All")
            return webhook.probed.is_set()

        with configured(cluster.admin, configuration, acts):
            yield webhook
