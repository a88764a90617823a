"""What the process counts, for Prometheus. Names of Pods and namespaces are never labels."""

import time

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from webhook import __version__
from webhook.handshake import Handshakes
from webhook.limits import Room
from webhook.load import Load
from webhook.port import Port
from webhook.profile import Profile
from webhook.tally import Tally

PREFIX = "vci_webhook"
CONTENT_TYPE = CONTENT_TYPE_LATEST

disable_created_metrics()  # a second time series for each counter, of which nobody has a use


class Metrics:
    """The metrics of one server; a registry of its own, so that a process may have two."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # memory, CPU, open files, by their usual names
        self.tally = Tally(PREFIX)
        self.registry.register(self.tally)
        self._gauge("build_info", "The version of the webhook.", "version").labels(__version__).set(
            1
        )
        self._profile = self._gauge("profile_info", "The profile that is active.", "version")
        self._rules = self._gauge("profile_rules", "Rules of the active profile.")
        self._problems = self._gauge(
            "profile_problems", "Problems of the newest version of the profile.", "severity"
        )
        self._profile_reloads = self._counter(
            "profile_reloads",
            "Versions of the profile that were read; partial: without the rules that are wrong.",
            "result",
        )
        for result in ("accepted", "partial", "rejected"):
            self._profile_reloads.labels(result)
        self._rejected = self._gauge(
            "profile_rejected", "1 while the newest version is invalid as a whole and not active."
        )
        self._following = self._gauge("watch_up", "1 while changes arrive.", "resource")
        self._contact = self._gauge(
            "watch_last_contact_timestamp_seconds", "Last word of the API server.", "resource"
        )
        self._requests = self._counter(
            "watch_requests", "Requests to list or to watch.", "resource", "verb"
        )
        self._failures = self._counter(
            "watch_failures",
            "Requests to list or to watch that ended as they should not.",
            "resource",
            "cause",
        )
        self._namespaces = self._gauge("namespaces", "Namespaces known.")
        self._reads = self._counter(
            "namespace_reads", "Namespaces read for a review before the watch had them.", "result"
        )
        self._certificate = self._gauge(
            "tls_certificate_expiry_timestamp_seconds", "End of the certificate that is served."
        )
        self._certificate_rejected = self._gauge(
            "tls_certificate_rejected", "1 while there is another one, which cannot be served."
        )
        self._reloads = self._counter(
            "tls_reloads", "Certificates read: served since, or rejected.", "result"
        )
        self._reloaded = self._gauge(
            "tls_last_reload_success_timestamp_seconds", "When the one that is served was read."
        )

    def _gauge(self, name: str, told: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", told, labels, registry=self.registry)

    def _counter(self, name: str, told: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", told, labels, registry=self.registry)

    def render(self) -> bytes:
        """Give everything in Prometheus' text format."""
        return generate_latest(self.registry)

    def watch(self, room: Room, handshakes: Handshakes, port: Port) -> None:
        """Show the load of a server as well."""
        self.registry.register(Load(PREFIX, room, handshakes, port))

    def profile_active(self, profile: Profile) -> None:
        """Tell which profile acts."""
        self._profile.clear()
        self._profile.labels(profile.version).set(1)
        self._rules.set(len(profile.rules))
        self.tally.follow_profile(profile)

    def profile_read(self, errors: int, warnings: int, *, rejected: bool) -> None:
        """Tell what is wrong with the newest version."""
        self._problems.labels("error").set(errors)
        self._problems.labels("warning").set(warnings)
        self._rejected.set(rejected)

    def profile_reloaded(self, errors: int, *, rejected: bool) -> None:
        """Count a version whose content is new, by what became of it."""
        result = "rejected" if rejected else "partial" if errors else "accepted"
        self._profile_reloads.labels(result).inc()

    def asked(self, resource: str, *, watch: bool) -> None:
        """Count a request."""
        self._requests.labels(resource, "watch" if watch else "list").inc()

    def heard(self, resource: str) -> None:
        """Tell that the API server has answered."""
        self._following.labels(resource).set(1)
        self._contact.labels(resource).set(time.time())

    def failed(self, resource: str, cause: str) -> None:
        """Count a failure."""
        self._failures.labels(resource, cause).inc()

    def lost(self, resource: str) -> None:
        """Tell that nothing new is learnt until the next answer."""
        self._following.labels(resource).set(0)

    def namespaces_known(self, count: int) -> None:
        """Tell how many namespaces there are."""
        self._namespaces.set(count)

    def namespace_read(self, result: str) -> None:
        """Count a live read."""
        self._reads.labels(result).inc()

    def certificate_loaded(self, expiry: float) -> None:
        """Tell until when the certificate is valid that is served from now on."""
        self._certificate.set(expiry)
        self._certificate_rejected.set(0)
        self._reloads.labels("success").inc()
        self._reloaded.set(time.time())

    def certificate_rejected(self) -> None:
        """Tell that there is a certificate which cannot be served."""
        self._certificate_rejected.set(1)
        self._reloads.labels("failure").inc()

    def certificate_kept(self) -> None:
        """Tell that there is none but the one that is served."""
        self._certificate_rejected.set(0)
