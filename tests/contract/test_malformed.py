"""Bodies that are no reviews: the sender's fault, a 400, and never a 5xx."""

import json
from typing import Any

import pytest

from tests.contract.reviews import POD, encoded, review_of
from tests.contract.serving import ServeProcess

GOOD = encoded()


def _with_object(json_text: bytes) -> bytes:
    """Put text in the place of the Pod."""
    return encoded("PLACE").replace(b'"PLACE"', json_text)


def _with_annotation(json_text: bytes) -> bytes:
    """Put text in the place of an annotation's value."""
    pod = {**POD, "metadata": {"annotations": {"a": "PLACE"}}}
    return encoded(pod).replace(b'"PLACE"', json_text)


MALFORMED = {
    "empty": b"",
    "blank": b" \n",
    "null": b"null",
    "array": b"[]",
    "string": b'"AdmissionReview"',
    "number": b"1",
    "empty object": b"{}",
    "cut off": GOOD[:-1],
    "cut in half": GOOD[: len(GOOD) // 2],
    "trailing data": GOOD + b"{}",
    "twice": GOOD + GOOD,
    "trailing comma": GOOD[:-1] + b",}",
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "utf-16": GOOD.decode().encode("utf-16"),
    "invalid utf-8": GOOD.replace(b"busybox", b"busy\xffbox").replace(b"hello", b"he\xc3\x28o"),
    "single quotes": GOOD.replace(b'"', b"'"),
    "form": b"apiVersion=admission.k8s.io/v1&kind=AdmissionReview",
    "yaml": b"apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\n",
    "nul": b"\x00" * 1000,
    "deep array": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "pod is null": _with_object(b"null"),
    "pod is missing": encoded("PLACE").replace(b'"object": "PLACE", ', b""),
    "pod is an array": _with_object(b"[]"),
    "pod is a string": _with_object(b'"x"'),
    "pod is a number": _with_object(b"1e999"),
    "pod is NaN": _with_object(b"NaN"),
    "pod is deep": _with_object(b'{"metadata":{},"spec":' + b'{"a":' * 100_000),
    "pod without metadata": _with_object(b'{"spec":{}}'),
    "metadata is an array": _with_object(b'{"metadata":[],"spec":{}}'),
    "annotation is NaN": _with_annotation(b"NaN"),
    "annotation is Infinity": _with_annotation(b"-Infinity"),
    "annotation is a number": _with_annotation(b"1"),
    "annotation is a number of 5000 digits": _with_annotation(b"1" * 5000),
    "annotation is deep": _with_annotation(b"[" * 100_000 + b"]" * 100_000),
    "annotation is half a surrogate": _with_annotation(rb'"\ud800"'),
    "annotation has a bad escape": _with_annotation(rb'"\x41"'),
    "annotation has a control character": _with_annotation(b'"a\nb"'),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_body_is_the_senders_fault(webhook: ServeProcess, body: bytes) -> None:
    """A 400 with one sentence that does not repeat the body."""
    response = webhook.post(body)
    assert response.status == 400, response.body
    assert len(response.error) < 300


FIELDS: dict[str, Any] = {
    "uid": [None, "", 1, [], {}, True],
    "kind": [None, 1, "Pod", []],
    "operation": [None, 1, [], {}],
    "namespace": [1, [], {}, True],
}


@pytest.mark.parametrize(
    ("field", "value"), [(f, v) for f, values in FIELDS.items() for v in values]
)
def test_a_field_of_another_type_is_the_senders_fault(
    webhook: ServeProcess, field: str, value: Any
) -> None:
    """Every field of the request that is read must have its type."""
    review = review_of()
    review["request"][field] = value
    response = webhook.post(json.dumps(review).encode())
    assert response.status == 400, response.body
    assert response.error


@pytest.mark.parametrize(
    "body",
    [
        GOOD.replace(b'"dryRun": false', b'"dryRun": false, "dryRun": true'),
        GOOD.replace(b'"uid": ', b'"uid": "first", "uid": '),
        _with_object(json.dumps({**POD, "x": 1}).encode().replace(b'"x": 1', b'"x": 1, "x": 2')),
        GOOD.replace(b'"dryRun": false', b'"dryRun": false, "n": ' + b"9" * 5000),
    ],
    ids=[
        "duplicate key",
        "duplicate uid",
        "duplicate key in the pod",
        "5000 digits where nobody looks",
    ],
)
def test_what_the_api_server_would_read_is_read(webhook: ServeProcess, body: bytes) -> None:
    """Of a key given twice the last counts, as in Go; what is not read does no harm."""
    assert webhook.post(body).status in (200, 400)


def test_a_malformed_body_costs_no_memory(webhook: ServeProcess) -> None:
    """After all of these, the server answers as before."""
    for _ in range(3):
        for body in MALFORMED.values():
            webhook.post(body)
    assert webhook.post(GOOD).status == 200
