"""The image, built once; a test that runs something in it."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.image.base import need_buildah
from tests.image.build import Built, built_image
from tests.image.running import DEADLINE_SECONDS, ENVIRONMENT, command_in

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def image() -> Built:
    """Build the image of this checkout, or take the one that was built of the same files."""
    need_buildah()
    return built_image()


@pytest.fixture
def run(image: Built, tmp_path: Path) -> Run:
    """Run a command in the image to its end."""

    def run_in_image(
        *command: str, mounts: Mapping[str, Path] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        folder = tmp_path / "root"
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            command_in(image.root, folder, command, mounts or {}),
            env={**ENVIRONMENT, **image.environment},
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )

    return run_in_image
