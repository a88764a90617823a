"""A small Kubernetes client: plain objects over HTTPS, so that a test sees every byte.

The official client turns objects into models and back; here a Pod is the JSON that came.
"""

import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import yaml

Object = dict[str, Any]

API_VERSIONS = {
    "ClusterRole": "rbac.authorization.k8s.io/v1",
    "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "DaemonSet": "apps/v1",
    "Deployment": "apps/v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "Job": "batch/v1",
    "MutatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
    "MutatingAdmissionPolicy": "admissionregistration.k8s.io/v1",
    "MutatingAdmissionPolicyBinding": "admissionregistration.k8s.io/v1",
    "ReplicaSet": "apps/v1",
    "Role": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
    "StatefulSet": "apps/v1",
    "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
    "Workflow": "argoproj.io/v1alpha1",
    "WorkflowTaskResult": "argoproj.io/v1alpha1",
}
CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "ValidatingWebhookConfiguration",
}
TIMEOUT_SECONDS = 60
SERVER_SIDE_APPLY = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"


class ApiError(Exception):
    """The API server refused a request."""

    def __init__(self, status: int, answer: Object) -> None:
        super().__init__(f"{status} {answer.get('reason', '')}: {answer.get('message', '')}")
        self.status = status
        self.reason = str(answer.get("reason", ""))
        self.message = str(answer.get("message", ""))


@dataclass(frozen=True, slots=True)
class Client:
    """Sends requests as one user, a connection each."""

    host: str
    port: int
    context: ssl.SSLContext = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    def impersonate(self, user: str) -> "Client":
        """Return a client that asks in another user's name."""
        return replace(self, headers={**self.headers, "Impersonate-User": user})

    def send(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> bytes:
        """Send a request and return the answer's bytes."""
        headers = {"Accept": "application/json", "Content-Type": kind, **self.headers}
        with closing(self._connect()) as connection:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            raise ApiError(response.status, _status_object(answer))
        return answer

    def request_token(self, account: str, namespace: str, **spec: Any) -> str:
        """Ask for a token of a ServiceAccount, as the kubelet does."""
        wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        answer = _object(self.send("POST", path, json.dumps(wanted).encode()))
        return str(answer["status"]["token"])

    def get(self, kind: str, name: str, namespace: str = "") -> Object:
        return _object(self.send("GET", object_path(kind, namespace, name)))

    def find(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """Return an object, or None when there is none of that name."""
        try:
            return self.get(kind, name, namespace)
        except ApiError as error:
            if error.status == http.HTTPStatus.NOT_FOUND:
                return None
            raise

    def list(self, kind: str, namespace: str = "", **query: str) -> list[Object]:
        """List objects; ``query`` may hold labelSelector or fieldSelector."""
        path = f"{object_path(kind, namespace)}?{urlencode(query)}"
        items: list[Object] = _object(self.send("GET", path))["items"]
        return items

    def create(self, manifest: Object, namespace: str = "", query: str = "") -> Object:
        return _object(self.create_raw(manifest, namespace, query))

    def create_raw(self, manifest: Object, namespace: str = "", query: str = "") -> bytes:
        """Create an object and return the answer as it came over the wire."""
        path = object_path(manifest["kind"], _namespace_of(manifest, namespace))
        return self.send("POST", path + query, _encode(manifest))

    def apply(self, manifest: Object, namespace: str = "") -> Object:
        """Create or update an object, as ``kubectl apply --server-side`` does."""
        name = manifest["metadata"]["name"]
        path = object_path(manifest["kind"], _namespace_of(manifest, namespace), name)
        query = "?fieldManager=cluster-tests&force=true"
        return _object(self.send("PATCH", path + query, _encode(manifest), SERVER_SIDE_APPLY))

    def patch(self, kind: str, name: str, namespace: str, change: Object, part: str = "") -> Object:
        """Merge a change into an object, or into its ``/status``."""
        path = object_path(kind, namespace, name) + part
        return _object(self.send("PATCH", path, _encode(change), MERGE_PATCH))

    def delete(
        self, kind: str, name: str, namespace: str = "", options: Object | None = None
    ) -> None:
        """Delete an object that may be gone already."""
        try:
            self.send("DELETE", object_path(kind, namespace, name), _encode(options or {}))
        except ApiError as error:
            if error.status != http.HTTPStatus.NOT_FOUND:
                raise

    def watch(self, kind: str, version: str, **query: str) -> "Watch":
        """Open a watch on all namespaces from a resourceVersion on."""
        query = {"watch": "true", "resourceVersion": version, **query}
        connection = self._connect(None)
        connection.request("GET", f"{object_path(kind)}?{urlencode(query)}", headers=self.headers)
        return Watch(connection)

    def _connect(self, timeout: float | None = TIMEOUT_SECONDS) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self.host, self.port, context=self.context, timeout=timeout
        )


class Watch:
    """A stream of events that another thread can end."""

    def __init__(self, connection: http.client.HTTPSConnection) -> None:
        self._socket = connection.sock  # the response takes it from the connection
        self._response = connection.getresponse()

    def __iter__(self) -> Iterator[Object]:
        for line in self._response:
            yield json.loads(line)

    def end(self) -> None:
        """Let the thread that waits for the next event see the end of the stream."""
        with suppress(OSError):  # it ended by itself
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Free the connection; for the thread that reads."""
        self._response.close()
        self._socket.close()


def object_path(kind: str, namespace: str = "", name: str = "") -> str:
    """Return the path of an object, or of its collection."""
    version = API_VERSIONS.get(kind, "v1")
    collection = re.sub(r"ys$", "ies", f"{kind.lower()}s")
    parts = ["/apis" if "/" in version else "/api", version]
    if namespace and kind not in CLUSTER_SCOPED:
        parts += ["namespaces", namespace]
    return "/".join([*parts, collection, *([name] if name else [])])


def read_manifests(*paths: Any) -> list[Object]:
    """Read the documents of YAML files, in order."""
    return [
        document
        for path in paths
        for document in yaml.safe_load_all(path.read_text("utf-8"))
        if document
    ]


def _namespace_of(manifest: Object, namespace: str) -> str:
    return str(manifest["metadata"].get("namespace") or namespace)


def _encode(value: Object) -> bytes:
    return json.dumps(value).encode()


def _object(answer: bytes) -> Object:
    value: Object = json.loads(answer)
    return value


def _status_object(answer: bytes) -> Object:
    if re.match(rb"\s*\{", answer):
        return _object(answer)
    return {"message": answer.decode("utf-8", "replace")}
