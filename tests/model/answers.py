"""The webhook's answers to generated Pods, as an API server sees them."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jsonpatch

from webhook.admission import review
from webhook.manifests import profile_from_manifest
from webhook.state import Snapshot

Json = Any
Data = dict[str, str]
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Seen:
    """What an API server sees of one answer."""

    pod: Json
    patch: list[Json]
    decision: str
    rules: tuple[str, ...]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


def admit(pod: Json, namespace: str, labels: Labels, data: Data) -> Seen:
    """Send a Pod through a webhook that has just read the profile, and apply the patch."""
    return admit_all([pod], namespace, labels, data)[0]


def admit_all(pods: list[Json], namespace: str, labels: Labels, data: Data) -> list[Seen]:
    """Send Pods through one webhook, one after the other."""
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "vci-profile", "namespace": "kube-system"},
        "data": data,
    }
    profile, _ = profile_from_manifest(json.dumps(manifest).encode(), "profile.yaml")
    snapshot = Snapshot(profile, {namespace: labels})
    return [answer_to(pod, namespace, snapshot) for pod in pods]


def answer_to(pod: Json, namespace: str, snapshot: Snapshot) -> Seen:
    request = {
        "uid": "u",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "operation": "CREATE",
        "namespace": namespace,
        "object": pod,
    }
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    answer = review(
        json.dumps(body, ensure_ascii="generateName" in pod["metadata"]).encode(), snapshot
    )
    response = json.loads(answer.body)["response"]
    patch = json.loads(base64.b64decode(response["patch"])) if "patch" in response else []
    audit = response.get("auditAnnotations", {})
    return Seen(
        jsonpatch.apply_patch(pod, patch),
        patch,
        audit.get("decision", ""),
        tuple(audit["rule"].split(",")) if "rule" in audit else (),
        answer.mutation.reasons if answer.mutation else (),
        tuple(response.get("warnings", ())),
    )
