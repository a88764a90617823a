"""What the server knows now: one frozen snapshot, replaced whole, read once per request."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from webhook.profile import Profile
from webhook.vci import SYSTEM_NAMESPACES


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a decision depends on besides the review itself.

    ``namespaces`` maps a namespace's name to its labels. Pods in ``excluded_namespaces`` are never
    touched: the system's own, and the one that the webhook runs in. ``profile_object`` is where the
    profile lives: namespace and name of its ConfigMap.
    """

    profile: Profile = field(default_factory=Profile)
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    excluded_namespaces: frozenset[str] = SYSTEM_NAMESPACES
    profile_object: tuple[str, str] = ("kube-system", "vci-profile")


class State:
    """Holds the current snapshot; whoever learns something new replaces it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def replace(self, **changes: Any) -> None:
        """Build the new snapshot completely, then swap one reference."""
        self.snapshot = replace(self.snapshot, **changes)


class Source(Protocol):
    """Where the state comes from for as long as the server runs.

    ``missing`` names what has not been learnt yet, so that nothing can be decided; once it is empty
    it stays so.
    """

    state: State
    missing: str

    async def run(self) -> None:
        """Keep the state up to date."""

    async def find_labels(self, namespace: str, seconds: float) -> Mapping[str, str] | None:
        """Look for a namespace that the snapshot lacks; None when there is no such.

        Raises:
            TimeoutError: that could not be found out in time.
        """


class Fixed:
    """A state that is complete from the start and does not change by itself."""

    missing = ""

    def __init__(self, state: State) -> None:
        self.state = state

    async def run(self) -> None:
        """Do nothing: there is nothing to follow."""

    async def find_labels(self, _namespace: str, _seconds: float) -> None:
        """Find nothing: what is not in the snapshot does not exist."""
