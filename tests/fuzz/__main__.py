"""``python -m tests.fuzz [--seconds N]``: fuzz every target for N seconds in all.

An input that breaks a promise is kept in ``.fuzz/``; put it into ``tests/fuzz/findings/TARGET/``
once the cause is mended, so that it is tried in every test run.
"""

import argparse
import subprocess
import sys

from tests.fuzz.targets import ROOT, TARGETS, seeds

WORK = ROOT / ".fuzz"
MEMORY_LIMIT_MIB = 1024
INPUT_SECONDS = 10  # one input; far above anything that a review or a profile may take
LONGEST_INPUT = 64 * 1024


def main() -> None:
    """Fuzz each target in a process of its own, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="time for all targets together")
    seconds = max(1, parser.parse_args().seconds // len(TARGETS))
    failed = [target for target in TARGETS if not _run(target, seconds)]
    sys.exit(f"broken promises: {', '.join(failed)}; see {WORK}" if failed else 0)


def _run(target: str, seconds: int) -> bool:
    """Run one target in a child; tell whether every input kept the promises."""
    corpus = WORK / target
    corpus.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(seeds(target)):
        (corpus / f"seed-{index}").write_bytes(seed)
    child = [sys.executable, "-m", "tests.fuzz.child", target, str(corpus)]
    options = {
        "max_total_time": seconds,
        "rss_limit_mb": MEMORY_LIMIT_MIB,
        "timeout": INPUT_SECONDS,
        "max_len": LONGEST_INPUT,
        "artifact_prefix": f"{WORK}/{target}-",
        "print_final_stats": 1,
    }
    child += [f"-{name}={value}" for name, value in options.items()]
    print(f"fuzzing the {target} for {seconds} s", flush=True)
    run = subprocess.run(child, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    told = run.stderr.splitlines()
    shown = told if run.returncode else [line for line in told if "executed_units" in line]
    print("\n".join(shown[-60:]), flush=True)
    return run.returncode == 0


if __name__ == "__main__":
    main()
