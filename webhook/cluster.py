"""Keeps what the server knows equal to the cluster: starts whatever follows it, and ends it.

Everything runs in the event loop of the server, so that the state has one writer. Connections are
three, because a watch occupies its own: the profile's, the namespaces', and one for the rest.
"""

import asyncio
import logging
import socket

from webhook.activate import Activation, Version
from webhook.announce import Announcer
from webhook.follow import Follower, Timing
from webhook.kube import Cluster, Connection
from webhook.log import fields
from webhook.lookup import NamespaceLookup
from webhook.metrics import Metrics
from webhook.namespaces import Labels, NamespaceLabels
from webhook.state import State
from webhook.watch import Change, KubeObject, Page, Resource

NAMESPACES = Resource("namespaces", "/api/v1/namespaces", metadata_only=True)

logger = logging.getLogger("webhook")


class Following:
    """What follows one cluster, and the state that it feeds; one task of the server."""

    def __init__(
        self,
        cluster: Cluster,
        state: State,
        profile: tuple[str, str],
        metrics: Metrics,
        timing: Timing | None = None,
    ) -> None:
        namespace, name = profile
        timing = timing or Timing()
        self.state = state
        self.missing = "profile and namespaces"
        self._read: set[str] = set()
        self._metrics = metrics
        self._labels = NamespaceLabels()
        self._connections = [Connection(cluster) for _ in range(3)]
        of_profile, of_namespaces, of_rest = self._connections
        self._announcer = Announcer(of_rest, namespace, name, socket.gethostname(), metrics)
        self._activation = Activation(name, self._activate)
        self._lookup = NamespaceLookup(of_rest, self._add, metrics)
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        resource = Resource("configmaps", path, object_name=name)
        self._profile = Follower(resource, of_profile, self._activation.apply, metrics, timing)
        self._namespaces = Follower(NAMESPACES, of_namespaces, self._apply, metrics, timing)

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for eternal in (
                    self._profile.run(),
                    self._namespaces.run(),
                    self._activation.run(),
                    self._announcer.run(),
                ):
                    tasks.create_task(eternal)
        finally:
            await self._lookup.close()
            for connection in self._connections:
                await connection.close()

    async def find_labels(self, namespace: str, seconds: float) -> Labels | None:
        """Read the labels of a namespace that the snapshot lacks; None when there is no such."""
        labels = await self._lookup.find(namespace, seconds)
        return self._labels.current.get(namespace, labels)  # the watch may have been faster

    def _apply(self, change: Change) -> None:
        self._labels.apply(change)
        if isinstance(change, Page) and not change.last:
            return
        self._publish()
        if isinstance(change, Page):
            self._has("namespaces")

    def _add(self, namespace: KubeObject) -> None:
        if self._labels.add(namespace, self._namespaces.version):
            self._publish()

    def _publish(self) -> None:
        self.state.replace(namespaces=self._labels.current)
        self._metrics.namespaces_known(len(self._labels.current))

    def _activate(self, version: Version) -> None:
        if version.profile is not None:
            self.state.replace(profile=version.profile)
        self._announcer.tell(version)
        self._has("profile")

    def _has(self, what: str) -> None:
        """Note what was read; what has been read once is never missing again."""
        if not self.missing:
            return
        self._read.add(what)
        self.missing = " and ".join(sorted({"profile", "namespaces"} - self._read))
        if not self.missing:
            logger.info("cluster read", extra=fields(namespaces=len(self._labels.current)))
