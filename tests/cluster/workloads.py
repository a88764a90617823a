"""What the tests and the commands run on the control plane: the examples, and small workloads."""

import re
from pathlib import Path
from typing import Any

from tests.cluster.client import Client, Object, read_manifests
from tests.cluster.process import eventually

EXAMPLES = Path(__file__).parents[2] / "examples"
FINISHED = ("Succeeded", "Failed", "Error")
NODE_NAME = re.compile(r".*\.(?P<step>[\w-]+)(\((?P<item>\d+):.*?\))?(\((?P<attempt>\d+)\))?")


def prepare_examples(admin: Client) -> None:
    """Create what the examples' workflows need: namespace, rights, volume."""
    files = ("namespace.yaml", "rbac.yaml", "blender-volume.yaml")
    for manifest in read_manifests(*(EXAMPLES / file for file in files)):
        admin.apply(manifest)
    _await_service_account(admin, "workflows")


def create_namespace(admin: Client, name: str, labels: dict[str, str] | None = None) -> Object:
    """Create a namespace with the rights that the examples give to their workflows."""
    metadata = {"name": name, "labels": labels or {}}
    namespace = admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    for manifest in read_manifests(EXAMPLES / "rbac.yaml"):
        manifest["metadata"]["namespace"] = name
        for subject in manifest.get("subjects", []):
            subject["namespace"] = name
        admin.apply(manifest)
    _await_service_account(admin, name)
    return namespace


def _await_service_account(admin: Client, namespace: str) -> None:
    """Wait for the account that the controller manager makes, and that every Pod needs."""
    eventually(lambda: admin.find("ServiceAccount", "default", namespace), "ServiceAccount default")


def example_workflow(name: str, **parameters: str) -> Object:
    """Read an example's workflow, with other values for some of its parameters."""
    (workflow,) = read_manifests(EXAMPLES / f"{name}.yaml")
    for parameter in workflow["spec"].get("arguments", {}).get("parameters", []):
        parameter["value"] = parameters.get(parameter["name"], parameter["value"])
    return workflow


def finished_workflow(admin: Client, workflow: Object, seconds: float = 60) -> Object:
    """Wait until a workflow came to its end, and return it."""
    metadata = workflow["metadata"]

    def seek() -> Object | None:
        current = admin.get("Workflow", metadata["name"], metadata["namespace"])
        return current if current.get("status", {}).get("phase") in FINISHED else None

    return eventually(seek, f"the end of workflow {metadata['name']}", seconds)


def pods_of(admin: Client, workflow: Object) -> list[Object]:
    """List the Pods of a workflow."""
    metadata = workflow["metadata"]
    selector = f"workflows.argoproj.io/workflow={metadata['name']}"
    return admin.list("Pod", metadata["namespace"], labelSelector=selector)


def step_of(pod: Object) -> str:
    """Name the step that a workflow's Pod runs: ``hello1``, ``render-3``, ``render-3-retry-1``."""
    node_name = pod["metadata"]["annotations"]["workflows.argoproj.io/node-name"]
    match = NODE_NAME.fullmatch(node_name)
    if not match:
        return "entrypoint"
    step, item, attempt = match["step"], match["item"], match["attempt"]
    retry = "" if attempt in (None, "0") else f"-retry-{attempt}"
    return f"{step}{f'-{item}' if item else ''}{retry}"


def one_pod_workflow(namespace: str, **spec: Any) -> Object:
    """Return a workflow of one step."""
    container = {"image": "docker/whalesay:latest", "command": ["cowsay"], "args": ["hello"]}
    spec = {
        "entrypoint": "whalesay",
        "serviceAccountName": "workflow",
        "templates": [{"name": "whalesay", "container": container}],
        **spec,
    }
    metadata = {"generateName": "one-", "namespace": namespace}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": metadata,
        "spec": spec,
    }


def agent_workflow(namespace: str) -> Object:
    """Return a workflow whose step is an HTTP request: Argo makes one agent Pod for it."""
    template = {"name": "ask", "http": {"url": "http://127.0.0.1:1/"}}
    return one_pod_workflow(namespace, entrypoint="ask", templates=[template])


def bare_pod(name: str = "", **spec: Any) -> Object:
    """Return the smallest Pod that comes to an end."""
    metadata = {"name": name} if name else {"generateName": "bare-"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(**spec)}


def pod_spec(**spec: Any) -> Object:
    """Return the spec of a Pod with one container."""
    container = {"name": "main", "image": "docker/whalesay:latest", "command": ["cowsay", "hello"]}
    return {"restartPolicy": "Never", "containers": [container], **spec}


def workload(kind: str, name: str, **spec: Any) -> Object:
    """Return a Deployment, DaemonSet or Job of small Pods."""
    api_version = "batch/v1" if kind == "Job" else "apps/v1"
    labels = {"app": name}
    if kind == "Job":
        template: Object = {"spec": pod_spec()}
    else:
        template = {"metadata": {"labels": labels}, "spec": pod_spec(restartPolicy="Always")}
        spec = {"selector": {"matchLabels": labels}, **spec}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"template": template, **spec},
    }
