"""``make demo-cluster``: a workflow that says nothing of VCI runs on VCI, on a real control plane.

Everything is real but what would cost money: no container runs, a small kubelet says that they did.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from tests.cluster import session
from tests.cluster.client import Object
from tests.cluster.control_plane import Cluster
from tests.cluster.nodes import ORDINARY_NODE, VIRTUAL_NODE
from tests.cluster.placing import PLACED, examples_in_force
from tests.cluster.workloads import (
    create_namespace,
    example_workflow,
    finished_workflow,
    pods_of,
    prepare_examples,
    step_of,
)

PLAIN = "plain"
STEPS = 3


class Progress:
    """Says what happens, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()

    def say(self, line: str) -> None:
        seconds = time.monotonic() - self._started
        self._console.print(f"[dim]{seconds:5.1f} s[/]  {line}", highlight=False)


def main() -> int:
    """Bring all up, run the workflow where it is placed and where it is not, show both."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    progress = Progress(console)
    progress.say("starting etcd, API server, scheduler, controller manager and Argo Workflows")
    with session.temporary_control_plane() as cluster:
        progress.say(f"two nodes are ready: {ORDINARY_NODE}, and the virtual {VIRTUAL_NODE}")
        prepare_examples(cluster.admin)
        create_namespace(cluster.admin, PLAIN)
        progress.say("applying examples/vci-profile.yaml: starting vci-webhook with it")
        with examples_in_force(cluster, PLAIN):
            pods = {name: run_steps(cluster, progress, name) for name in (PLACED, PLAIN)}
        progress.say("stopping everything")
    progress.say("stopped")
    for namespace, those in pods.items():
        console.print(table(namespace, those))
    return judge(pods, console)


def run_steps(cluster: Cluster, progress: Progress, namespace: str) -> list[Object]:
    """Submit the workflow of the examples in a namespace, and return its Pods in order."""
    manifest = example_workflow("steps")
    manifest["metadata"]["namespace"] = namespace
    progress.say(f"submitting examples/steps.yaml in namespace {namespace}")
    workflow = finished_workflow(cluster.admin, cluster.admin.create(manifest))
    name, phase = workflow["metadata"]["name"], workflow["status"]["phase"]
    progress.say(f"workflow {name} is over: {phase}")
    return sorted(pods_of(cluster.admin, workflow), key=step_of)


def table(namespace: str, pods: Sequence[Object]) -> Table:
    """Show where each Pod went, and what it says about why."""
    labels = "label vci=true" if namespace == PLACED else "without the label"
    shown = Table(
        *("Pod", "template (step)", "decision", "rule", "node"),
        title=f"namespace {namespace}, {labels}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for pod in pods:
        trace, node = trace_of(pod), pod["spec"]["nodeName"]
        placement, rules = trace.get("placement", "none"), ", ".join(trace.get("rules", ["none"]))
        where = f"[bold green]{node}[/]" if node == VIRTUAL_NODE else node
        template = f"{template_of(pod)} ({step_of(pod)})"
        shown.add_row(pod["metadata"]["name"], template, placement, rules, where)
    for column in shown.columns:
        column.overflow = "fold"
    return shown


def template_of(pod: Object) -> str:
    """Read the template's name where Argo's executor reads the template."""
    environment = {entry["name"]: entry for entry in pod["spec"]["containers"][0]["env"]}
    return str(json.loads(environment["ARGO_TEMPLATE"]["value"])["name"])


def trace_of(pod: Object) -> Object:
    """Read what the webhook wrote on a Pod about what it did."""
    trace: Object = json.loads(pod["metadata"]["annotations"].get("vci-webhook/applied", "{}"))
    return trace


def judge(pods: Mapping[str, Sequence[Object]], console: Console) -> int:
    """Succeed when every Pod is on the node that its namespace's label asks for."""
    nodes = {name: [pod["spec"]["nodeName"] for pod in those] for name, those in pods.items()}
    expected = {PLACED: [VIRTUAL_NODE] * STEPS, PLAIN: [ORDINARY_NODE] * STEPS}
    if nodes != expected:
        console.print(f"[bold red]not where they should be:[/] {nodes}")
        return 1
    console.print("One workflow, unchanged: the namespace's label made the difference.")
    return 0


if __name__ == "__main__":
    sys.exit(session.run("tests.cluster.demo", main))
