"""Tests of the protocol: AdmissionReview bytes in, AdmissionReview bytes out."""

import json
from typing import Any

import pytest

from tests.unit.pods import (
    NAMESPACE,
    make_pod,
    make_profile,
    make_review,
    make_snapshot,
    patched,
    response_of,
)
from webhook.admission import review
from webhook.errors import ReviewError, UnknownNamespaceError
from webhook.state import Snapshot

SNAPSHOT = make_snapshot(make_profile({"placement": "enforce"}))


def _changed(**fields: Any) -> bytes:
    """Return a review with top-level fields changed."""
    return json.dumps({**json.loads(make_review(make_pod())), **fields}).encode()


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_answer_has_the_version_and_uid_of_the_review(version: str) -> None:
    """The API server refuses an answer with another version or uid."""
    body = _changed(apiVersion=f"admission.k8s.io/{version}")

    answer = json.loads(review(body, SNAPSHOT).body)

    assert answer["apiVersion"] == f"admission.k8s.io/{version}"
    assert answer["kind"] == "AdmissionReview"
    assert answer["response"]["uid"] == json.loads(body)["request"]["uid"]
    assert answer["response"]["allowed"] is True


def test_patch_and_type_appear_together_or_not_at_all() -> None:
    """No change means neither of the two."""
    first = review(make_review(make_pod()), SNAPSHOT)
    second = review(make_review(patched(make_pod(), first)), SNAPSHOT)

    assert response_of(first)["patchType"] == "JSONPatch"
    assert not {"patch", "patchType"} & response_of(second).keys()


def test_a_uid_with_any_characters_comes_back() -> None:
    """It is encoded, not pasted."""
    body = make_review(make_pod(), uid='a"\\\u00e9')

    assert response_of(review(body, SNAPSHOT))["uid"] == 'a"\\\u00e9'


@pytest.mark.parametrize(
    "request_fields",
    [
        {"operation": "UPDATE"},
        {"operation": "DELETE", "object": None},
        {"operation": "CONNECT", "subResource": "exec"},
        {"subResource": "binding"},
        {"subResource": "ephemeralcontainers", "operation": "UPDATE"},
        {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}},
        {"kind": {"group": "x.example", "version": "v1", "kind": "Pod"}},
        {"kind": {"group": "", "version": "v1", "kind": "Binding"}, "object": {"target": 1}},
    ],
)
def test_whatever_is_not_the_creation_of_a_pod_is_allowed(request_fields: dict[str, Any]) -> None:
    """Other operations, subresources and kinds pass without a patch."""
    answer = review(make_review(make_pod(), **request_fields), SNAPSHOT)

    assert response_of(answer).keys() == {"uid", "allowed"}
    assert answer.mutation is None


def test_dry_run_is_answered_alike() -> None:
    """Nothing outside of the answer depends on a review."""
    assert review(make_review(make_pod(), dryRun=True), SNAPSHOT).body == (
        review(make_review(make_pod()), SNAPSHOT).body
    )


def test_the_namespace_of_the_request_counts() -> None:
    """The Pod's own may be empty, and is only used when the request names none."""
    pod = make_pod(metadata={"namespace": "elsewhere"})

    assert review(make_review(pod), SNAPSHOT).namespace == NAMESPACE
    assert review(make_review(make_pod(), namespace=""), SNAPSHOT).namespace == NAMESPACE


def test_a_generated_name_stands_in_for_the_name() -> None:
    """At admission such a Pod has no name yet."""
    pod = make_pod(metadata={"generateName": "task-"})
    del pod["metadata"]["name"]

    assert review(make_review(pod), SNAPSHOT).name == "task-"


def test_an_unknown_namespace_is_an_error() -> None:
    """It never counts as one without labels."""
    with pytest.raises(UnknownNamespaceError, match="unheard-of"):
        review(make_review(make_pod(), namespace="unheard-of"), SNAPSHOT)


