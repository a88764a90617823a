"""How much memory a server holds."""

import resource
from pathlib import Path

from tests.contract.serving import ServeProcess


def resident_mib(server: ServeProcess) -> float:
    """Give the resident memory of a server's process."""
    statm = Path(f"/proc/{server.process.pid}/statm").read_text()
    return int(statm.split()[1]) * resource.getpagesize() / (1 << 20)
