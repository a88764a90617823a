"""``python -m certs``, killed right after each write: run it until it comes to its end.

``python -m tests.cluster.mortal run …`` is ``python -m certs run …`` that dies by SIGKILL between
two of its steps, whichever they are.
"""

import os
import signal
import sys

from certs.__main__ import main
from certs.cluster import Cluster
from certs.perform import Write

_write = Cluster.write


async def write_and_die(cluster: Cluster, write: Write) -> None:
    """Write, and do nothing ever after."""
    await _write(cluster, write)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    Cluster.write = write_and_die  # type: ignore[method-assign, assignment]  # dying is all that is different
    sys.exit(main())
