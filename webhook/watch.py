"""List, then watch: which request is next and what an answer means. No socket, no clock.

A ``Reflector`` follows the objects of one resource. Whoever drives it sends the requests that it
asks for, hands over the bytes that come back, and applies the changes that it makes of them. How
the API server means its answers: kubernetes.io/docs/reference/using-api/api-concepts/.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import msgspec
from msgspec import Raw, Struct

from webhook.errors import Cause, ClusterError

# A page of ten thousand namespaces' list has 0.3 MB and is decoded in 1 ms: reviews wait no longer.
PAGE_SIZE = 500
LIST_SECONDS = 30
# An object has at most 1.5 MiB in etcd; escaped as JSON its strings may be some times longer.
LINE_LIMIT = 16 * 1024 * 1024
MESSAGE_LIMIT = 300

METADATA_ONLY = "application/json;as={};g=meta.k8s.io;v=v1,application/json"
_OUTDATED = ("Expired", "Gone")
_GONE = 410
_DENIED = (401, 403)


class Metadata(Struct, rename="camel", gc=False):
    """What we need of an object's metadata; the decoder skips everything else."""

    name: str
    resource_version: str
    uid: str = ""
    labels: dict[str, str] | None = None


class KubeObject(Struct, gc=False):
    """A ConfigMap, or the metadata of anything."""

    metadata: Metadata
    data: dict[str, str] | None = None


class _ListMetadata(Struct, rename={"version": "resourceVersion", "token": "continue"}):
    version: str
    token: str = ""


class _List(Struct):
    metadata: _ListMetadata
    items: list[KubeObject] | None = None


class _Event(Struct):
    type: str
    object: Raw


class _BookmarkMetadata(Struct, rename="camel"):
    resource_version: str


class _Bookmark(Struct):
    metadata: _BookmarkMetadata


class _StatusCause(Struct):
    reason: str | None = None


class _StatusDetails(Struct, rename="camel"):
    causes: list[_StatusCause] | None = None
    retry_after_seconds: int | None = None


class Status(Struct):
    """What the API server answers instead of the object (``metav1.Status``)."""

    code: int | None = None
    reason: str | None = None
    message: str | None = None
    details: _StatusDetails | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """What is followed: the objects of one collection, all of them or the one of a name."""

    name: str
    path: str
    object_name: str = ""
    metadata_only: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A GET: of a page of the list, or of the watch, whose answer has no end."""

    watch: bool
    accept: str
    query: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Objects of a list; what is in none of its pages, from ``first`` to ``last``, is gone."""

    objects: Sequence[KubeObject]
    first: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """An object that is new or different."""

    object: KubeObject


@dataclass(frozen=True, slots=True)
class Deleted:
    """An object that is gone, as it was."""

    object: KubeObject


Change: TypeAlias = Page | Changed | Deleted

_decode_list = msgspec.json.Decoder(_List)
_decode_event = msgspec.json.Decoder(_Event)
_decode_object = msgspec.json.Decoder(KubeObject)
_decode_bookmark = msgspec.json.Decoder(_Bookmark)
_decode_status = msgspec.json.Decoder(Status)

T = TypeVar("T")


