"""AdmissionReviews as the API server sends them, and what becomes of a Pod that got an answer."""

import base64
import copy
import json
from typing import Any

import jsonpatch

UID = "b9c5f0a4-5a0d-4f0a-9d6d-0f5f6f1f7c11"

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"generateName": "hello-", "namespace": "argo", "labels": {"app": "hello"}},
    "spec": {"containers": [{"name": "main", "image": "busybox"}]},
}


def review_of(pod: Any = None, version: str = "v1", **request: Any) -> dict[str, Any]:
    """Make the review of a Pod's creation; ``request`` replaces its fields, None removes one."""
    fields: dict[str, Any] = {
        "uid": UID,
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "requestResource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "argo",
        "operation": "CREATE",
        "userInfo": {
            "username": "system:serviceaccount:argo:argo",
            "groups": ["system:authenticated"],
        },
        "object": copy.deepcopy(POD if pod is None else pod),
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        **request,
    }
    return {
        "kind": "AdmissionReview",
        "apiVersion": f"admission.k8s.io/{version}",
        "request": {name: value for name, value in fields.items() if value is not None},
    }


def encoded(pod: Any = None, version: str = "v1", **request: Any) -> bytes:
    """Make the bytes of such a review."""
    return json.dumps(review_of(pod, version, **request)).encode()


def operations_of(answer: Any) -> list[dict[str, Any]]:
    """Give the operations of an answer; patch and patchType stand together or not at all."""
    response = answer["response"]
    assert ("patch" in response) == ("patchType" in response)
    if "patch" not in response:
        return []
    assert response["patchType"] == "JSONPatch"
    operations: list[dict[str, Any]] = json.loads(
        base64.b64decode(response["patch"], validate=True)
    )
    assert operations, "a patch of nothing is no patch"
    return operations


def patched(pod: Any, answer: Any) -> Any:
    """Give the Pod that the API server makes of an answer."""
    return jsonpatch.apply_patch(copy.deepcopy(pod), operations_of(answer))
