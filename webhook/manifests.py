"""Kubernetes manifests as files: the profile's ConfigMap and the namespaces, without a cluster."""

import hashlib
from collections.abc import Iterator, Mapping

from webhook.document import Node, decode, parse_documents
from webhook.errors import ProfileError
from webhook.problems import Problem
from webhook.profile import Profile, parse_profile

NAME_LABEL = "kubernetes.io/metadata.name"  # the API server gives it to every namespace


def profile_from_manifest(
    content: bytes, where: str, name: str = "vci-profile", namespace: str = "kube-system"
) -> tuple[Profile, tuple[Problem, ...]]:
    """Read the profile from a ConfigMap manifest; its version is a hash of the data.

    A profile that is invalid as a whole has no rules; the problems say why.

    Raises:
        ProfileError: the file does not hold exactly this one ConfigMap.
    """
    manifest = _single(content, where)
    _expect(manifest, where, "v1", "ConfigMap")
    found = _name(manifest, "namespace") or namespace, _name(manifest, "name")
    if found != (namespace, name):
        raise ProfileError(
            f'{where}: the ConfigMap is "{found[0]}/{found[1]}" where "{namespace}/{name}" belongs; '
            "rename it, or name it in the settings"
        )
    data = _data(manifest, where)
    profile, problems = parse_profile(data, version_of(data))
    return profile or Profile(version_of(data)), tuple(problems)


def version_of(data: Mapping[str, str]) -> str:
    """Return a short hash of the data, in the place of a resourceVersion."""
    digest = hashlib.sha256()
    for key in sorted(data):
        for part in (key, data[key]):
            digest.update(len(part.encode()).to_bytes(8) + part.encode())
    return digest.hexdigest()[:12]


def namespaces_from_manifests(content: bytes, where: str) -> dict[str, dict[str, str]]:
    """Read the labels of every Namespace in a manifest: one, several documents, or a List.

    Raises:
        ProfileError: the file holds something else, or a Namespace without a name.
    """
    found = {}
    for manifest in _objects(parse_documents(decode(content, where), where)):
        _expect(manifest, where, "v1", "Namespace")
        name = _name(manifest, "name")
        if not name:
            raise ProfileError(f"{_at(manifest, where)}: a Namespace without metadata.name; add it")
        found[name] = {**_labels(manifest, where), NAME_LABEL: name}
    if not found:
        raise ProfileError(f"{where}: no Namespace in it; add one for each namespace to serve")
    return found


def _single(content: bytes, where: str) -> Node:
    documents = parse_documents(decode(content, where), where)
    if not documents:
        raise ProfileError(f"{where}: empty; write the ConfigMap of the profile into it")
    if len(documents) > 1:
        raise ProfileError(
            f"{_at(documents[1], where)}: {len(documents)} documents where one ConfigMap belongs; "
            "keep one"
        )
    return documents[0]


def _objects(documents: list[Node]) -> Iterator[Node]:
    """Yield the objects of all documents, those of a List one by one."""
    for document in documents:
        value = document.value
        if not isinstance(value, dict) or _text(value.get("kind")) not in ("List", "NamespaceList"):
            yield document
            continue
        items = value.get("items")
        yield from items.value if items is not None and isinstance(items.value, list) else ()


def _expect(manifest: Node, where: str, version: str, kind: str) -> None:
    if not isinstance(manifest.value, dict):
        raise ProfileError(f"{_at(manifest, where)}: not a {kind} manifest; write a mapping")
    found = _text(manifest.value.get("apiVersion")), _text(manifest.value.get("kind"))
    if found != (version, kind):
        raise ProfileError(
            f'{_at(manifest, where)}: "{found[0]}, {found[1]}" where "{version}, {kind}" belongs; '
            "correct apiVersion and kind, or name another file"
        )


def _name(manifest: Node, field: str) -> str:
    metadata = manifest.value.get("metadata") if isinstance(manifest.value, dict) else None
    if metadata is None or not isinstance(metadata.value, dict):
        return ""
    return _text(metadata.value.get(field))


def _labels(manifest: Node, where: str) -> dict[str, str]:
    metadata = manifest.value["metadata"] if isinstance(manifest.value, dict) else None
    labels = metadata.value.get("labels") if metadata and isinstance(metadata.value, dict) else None
    return _strings(labels, where, "metadata.labels")


def _data(manifest: Node, where: str) -> dict[str, str]:
    data = manifest.value.get("data") if isinstance(manifest.value, dict) else None
    return _strings(data, where, "data")


def _strings(node: Node | None, where: str, path: str) -> dict[str, str]:
    """Read a mapping of strings; the API server would refuse any other value."""
    if node is None or node.value is None:
        return {}
    if not isinstance(node.value, dict):
        raise ProfileError(f"{_at(node, where)}: {path}: not a mapping; write key: value")
    for fault in node.faults:
        raise ProfileError(f"{where}:{fault.line}:{fault.column}: {path}: {fault.message}")
    found = {}
    for key, value in node.value.items():
        if not isinstance(value.value, str):
            raise ProfileError(
                f"{_at(value, where)}: {path}.{key}: every value is a string; quote it"
            )
        found[key] = value.value
    return found


def _text(node: Node | None) -> str:
    return node.value if node is not None and isinstance(node.value, str) else ""


def _at(node: Node, where: str) -> str:
    return f"{where}:{node.line}:{node.column}" if node.line else where
