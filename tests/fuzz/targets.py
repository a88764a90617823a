"""What must hold for any bytes at all: a target raises when it does not."""

import base64
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonpatch
import yaml

from webhook.admission import Answer, review
from webhook.envelope import WARNING_LIMIT
from webhook.errors import ProfileError, ReviewError, UnknownNamespaceError
from webhook.manifests import (
    namespaces_from_manifests,
    profile_from_manifest,
)
from webhook.memory import Memory
from webhook.plan import plan_for
from webhook.profile import parse_profile
from webhook.state import Snapshot
from webhook.validation import validate

sys.set_int_max_str_digits(0)  # the oracle below may read any number that the webhook skips

LONGEST_ERROR = 1000  # characters

ROOT = Path(__file__).resolve().parents[2]
PROFILE = Path(__file__).with_name("profile.yaml")
RECORDED = ROOT / "tests" / "recorded"
EXAMPLES = ROOT / "examples"


def _snapshot() -> Snapshot:
    profile, problems = profile_from_manifest(PROFILE.read_bytes(), PROFILE.name)
    assert not [problem for problem in problems if problem.severity == "error"], problems
    namespaces = namespaces_from_manifests((EXAMPLES / "namespace.yaml").read_bytes(), "namespace")
    return Snapshot(profile, namespaces)


SNAPSHOT = _snapshot()
FORGETFUL = replace(SNAPSHOT, profile=replace(SNAPSHOT.profile, mutations=Memory(0)))


def fuzz_review(data: bytes) -> None:
    """Any bytes are answered or refused; a patch applies, and has nothing to do a second time."""
    answer = _answered(data)
    if answer is None or answer.mutation is None or not answer.mutation.operations:
        return
    received = json.loads(data)
    patch = json.loads(base64.b64decode(json.loads(answer.body)["response"]["patch"]))
    patched = jsonpatch.apply_patch(received["request"]["object"], patch)
    received["request"]["object"] = patched
    again = review(json.dumps(received).encode(), SNAPSHOT)
    assert again.mutation is not None
    assert not again.mutation.operations, again.mutation.operations


def _answered(data: bytes) -> Answer | None:
    try:
        answer = review(data, SNAPSHOT)
    except (ReviewError, UnknownNamespaceError) as error:
        _expect_short_line(str(error))
        return None
    assert json.loads(answer.body)["response"]["allowed"] is True
    assert answer == review(data, FORGETFUL)
    return answer


def fuzz_validate(data: bytes) -> None:
    """Any bytes are judged or refused; a denial says why, and is only about the profile."""
    try:
        verdict = validate(data, "kube-system", "vci-profile")
    except ReviewError as error:
        _expect_short_line(str(error))
        return
    response = json.loads(verdict.body)["response"]
    assert response["allowed"] is verdict.allowed
    assert verdict.is_profile or verdict.allowed
    assert verdict.allowed or response["status"]["message"]
    for warning in response.get("warnings", ()):
        assert len(warning) <= WARNING_LIMIT, warning


def fuzz_profile(data: bytes) -> None:
    """Any text is a profile or a list of problems; what was accepted can act on a Pod."""
    text = data.decode("utf-8", "replace")
    profile, problems = parse_profile({"selectors": text}, "1")
    for problem in problems:
        assert "\n" not in str(problem), problem
    if profile is None:
        assert problems, "invalid as a whole, and nobody knows why"
        return
    for position in range(len(profile.rules)):
        for own_enforce in (False, True):
            plan = plan_for(profile, [position], own_enforce=own_enforce)
            for entry in (*plan.annotations, *plan.labels, *plan.node_selector, plan.applied):
                json.loads(entry.operation)


def fuzz_manifest(data: bytes) -> None:
    """Any file is a ConfigMap, a list of namespaces, or refused in one line."""
    reads: tuple[Callable[[bytes, str], Any], ...] = (
        profile_from_manifest,
        namespaces_from_manifests,
    )
    for read in reads:
        try:
            read(data, "file")
        except ProfileError as error:
            _expect_short_line(str(error))


def _expect_short_line(told: str) -> None:
    """Check that an error can be shown, and does not repeat what it was given."""
    assert "\n" not in told, told
    assert len(told) < LONGEST_ERROR, told


TARGETS: dict[str, Callable[[bytes], None]] = {
    "review": fuzz_review,
    "validate": fuzz_validate,
    "profile": fuzz_profile,
    "manifest": fuzz_manifest,
}


def seeds(target: str) -> list[bytes]:
    """Return inputs to start from: real ones."""
    if target == "review":
        return [path.read_bytes() for path in sorted(RECORDED.glob("*.json"))]
    if target == "validate":
        return [_review_of(path) for path in (PROFILE, EXAMPLES / "vci-profile.yaml")]
    manifests = [PROFILE, *sorted(EXAMPLES.glob("*.yaml"))]
    if target == "manifest":
        return [path.read_bytes() for path in manifests]
    _, _, text = PROFILE.read_text().partition("selectors: |\n")
    return [text.encode(), b'[{"name":"a","matchAll":true,"placement":"off"}]', b"- &a [*a]"]


def _review_of(manifest: Path) -> bytes:
    """Write the review of a profile's change."""
    profile = yaml.safe_load(manifest.read_text())
    kind = {"group": "", "version": "v1", "kind": "ConfigMap"}
    where = {"namespace": "kube-system", "name": "vci-profile"}
    request = {"uid": "1", "kind": kind, "operation": "UPDATE", **where}
    request |= {"object": profile, "oldObject": {**profile, "data": {}}}
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(review, default=str).encode()
