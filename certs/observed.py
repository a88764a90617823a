"""What exists now, as plain data: two Secrets and the webhook configurations, or their absence."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SERVING_TYPE = "kubernetes.io/tls"
CA_TYPE = "Opaque"


@dataclass(frozen=True, slots=True)
class Target:
    """An object that may be written, by its kind and name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Secret:
    """A Secret as it was read; ``version`` is its resourceVersion."""

    version: str
    type: str
    data: Mapping[str, bytes] = field(repr=False)
    annotations: Mapping[str, str] = field(default_factory=dict)
    immutable: bool = False
    owned: bool = True  # by this program's account, where it has one


@dataclass(frozen=True, slots=True)
class Configuration:
    """A webhook configuration: of each of its webhooks the ``caBundle``, in order."""

    version: str
    bundles: tuple[bytes, ...]
    injected: bool = False  # cert-manager was told to write the bundles


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a plan looks at; None stands for an object that does not exist."""

    ca: Secret | None = None
    serving: Secret | None = None
    configurations: Mapping[Target, Configuration | None] = field(default_factory=dict)
