"""Prometheus' families of samples, made of plain numbers."""

from collections.abc import Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

Counts = Mapping[tuple[str, ...], float]


def counter(name: str, told: str, labels: Sequence[str], counts: Counts) -> CounterMetricFamily:
    """Make a counter with a sample for each combination of values of its labels."""
    family = CounterMetricFamily(name, told, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def plain_counter(name: str, told: str, count: float) -> CounterMetricFamily:
    """Make a counter without labels."""
    return counter(name, told, (), {(): count})


def gauge(name: str, told: str, value: float) -> GaugeMetricFamily:
    """Make a gauge without labels."""
    return GaugeMetricFamily(name, told, value=value)
