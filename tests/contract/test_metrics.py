"""What the server counts of its decisions, as Prometheus reads it."""

import json
from typing import Any

from tests.contract.reviews import POD, encoded
from tests.contract.serving import ServerThread
from webhook.manifests import profile_from_manifest
from webhook.state import Snapshot

RULES = [
    {"name": "counted-dark", "matchAll": True, "mode": "shadow", "placement": "enforce"},
    {"name": "counted-light", "matchAll": True, "placement": "allow"},
]


def _config_map(rules: list[dict[str, Any]]) -> bytes:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "vci-profile", "namespace": "kube-system"},
            "data": {"selectors": json.dumps(rules)},
        }
    ).encode()


def test_decisions_and_matching_rules_are_counted(server_thread: ServerThread) -> None:
    """A shadow rule is counted as one; so a rule's reach is known before it acts."""
    profile, _ = profile_from_manifest(_config_map(RULES), "tests")
    server_thread.state.snapshot = Snapshot(profile, {"argo": {}})
    server_thread.metrics.profile_active(profile)

    def value(name: str, **labels: str) -> float:
        return server_thread.metrics.registry.get_sample_value(f"vci_webhook_{name}", labels) or 0

    before = value("reviews_total", decision="allow"), value("reviews_total", decision="skipped")
    with server_thread.connect() as connection:
        connection.post(encoded(namespace="argo"))
        skipped = {**POD, "spec": {**POD["spec"], "hostNetwork": True}}
        connection.post(encoded(skipped, namespace="argo"))

    assert value("reviews_total", decision="allow") == before[0] + 1
    assert value("reviews_total", decision="skipped") == before[1] + 1
    assert value("rule_matches_total", rule="counted-dark", mode="shadow") == 2
    assert value("rule_matches_total", rule="counted-light", mode="active") == 2
    shown = server_thread.probe("/metrics").body.decode()
    assert 'vci_webhook_rule_matches_total{mode="shadow",rule="counted-dark"} 2.0' in shown
