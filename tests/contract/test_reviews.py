"""What every answer has in common, whatever the profile says."""

import copy
import json
import re
from typing import Any

import pytest

from tests.contract.reviews import POD, UID, encoded, operations_of, patched, review_of
from tests.contract.serving import ServeProcess

AUDIT_KEY = re.compile(r"[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?")


def _answer(webhook: ServeProcess, body: bytes) -> Any:
    """Send a review that is answered, and give the answer."""
    response = webhook.post(body)
    assert response.status == 200, response.body
    return response.json


def test_the_answer_carries_the_uid_and_allows(webhook: ServeProcess) -> None:
    """``response.uid`` is ``request.uid``, and nothing is ever denied."""
    for uid in (UID, "x", 'quote"\\slash', "ünïcode \U0001f600", "1" * 1000):
        answer = _answer(webhook, encoded(uid=uid))
        assert answer["kind"] == "AdmissionReview"
        assert answer["response"]["uid"] == uid
        assert answer["response"]["allowed"] is True


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_answer_is_of_the_version_that_asked(webhook: ServeProcess, version: str) -> None:
    """v1 is answered as v1, v1beta1 as v1beta1, with the same patch."""
    answer = _answer(webhook, encoded(version=version))
    assert answer["apiVersion"] == f"admission.k8s.io/{version}"
    assert operations_of(answer) == operations_of(_answer(webhook, encoded()))


@pytest.mark.parametrize(
    "changes",
    [
        {"apiVersion": "admission.k8s.io/v2"},
        {"apiVersion": "admission.k8s.io/v1alpha1"},
        {"apiVersion": "v1"},
        {"apiVersion": ""},
        {"apiVersion": None},
        {"kind": "Pod"},
        {"kind": None},
        {"request": None},
        {"request": {}},
    ],
)
def test_another_version_or_kind_is_not_guessed_at(
    webhook: ServeProcess, changes: dict[str, Any]
) -> None:
    """What is not a known AdmissionReview is a 400 with a sentence."""
    response = webhook.post(json.dumps({**review_of(), **changes}).encode())
    assert response.status == 400
    assert response.error


def test_a_pod_that_matches_gets_a_patch_that_applies(webhook: ServeProcess) -> None:
    """The patched Pod carries what the profile asks for, and all that it had."""
    pod = patched(POD, _answer(webhook, encoded()))
    assert pod["metadata"]["annotations"]["example.com/team"] == "batch"
    assert pod["metadata"]["labels"] == POD["metadata"]["labels"]
    assert pod["spec"]["containers"] == POD["spec"]["containers"]


def test_no_change_is_no_patch(webhook: ServeProcess) -> None:
    """A Pod that no rule matches gets an answer with neither patch nor patchType."""
    response = _answer(webhook, encoded(namespace="plain"))["response"]
    assert response == {"uid": UID, "allowed": True}


def test_a_patched_pod_needs_no_second_patch(webhook: ServeProcess) -> None:
    """The API server may ask again: the answer to our own result is empty."""
    once = patched(POD, _answer(webhook, encoded()))
    assert operations_of(_answer(webhook, encoded(once))) == []


def test_the_patch_only_adds(webhook: ServeProcess) -> None:
    """Nothing of a new Pod is replaced, moved, copied or tested."""
    assert {operation["op"] for operation in operations_of(_answer(webhook, encoded()))} == {"add"}


def test_equal_reviews_get_equal_bytes(webhook: ServeProcess) -> None:
    """The order of keys in the review decides nothing."""
    review = review_of()
    backwards = json.dumps(review, sort_keys=True).encode()
    answers = {
        webhook.post(body).body
        for body in (encoded(), backwards, json.dumps(review, indent=8).encode())
    }
    assert len(answers) == 1


def test_a_dry_run_gets_the_same_answer(webhook: ServeProcess) -> None:
    """There are no side effects to leave out."""
    assert webhook.post(encoded(dryRun=True)).body == webhook.post(encoded(dryRun=False)).body


@pytest.mark.parametrize(
    "request_fields",
    [
        {"operation": "UPDATE", "oldObject": POD},
        {"operation": "DELETE", "object": None, "oldObject": POD},
        {"operation": "CONNECT"},
        {"operation": "create"},
        {"subResource": "ephemeralcontainers", "operation": "UPDATE"},
        {"subResource": "binding", "kind": {"group": "", "version": "v1", "kind": "Binding"}},
        {"subResource": "exec"},
        {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}},
        {"kind": {"group": "", "version": "v1", "kind": "ConfigMap"}},
        {"kind": {"group": "metrics.k8s.io", "version": "v1", "kind": "Pod"}},
    ],
)
def test_what_is_not_the_creation_of_a_pod_is_allowed_as_it_is(
    webhook: ServeProcess, request_fields: dict[str, Any]
) -> None:
    """Other operations, subresources and kinds are answered without a patch."""
    assert _answer(webhook, encoded(**request_fields))["response"] == {"uid": UID, "allowed": True}


@pytest.mark.parametrize("name", [{"name": "a"}, {"name": ""}, {}, {"generateName": "a-"}])
@pytest.mark.parametrize("namespace", [{"namespace": "argo"}, {"namespace": ""}, {}])
def test_names_may_be_missing(
    webhook: ServeProcess, name: dict[str, str], namespace: dict[str, str]
) -> None:
    """Names come after admission, and an old API server leaves the namespace to the request."""
    pod = {**POD, "metadata": {**name, **namespace}}
    assert operations_of(_answer(webhook, encoded(pod)))


def test_the_namespace_of_the_request_decides(webhook: ServeProcess) -> None:
    """Whatever the Pod claims, it is created where the request says."""
    pod = copy.deepcopy(POD)
    pod["metadata"]["namespace"] = "plain"
    assert operations_of(_answer(webhook, encoded(pod, namespace="argo")))
    assert not operations_of(_answer(webhook, encoded(namespace="plain")))


def test_an_unknown_namespace_is_our_failure(webhook: ServeProcess) -> None:
    """Labels that are not known never count as labels that do not match: a 500, not a guess."""
    response = webhook.post(encoded(namespace="nobody-knows"))
    assert response.status == 500
    assert '"nobody-knows"' in response.error


def test_audit_annotations_have_keys_that_the_api_server_keeps(webhook: ServeProcess) -> None:
    """Which rule decided what is told in short values under legal keys."""
    audit = _answer(webhook, encoded())["response"]["auditAnnotations"]
    assert audit == {"decision": "enforce", "rule": "workflows"}
    assert all(AUDIT_KEY.fullmatch(key) for key in audit)


def test_unknown_fields_are_no_fault(webhook: ServeProcess) -> None:
    """An API server of tomorrow may send more; it is read past."""
    pod = {**POD, "future": {"deep": [1, {"x": None}]}}
    review = {**review_of(pod, future=[1, 2]), "future": True}
    assert operations_of(_answer(webhook, json.dumps(review).encode()))
