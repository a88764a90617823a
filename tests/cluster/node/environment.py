"""A container's environment, command and arguments, as a Pod's spec says them."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.cluster.client import Client, Object

REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][\w.-]*)\)")
KEYED = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class UnsupportedError(Exception):
    """A Pod asks for what this kubelet does not do."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """What the node adds to a Pod."""

    pod: str
    host: str


def field_value(pod: Object, addresses: Addresses, path: str) -> str:
    """Give what a ``fieldRef`` names: the downward API."""
    metadata, spec = pod["metadata"], pod["spec"]
    if found := KEYED.fullmatch(path):
        return str(metadata.get(found[1], {}).get(found[2], ""))
    values = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec["nodeName"],
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": addresses.pod,
        "status.podIPs": addresses.pod,
        "status.hostIP": addresses.host,
    }
    if path not in values:
        raise UnsupportedError(f'fieldRef "{path}"')
    return str(values[path])


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace ``$(NAME)`` where the name is known; ``$$`` stands for a dollar."""

    def replace(found: re.Match[str]) -> str:
        return "$" if found[1] is None else variables.get(found[1], found[0])

    return REFERENCE.sub(replace, text)


def command_of(container: Object, variables: Mapping[str, str]) -> list[str]:
    """Give command and arguments; an image here has no entry point of its own."""
    words = [*container.get("command", []), *container.get("args", [])]
    if not container.get("command"):
        raise UnsupportedError(f'container "{container["name"]}" without a command')
    return [expand(word, variables) for word in words]


def environment_of(
    client: Client, pod: Object, container: Object, addresses: Addresses
) -> dict[str, str]:
    """Give the variables that a container's ``env`` and ``envFrom`` make."""
    namespace = pod["metadata"]["namespace"]
    variables: dict[str, str] = {}
    for source in container.get("envFrom", []):
        variables |= _every_key(client, namespace, source)
    for entry in container.get("env", []):
        value = _value(client, pod, entry, addresses, lambda text: expand(text, variables))
        if value is not None:
            variables[entry["name"]] = value
    return variables


def _every_key(client: Client, namespace: str, source: Object) -> dict[str, str]:
    kind, reference = _object_reference(source, "Ref")
    found = client.find(kind, reference["name"], namespace)
    if found is None:
        return {} if reference.get("optional") else _missing(kind, reference["name"])
    prefix = source.get("prefix", "")
    return {f"{prefix}{key}": _text(kind, text) for key, text in (found.get("data") or {}).items()}


def _value(
    client: Client,
    pod: Object,
    entry: Object,
    addresses: Addresses,
    expanded: Callable[[str], str],
) -> str | None:
    source = entry.get("valueFrom")
    if source is None:
        return expanded(entry.get("value", ""))
    if "fieldRef" in source:
        return field_value(pod, addresses, source["fieldRef"]["fieldPath"])
    kind, reference = _object_reference(source, "KeyRef")
    found = client.find(kind, reference["name"], pod["metadata"]["namespace"]) or {}
    data = found.get("data") or {}
    if reference["key"] in data:
        return _text(kind, data[reference["key"]])
    if not reference.get("optional"):
        _missing(kind, f"{reference['name']}, key {reference['key']}")
    return None


def _object_reference(source: Object, suffix: str) -> tuple[str, Object]:
    for field, kind in ((f"configMap{suffix}", "ConfigMap"), (f"secret{suffix}", "Secret")):
        if field in source:
            return kind, source[field]
    raise UnsupportedError(f"a variable from {', '.join(source)}")


def _text(kind: str, value: str) -> str:
    return base64.b64decode(value).decode() if kind == "Secret" else value


def _missing(kind: str, name: str) -> dict[str, str]:
    raise LookupError(f"{kind} {name} is not there")
