"""Gives each Pod a network of its own: an address, its own loopback, and a way to the API server.

A process that only holds the network, like the "pause" container, keeps the address for as long as
the Pod lives, however often its containers start. All of it is inside the namespaces of the tests.
"""

import ipaddress
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.control_plane import API_SERVER_ADDRESS
from tests.cluster.process import eventually

POD_ADDRESSES = ipaddress.ip_network("10.77.0.0/16")
_addresses = POD_ADDRESSES.hosts()  # of all nodes: there may be several control planes


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The network of one Pod."""

    address: str
    holder: "subprocess.Popen[bytes]"
    proc: Path

    @property
    def enter(self) -> tuple[str, ...]:
        """The beginning of a command that runs inside."""
        return ("nsenter", f"--net={self.proc}/{self.holder.pid}/ns/net")

    def join(self, pid: int) -> list[str]:
        """Give the beginning of a command that runs inside a container, by one of its processes."""
        there = self.proc / str(pid)
        spaces = [f"--mount={there}/ns/mnt", f"--net={there}/ns/net"]
        return ["nsenter", *spaces, f"--root={there}/root", f"--wd={there}/cwd", "--"]

    def release(self) -> None:
        """Let the network go; it ends with the last process inside."""
        self.holder.kill()
        self.holder.wait()


class Network:
    """Hands out sandboxes, each with the next address."""

    def __init__(self, folder: Path) -> None:
        self._proc = folder / "proc"  # of our own process ids; /proc is still the outer one

    @contextmanager
    def up(self) -> Iterator["Network"]:
        """Have the API server's address, and what sandboxes need, until the block ends."""
        self._proc.mkdir(parents=True)
        _run("mount", "-t", "proc", "proc", self._proc)
        add_address(API_SERVER_ADDRESS)
        (self._proc / "sys/net/ipv4/ip_forward").write_text("1")  # from one Pod to another
        try:
            yield self
        finally:
            _run("umount", "--lazy", self._proc)
            self._proc.rmdir()

    def open_sandbox(self) -> Sandbox:
        """Make the network of a Pod."""
        address = next(_addresses)
        holder = subprocess.Popen(("unshare", "--net", "sleep", "infinity"), process_group=0)
        sandbox = Sandbox(str(address), holder, self._proc)
        own = (self._proc / str(os.getpid()) / "ns" / "net").readlink()
        its = self._proc / str(holder.pid) / "ns" / "net"
        eventually(lambda: its.readlink() != own, "the network of a Pod", 10)
        name = f"pod{int(address) - int(POD_ADDRESSES.network_address)}"
        _run(*("ip", "link", "add", name, "type", "veth", "peer", "eth0", "netns", holder.pid))
        _run("ip", "link", "set", name, "up")
        _run("ip", "route", "add", f"{address}/32", "dev", name)
        _run(*sandbox.enter, "ip", "-batch", "-", given=_inner_commands(sandbox.address))
        return sandbox


def add_address(address: str) -> None:
    """Have another address of our own, which stays."""
    _run("ip", "address", "replace", f"{address}/32", "dev", "lo")


def _inner_commands(address: str) -> str:
    """Say what a Pod's own end of the wire needs."""
    return f"""\
link set lo up
address add {address}/32 dev eth0
link set eth0 up
route add {API_SERVER_ADDRESS} dev eth0
route add default via {API_SERVER_ADDRESS}
"""


def _run(*command: object, given: str = "") -> None:
    done = subprocess.run(
        [str(word) for word in command], input=given, capture_output=True, text=True, check=False
    )
    assert not done.returncode, f"{command}: {done.stderr}"
