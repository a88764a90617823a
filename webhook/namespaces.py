"""The labels of every namespace, as list and watch tell them. Each change makes a new whole.

The map is persistent: its copy with one entry changed shares the rest with it, so that a change
costs the same with ten thousand namespaces as with ten, and a snapshot that a review holds stays.
"""

from collections.abc import Mapping
from typing import TypeAlias

from rpds import HashTrieMap

from webhook.watch import Change, Changed, Deleted, KubeObject, Page, is_older

Labels: TypeAlias = Mapping[str, str]


class NamespaceLabels:
    """Maps names to labels; a list replaces everything, but only when it is complete."""

    def __init__(self) -> None:
        self.current: HashTrieMap[str, Labels] = HashTrieMap()
        self._listed: HashTrieMap[str, Labels] = HashTrieMap()

    def apply(self, change: Change) -> None:
        """Take over what a list or a watch tells."""
        match change:
            case Page():
                self._take_page(change)
            case Changed(found):
                self.current = self.current.insert(found.metadata.name, labels_of(found))
            case Deleted(found):
                self.current = self.current.discard(found.metadata.name)

    def _take_page(self, page: Page) -> None:
        before: HashTrieMap[str, Labels] = HashTrieMap() if page.first else self._listed
        self._listed = before.update({o.metadata.name: labels_of(o) for o in page.objects})
        if page.last:
            self.current, self._listed = self._listed, HashTrieMap()

    def add(self, found: KubeObject, followed_to: str) -> bool:
        """Take over a namespace that was read besides; tell whether it was news.

        The watch, which has come to ``followed_to``, goes first: a namespace older than that which
        is not here has been deleted since, and nobody would delete it again.
        """
        name, version = found.metadata.name, found.metadata.resource_version
        if name in self.current or not is_older(followed_to, version):
            return False
        self.current = self.current.insert(name, labels_of(found))
        return True


def labels_of(namespace: KubeObject) -> Labels:
    """Give the labels of a namespace."""
    return namespace.metadata.labels or {}
