"""What the commands of this folder share: one control plane for as long as a command runs."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import binaries, isolation
from tests.cluster.control_plane import Cluster, control_plane
from tests.cluster.process import NotReadyError

INTERRUPTED = 130
UNUSABLE = 2


@contextmanager
def temporary_control_plane() -> Iterator[Cluster]:
    """Run a control plane in a temporary folder, which stays only when the block fails."""
    folder = Path(tempfile.mkdtemp(prefix="vci-webhook-control-plane-"))
    try:
        with control_plane(folder / "run", programs()) as cluster:
            yield cluster
    except BaseException:
        print(f"logs are kept in {folder / 'run' / 'logs'}", file=sys.stderr)
        raise
    shutil.rmtree(folder)


def programs() -> binaries.Binaries:
    """Return where the control plane's programs are; the chart's tools are for tests only."""
    return binaries.locate(assets=binaries.CONTROL_PLANE)


def run(module: str, act: Callable[[], int]) -> int:
    """Run a command of this folder where nothing outside sees it, and return its exit status."""
    try:
        if not isolation.is_inside():
            programs()  # before, because inside there is no network to build with
            status = isolation.run_inside([sys.executable, "-m", module, *sys.argv[1:]])
            if status is not None:
                return status
        isolation.settle_in()
        return act()
    except (binaries.UnavailableError, binaries.BuildError, NotReadyError) as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        return INTERRUPTED
