"""What the server knows now: one frozen snapshot, replaced whole, read once per request."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from webhook.profile import Profile
from webhook.vci import SYSTEM_NAMESPACES


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a decision depends on besides the review itself.

    ``namespaces`` maps a namespace's name to its labels. Pods in ``excluded_namespaces`` are never
    touched: the system's own, and the one that the webhook runs in.
    """

    profile: Profile = field(default_factory=Profile)
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    excluded_namespaces: frozenset[str] = SYSTEM_NAMESPACES


class State:
    """Holds the current snapshot; whoever learns something new replaces it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def replace(self, **changes: Any) -> None:
        """Build the new snapshot completely, then swap one reference."""
        self.snapshot = replace(self.snapshot, **changes)
