"""What the fuzzers found, tried again in every run."""

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS, seeds

FINDINGS = Path(__file__).parents[1] / "fuzz" / "findings"


@pytest.mark.parametrize(
    "finding", sorted(FINDINGS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_a_finding_stays_mended(finding: Path) -> None:
    """An input that once broke a promise keeps it now."""
    TARGETS[finding.parent.name](finding.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_keeps_the_promises(target: str) -> None:
    """What the fuzzer starts from is sound, so that a crash is a finding."""
    for seed in seeds(target):
        TARGETS[target](seed)
