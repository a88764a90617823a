"""What the API server counts of its webhooks: alerts and dashboard of the chart ask for it."""

import contextlib
import re

from tests.chart.collected import API_SERVER, LABEL
from tests.cluster.client import ApiError
from tests.cluster.configuration import scripted_webhook
from tests.cluster.control_plane import Cluster
from tests.cluster.scripted import BROKEN, MARK
from tests.cluster.workloads import bare_pod

SERIES = re.compile(r"^(\w+)\{(.*)\} (\S+)$", re.MULTILINE)


def counted(cluster: Cluster, webhook: str) -> dict[str, set[str]]:
    """Read which metrics there are about a webhook, each with its labels."""
    page = cluster.admin.send("GET", "/metrics").decode()
    return {
        name: set(LABEL.findall(labels))
        for name, labels, value in SERIES.findall(page)
        if f'name="{webhook}"' in labels and 'type="admit"' in labels and float(value)
    }


def test_the_api_server_counts_what_alerts_ask_for(cluster: Cluster, namespace: str) -> None:
    """Calls, their duration, Pods that passed without an answer and those that were refused."""
    for policy, reply in (("Fail", MARK), ("Ignore", BROKEN), ("Fail", BROKEN)):
        settings = {"failurePolicy": policy}
        with (
            scripted_webhook(cluster, namespace, reply, **settings),
            contextlib.suppress(ApiError),
        ):
            cluster.admin.create(bare_pod(), namespace)
    found = counted(cluster, f"scripted-{namespace}.vci-webhook.test")
    for series in API_SERVER:
        name, _, labels = series.partition("{")
        assert set(LABEL.findall(labels)) <= found[name]
    refused = 'error_type="calling_webhook_error"'
    assert re.search(refused, cluster.admin.send("GET", "/metrics").decode())
