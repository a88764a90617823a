"""What Prometheus has collected: every series of a server, of the certs program and of others."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client.metrics_core import Metric

from certs.metrics import Metrics as CertsMetrics
from certs.plan import Act
from webhook.metrics import Metrics

# Of the API server, by webhook; tests/cluster/test_api_server.py shows that a real one has them.
_PREFIX = "apiserver_admission_webhook"
_CALL = 'name="pods.vci-webhook.io", type="admit", operation="CREATE"'
_REFUSED = 'error_type="calling_webhook_error", rejection_code="0"'
API_SERVER = (
    f'{_PREFIX}_fail_open_count{{name="pods.vci-webhook.io", type="admit"}}',
    f'{_PREFIX}_request_total{{{_CALL}, code="200", rejected="false"}}',
    f"{_PREFIX}_rejection_count{{{_CALL}, {_REFUSED}}}",
    f'{_PREFIX}_admission_duration_seconds_bucket{{{_CALL}, rejected="false", le="2.5"}}',
    f'{_PREFIX}_admission_duration_seconds_bucket{{{_CALL}, rejected="false", le="+Inf"}}',
)
_DEPLOYMENT = '{namespace="vci-webhook", deployment="vci-webhook"}'
KUBE_STATE_METRICS = (
    f"kube_deployment_spec_replicas{_DEPLOYMENT}",
    f"kube_deployment_status_replicas_available{_DEPLOYMENT}",
)
TARGET = {"namespace": "vci-webhook", "pod": "pod-0", "container": "any", "instance": "10.0.0.9"}
SELECTOR = re.compile(r"\b([a-z_]+)\{([^}]*)\}")
LABEL = re.compile(r"(\w+) ?(?:=~|!~|!=|=)")


@dataclass(frozen=True, slots=True)
class Collected:
    """Each series with its values, one a minute, in promtool's notation."""

    series: dict[str, str]

    def labels(self) -> dict[str, set[str]]:
        """Give the labels that each metric has."""
        found: dict[str, set[str]] = {}
        for name in self.series:
            metric, _, labels = name.partition("{")
            found.setdefault(metric, set()).update(LABEL.findall(labels))
        return found

    def misses(self, expression: str) -> Iterator[str]:
        """Say which metrics and labels of an expression are not there."""
        known = self.labels()
        for name, matchers in SELECTOR.findall(expression):
            if name not in known:
                yield f"no metric {name}"
            yield from (f"{name} has no label {each}" for each in self._strange(name, matchers))

    def _strange(self, name: str, matchers: str) -> set[str]:
        return set(LABEL.findall(matchers)) - self.labels().get(name, set())


def collect(server: Metrics) -> Collected:
    """Name what Prometheus has of a server to which everything has happened, and of the rest."""
    ours = {
        **_series(server.registry.collect(), "vci-webhook"),
        **_series(_certs_metrics().registry.collect(), "vci-webhook-certs"),
        'up{namespace="vci-webhook", job="vci-webhook", pod="pod-0"}': "1x120",
    }
    return Collected(ours | dict.fromkeys((*API_SERVER, *KUBE_STATE_METRICS), "0+1x120"))


def _series(families: Iterable[Metric], job: str) -> dict[str, str]:
    grows = ("counter", "histogram")
    return {
        _named(sample.name, {**TARGET, "job": job, **sample.labels}): (
            "0+1x120" if family.type in grows else f"{sample.value}x120"
        )
        for family in families
        for sample in family.samples
    }


def _named(name: str, labels: dict[str, str]) -> str:
    matchers = ", ".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{matchers}}}"


def _certs_metrics() -> CertsMetrics:
    metrics = CertsMetrics()
    metrics.took(next(iter(Act)))
    metrics.failed()
    for gauge in (metrics._expiry, metrics._not_after, metrics._renewal):  # noqa: SLF001 - a pass takes a cluster
        for certificate in ("serving", "ca"):
            gauge.labels(certificate).set(timedelta(days=20).total_seconds())
    return metrics
