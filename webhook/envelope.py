"""What every AdmissionReview has, whatever it is about (``k8s.io/api/admission/v1``).

Read and checked here once for all endpoints; what stands inside is their business.
"""

from binascii import b2a_base64
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from webhook.errors import ReviewError
from webhook.operations import encode

VERSIONS = ("admission.k8s.io/v1", "admission.k8s.io/v1beta1")
WARNING_LIMIT = 120  # characters; longer ones may be cut or dropped by the API server
NO_PATCH = b"}}"  # the end of a response that changes nothing
_BEGINNING = {
    version: b'{"apiVersion":"%b","kind":"AdmissionReview","response":{"uid":' % version.encode()
    for version in VERSIONS
}
_ALLOWED, _DENIED = b',"allowed":true', b',"allowed":false'
# What a decoder raises over a body that is not what it should be.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Kind(Struct, gc=False):
    """What an object is."""

    group: str = ""
    version: str = ""
    kind: str = ""


def check_text(body: bytes) -> None:
    """Raise UnicodeDecodeError unless it is UTF-8: strings that nobody reads stay undecoded."""
    if not body.isascii():
        body.decode()


def check_review(api_version: str, kind: str, uid: str) -> None:
    """Raise ReviewError unless it is a review that can be answered."""
    if api_version not in VERSIONS or kind != "AdmissionReview":
        raise ReviewError(
            f"apiVersion, kind: not an AdmissionReview of {' or '.join(VERSIONS)}; send one"
        )
    if not uid:
        raise ReviewError("request.uid: empty; send the uid to answer with")


def unreadable(error: Exception) -> ReviewError:
    """Say what a decoder found, without what the sender wrote."""
    if isinstance(error, msgspec.ValidationError):
        told = str(error).replace("`", '"')
    else:
        told = "nested too deep" if isinstance(error, RecursionError) else "malformed JSON"
    return ReviewError(f"body: {told}; send an AdmissionReview as JSON")


def begin_answer(api_version: str, uid: str, *, allowed: bool) -> bytes:
    """Write the answer up to its verdict; whoever asked closes two braces."""
    return _BEGINNING[api_version] + encode(uid) + (_ALLOWED if allowed else _DENIED)


def end_response(operations: Sequence[bytes], audit: bytes, warnings: Sequence[str]) -> bytes:
    """Write the answer from behind its verdict on: patch, audit annotations, warnings."""
    parts = []
    if operations:
        patch = b2a_base64(b"[%b]" % b",".join(operations), newline=False)
        parts.append(b',"patchType":"JSONPatch","patch":"%b"' % patch)
    if audit:
        parts.append(b',"auditAnnotations":%b' % audit)
    if warnings:
        parts.append(b',"warnings":%b' % encode(warnings))
    return b"".join([*parts, NO_PATCH])
