"""Kubernetes manifests as files: the profile's ConfigMap and the namespaces, without a cluster."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from webhook.document import decode, parse_documents
from webhook.errors import ProfileError
from webhook.locate import locate
from webhook.node import Node
from webhook.place import Place, kind_of
from webhook.problems import Problem, Report
from webhook.profile import KEYS, Profile, parse_profile
from webhook.wording import nearest, quoted, shortened

NAME_LABEL = "kubernetes.io/metadata.name"  # the API server gives it to every namespace
DATA_LIMIT_BYTES = 1024 * 1024  # of all values of a ConfigMap; the API server refuses more

_FIELDS = ("apiVersion", "kind", "metadata", "data", "binaryData", "immutable")
_LISTS = ("List", "ConfigMapList", "NamespaceList")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a ConfigMap manifest amounts to; the profile is None when it is invalid as a whole.

    The problems have their positions in the file, and its order.
    """

    profile: Profile | None
    version: str
    problems: tuple[Problem, ...]


def profile_from_manifest(
    content: bytes, where: str, name: str = "vci-profile", namespace: str = "kube-system"
) -> tuple[Profile, tuple[Problem, ...]]:
    """Read the profile from a ConfigMap manifest; its version is a hash of the data.

    A profile that is invalid as a whole has no rules; the problems say why.

    Raises:
        ProfileError: the file does not hold exactly this one ConfigMap.
    """
    text = decode(content, where)
    manifest = _single(text, where)
    if misnamed := _misnamed(manifest, name, namespace):
        raise ProfileError(f"{_at(misnamed, where)}: {misnamed}")
    reading = _read(manifest, text)
    return reading.profile or Profile(reading.version), reading.problems


def read_manifest(
    content: bytes, where: str, name: str = "vci-profile", namespace: str = "kube-system"
) -> Reading:
    """Read a ConfigMap manifest as one that may become the profile: another name is a problem.

    Raises:
        ProfileError: the file does not hold exactly one ConfigMap.
    """
    text = decode(content, where)
    manifest = _single(text, where)
    reading = _read(manifest, text)
    misnamed = _misnamed(manifest, name, namespace)
    if misnamed is None:
        return reading
    return replace(reading, problems=_in_order([misnamed, *reading.problems]))


def version_of(data: Mapping[str, str]) -> str:
    """Return a short hash of the data, in the place of a resourceVersion."""
    digest = hashlib.sha256()
    for key in sorted(data):
        for part in (key, data[key]):
            digest.update(len(part.encode()).to_bytes(8) + part.encode())
    return digest.hexdigest()[:12]


def _read(manifest: Node, text: str) -> Reading:
    report = Report()
    data = _data(manifest, report)
    version = version_of(data or {})
    profile, problems = parse_profile(data, version) if data is not None else (None, [])
    located = _located(problems, manifest.get("data"), text)
    return Reading(profile, version, _in_order([*report.listed("data"), *located]))


def _in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))


def _data(manifest: Node, report: Report) -> dict[str, str] | None:
    """Return the data that can be used; None when it is not certain what the rules are."""
    _check_fields(manifest, report)
    node = manifest.get("data") or Node(None)
    places = Place(node, "data", report).fields()
    repeated = _repeated(node)
    data = {
        key: text
        for key, place in places.items()
        if key not in repeated
        and (text := _string(Place(place.node, shortened(key), report))) is not None
    }
    size = sum(len(text.encode()) for text in data.values())
    if size > DATA_LIMIT_BYTES:
        problem = f"{size:,} bytes, but the API server accepts {DATA_LIMIT_BYTES:,}; leave some out"
        report.error("data", problem, node)
    is_mapping = node.value is None or isinstance(node.value, dict)
    lost = "selectors" in places and "selectors" not in data
    return data if is_mapping and not lost and "data" not in _repeated(manifest) else None


def _repeated(node: Node) -> set[str | None]:
    """Return the keys that are given twice: which of the two is meant nobody can know."""
    return {fault.key for fault in node.faults}


def _string(place: Place) -> str | None:
    if not isinstance(place.node.value, list | dict):
        return place.string()
    place.error(f"{kind_of(place.node.value)} where a string belongs; write | after the colon")
    return None


def _check_fields(manifest: Node, report: Report) -> None:
    """Report what the manifest holds besides the data, and nobody reads."""
    for path, node in (("manifest", manifest), ("metadata", manifest.get("metadata"))):
        for fault in node.faults if node is not None else ():
            report.error(path, fault.message, Node(None, fault.line, fault.column))
    for key, node in manifest.keys.items():
        if key not in _FIELDS:
            near = "" if report.is_full("warning") else nearest(key, _FIELDS)
            message = f"unknown field, has no effect{near or '; remove it'}"
            report.warning(shortened(key), message, node)
    binary = manifest.get("binaryData")
    for key, node in (binary.keys if binary is not None else {}).items():
        report.warning(f"binaryData.{shortened(key)}", "not read; write text, under data", node)


