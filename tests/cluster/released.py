"""What tests of a release share: where its Pods and others are created, and how its end is seen."""

import json

from tests.cluster.client import ApiError
from tests.cluster.deployed import MARK, is_right
from tests.cluster.following import LABEL, profile
from tests.cluster.helming import NAME, Helm, Release, create_release_namespace
from tests.cluster.inventory import Stored, added, stored_objects
from tests.cluster.process import eventually
from tests.cluster.workloads import bare_pod, create_namespace

RATE = 50.0  # creates a second
LOADED = "loaded"  # the namespace in which they are made


def make_room(helm: Helm, labels: dict[str, str] = LABEL) -> dict[Stored, object]:
    """Make the namespaces and the profile, and tell what there is without a release."""
    admin = helm.cluster.admin
    create_namespace(admin, LOADED, labels)
    create_release_namespace(admin, NAME)
    admin.apply(profile(MARK))
    return dict(stored_objects(admin))


def await_force(release: Release) -> None:
    """Wait until a Pod that is created gets what the profile adds."""

    def acts() -> bool:
        try:
            return is_right(release.admin.create(bare_pod(), LOADED, "?dryRun=All"))
        except ApiError:  # in force, and nobody answers yet
            return False

    eventually(acts, "the webhook in force", 30)


def await_the_same(release: Release, before: dict[Stored, object]) -> None:
    """Wait until nothing is there that was not before; a replica drains for 15 s."""

    def seek() -> bool:
        return not added(before, stored_objects(release.admin))

    try:
        eventually(seek, "nothing left", 45)
    except AssertionError as error:
        left = added(before, stored_objects(release.admin))
        raise AssertionError(json.dumps(left, indent=2)) from error
