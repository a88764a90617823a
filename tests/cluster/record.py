"""``make record``: records what the real API server sends for the Pods of real controllers.

A webhook that changes nothing keeps each AdmissionReview, byte for byte, in ``tests/recorded``.
Names are those of the workflow's step or of the object's kind, so that a new recording replaces the
old; uids, times and the name of the token's volume differ from one recording to the next.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import session
from tests.cluster.client import Object
from tests.cluster.configuration import scripted_webhook
from tests.cluster.control_plane import Cluster
from tests.cluster.kubelet import Outcome
from tests.cluster.process import eventually
from tests.cluster.workloads import (
    agent_workflow,
    bare_pod,
    example_workflow,
    finished_workflow,
    prepare_examples,
    step_of,
    workload,
)

RECORDED = Path(__file__).parents[1] / "recorded"
NAMESPACE = "workflows"
WORKFLOWS = ("steps", "steps-annotated", "blender")
OTHERS = {
    "deployment": workload("Deployment", "deployment"),
    "job": workload("Job", "job"),
    "daemonset": workload("DaemonSet", "daemonset"),
    "pod": bare_pod("pod"),
    "agent": agent_workflow(NAMESPACE),
}


def main() -> int:
    """Record everything anew, then replace the recordings."""
    with session.temporary_control_plane() as cluster:
        recordings = dict(_record(cluster))
    for old in RECORDED.glob("*.json"):
        old.unlink()
    RECORDED.mkdir(exist_ok=True)
    for name, body in sorted(recordings.items()):
        (RECORDED / f"{name}.json").write_bytes(body)
    print(f"{len(recordings)} AdmissionReviews recorded in {RECORDED}")
    return 0


def _record(cluster: Cluster) -> Iterator[tuple[str, bytes]]:
    prepare_examples(cluster.admin)
    for name in WORKFLOWS:
        print(f"recording workflow {name}", flush=True)
        yield from record_workflow(cluster, name)
    for name, manifest in OTHERS.items():
        print(f"recording {name}", flush=True)
        yield from record_one(cluster, name, manifest)


def record_workflow(cluster: Cluster, name: str) -> Iterator[tuple[str, bytes]]:
    """Run a workflow under a fixed name, the third slice of it failing once."""
    workflow = example_workflow(name)
    workflow["metadata"] = {"name": name, "namespace": NAMESPACE}
    with scripted_webhook(cluster, NAMESPACE) as webhook, cluster.kubelet.deciding(_fail_one_slice):
        finished = finished_workflow(cluster.admin, cluster.admin.create(workflow))
    assert finished["status"]["phase"] == "Succeeded", finished["status"]
    for request in webhook.requests:
        yield f"{name}-{step_of(request.pod)}", request.body


def _fail_one_slice(pod: Object) -> Outcome | None:
    annotations = pod["metadata"].get("annotations", {})
    fails = "workflows.argoproj.io/node-name" in annotations and step_of(pod) == "render-2"
    return Outcome(exit_code=1, message="Error (exit code 1)") if fails else None


def record_one(cluster: Cluster, name: str, manifest: Object) -> Iterator[tuple[str, bytes]]:
    with scripted_webhook(cluster, NAMESPACE) as webhook:
        cluster.admin.create(manifest, NAMESPACE)
        eventually(lambda: webhook.requests, f"a Pod of {name}")
    yield name, webhook.requests[0].body


if __name__ == "__main__":
    sys.exit(session.run("tests.cluster.record", main))
