"""Pods and profiles for the tests of the core: small, legal, changed by what a test is about."""

import base64
import json
from typing import Any

import jsonpatch

from webhook.admission import Answer, review
from webhook.profile import Profile, parse_profile
from webhook.state import Snapshot

NAMESPACE = "batch"
NAMESPACE_LABELS = {"vci": "true", "kubernetes.io/metadata.name": NAMESPACE}


def make_pod(**spec: Any) -> dict[str, Any]:
    """Return a Pod with one container; ``metadata`` and any field of the spec can be given."""
    metadata = {"name": "task", "namespace": NAMESPACE, **spec.pop("metadata", {})}
    containers = [{"name": "main", "image": "busybox:1.36"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": containers, **spec},
    }


def make_profile(*rules: dict[str, Any], version: str = "7", **data: str) -> Profile:
    """Return a compiled profile; a rule without selectors selects the namespaces with vci=true."""
    selectors = [
        {"name": f"rule-{i}", "namespaceSelector": {"matchLabels": {"vci": "true"}}, **rule}
        for i, rule in enumerate(rules)
    ]
    profile, problems = parse_profile({"selectors": json.dumps(selectors), **data}, version)
    assert profile is not None
    assert [str(p) for p in problems if p.severity == "error"] == []
    return profile


def make_review(pod: dict[str, Any] | None, **request: Any) -> bytes:
    """Return the AdmissionReview that an API server sends when the Pod is created."""
    return json.dumps(
        {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "operation": "CREATE",
                "namespace": NAMESPACE,
                "object": pod,
                **request,
            },
        }
    ).encode()


def make_snapshot(profile: Profile, labels: dict[str, str] | None = None) -> Snapshot:
    """Return what the server knows: the profile, and one namespace."""
    known = NAMESPACE_LABELS if labels is None else labels
    return Snapshot(profile=profile, namespaces={NAMESPACE: known})


def response_of(answer: Answer) -> dict[str, Any]:
    """Return the decoded response of an answer."""
    response: dict[str, Any] = json.loads(answer.body)["response"]
    return response


def patched(pod: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Return the Pod as the API server makes it from the answer."""
    result: dict[str, Any] = json.loads(json.dumps(pod))  # no two parts share an object
    encoded = response_of(answer).get("patch")
    if encoded is not None:
        result = jsonpatch.apply_patch(result, json.loads(base64.b64decode(encoded)))
    return result


def place(pod: dict[str, Any], profile: Profile) -> dict[str, Any]:
    """Return the Pod as it is after one review."""
    return patched(pod, review(make_review(pod), make_snapshot(profile)))


def trace_of(pod: dict[str, Any], name: str = "applied") -> dict[str, Any] | None:
    """Return the decoded trace annotation; None when there is none."""
    text = pod["metadata"].get("annotations", {}).get(f"vci-webhook/{name}")
    return None if text is None else dict(json.loads(text))
