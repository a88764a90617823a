"""Has everything happen to a server once, so that all its metrics are there with their labels."""

import json
from typing import Any

from prometheus_client.metrics_core import Metric

from tests.contract.reviews import POD, encoded
from tests.contract.serving import ServerThread
from webhook.metrics import PREFIX
from webhook.profile import Profile, parse_profile
from webhook.state import Snapshot

RULES = [
    {"name": "light", "matchAll": True, "placement": "enforce"},
    {"name": "dark", "matchAll": True, "mode": "shadow"},
]


def profile_of(*rules: dict[str, Any]) -> Profile:
    """Make a profile of these rules."""
    profile, _ = parse_profile({"selectors": json.dumps(rules)}, "7")
    assert profile is not None
    return profile


def do_everything(server: ServerThread) -> None:
    """Decide about Pods, read a profile, follow and fail."""
    profile = profile_of(*RULES)
    server.state.snapshot = Snapshot(profile, {"argo": {}})
    metrics = server.metrics
    metrics.profile_active(profile)
    metrics.profile_read(1, 1, rejected=True)
    metrics.asked("namespaces", watch=True)
    metrics.heard("namespaces")
    metrics.failed("namespaces", "silent")
    metrics.namespace_read("found")
    metrics.certificate_rejected()
    with server.connect() as connection:
        connection.post(encoded())
        connection.post(encoded({**POD, "spec": {**POD["spec"], "hostNetwork": True}}))


def our_families(server: ServerThread) -> list[Metric]:
    """Give all metrics but those of the process."""
    return [each for each in server.metrics.registry.collect() if each.name.startswith(PREFIX)]
