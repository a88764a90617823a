"""Two releases in one cluster leave each other alone, also where both are asked about a Pod."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.client import ApiError, Client, Object
from tests.cluster.helming import (
    MUTATING,
    VALIDATING,
    Helm,
    Release,
    bundles_of,
    create_release_namespace,
)
from tests.cluster.inventory import added, stored_objects
from tests.cluster.process import eventually
from tests.cluster.workloads import bare_pod, create_namespace

MARK = "example.com/placed-by-"
SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Team:
    """A release with a namespace, a label and a profile of its own."""

    release: Release
    name: str

    @property
    def values(self) -> Object:
        """Give what makes it a release of its own."""
        own = {"vci": None, f"{self.name}-vci": "true"}
        rule = {
            "name": self.name,
            "namespaceSelector": {"matchLabels": {f"{self.name}-vci": "true"}},
            "effect": {"annotations": {f"{MARK}{self.name}": "yes"}},
        }
        profile = {"name": f"{self.name}-profile", "create": True, "data": {"selectors": [rule]}}
        return {
            "replicas": 1,
            "server": {"drainSeconds": 1},  # nobody creates Pods while a replica is replaced
            "webhook": {"failurePolicy": "Fail", "namespaceSelector": {"matchLabels": own}},
            "profile": profile,
        }

    def versions(self) -> dict[str, str]:
        """Give the version of everything that its certs program looks after."""
        admin, name = self.release.admin, self.release.fullname
        found = [admin.get(kind, name) for kind in (MUTATING, VALIDATING)]
        found += [admin.get("Secret", f"{name}-{each}", self.name) for each in ("ca", "tls")]
        return {each["kind"]: each["metadata"]["resourceVersion"] for each in found}


@pytest.fixture(scope="module")
def teams(helm: Helm) -> Iterator[tuple[Team, Team]]:
    """Install two releases, of which neither has the name of the chart."""
    admin = helm.cluster.admin
    teams = tuple(Team(Release(helm, name, name), name) for name in ("first", "second"))
    for team in teams:
        create_release_namespace(admin, team.name)
        create_namespace(admin, f"of-{team.name}", {f"{team.name}-vci": "true"})
        team.release.install(team.values, flags=())
    create_namespace(admin, SHARED, {f"{team.name}-vci": "true" for team in teams})
    first, second = teams
    yield first, second
    assert not helm.node.failures


def marks(admin: Client, namespace: str) -> set[str]:
    """Tell which releases changed a Pod; nothing while one of them gives no answer."""
    try:
        pod = admin.create(bare_pod(), namespace, "?dryRun=All")
    except ApiError:
        return set()
    annotations = pod["metadata"].get("annotations", {})
    return {key.removeprefix(MARK) for key in annotations if key.startswith(MARK)}


def await_marks(admin: Client, namespace: str, *names: str) -> None:
    eventually(lambda: marks(admin, namespace) == set(names), f"{names} in {namespace}", 30)


def test_each_places_its_own(helm: Helm, teams: tuple[Team, Team]) -> None:
    """Pods of a namespace are met by the release whose label it has, and by both if it has both."""
    admin = helm.cluster.admin
    for team in teams:
        await_marks(admin, f"of-{team.name}", team.name)
    await_marks(admin, SHARED, "first", "second")


def test_their_certificates_are_their_own(teams: tuple[Team, Team]) -> None:
    """Two CAs, each in the configurations of its release alone, and nobody writes there again."""
    bundles = [
        {bundle for kind in (MUTATING, VALIDATING) for bundle in team.release.bundles(kind)}
        for team in teams
    ]
    assert [len(each) for each in bundles] == [1, 1]
    assert bundles[0] != bundles[1]
    before = [team.versions() for team in teams]
    first, second = teams
    first.release.upgrade({"podAnnotations": {"example.com/again": "yes"}})
    assert second.versions() == before[1]
    assert bundles_of(first.release.admin.get(MUTATING, first.release.fullname)) == [*bundles[0]]


def test_one_goes_and_the_other_stays(helm: Helm, teams: tuple[Team, Team]) -> None:
    """What the one leaves behind is exactly what the other has, and that goes on."""
    admin = helm.cluster.admin
    first, second = teams
    before = stored_objects(admin)
    versions = second.versions()
    first.release.uninstall()
    first.release.await_end_of_pods()
    await_marks(admin, SHARED, "second")
    await_marks(admin, "of-first")
    assert second.versions() == versions
    gone = {str(each) for each in before.keys() - stored_objects(admin).keys()}
    assert not [each for each in gone if "second" in each]
    left = stored_objects(admin)
    assert not [str(each) for each in left if "first-vci-webhook" in each.name]
    second.release.uninstall()
    assert not added(before, stored_objects(admin))