def _located(problems: Iterable[Problem], data: Node | None, text: str) -> list[Problem]:
    """Give the problems of the data their positions in the file."""
    keys = {shortened(key): key for key in (data.keys if data is not None else ())}
    selectors = data.get("selectors") if data is not None else None
    inside = {(p.line, p.column) for p in problems if p.line}
    found: Mapping[tuple[int, int], tuple[int, int]] = {}
    if selectors is not None and isinstance(selectors.value, str):
        found = locate(text, selectors, selectors.value, inside)
    located = []
    for problem in problems:
        key = keys.get(problem.path, "selectors")
        node = data.get(key) if data is not None else None
        if node is not None and data is not None and key not in KEYS:
            node = data.keys[key]
        fallback = (node.line, node.column) if node is not None else (0, 0)
        line, column = found.get((problem.line, problem.column), fallback)
        located.append(replace(problem, line=line, column=column))
    return located


def _misnamed(manifest: Node, name: str, namespace: str) -> Problem | None:
    """Report a ConfigMap that the server would not look at; an absent namespace may be the one."""
    found = _text(manifest.get("metadata", "namespace")) or namespace
    own = _text(manifest.get("metadata", "name"))
    metadata = manifest.get("metadata", "name") or manifest.get("metadata") or manifest
    if not own:
        message = f"no name; write {quoted(name)}"
        return Problem("error", "metadata.name", message, metadata.line, metadata.column)
    if (found, own) == (namespace, name):
        return None
    message = (
        f'the ConfigMap is {quoted(f"{found}/{own}")} where "{namespace}/{name}" belongs; '
        "rename it, or name it in the settings"
    )
    return Problem("warning", "metadata.name", message, metadata.line, metadata.column)


def namespaces_from_manifests(content: bytes, where: str) -> dict[str, dict[str, str]]:
    """Read the labels of every Namespace in a manifest: one, several documents, or a List.

    Raises:
        ProfileError: the file holds something else, or a Namespace without a name.
    """
    found = {}
    for manifest in _objects(parse_documents(decode(content, where), where)):
        _expect(manifest, where, "v1", "Namespace")
        name = _text(manifest.get("metadata", "name"))
        if not name:
            raise ProfileError(f"{_at(manifest, where)}: a Namespace without metadata.name; add it")
        found[name] = {**_labels(manifest, where), NAME_LABEL: name}
    if not found:
        raise ProfileError(f"{where}: no Namespace in it; add one for each namespace to serve")
    return found


def _labels(manifest: Node, where: str) -> dict[str, str]:
    """Read the labels of a Namespace; the API server would refuse what is no string."""
    report = Report()
    node = manifest.get("metadata", "labels") or Node(None)
    labels = Place(node, "metadata.labels", report).string_map()
    for problem in report.listed("metadata.labels"):
        raise ProfileError(f"{_at(problem, where)}: {problem}")
    return {key: text for key, (text, _) in labels.items()}


def _single(text: str, where: str) -> Node:
    documents = parse_documents(text, where)
    if not documents:
        raise ProfileError(f"{where}: empty; write the ConfigMap of the profile into it")
    objects = list(_objects(documents))
    if not objects:
        raise ProfileError(f"{where}: a List without items; put the ConfigMap into it")
    if len(objects) > 1:
        raise ProfileError(
            f"{_at(objects[1], where)}: {len(objects)} objects where one ConfigMap belongs; "
            "keep one, or check each in a file of its own"
        )
    _expect(objects[0], where, "v1", "ConfigMap")
    return objects[0]


def _objects(documents: list[Node]) -> Iterator[Node]:
    """Yield the objects of all documents, those of a List one by one."""
    for document in documents:
        if _text(document.get("kind")) not in _LISTS:
            yield document
            continue
        items = document.get("items")
        yield from items.value if items is not None and isinstance(items.value, list) else ()


def _expect(manifest: Node, where: str, version: str, kind: str) -> None:
    if not isinstance(manifest.value, dict):
        raise ProfileError(
            f"{_at(manifest, where)}: {kind_of(manifest.value)} where the manifest of a {kind} "
            "belongs; begin with apiVersion and kind"
        )
    found = _text(manifest.get("apiVersion")), _text(manifest.get("kind"))
    if "" in found:
        raise ProfileError(
            f"{_at(manifest, where)}: no manifest, which has apiVersion and kind; begin with "
            f'"apiVersion: {version}" and "kind: {kind}"'
        )
    if found != (version, kind):
        shown = quoted(f"{found[0]}, {found[1]}")
        raise ProfileError(
            f'{_at(manifest, where)}: {shown} where "{version}, {kind}" belongs; correct '
            "apiVersion and kind, or name another file"
        )


def _text(node: Node | None) -> str:
    return node.value if node is not None and isinstance(node.value, str) else ""


def _at(what: Node | Problem, where: str) -> str:
    return f"{where}:{what.line}:{what.column}" if what.line else where
