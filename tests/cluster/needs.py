"""What a test needs of the machine, beyond what the project installs by itself."""

import os
from typing import NoReturn

import pytest

from tests.cluster import isolation


def lack(what: str) -> NoReturn:
    """End a test that cannot run here: where CI needs it that is a failure, elsewhere a skip."""
    if os.environ.get("CI") == "true":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)  # a newcomer whose machine lacks something still runs all the rest


def need_namespaces() -> None:
    """Go on only where addresses and mounts can be made that nobody outside sees."""
    if not isolation.is_inside():
        lack("this kernel lets nobody make namespaces without root")
