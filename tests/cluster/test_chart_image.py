"""The chart's Pods in the image that was built, and not in the packages of this checkout."""

from collections.abc import Iterator

import pytest

from tests.cluster import binaries
from tests.cluster.helming import Helm, Release, helming
from tests.cluster.needs import lack, need_namespaces
from tests.cluster.node.image import unpacked_image
from tests.cluster.released import await_force, make_room
from tests.image.build import kept_image


@pytest.fixture(scope="module")
def helm(session_cluster: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helm]:
    """Have helm, and a cluster whose node has the image and nothing else by that name."""
    assert session_cluster  # which skips or fails where there are no programs
    need_namespaces()
    built = kept_image()
    if built is None:
        lack("the image of this checkout was not built yet: python -m tests.image.build")
    image = unpacked_image(built.root, built.environment)
    folder = tmp_path_factory.mktemp("image") / "run"
    with helming(folder, binaries.locate(), image) as made:
        yield made


def test_both_programs_of_the_chart_run_in_the_image(helm: Helm) -> None:
    """Certificates are issued, Pods are placed, and ``helm test`` has ``doctor`` find all well."""
    make_room(helm)
    release = Release(helm)
    release.install({"certificates": {"self": {"publishWait": "2s"}}})
    assert release.pods("certs")
    assert len(release.pods()) == 2
    await_force(release)
    told = release.test()
    assert told.returncode == 0, (told.stdout, told.stderr, helm.node.printed())
    release.uninstall()
