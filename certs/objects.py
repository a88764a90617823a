"""Objects as the API server writes them: what is read of them, and the bodies that change them."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from certs.observed import Configuration, Secret, Target
from certs.owner import Owner
from certs.perform import BundleWrite, SecretWrite

Json = Mapping[str, Any]

_PLURALS = {
    "Secret": "secrets",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
}
_INJECTION = "cert-manager.io/inject-"  # -ca-from, -ca-from-secret, -apiserver-ca


def collection_path(target: Target, namespace: str) -> str:
    """Return where the objects of a kind are."""
    plural = _PLURALS[target.kind]
    if target.kind == "Secret":
        return f"/api/v1/namespaces/{namespace}/{plural}"
    return f"/apis/admissionregistration.k8s.io/v1/{plural}"


def object_path(target: Target, namespace: str) -> str:
    return f"{collection_path(target, namespace)}/{target.name}"


def read_secret(there: Json, owner: Owner | None = None) -> Secret:
    metadata = there["metadata"]
    return Secret(
        version=metadata["resourceVersion"],
        type=there.get("type", ""),
        data={key: _decode(text) for key, text in (there.get("data") or {}).items()},
        annotations=metadata.get("annotations") or {},
        immutable=bool(there.get("immutable")),
        owned=owner is None or owner.uid in _owners(metadata),
    )


def _owners(metadata: Json) -> set[str]:
    return {each["uid"] for each in metadata.get("ownerReferences") or ()}


def read_configuration(there: Json) -> Configuration:
    metadata = there["metadata"]
    clients = [webhook["clientConfig"] for webhook in there.get("webhooks") or ()]
    return Configuration(
        version=metadata["resourceVersion"],
        bundles=tuple(_decode(client.get("caBundle", "")) for client in clients),
        injected=any(key.startswith(_INJECTION) for key in metadata.get("annotations") or {}),
    )


def creation(write: SecretWrite, owner: Owner | None = None) -> dict[str, Any]:
    """Return the body that creates a Secret by server-side apply."""
    metadata = {"name": write.target.name, "annotations": dict(write.annotations)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**metadata, "ownerReferences": [owner.reference]} if owner else metadata,
        "type": write.type,
        "data": _encode(write.data),
    }


def change(write: SecretWrite | BundleWrite, owner: Owner | None = None) -> list[dict[str, Any]]:
    """Return the JSON patch that changes an object if it is what was read, and nothing besides."""
    if isinstance(write, BundleWrite):
        version, changes = write.before.version, _bundle_changes(write)
    elif write.before is None:
        raise ValueError("what does not exist cannot be changed")
    else:
        version, changes = write.before.version, _secret_changes(write, write.before)
        if owner and not write.before.owned:  # an account that is gone is nobody's owner any more
            changes.append(_operation("add", "/metadata/ownerReferences", [owner.reference]))
    return [_operation("replace", "/metadata/resourceVersion", version), *changes]


def _bundle_changes(write: BundleWrite) -> list[dict[str, Any]]:
    bundle = base64.b64encode(write.bundle).decode()
    return [
        _operation("add", f"/webhooks/{index}/clientConfig/caBundle", bundle)
        for index in range(len(write.before.bundles))
    ]


def _secret_changes(write: SecretWrite, before: Secret) -> list[dict[str, Any]]:
    changes = [_operation("add", "/data", _encode(write.data))]
    if write.annotations and not before.annotations:
        return [*changes, _operation("add", "/metadata/annotations", dict(write.annotations))]
    for key, value in write.annotations.items():
        escaped = key.replace("~", "~0").replace("/", "~1")
        changes.append(_operation("add", f"/metadata/annotations/{escaped}", value))
    return changes


def _operation(verb: str, path: str, value: object) -> dict[str, Any]:
    return {"op": verb, "path": path, "value": value}


def _encode(data: Mapping[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(content).decode() for key, content in data.items()}


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
