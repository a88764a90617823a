"""Which shared libraries programs load, as the dynamic loader itself tells."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

LINE = re.compile(r"^\s*(?:(?P<name>\S+) => )?(?P<path>/\S+|not found)(?: \(0x[0-9a-f]+\))?$")
# The C library loads it by itself when a thread ends; no program names it.
ON_DEMAND = "libgcc_s.so.1"


def libraries(programs: Iterable[Path]) -> list[Path]:
    """List the shared libraries of programs and extension modules, the loader among them."""
    found = {path for program in programs for path in _loaded(program)}
    return sorted(found | set(_on_demand()))


def _loaded(program: Path) -> set[Path]:
    told = _output("ldd", str(program))
    lines = [match for line in told.splitlines() if (match := LINE.match(line))]
    if missing := [line["name"] for line in lines if line["path"] == "not found"]:
        raise SystemExit(
            f"image: {program} needs {', '.join(missing)}; add its package to the base"
        )
    return {Path(line["path"]) for line in lines}


def _on_demand() -> list[Path]:
    known = _output("/sbin/ldconfig", "-p")
    found = re.search(rf"^\s*{re.escape(ON_DEMAND)} .* => (\S+)$", known, re.MULTILINE)
    return [Path(found[1])] if found else []


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout
