"""``make image``: builds the image with docker, podman or buildah, whichever is there.

Two builds of one commit on one base give the same layers: every time in them is the commit's.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGINES = ("docker", "podman", "buildah")
EARLIEST = 315532800  # 1980: an archive of Python's has no earlier time
UNUSABLE = 2


class NoEngineError(Exception):
    """There is nothing that builds images."""


@dataclass(frozen=True, slots=True)
class Build:
    """What is built of what; what is empty is left to the Dockerfile."""

    image: str
    version: str
    revision: str
    seconds: int  # SOURCE_DATE_EPOCH
    base: str = ""
    source: str = ""
    wheels: str = ""
    pip_conf: str = ""
    ca: str = ""
    flags: tuple[str, ...] = ()

    def command(self, engine: Sequence[str], context: Path = ROOT) -> list[str]:
        """Give the command that builds it; the engine may come with flags of its own."""
        name = Path(engine[0]).name
        # The other two clamp times by themselves; BuildKit takes the build argument for that.
        times = ["--provenance=false"] if name == "docker" else ["--timestamp", str(self.seconds)]
        return [*engine, "build", *times, *self._arguments(), *self.flags, str(context)]

    def _arguments(self) -> list[str]:
        values = {
            "SOURCE_DATE_EPOCH": str(self.seconds),
            "VERSION": self.version,
            "REVISION": self.revision,
            "CREATED": datetime.fromtimestamp(self.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "SOURCE": self.source,
            "BASE": self.base,
        }
        words = [f"--build-arg={name}={value}" for name, value in values.items() if value]
        words += [f"--build-context=wheels={self.wheels}"] if self.wheels else []
        words += [f"--secret=id=pip,src={self.pip_conf}"] if self.pip_conf else []
        words += [f"--secret=id=ca,src={self.ca}"] if self.ca else []
        return [*words, f"--tag={self.image}"]


def find_engine(asked: str = "") -> str:
    """Return the first engine that works here: a client whose daemon does not run is none."""
    for engine in (asked,) if asked else ENGINES:
        if shutil.which(engine) and not _run(engine, "info").returncode:
            return engine
    wanted = asked or f"{', '.join(ENGINES[:-1])} or {ENGINES[-1]}"
    raise NoEngineError(
        f"image: there is no {wanted} that works here; install one, start its daemon, "
        "or name another one: make image ENGINE=…"
    )


def version() -> str:
    """Read our version, without importing anything of ours."""
    text = (ROOT / "webhook" / "__init__.py").read_text("utf-8")
    return text.partition('__version__ = "')[2].partition('"')[0]


def revision() -> str:
    """Name the commit, and whether something was changed since; empty outside of git."""
    return _run("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*").stdout


def commit_seconds() -> int:
    """Tell when the commit was made; SOURCE_DATE_EPOCH goes first."""
    asked = os.environ.get("SOURCE_DATE_EPOCH")
    told = asked or _run("git", "log", "-1", "--format=%ct").stdout
    return max(int(told or EARLIEST), EARLIEST)


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    if not shutil.which(command[0]):
        return subprocess.CompletedProcess(command, 127, "", "")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    done.stdout = "" if done.returncode else done.stdout.strip()
    return done


def wanted(arguments: Sequence[str]) -> tuple[Build, str]:
    """Read what is asked for; make passes on what is set."""
    parser = argparse.ArgumentParser(prog="python -m tools.image", description=__doc__)
    parser.add_argument("--image", default="", help="its name; default: vci-webhook:VERSION")
    parser.add_argument("--base", default="", help="what it is built on, best with its digest")
    parser.add_argument("--engine", default="", help=f"one of {', '.join(ENGINES)}")
    parser.add_argument("--source", default="", help="URL of the source, for the label")
    parser.add_argument("--wheels", default="", help="folder filled by pip download")
    parser.add_argument("--pip-conf", default="", help="pip.conf for an index of one's own")
    parser.add_argument("--ca", default="", help="file of CAs that pip trusts")
    parser.add_argument("flags", nargs="*", help="for the engine, after --")
    told = parser.parse_args(arguments)
    build = Build(
        image=told.image or f"vci-webhook:{version()}",
        version=version(),
        revision=revision(),
        seconds=commit_seconds(),
        base=told.base,
        source=told.source,
        wheels=told.wheels,
        pip_conf=told.pip_conf,
        ca=told.ca,
        flags=tuple(told.flags),
    )
    return build, told.engine


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, and return the engine's exit status."""
    build, asked = wanted(sys.argv[1:] if arguments is None else arguments)
    try:
        command = build.command([find_engine(asked)])
    except NoEngineError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    print(" ".join(command), flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
