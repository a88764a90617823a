"""Makes the ConfigMap's newest version the active profile, or says why it cannot be.

A profile may have a megabyte: it is read in a thread, and only what is complete is swapped in. Of
versions that arrive meanwhile the newest alone is read.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from webhook.problems import Problem
from webhook.profile import Profile, parse_profile
from webhook.watch import Change, Changed, Deleted, KubeObject, Metadata, Page

LARGE_SECONDS = 0.1  # to read it

logger = logging.getLogger("webhook")


@dataclass(frozen=True, slots=True)
class Version:
    """One state of the ConfigMap, and what became of it.

    ``profile`` is None when it is invalid as a whole; ``uid`` is empty when there is no ConfigMap;
    ``is_news`` is false when nothing but the ConfigMap's metadata has changed.
    """

    profile: Profile | None
    resource_version: str = ""
    uid: str = ""
    problems: tuple[Problem, ...] = ()
    is_news: bool = True

    @property
    def errors(self) -> int:
        """Count the problems that keep something from acting."""
        return sum(problem.severity == "error" for problem in self.problems)


class Activation:
    """Takes the newest ConfigMap from the watch; gives profiles to ``activate``.

    ``activate`` gets each version that was read, also one without a profile: then the last good one
    is to stay active.
    """

    def __init__(self, name: str, activate: Callable[[Version], None]) -> None:
        self._name = name
        self._activate = activate
        self._newest: KubeObject | None = None
        self._listed: KubeObject | None = None
        self._arrived = asyncio.Event()
        self._data: Mapping[str, str] | None = None  # of ``_version``
        self._version: Version | None = None

    def apply(self, change: Change) -> None:
        """Note what a list or a watch tells."""
        match change:
            case Page():
                self._take_page(change)
            case Changed(found) if found.metadata.name == self._name:
                self._offer(found)
            case Deleted(found) if found.metadata.name == self._name:
                self._offer(None)

    def _take_page(self, page: Page) -> None:
        found = [item for item in page.objects if item.metadata.name == self._name]
        before = None if page.first else self._listed
        self._listed = found[0] if found else before
        if page.last:
            self._offer(self._listed)
            self._listed = None

    def _offer(self, found: KubeObject | None) -> None:
        self._newest = found
        self._arrived.set()

    async def run(self) -> None:
        """Activate version after version, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            try:
                self._version = await self._read(self._newest)
                self._activate(self._version)
            except Exception:
                logger.exception("activating the profile failed")

    async def _read(self, found: KubeObject | None) -> Version:
        if found is None:
            self._data = None
            return Version(Profile())
        data, metadata = found.data or {}, found.metadata
        if self._version is not None and data == self._data:
            return _renamed(self._version, metadata.resource_version, metadata.uid)
        self._data = data
        return await asyncio.to_thread(_parsed, data, metadata)


def _parsed(data: Mapping[str, str], metadata: Metadata) -> Version:
    """Read a profile, for as long as it takes; what the reader chokes on is not activated."""
    try:
        with _without_collections():
            profile, problems = parse_profile(data, metadata.resource_version)
    except Exception:
        logger.exception("reading the profile failed")
        profile, problems = None, [Problem("error", "selectors", "cannot be read, by a bug")]
    return Version(profile, metadata.resource_version, metadata.uid, tuple(problems))


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keep the garbage collector away while a profile is read, and from what is large afterwards.

    A collection holds up every review. A profile of a megabyte makes so many objects that there are
    a dozen full ones, each of which looks at all of them: reviews took 0.3 s instead of 10 ms.
    """
    started = time.monotonic()
    gc.disable()
    try:
        yield
    finally:
        if time.monotonic() - started > LARGE_SECONDS:
            gc.freeze()
        gc.enable()


def _renamed(version: Version, resource_version: str, uid: str) -> Version:
    """Take over a newer version of the same data, so that all replicas write the same into Pods."""
    profile = version.profile
    if profile is not None:
        profile = replace(profile, version=resource_version, plans={})
    return replace(
        version, profile=profile, resource_version=resource_version, uid=uid, is_news=False
    )
