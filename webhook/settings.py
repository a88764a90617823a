"""What the process was told: one frozen value, made of flags and ``VCI_WEBHOOK_…`` variables."""

from dataclasses import dataclass
from pathlib import Path

from webhook.limits import Limits

ENVIRONMENT_PREFIX = "VCI_WEBHOOK_"
SERVICE_NAME = "vci-webhook"  # of the Service by which API servers reach a webhook in a Pod


@dataclass(frozen=True)
class Settings:
    """The settings of ``vci-webhook serve``; each field is the flag of the same name."""

    tls_dir: Path
    profile: Path | None = None  # both files, or neither: then the cluster is followed
    namespaces: Path | None = None
    kubeconfig: str | None = None
    host: str = "127.0.0.1"  # loopback: a server that anybody may ask is something one asks for
    port: int = 8443
    management_port: int = 8080
    profile_name: str = "vci-profile"
    profile_namespace: str = "kube-system"
    own_namespace: str = "vci-webhook"
    service_name: str | None = None  # in a Pod, SERVICE_NAME
    client_ca: Path | None = None
    client_name: frozenset[str] | None = None
    drain_seconds: float = Limits().drain_seconds
    request_seconds: float = Limits().request_seconds
    max_connections: int = Limits().connections
    max_in_flight: int = Limits().reviews
    max_in_flight_mib: int = Limits().megabytes
    log_format: str | None = None
    log_level: str = "info"
    log_reviews_per_second: int = Limits().lines

    @property
    def limits(self) -> Limits:
        """Give those of them that are limits."""
        return Limits(
            connections=self.max_connections,
            reviews=self.max_in_flight,
            megabytes=self.max_in_flight_mib,
            lines=self.log_reviews_per_second,
            request_seconds=self.request_seconds,
            drain_seconds=self.drain_seconds,
        )

    def service_host(self, *, in_pod: bool) -> str:
        """Give the name by which API servers call the webhook; empty when it cannot be told."""
        default = SERVICE_NAME if in_pod else ""
        name = default if self.service_name is None else self.service_name
        return f"{name}.{self.own_namespace}.svc" if name else ""


def flag(field: str) -> str:
    """Name a setting as ``--help`` does: ``--tls-dir``."""
    return "--" + field.replace("_", "-")


def variable(field: str) -> str:
    """Name a setting's environment variable: ``VCI_WEBHOOK_TLS_DIR``."""
    return ENVIRONMENT_PREFIX + field.upper()


def both(field: str) -> str:
    """Name a setting in an error, where either of the two may have been used."""
    return f"{flag(field)} ({variable(field)})"
