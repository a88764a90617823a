"""What of a review's time is the decision itself: the core, called without a server around it."""

import statistics
import time

from rpds import HashTrieMap

from tests.load.reviews import ROOT, first
from webhook.admission import review
from webhook.manifests import namespaces_from_manifests, profile_from_manifest
from webhook.state import Snapshot

ROUNDS, REVIEWS_A_ROUND = 9, 1_000


def snapshot() -> Snapshot:
    """Know what the server is started on."""
    profile_file = (ROOT / "examples/vci-profile.yaml").read_bytes()
    profile, _ = profile_from_manifest(profile_file, "profile", "vci-profile", "kube-system")
    namespaces = namespaces_from_manifests((ROOT / "examples/namespace.yaml").read_bytes(), "file")
    return Snapshot(profile, HashTrieMap(namespaces))


def review_microseconds(body: bytes, rounds: int = ROUNDS) -> float:
    """Return the processor time of a decision, from bytes to bytes."""
    body, known = first(body), snapshot()
    return statistics.median(_round(body, known) for _ in range(rounds))


def _round(body: bytes, known: Snapshot) -> float:
    started = time.process_time()
    for _ in range(REVIEWS_A_ROUND):
        review(body, known)
    return (time.process_time() - started) / REVIEWS_A_ROUND * 1e6
