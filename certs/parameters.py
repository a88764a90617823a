"""What the certificate program was told: names, lifetimes and waits."""

from dataclasses import dataclass
from datetime import timedelta

from certs.issue import BACKDATED, CA_LIFETIME, SERVING_LIFETIME
from certs.names import Names
from certs.observed import Target

NAME = "vci-webhook"


@dataclass(frozen=True, slots=True)
class Parameters:
    """Which objects to look after, and for how long things last."""

    namespace: str = NAME
    service: str = NAME
    ca_secret: str = f"{NAME}-ca"
    serving_secret: str = f"{NAME}-tls"
    mutating: tuple[str, ...] = (NAME,)
    validating: tuple[str, ...] = (NAME,)
    ca_lifetime: timedelta = CA_LIFETIME
    serving_lifetime: timedelta = SERVING_LIFETIME
    renew_at: float = 2 / 3  # of a lifetime: late enough to be rare, early enough to be noticed
    # API servers learn a new bundle by watch, within a second; a minute is far beyond that.
    publish_wait: timedelta = timedelta(seconds=60)
    clock_skew: timedelta = BACKDATED

    @property
    def ca(self) -> Target:
        return Target("Secret", self.ca_secret)

    @property
    def serving(self) -> Target:
        return Target("Secret", self.serving_secret)

    @property
    def configurations(self) -> tuple[Target, ...]:
        mutating = (Target("MutatingWebhookConfiguration", name) for name in self.mutating)
        validating = (Target("ValidatingWebhookConfiguration", name) for name in self.validating)
        return (*mutating, *validating)

    @property
    def names(self) -> Names:
        """Every form of the Service's name; API servers use the one that ends in ``.svc``."""
        full = f"{self.service}.{self.namespace}"
        return Names((f"{full}.svc", f"{full}.svc.cluster.local", full, self.service))
