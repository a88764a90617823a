"""Every object that an API server stores, of every kind that it serves, also those of others."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from tests.cluster.client import ApiError, Client, Object
from tests.cluster.process import eventually

# Written by every cluster all the time, whoever is installed; Events say what was, and expire.
PASSING = {"events", "leases"}
# No objects, but views on others.
VIEWS = {"componentstatuses"}


@dataclass(frozen=True, slots=True, order=True)
class Stored:
    """One object, by what it is called."""

    resource: str  # with its group: deployments.apps
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.resource} {self.namespace}/{self.name}".replace(" /", " ")


def stored_objects(admin: Client) -> dict[Stored, Object]:
    """List everything; of a kind that several groups serve each one counts."""
    return {
        _called(resource, each): each
        for resource, path in _collections(admin)
        for each in _list(admin, path)
    }


def added(before: Mapping[Stored, object], after: Mapping[Stored, object]) -> list[str]:
    """Name what is there now and was not; what was deleted and made anew counts as the same."""
    return sorted(str(each) for each in after.keys() - before.keys())


def _called(resource: str, found: Object) -> Stored:
    metadata = found["metadata"]
    return Stored(resource, metadata.get("namespace", ""), metadata["name"])


def _collections(admin: Client) -> Iterator[tuple[str, str]]:
    """Find the collections of every group, in the version that it prefers."""
    groups = _get(admin, "/apis")["groups"]
    versions = [("", "/api/v1")]
    versions += [(g["name"], f"/apis/{g['preferredVersion']['groupVersion']}") for g in groups]
    for group, path in versions:
        for resource in _get(admin, path)["resources"]:
            name = resource["name"]
            if "list" in resource["verbs"] and name not in PASSING | VIEWS:
                yield f"{name}.{group}".rstrip("."), f"{path}/{name}"


def _list(admin: Client, path: str) -> list[Object]:
    """List a collection; one that was defined a moment ago asks for patience."""

    def seek() -> list[list[Object]]:
        try:
            return [_get(admin, path)["items"] or []]
        except ApiError as error:
            if error.status == HTTPStatus.TOO_MANY_REQUESTS:
                return []
            raise

    (found,) = eventually(seek, f"the objects of {path}", 20)
    return found


def _get(admin: Client, path: str) -> Object:
    answer: Object = json.loads(admin.send("GET", path))
    return answer
