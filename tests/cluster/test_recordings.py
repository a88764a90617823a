"""The recorded reviews are what the API server and the controllers send today."""

import json
import re

import pytest

from tests.cluster.client import Object
from tests.cluster.control_plane import Cluster
from tests.cluster.record import OTHERS, RECORDED, WORKFLOWS, record_one, record_workflow
from tests.cluster.workloads import prepare_examples

MADE_UP = re.compile(
    r"(?P<uid>[0-9a-f]{8}-[0-9a-f-]{27})"
    r'|"(?P<time>[0-9-]{10}T[0-9:]{8}Z)"'
    r"|X509SHA256=(?P<hash>[0-9a-f]{64})"
    r"|kube-api-access-(?P<volume>\w{5})"
    r'|"pod-template-hash":"(?P<template>\w+)"'  # of a Deployment: it is in names too
    r"|(?P<workflow>one-\w{5}(-\d+)?)"  # the generated name of the agent's workflow
)


def comparable(body: bytes) -> Object:
    """Return the user and the object of a review, without what differs from run to run."""
    text = body.decode()
    for found in MADE_UP.finditer(text):
        made_up = next(filter(None, found.groups()))
        text = text.replace(made_up, "")
    request: Object = json.loads(text)["request"]
    # its keys tell their order by the names in them
    request["object"]["metadata"]["managedFields"] = None
    return request


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_gives_what_is_recorded(cluster: Cluster, name: str) -> None:
    """Argo makes the recorded Pods, and the API server sends them as they were recorded."""
    prepare_examples(cluster.admin)
    sent = dict(record_workflow(cluster, name))
    assert sorted(sent) == sorted(path.stem for path in RECORDED.glob(f"{name}-[hr]*.json"))
    for step, body in sent.items():
        recorded = (RECORDED / f"{step}.json").read_bytes()
        assert comparable(body) == comparable(recorded), step
    cluster.admin.delete("Workflow", name, "workflows")


@pytest.mark.parametrize("name", OTHERS)
def test_a_controller_gives_what_is_recorded(cluster: Cluster, name: str) -> None:
    """The other controllers make the recorded Pods, and they are sent as they were recorded."""
    prepare_examples(cluster.admin)
    manifest = OTHERS[name]
    ((_, body),) = record_one(cluster, name, manifest)
    assert comparable(body) == comparable((RECORDED / f"{name}.json").read_bytes())
    cluster.admin.delete(manifest["kind"], manifest["metadata"].get("name", ""), "workflows")
