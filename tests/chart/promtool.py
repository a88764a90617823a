"""Prometheus' own judgement of rules: promtool checks them, and evaluates them over series."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Series = Mapping[str, str]  # name and labels to values, one a minute


@dataclass(frozen=True, slots=True)
class Case:
    """What was collected, and what is expected in a minute: of expressions, or of alerts."""

    why: str
    series: Series
    minute: int
    expressions: Sequence[Any] = ()
    alerts: Sequence[Any] = ()

    def written(self) -> dict[str, Any]:
        """Write it as promtool reads it."""
        then = {"eval_time": f"{self.minute}m"}
        return {
            "name": self.why,
            "interval": "1m",
            "input_series": [{"series": name, "values": v} for name, v in self.series.items()],
            "promql_expr_test": [{**then, **each} for each in self.expressions],
            "alert_rule_test": [{**then, **each} for each in self.alerts],
        }


@dataclass(frozen=True, slots=True)
class Promtool:
    """The program, and a folder for what it reads."""

    program: Path
    folder: Path

    def run(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run it, however it ends."""
        return subprocess.run(
            [self.program, *arguments], capture_output=True, text=True, check=False, timeout=60
        )

    def check(self, groups: Sequence[Any]) -> str:
        """Say what is wrong with rules, or nothing."""
        done = self.run("check", "rules", "--lint=all", "--lint-fatal", self._write(groups))
        return done.stdout + done.stderr if done.returncode else ""

    def judge(self, groups: Sequence[Any], *cases: Case) -> str:
        """Say how rules over series differ from what is expected, or nothing."""
        path = self.folder / "test.yaml"
        rules = self._write(groups)
        tests = [case.written() for case in cases]
        whole = {"rule_files": [rules.name], "evaluation_interval": "1m", "tests": tests}
        path.write_text(yaml.safe_dump(whole), "utf-8")
        done = self.run("test", "rules", path)
        return done.stdout + done.stderr if done.returncode else ""

    def _write(self, groups: Sequence[Any]) -> Path:
        path = self.folder / "rules.yaml"
        path.write_text(yaml.safe_dump({"groups": list(groups)}), "utf-8")
        return path


def holding(expression: str) -> dict[str, Any]:
    """Expect that an expression finds something."""
    return {"expr": f"count({expression}) > bool 0", "exp_samples": [{"labels": "{}", "value": 1}]}
