"""The same changes as a MutatingAdmissionPolicy, which the API server carries out by itself.

Written as one is written for Pods in general: it adds maps that are missing before it adds to them.
"""

import json
from typing import Any

from tests.cluster.client import Object

NAME = "placement"


def policy(wanted: Object, namespace: str) -> list[Object]:
    """Return a policy that makes the changes to the Pods of a namespace, and its binding."""
    in_namespace = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    pods = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
    }
    spec = {
        "matchConstraints": {"namespaceSelector": in_namespace, "resourceRules": [pods]},
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression(wanted)}}],
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
    }
    binding = {"policyName": NAME}
    return [
        _object("MutatingAdmissionPolicy", spec),
        _object("MutatingAdmissionPolicyBinding", binding),
    ]


def _object(kind: str, spec: Object) -> Object:
    version = "admissionregistration.k8s.io/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": NAME}, "spec": spec}


def expression(wanted: Object) -> str:
    """Write the changes in CEL."""
    lists = [
        _into("metadata", "annotations", wanted["metadata"]["annotations"]),
        _into("metadata", "labels", wanted["metadata"]["labels"]),
        _into("spec", "nodeSelector", wanted["spec"]["nodeSelector"]),
        _missing("spec", "tolerations", "[]"),
        *(
            f"[{_add('/spec/tolerations/-', _toleration(t))}]"
            for t in wanted["spec"]["tolerations"]
        ),
    ]
    return " +\n".join(lists)


def _into(part: str, key: str, entries: dict[str, str]) -> str:
    added = [_add(f"/{part}/{key}/{_escaped(name)}", _text(entries[name])) for name in entries]
    return f"{_missing(part, key, '{}')} + [{', '.join(added)}]"


def _missing(part: str, key: str, empty: str) -> str:
    return f"(has(object.{part}.{key}) ? [] : [{_add(f'/{part}/{key}', empty)}])"


def _add(path: str, value: str) -> str:
    return f'JSONPatch{{op: "add", path: "{path}", value: {value}}}'


def _toleration(toleration: dict[str, str]) -> str:
    fields = ", ".join(f"{name}: {_text(value)}" for name, value in toleration.items())
    return f"Object.spec.tolerations{{{fields}}}"


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _text(value: Any) -> str:
    return json.dumps(value)
