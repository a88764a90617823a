"""Runs a command in a root file system as a container engine does, with nothing but util-linux.

In front of the image lies a layer of the run's own, in memory, in which mount points are made; then
all of it becomes read-only. The process is the image's user, without capabilities.
"""

import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which

USER = 65532
ENVIRONMENT = {"HOME": "/", "HOSTNAME": "image"}
DEADLINE_SECONDS = 60.0


def command_in(
    root: Path, folder: Path, command: Sequence[str], mounts: Mapping[str, Path]
) -> list[str]:
    """Give the command that builds the root in an empty folder and becomes another one inside."""
    here = shlex.quote(str(folder))
    lower = f"lowerdir={root},upperdir={folder}/upper,workdir={folder}/work"
    become = [f"{which('setpriv')}", "--no-new-privs", f"{which('chroot')}"]
    become += [f"--userspec={USER}:{USER}", "--groups=", "."]
    lines = [
        "set -e; kept=$PATH; PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        f"mount -t tmpfs -o mode=755 image {here}; cd {here}; mkdir upper work root",
        f"mount -t overlay -o {shlex.quote(lower)} image root; cd root",
        "mkdir proc dev; mount -t proc proc proc; mount --rbind /dev dev",
        *(_mount(source, target) for target, source in mounts.items()),
        f"mount -o remount,bind,ro .; PATH=$kept; exec {shlex.join([*become, *command])}",
    ]
    return ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", "\n".join(lines)]


def _mount(source: Path, target: str) -> str:
    there = shlex.quote(f".{target}")
    return f"mkdir -p {there}; mount --bind {shlex.quote(str(source))} {there}"


@contextmanager
def started(
    command: Sequence[str], environment: Mapping[str, str], output: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Have such a command run until the block ends."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, env={**ENVIRONMENT, **environment}, stdout=file, stderr=file
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(DEADLINE_SECONDS)
