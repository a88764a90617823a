"""YAML cases: what a profile does to a Pod, written so that a person can read and add them.

A file of ``cases/`` is a stream of documents, each a case; a first document with the only key
``defaults`` gives fields to all that follow. The fields of a case:

``why``
    the fact that it shows, unique in its file
``profile``
    ``data`` of the ConfigMap; ``selectors`` may be a list; or the name of a file of ``examples/``
``namespace``, ``namespaceLabels``
    where the Pod is created ("workflows" unless told) and with which labels (none);
    ``namespaceLabels: unknown`` leaves the namespace out of what the server knows
``pod``
    the Pod as it arrives; kind, a name and a container are added where they are missing
``request``
    other fields of the review's request, such as ``operation``
``expect``
    ``unchanged: true``: there is no patch;
    ``pod``: a part of the patched Pod; a mapping may have more keys, a list is whole, null: absent;
    ``exactly``: dotted path → the whole value there;
    ``decision``, ``rules``: what the audit annotations say;
    ``reasons``: what the ``skipped`` annotation says; ``warnings``: a part of each warning;
    ``status``: an HTTP status that is not 200;
    ``problems``: a part of each problem of the profile, which has no errors unless told;
    ``twice: true``: sent again, the patched Pod is patched again, which none is unless told.

In ``expect``, ``$VERSION`` stands for the profile's version.
"""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "cases"
EXAMPLES = Path(__file__).parents[2] / "examples"
_FIELDS = {"why", "profile", "namespace", "namespaceLabels", "pod", "request", "expect"}
_EXPECTATIONS = {
    "unchanged", "pod", "exactly", "decision", "rules", "reasons", "warnings", "status", "problems",
    "twice",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One document, with what it left out."""

    id: str
    profile: dict[str, Any]
    expect: dict[str, Any]
    namespace: str = "workflows"
    namespace_labels: dict[str, str] | None = field(default_factory=dict)
    pod: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)

    def config_map(self) -> bytes:
        """Give the manifest of the profile."""
        data = dict(self.profile)
        if isinstance(data.get("selectors"), list):
            data["selectors"] = json.dumps(data["selectors"])
        metadata = {"name": "vci-profile", "namespace": "kube-system"}
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        return json.dumps(manifest).encode()

    def namespaces(self) -> bytes:
        """Give the manifests of all namespaces that the server knows."""
        known = {"bystander": {}, self.namespace: self.namespace_labels}
        items = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
            for name, labels in known.items()
            if labels is not None
        ]
        return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode()

    def whole_pod(self) -> dict[str, Any]:
        """Give the Pod with what every Pod has."""
        pod: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", **copy.deepcopy(self.pod)}
        pod.setdefault("metadata", {})
        if not pod["metadata"].keys() & {"name", "generateName"}:
            pod["metadata"]["name"] = "hello"
        spec = pod.setdefault("spec", {})
        spec.setdefault("containers", [{"name": "main", "image": "busybox"}])
        return pod


def load_cases() -> Iterator[Case]:
    """Read every case; a field that does not exist is a mistake of the case's author."""
    for path in sorted(FOLDER.glob("*.yaml")):
        defaults: dict[str, Any] = {}
        for document in yaml.safe_load_all(path.read_text()):
            if document.keys() == {"defaults"}:
                defaults = document["defaults"]
            else:
                yield _read_case(path.stem, {**defaults, **document})


def _read_case(stem: str, document: dict[str, Any]) -> Case:
    """Make a case of a document."""
    expect = document["expect"]
    unknown = document.keys() - _FIELDS | expect.keys() - _EXPECTATIONS
    assert not unknown, f"{stem}: {document['why']}: no such field: {unknown}"
    labels = document.get("namespaceLabels") or {}
    return Case(
        id=f"{stem}: {document['why']}",
        profile=_read_profile(document["profile"]),
        expect=expect,
        namespace=document.get("namespace", Case.namespace),
        namespace_labels=None if labels == "unknown" else labels,
        pod=document.get("pod") or {},
        request=document.get("request") or {},
    )


def _read_profile(profile: str | dict[str, Any]) -> dict[str, Any]:
    """Give the data of the ConfigMap."""
    if isinstance(profile, dict):
        return profile
    data: dict[str, Any] = yaml.safe_load((EXAMPLES / profile).read_text())["data"]
    return data


def differences(expected: Any, actual: Any, path: str = "pod") -> list[str]:
    """List where a part is not as expected, path by path."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return [
            difference
            for key, value in expected.items()
            for difference in differences(value, actual.get(key), f"{path}.{key}")
        ]
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return [
            difference
            for index, pair in enumerate(zip(expected, actual, strict=True))
            for difference in differences(*pair, f"{path}[{index}]")
        ]
    same = expected == actual and type(expected) is type(actual)
    return [] if same else [f"{path}: {actual!r} where {expected!r} belongs"]


def value_at(path: str, pod: Any) -> Any:
    """Give the value at a dotted path; None where there is none."""
    value = pod
    for key in path.split("."):
        value = (value or {}).get(key)
    return value