@pytest.mark.parametrize(
    ("pod", "request_fields"),
    [
        (make_pod(), {"namespace": "kube-system"}),
        (make_pod(nodeName="n"), {"namespace": "unheard-of"}),
        (make_pod(metadata={"labels": {"vci-webhook/inject": "false"}}), {"namespace": "other"}),
    ],
)
def test_a_pod_that_is_never_touched_needs_no_namespace(
    pod: dict[str, Any], request_fields: dict[str, Any]
) -> None:
    """What is decided by the Pod itself cannot fail for the lack of a label."""
    answer = review(make_review(pod, **request_fields), SNAPSHOT)

    assert response_of(answer).keys() == {"uid", "allowed"}


def test_without_rules_no_namespace_is_needed() -> None:
    """An empty profile changes no Pod, so nothing has to be known."""
    answer = review(make_review(make_pod(), namespace="unheard-of"), Snapshot())

    assert response_of(answer).keys() == {"uid", "allowed"}


def test_the_webhooks_own_namespace_is_excluded() -> None:
    """Its Pods must start without it."""
    snapshot = Snapshot(SNAPSHOT.profile, SNAPSHOT.namespaces, frozenset({NAMESPACE}))

    assert "patch" not in response_of(review(make_review(make_pod()), snapshot))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b"{}",
        b'{"apiVersion": NaN}',
        b"\xff",
        make_review(make_pod()).replace(b"busybox", b"busy\xffbox"),
        b"\xef\xbb\xbf" + make_review(make_pod()),
        make_review(make_pod())[:-1],
        make_review(make_pod()) + b"x",
        _changed(apiVersion="admission.k8s.io/v2"),
        _changed(kind="ConversionReview"),
        _changed(request=None),
        _changed(request={}),
        make_review(make_pod(), uid=None),
        make_review(make_pod(), uid=""),
        make_review(make_pod(), uid=7),
        make_review(make_pod(), kind=None),
        make_review(make_pod(), operation=None),
        make_review(None),
        make_review({}),
        make_review({"metadata": {}}),
        make_review({"metadata": None, "spec": {}}),
        make_review(make_pod(metadata={"namespace": ""}), namespace=""),
        b"[" * 100_000,
        b'{"apiVersion":' + b"[" * 100_000,
        make_review(make_pod()).replace(b'"main"', b"[" * 100_000 + b"]" * 100_000),
        make_review(make_pod()).replace(b'"main"', b"\x00"),
        make_review(make_pod(hostNetwork="yes")),
    ],
)
def test_an_unusable_body_is_the_senders_fault(body: bytes) -> None:
    """It is refused with status 400 and a message that does not repeat the body."""
    with pytest.raises(ReviewError) as refused:
        review(body, SNAPSHOT)

    assert refused.value.status == 400
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "path",
    [
        "metadata.labels",
        "metadata.annotations",
        "metadata.ownerReferences",
        "metadata.generateName",
        "spec.nodeName",
        "spec.nodeSelector",
        "spec.tolerations",
        "spec.affinity",
        "spec.containers",
        "spec.initContainers",
        "spec.volumes",
        "spec.hostNetwork",
        "spec.os",
        "spec.dnsPolicy",
    ],
)
def test_a_field_of_another_type_is_the_senders_fault(path: str) -> None:
    """The message names the field; null is the same as absent."""
    part, name = path.split(".")
    wrong, null = make_pod(), make_pod()
    wrong[part][name] = 7
    null[part][name] = None

    with pytest.raises(ReviewError, match=name):
        review(make_review(wrong), SNAPSHOT)
    assert response_of(review(make_review(null), SNAPSHOT))["allowed"] is True


def test_a_malformed_affinity_term_is_the_senders_fault() -> None:
    """Terms are read when a rule matched; a wrong type in one is still a 400."""
    terms = [{"matchExpressions": [{"key": 7, "operator": "In"}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}

    with pytest.raises(ReviewError, match="key"):
        review(make_review(make_pod(affinity={"nodeAffinity": required})), SNAPSHOT)