class Reflector:
    """Where we stand with one resource: at some page of its list, or at a version of its watch."""

    def __init__(self, resource: Resource, page_size: int = PAGE_SIZE) -> None:
        self.resource = resource
        self.version = ""  # of the last thing that we know; empty until a list is complete
        self._page_size = page_size
        self._token = ""  # of the page that comes next

    def request(self, watch_seconds: int) -> Request:
        """Say what to ask next; a watch is to end by itself after so many seconds."""
        query = []
        if self.resource.object_name:
            query.append(("fieldSelector", f"metadata.name={self.resource.object_name}"))
        if self.version:
            query += [
                ("watch", "true"),
                ("allowWatchBookmarks", "true"),
                ("resourceVersion", self.version),
                ("timeoutSeconds", str(watch_seconds)),
            ]
        else:  # without a resourceVersion: the newest state, and pages of the size that we ask for
            query += [("limit", str(self._page_size)), ("timeoutSeconds", str(LIST_SECONDS))]
            query += [("continue", self._token)] if self._token else []
        return Request(bool(self.version), self._accept(), tuple(query))

    def _accept(self) -> str:
        if not self.resource.metadata_only:
            return "application/json"
        return METADATA_ONLY.format(f"PartialObjectMetadata{'' if self.version else 'List'}")

    def start_over(self) -> None:
        """Forget where we stand: a list is next. What was applied stays until it is complete."""
        self.version = self._token = ""

    def take_page(self, body: bytes) -> Page:
        """Digest the answer to the request of a page.

        Raises:
            ClusterError: it is no list.
        """
        page = _decode(_decode_list, body, "a list")
        first = not self._token
        self._token = page.metadata.token
        if not self._token:
            self.version = page.metadata.version
        return Page(page.items or (), first, last=not self._token)

    def take_line(self, line: bytes) -> Change | None:
        """Digest one line of a watch; None when it changes nothing but the place where we are.

        Raises:
            ClusterError: the watch cannot go on from here.
        """
        event = _decode(_decode_event, line, "an event")
        if event.type in ("ADDED", "MODIFIED", "DELETED"):
            changed = _decode(_decode_object, event.object, "an object")
            self._advance(changed.metadata.resource_version)
            return Deleted(changed) if event.type == "DELETED" else Changed(changed)
        if event.type == "BOOKMARK":
            bookmark = _decode(_decode_bookmark, event.object, "a bookmark")
            self._advance(bookmark.metadata.resource_version)
        elif event.type == "ERROR":
            raise _judge(_decode(_decode_status, event.object, "a status"), 0, 0)
        return None

    def _advance(self, version: str) -> None:
        """Go on to a version; one watch never goes back, so what does is no answer to trust."""
        if not version or is_older(version, self.version):
            raise ClusterError(
                f'an event of version "{version}" after version "{self.version}"', Cause.GARBLED
            )
        self.version = version


def read_object(body: bytes) -> KubeObject:
    """Decode one object.

    Raises:
        ClusterError: it is none.
    """
    return _decode(_decode_object, body, "an object")


def is_older(version: str, other: str) -> bool:
    """Tell whether a version is older than another; of what is not a number nobody knows."""
    if version.isdecimal() and other.isdecimal():
        return int(version) < int(other)
    return False


def refusal(status: int, retry_after: str, body: bytes) -> ClusterError:
    """Make an error of an answer whose HTTP status is one."""
    try:
        explained = _decode_status.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):  # a proxy's page: not for the log
        explained = Status()
    seconds = int(retry_after) if retry_after.isdecimal() else 0
    return _judge(explained, status, seconds)


def _judge(status: Status, http_status: int, retry_after: int) -> ClusterError:
    """Tell what a Status means for whoever follows; HTTP's word goes before the body's."""
    code = http_status or status.code or 0
    details = status.details or _StatusDetails()
    causes = {cause.reason for cause in details.causes or ()}
    if code == _GONE or status.reason in _OUTDATED or "ResourceVersionTooLarge" in causes:
        cause = Cause.EXPIRED
    elif code in _DENIED:
        cause = Cause.DENIED
    else:
        cause = Cause.UNAVAILABLE
    message = status.message or status.reason or "no reason given"
    told = " ".join(part for part in (str(code or ""), message[:MESSAGE_LIMIT]) if part)
    return ClusterError(told, cause, code, retry_after or details.retry_after_seconds or 0)


def _decode(decoder: msgspec.json.Decoder[T], content: bytes | Raw, what: str) -> T:
    try:
        return decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ClusterError(f"what came is not {what} in JSON", Cause.GARBLED) from None


class Lines:
    """Puts lines together from the pieces that a socket gives; half a line at the end is nobody's.

    Each byte is looked at once, however small the pieces.
    """

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the lines that are complete now, without empty ones.

        Raises:
            ClusterError: a line has no end.
        """
        *complete, rest = piece.split(b"\n")
        for line in complete:
            whole = bytes(self._rest + line) if self._rest else line
            self._rest.clear()
            if whole.strip():
                yield whole
        self._rest += rest
        if len(self._rest) > self._limit:
            raise ClusterError(f"a line of more than {self._limit} bytes", Cause.GARBLED)
