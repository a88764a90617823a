"""What the certificate program measures, for Prometheus."""

import time
from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from certs.parameters import Parameters
from certs.plan import Act
from certs.settle import Outcome
from certs.situation import Situation

PREFIX = "vci_webhook_certs"
CA, SERVING = "ca", "serving"

disable_created_metrics()  # a second time series for each counter, of which nobody has a use


class Metrics:
    """The metrics of one program; a registry of its own, so that a process may have two."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._ends: dict[str, datetime] = {}
        self._not_after = self._gauge(
            "not_after_timestamp_seconds", "When a certificate in use expires.", "certificate"
        )
        self._expiry = self._gauge(
            "expiry_seconds", "How long a certificate in use is valid still.", "certificate"
        )
        self._renewal = self._gauge(
            "last_renewal_timestamp_seconds", "When a certificate in use was issued.", "certificate"
        )
        self._trusted = self._gauge("trusted_cas", "CAs in the bundle; 1 but while they change.")
        self._good = self._gauge("good", "1 while everything is as it should be.")
        self._pass = self._gauge("last_pass_timestamp_seconds", "When a pass last went well.")
        self._error = self._gauge("last_error_timestamp_seconds", "When a pass last failed.")
        self._errors = self._counter("errors", "Passes that failed.")
        self._steps = self._counter("steps", "Steps that were taken.", "step")
        for act in Act:
            self._steps.labels(_label(act))

    def _gauge(self, name: str, told: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", told, labels, registry=self.registry)

    def _counter(self, name: str, told: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", told, labels, registry=self.registry)

    def render(self) -> bytes:
        """Give everything in Prometheus' text format."""
        for name, end in tuple(self._ends.items()):
            self._expiry.labels(name).set(end.timestamp() - time.time())
        return generate_latest(self.registry)

    def took(self, act: Act) -> None:
        """Count a step."""
        self._steps.labels(_label(act)).inc()

    def failed(self) -> None:
        """Tell that a pass failed."""
        self._errors.inc()
        self._error.set(time.time())
        self._good.set(0)

    def passed(self, outcome: Outcome, parameters: Parameters) -> None:
        """Tell what a pass found in the end."""
        situation = Situation(outcome.observed, outcome.now, parameters)
        signer = situation.authorities.signer
        in_use = {CA: signer.certificate if signer else None, SERVING: None}
        if situation.leaf_works:
            in_use[SERVING] = situation.chain[0]
        for name, certificate in in_use.items():
            if certificate:
                issued = certificate.not_valid_before_utc + parameters.clock_skew
                self._ends[name] = certificate.not_valid_after_utc
                self._not_after.labels(name).set(certificate.not_valid_after_utc.timestamp())
                self._renewal.labels(name).set(issued.timestamp())
        self._trusted.set(len(situation.authorities.trusted))
        self._good.set(outcome.plan.is_good and not outcome.failures)
        if not outcome.failures:
            self._pass.set(time.time())


def _label(act: Act) -> str:
    return act.name.lower()
