"""``helm test``: what it makes of an install that is well and of one that is not, and leaves."""

from collections.abc import Iterator

import pytest

from tests.cluster.helming import MUTATING, NAME, Helm, Release, create_release_namespace
from tests.cluster.inventory import Stored, added, stored_objects


@pytest.fixture(scope="module")
def release(helm: Helm) -> Iterator[Release]:
    """A fresh install: no namespace has the label, and there is no profile."""
    create_release_namespace(helm.cluster.admin, NAME)
    release = Release(helm)
    release.install({"replicas": 1})
    yield release
    assert not helm.node.failures


@pytest.fixture
def before(release: Release) -> dict[Stored, object]:
    return dict(stored_objects(release.admin))


def status_of_test(release: Release) -> int:
    """Run it without ``--logs``: the node of these tests has no port from which to read them."""
    done = release.helm.attempt("test", NAME, "--namespace", NAME, "--timeout", "120s")
    return done.returncode


def left(release: Release, before: dict[Stored, object]) -> list[str]:
    """Name what was not there before, but for what controllers make now and then."""
    return [each for each in added(before, stored_objects(release.admin)) if "test" in each]


def test_an_install_that_is_well_passes(release: Release, before: dict[Stored, object]) -> None:
    """Without a namespace and a profile all is well already, and nothing of the test is left."""
    assert status_of_test(release) == 0
    assert "1 of 1 ready" in release.helm.node.printed(40)
    assert left(release, before) == []


def test_one_that_is_not_fails(release: Release, before: dict[Stored, object]) -> None:
    """It fails for what doctor calls an error, and nothing of the test is left then either."""
    release.admin.delete(MUTATING, NAME)
    assert status_of_test(release) == 1
    assert "does not exist, so no Pod is placed" in release.helm.node.printed(40)
    assert left(release, before) == []
