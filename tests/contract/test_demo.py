"""The demonstration is the first thing that a newcomer runs."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_places_every_pod_and_shows_it() -> None:
    """It ends with status 0, a row for each recorded Pod and a diff of one."""
    demo = [sys.executable, str(ROOT / "tools" / "demo.py")]

    run = subprocess.run(demo, capture_output=True, text=True, timeout=30, check=False)

    assert run.returncode == 0, run.stdout + run.stderr
    assert "16 of 16 Pods placed on VCI" in run.stdout
    assert "+    vke.volcengine.com/burst-to-vci: enforce" in run.stdout
