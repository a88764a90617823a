"""Reads what a cluster can tell about a profile; what we may not read is said and skipped."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from webhook.cluster_advice import Census, ResourcePolicy, Surroundings, eligible
from webhook.errors import Cause, ClusterError
from webhook.kube import JSON, Call, Connection
from webhook.objects import WebhookConfiguration, configuration_of, read_configuration
from webhook.observed import Configuration, Entry, Kind
from webhook.pod import ObjectMeta, Pod, PodSpec
from webhook.profile import Profile
from webhook.watch import METADATA_ONLY, KubeObject, read_object
from webhook.wording import listed, quoted

READ_SECONDS = 30.0
PAGE_SIZE = 500
OUR_NAME = "vci-webhook"
OUR_PATH = "/mutate"
NOTE_LIMIT = 300

_PODS = "/api/v1/pods"
NAMESPACES = "/api/v1/namespaces"
_POLICIES = "/apis/scheduling.vke.volcengine.com/v1beta1/resourcepolicies"
_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
_KIND: Kind = "MutatingWebhookConfiguration"
_WHETHER_CALLED = "whether the webhook is called for what rules match"
METADATA_LIST = METADATA_ONLY.format("PartialObjectMetadataList")
_NOTHING = PodSpec()
_RUNNING = ("fieldSelector", "status.phase=Running")

Item = TypeVar("Item")


class _ListMetadata(Struct, rename={"token": "continue"}):
    token: str = ""


class _List(Struct, Generic[Item]):
    metadata: _ListMetadata
    items: list[Item] | None = None


class _Metadata(Struct, gc=False):
    name: str
    namespace: str = ""
    labels: dict[str, str] | None = None


class Named(Struct, gc=False):
    """An object of which only name, namespace and labels count."""

    metadata: _Metadata


class _PodMetadata(Struct, gc=False):
    metadata: ObjectMeta


class _PolicySpec(Struct, gc=False):
    selector: Any = None


class _Policy(Struct, gc=False):
    metadata: _Metadata
    spec: _PolicySpec = msgspec.field(default_factory=_PolicySpec)


@dataclass(slots=True)
class Observer:
    """One reader of a cluster; ``notes`` say what it was not allowed to read."""

    connection: Connection
    page_size: int = PAGE_SIZE
    notes: list[str] = field(default_factory=list)

    async def read_profile(self, namespace: str, name: str) -> KubeObject | None:
        """Read the profile's ConfigMap; None when there is none."""
        call = Call(f"{NAMESPACES}/{namespace}/configmaps/{name}", READ_SECONDS)
        try:
            async with self.connection.send(call) as response:
                return read_object(await response.body())
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def observe(self, excluded: frozenset[str], configuration: str) -> Surroundings:
        """Read all but the Pods; ``configuration`` may be empty, then ours is looked for."""
        namespaces = await self._read(NAMESPACES, Named, "what each rule matches", METADATA_LIST)
        policies = await self._read(_POLICIES, _Policy, "which ResourcePolicies enforce disturbs")
        found = await self._read_configurations(configuration)
        return Surroundings(
            None
            if namespaces is None
            else eligible({n.metadata.name: n.metadata.labels or {} for n in namespaces}, excluded),
            [_policy_of(policy) for policy in policies or ()],
            None if found is None else self._find_ours(found, configuration),
        )

    async def count_pods(
        self, profiles: Sequence[Profile], surroundings: Surroundings
    ) -> list[Census] | None:
        """Count the running Pods for each profile; None when they may not be listed."""
        censuses = [Census(profile, surroundings.namespaces or {}) for profile in profiles]
        try:
            async for page in self.pages(_PODS, _PodMetadata, METADATA_LIST, _RUNNING):
                for found in page:
                    pod = Pod(found.metadata, _NOTHING)
                    for census in censuses:
                        census.add(pod)
        except ClusterError as error:
            self._note(error, "how many Pods each rule matches, and how they spell ids")
            return None
        return censuses

    async def _read(
        self, path: str, kind: type[Item], what: str, accept: str = JSON
    ) -> list[Item] | None:
        """Read a whole list; None when there is no such resource, or we may not read it."""
        try:
            return [item async for page in self.pages(path, kind, accept) for item in page]
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            self._note(error, what)
            return None

    async def _read_configurations(self, name: str) -> list[Configuration] | None:
        """Read the configuration of a name, which takes less of a right than to list them all."""
        if not name:
            found = await self._read(_CONFIGURATIONS, WebhookConfiguration, _WHETHER_CALLED)
            if found is None:
                return None
            return [configuration_of(each, _KIND, each.metadata.name) for each in found]
        try:
            async with self.connection.send(Call(f"{_CONFIGURATIONS}/{name}", READ_SECONDS)) as got:
                return [read_configuration(await got.body(), _KIND, name)]
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return []
            self._note(error, _WHETHER_CALLED)
            return None

    def _find_ours(self, found: Sequence[Configuration], wanted: str) -> Configuration | None:
        """Find the configuration of a name; without one, that which calls us and looks like ours.

        Where there is none, or one of several, it is noted that nothing can be told about it.
        """
        calling = [replace(each, entries=_calling(each)) for each in found]
        ours = [each for each in calling if wanted or _looks_ours(each)]
        ours = [each for each in ours if each.name == OUR_NAME] or ours
        if len(ours) == 1:
            return ours[0]
        why = f"there is no {_KIND} {quoted(wanted)}" if wanted else f"no {_KIND} looks like ours"
        if ours:
            why = f"{listed(each.name for each in ours)} look like ours"
        todo = "install the webhook, or say what it is called with --service-name"
        self.notes.append(f"not judged: {_WHETHER_CALLED}: {why}; {todo}")
        return None

    def _note(self, error: ClusterError, what: str) -> None:
        """Note what cannot be told for want of rights; any other failure is the caller's."""
        if error.status != HTTPStatus.FORBIDDEN:
            raise error
        self.notes.append(f"not judged: {what}: {error}"[:NOTE_LIMIT])

    async def pages(
        self, path: str, kind: type[Item], accept: str, *query: tuple[str, str]
    ) -> AsyncIterator[list[Item]]:
        """Read a list page by page, to its end.

        Raises:
            ClusterError: it cannot be read.
        """
        decode = msgspec.json.Decoder(_List[kind]).decode  # type: ignore[valid-type]  # at run time
        token = ""
        while True:
            wanted = [("limit", str(self.page_size)), *query]
            wanted += [("continue", token)] if token else []
            call = Call(path, READ_SECONDS, tuple(wanted), accept)
            async with self.connection.send(call) as response:
                body = await response.body()
            try:
                page = decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                what = f"what came from {path} is not the list that was asked for"
                raise ClusterError(what, Cause.GARBLED) from None
            yield page.items or []
            token = page.metadata.token
            if not token:
                return


def _policy_of(policy: _Policy) -> ResourcePolicy:
    """Read a policy; of a selector that is no map of strings nothing is known."""
    selector = policy.spec.selector
    pairs = selector.items() if isinstance(selector, Mapping) else ()
    labels = {key: value for key, value in pairs if isinstance(value, str)}
    return ResourcePolicy(policy.metadata.namespace, policy.metadata.name, labels)


def _calling(configuration: Configuration) -> tuple[Entry, ...]:
    """Give the entries that call a webhook such as this."""
    return tuple(
        entry
        for entry in configuration.entries
        if (entry.path or entry.url).partition("?")[0].endswith(OUR_PATH)
    )


def _looks_ours(configuration: Configuration) -> bool:
    return any(OUR_NAME in f"{configuration.name} {entry.name}" for entry in configuration.entries)
