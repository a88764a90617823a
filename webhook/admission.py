"""AdmissionReview bytes in, AdmissionReview bytes out.

It answers only ``allowed: true``: a failure of ours is an exception, which the caller turns into
an HTTP error, so that the API server's failurePolicy decides and never a bug.
"""

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from webhook.envelope import (
    NO_PATCH,
    UNREADABLE,
    Kind,
    begin_answer,
    check_review,
    check_text,
    unreadable,
)
from webhook.errors import ReviewError, UnknownNamespaceError
from webhook.mutate import UNTOUCHED, Mutation, is_exempt, mutate_pod
from webhook.pod import Pod
from webhook.state import Snapshot

Object = TypeVar("Object")


class _Request(Struct, Generic[Object], rename="camel", gc=False):
    uid: str
    kind: Kind
    operation: str
    object: Object | None = None
    namespace: str | None = None
    sub_resource: str | None = None


class _Review(Struct, Generic[Object], rename="camel", gc=False):
    api_version: str
    kind: str
    request: _Request[Object]


_decode_pod_review = msgspec.json.Decoder(_Review[Pod]).decode
_decode_any_review = msgspec.json.Decoder(_Review[Any]).decode


class Answer(Struct, frozen=True, gc=False):
    """The AdmissionReview to send with status 200, and what was decided.

    ``mutation`` is None for what is not the creation of a Pod; ``name`` is the Pod's, or its
    generateName.
    """

    body: bytes
    uid: str
    namespace: str
    name: str
    mutation: Mutation | None


def review(body: bytes, snapshot: Snapshot) -> Answer:
    """Answer one AdmissionReview.

    Raises:
        ReviewError: the body is not an AdmissionReview that can be answered.
        UnknownNamespaceError: the labels of the Pod's namespace are needed and not known.
    """
    try:
        received = _decoded(body)
        request = received.request
        check_review(received.api_version, received.kind, request.uid)
        begun = begin_answer(received.api_version, request.uid, allowed=True)
        namespace = request.namespace or ""
        if not _creates_pod(request):
            return Answer(begun + NO_PATCH, request.uid, namespace, "", None)
        pod = request.object
        if pod is None:
            raise ReviewError("request.object: missing; send the Pod")
        namespace = namespace or pod.metadata.namespace or ""
        mutation = _decide(pod, len(body), namespace, snapshot)
    except UNREADABLE as error:
        raise unreadable(error) from None
    name = pod.metadata.name or pod.metadata.generate_name or ""
    return Answer(begun + mutation.response, request.uid, namespace, name, mutation)


def _decoded(body: bytes) -> _Review[Pod]:
    """Decode a review in one pass; what is no Pod may look in any way."""
    check_text(body)
    try:
        return _decode_pod_review(body)
    except msgspec.ValidationError:
        received = _decode_any_review(body)
        if _creates_pod(received.request):
            raise
        received.request.object = None
        return received


def _creates_pod(request: _Request[Any]) -> bool:
    kind = request.kind
    return (
        request.operation == "CREATE"
        and kind.kind == "Pod"
        and not kind.group
        and not request.sub_resource
    )


def _decide(pod: Pod, size: int, namespace: str, snapshot: Snapshot) -> Mutation:
    if namespace in snapshot.excluded_namespaces or is_exempt(pod) or not snapshot.profile.rules:
        return UNTOUCHED
    if not namespace:
        raise ReviewError("request.namespace: missing; a Pod is created in a namespace")
    labels = snapshot.namespaces.get(namespace)
    if labels is None:
        raise UnknownNamespaceError(namespace)
    return mutate_pod(pod, size, labels, snapshot.profile)
