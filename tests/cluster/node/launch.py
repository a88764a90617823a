"""Starts a command as a container would: in its Pod's network, with a root of its own.

Nothing but util-linux does it: a mount namespace, a root made of the image's folders and the Pod's
volumes, and a user namespace in which the user is who the Pod says, without any capability.
"""

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.client import Object
from tests.cluster.node.environment import UnsupportedError
from tests.cluster.node.image import Image

TOOLS = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume's directory, or one of the node's files, and where the container sees it."""

    source: Path
    target: str
    read_only: bool

    def commands(self) -> list[str]:
        """Give the shell commands that mount it below the current folder."""
        source, there = shlex.quote(str(self.source)), shlex.quote(f".{self.target}")
        parent = shlex.quote(f".{Path(self.target).parent}")
        make = f"mkdir -p {parent}; touch {there}" if self.source.is_file() else f"mkdir -p {there}"
        bind = [make, f"mount --bind {source} {there}"]
        return [*bind, f"mount -o remount,bind,ro {there}"] if self.read_only else bind


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom a container runs, and what it may not."""

    user: int
    group: int
    read_only_root: bool
    no_new_privileges: bool

    def command(self) -> list[str]:
        """Give the beginning of a command that becomes this user."""
        become = ["unshare", "--user", f"--map-user={self.user}", f"--map-group={self.group}"]
        give_up = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
        return [*become, *give_up, *(["--no-new-privs"] if self.no_new_privileges else [])]

    def command_into(self, root: str, working_folder: str) -> list[str]:
        """Give the beginning of one that does so while it enters a root without programs for it.

        The new user is not root in its namespace, and so has no capability after the next exec.
        """
        give_up = [_path("setpriv"), "--no-new-privs"] if self.no_new_privileges else []
        become = [
            _path("unshare"),
            "--user",
            f"--map-user={self.user}",
            f"--map-group={self.group}",
        ]
        return [*give_up, *become, f"--root={root}", f"--wd={working_folder}", "--"]


def _path(program: str) -> str:
    return shutil.which(program, path=TOOLS) or program


def identity_of(pod: Object, container: Object, image: Image) -> Identity:
    """Read the security contexts of Pod and container; the container's own comes first."""
    security = {**pod["spec"].get("securityContext", {}), **container.get("securityContext", {})}
    user = security.get("runAsUser", image.user)
    if security.get("runAsNonRoot") and user == 0:
        raise UnsupportedError(f'container "{container["name"]}" may not run as root')
    return Identity(
        user,
        security.get("runAsGroup", user),
        security.get("readOnlyRootFilesystem", False),
        not security.get("allowPrivilegeEscalation", True),
    )


@dataclass(frozen=True, slots=True)
class Root:
    """What a container sees of the world, and as whom: built in an empty folder of the node."""

    folder: Path
    image: Image
    mounts: Sequence[Mount]
    identity: Identity
    working_folder: str = "/"

    def launch(self, command: Sequence[str]) -> list[str]:
        """Give the command that builds the root and becomes another one inside."""
        folder = shlex.quote(str(self.folder))
        lines = [
            f"set -e; kept=$PATH; PATH={TOOLS}",
            f"mount -t tmpfs -o mode=755 image {folder}; cd {folder}",
            *self.image.mount_commands(),
            "mkdir -p proc dev; mount -t proc proc proc; mount --rbind /dev dev",
            *(line for mount in self.mounts for line in mount.commands()),
            *(["mount -o remount,bind,ro ."] if self.identity.read_only_root else []),
            *self._become(command),
        ]
        return ["unshare", "--mount", "/bin/sh", "-c", "\n".join(lines)]

    def _become(self, command: Sequence[str]) -> list[str]:
        """Leave everything else behind; without util-linux in the image, by chroot."""
        if self.image.unpacked is None:
            return [
                "pivot_root . .; umount --lazy .",
                f"cd {shlex.quote(self.working_folder)}; PATH=$kept",
                f"exec {shlex.join([*self.identity.command(), *command])}",
            ]
        enter = self.identity.command_into(".", self.working_folder)
        return [f"PATH=$kept; exec {shlex.join([*enter, *command])}"]


def unenforced(pod: Object) -> list[str]:
    """Name what a Pod asks for and does not get here."""
    spec = pod["spec"]
    found = {
        f"{container['name']}: {what}"
        for container in spec["containers"]
        for what, asked in (
            ("resources", container.get("resources")),
            ("seccompProfile", container.get("securityContext", {}).get("seccompProfile")),
            ("imagePullPolicy", container.get("imagePullPolicy") == "Always"),
        )
        if asked
    }
    security = spec.get("securityContext", {})
    found |= {f"pod: {key}" for key in ("fsGroup", "seccompProfile", "sysctls") if key in security}
    found |= {
        f"pod: {key}" for key in ("hostAliases", "dnsConfig", "runtimeClassName") if key in spec
    }
    return sorted(found)
