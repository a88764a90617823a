"""Judges a change of the profile's ConfigMap on its way in: AdmissionReview bytes in and out.

Only that one object is looked at, and a denial is only ever about what somebody has just written: a
profile that was bad before can still be labelled, freed of a finalizer, and deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Raw, Struct

from webhook.envelope import (
    UNREADABLE,
    WARNING_LIMIT,
    Kind,
    begin_answer,
    check_review,
    check_text,
    unreadable,
)
from webhook.errors import ReviewError
from webhook.operations import encode
from webhook.problems import Problem
from webhook.profile import parse_profile

FORCE = "vci-webhook/force"  # annotation of the ConfigMap; "true" lets errors through
# kubectl prints the message as it is: more than a screen or two helps nobody.
LISTED_LIMIT = 100
LINE_LIMIT = 500
WARNINGS_LIMIT = 10

_OPERATIONS = ("CREATE", "UPDATE")
_INVALID = 422


class _Metadata(Struct, rename="camel", gc=False):
    name: str = ""
    namespace: str = ""
    annotations: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class _ConfigMap(Struct, rename="camel", gc=False):
    metadata: _Metadata
    data: dict[str, str] | None = None
    binary_data: dict[str, Raw] | None = None


class _Request(Struct, rename="camel", gc=False):
    uid: str
    kind: Kind
    operation: str
    name: str | None = None
    namespace: str | None = None
    sub_resource: str | None = None
    object: Raw = Raw(b"null")
    old_object: Raw = Raw(b"null")


class _Review(Struct, rename="camel", gc=False):
    api_version: str
    kind: str
    request: _Request


_decode_review = msgspec.json.Decoder(_Review).decode
_decode_object = msgspec.json.Decoder(_ConfigMap | None).decode


@dataclass(frozen=True, slots=True)
class Verdict:
    """The AdmissionReview to send with status 200, and what was found.

    ``is_profile`` is false for any other object; such a one is allowed without a word.
    """

    body: bytes
    uid: str
    is_profile: bool = False
    allowed: bool = True
    errors: int = 0
    warnings: int = 0


def validate(body: bytes, namespace: str, name: str) -> Verdict:
    """Answer one AdmissionReview about the ConfigMap of this namespace and name, or about another.

    Raises:
        ReviewError: the body is not an AdmissionReview that can be answered.
    """
    try:
        check_text(body)
        received = _decode_review(body)
        request = received.request
        check_review(received.api_version, received.kind, request.uid)
        if not _may_be_profile(request, namespace, name):
            return Verdict(_encoded(received), request.uid)
        written, before = _decode_object(request.object), _decode_object(request.old_object)
    except UNREADABLE as error:
        raise unreadable(error) from None
    if written is None:
        raise ReviewError("request.object: missing; send the ConfigMap")
    if (request.name or written.metadata.name) != name:
        return Verdict(_encoded(received), request.uid)
    if written.metadata.deletion_timestamp:
        return Verdict(_encoded(received), request.uid, is_profile=True)
    return _judge(received, written, before)


def _may_be_profile(request: _Request, namespace: str, name: str) -> bool:
    return (
        request.operation in _OPERATIONS
        and (request.kind.group, request.kind.kind) == ("", "ConfigMap")
        and not request.sub_resource
        and request.namespace == namespace
        and request.name in (name, "", None)  # a generated one stands in the object
    )


def _judge(received: _Review, written: _ConfigMap, before: _ConfigMap | None) -> Verdict:
    data = written.data or {}
    _, problems = parse_profile(data, "")
    problems += _unread(written)
    errors = [_described(problem) for problem in problems if problem.severity == "error"]
    warnings = [_described(problem) for problem in problems if problem.severity == "warning"]
    message = ""
    told = warnings
    if errors and before is not None and data == (before.data or {}):
        told = [f"{_counted(errors)} in the profile, as before; see vci-webhook check", *errors]
    elif errors and (written.metadata.annotations or {}).get(FORCE) == "true":
        told = [f"{FORCE}: let through with {_counted(errors)}", *errors, *warnings]
    elif errors:
        message = _message(errors)
    return Verdict(
        _encoded(received, told, message),
        received.request.uid,
        is_profile=True,
        allowed=not message,
        errors=len(errors),
        warnings=len(warnings),
    )


def _unread(written: _ConfigMap) -> list[Problem]:
    """Report binary data, as which kubectl stores a file that is not UTF-8."""
    message = "not read; write text, under data"
    return [Problem("warning", f"binaryData.{key}", message) for key in written.binary_data or ()]


def _described(problem: Problem) -> str:
    """Write a problem as ``check`` does; lines and columns count in the text of the value."""
    key = problem.path.partition(".")[0].partition("[")[0]
    return f"{key}:{problem.line}:{problem.column}: {problem}" if problem.line else str(problem)


def _message(errors: Sequence[str]) -> str:
    """Name all errors, a line each; kubectl shows the line breaks."""
    lines = [_cut(error, LINE_LIMIT) for error in errors[:LISTED_LIMIT]]
    if len(errors) > LISTED_LIMIT:
        lines.append(f"and {len(errors) - LISTED_LIMIT} more; vci-webhook check names them all")
    head = f"{_counted(errors)} in the profile; correct what is wrong, or annotate the ConfigMap "
    return "\n".join([f'{head}with {FORCE}: "true" to let it through', *lines])


def _encoded(received: _Review, warnings: Sequence[str] = (), message: str = "") -> bytes:
    """Write the answer: a denial when there is a message."""
    parts = [begin_answer(received.api_version, received.request.uid, allowed=not message)]
    if message:
        status = {"code": _INVALID, "reason": "Invalid", "message": message}
        parts.append(b',"status":%b' % encode(status))
    if warnings:
        lines = [_cut(warning, WARNING_LIMIT) for warning in warnings[:WARNINGS_LIMIT]]
        if len(warnings) > WARNINGS_LIMIT:
            lines.append(f"and {len(warnings) - WARNINGS_LIMIT} more; see vci-webhook check")
        parts.append(b',"warnings":%b' % encode(lines))
    return b"".join([*parts, b"}}"])


def _cut(text: str, limit: int) -> str:
    """Make one printable line of bounded length."""
    shown = text if len(text) <= limit else f"{text[: limit - 3]}..."
    return "".join(c if c.isprintable() else "?" for c in shown)


def _counted(errors: Sequence[str]) -> str:
    return f"{len(errors)} error{'' if len(errors) == 1 else 's'}"
