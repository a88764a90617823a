"""What ``vci-webhook check`` found out about one profile."""

from dataclasses import dataclass

from webhook.cluster_advice import RuleUse
from webhook.problems import Problem
from webhook.profile import Profile

CLEAN, PROBLEMS, UNUSABLE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class InCluster:
    """What a cluster told: whom each rule meets, and what could not be told and why."""

    rules: tuple[RuleUse, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be said about one file; ``unusable`` is why nothing else can be said."""

    file: str
    problems: tuple[Problem, ...] = ()
    profile: Profile | None = None
    text: str = ""
    unusable: str | None = None
    in_cluster: InCluster | None = None

    @property
    def shadow(self) -> int:
        """Count the rules that only look."""
        return sum(rule.shadow for rule in self.profile.rules) if self.profile else 0

    @property
    def active(self) -> int:
        """Count the rules that act."""
        return len(self.profile.rules) - self.shadow if self.profile else 0

    def count(self, severity: str) -> int:
        """Count the problems of one severity."""
        return sum(problem.severity == severity for problem in self.problems)

    def status(self, *, strict: bool) -> int:
        """Return the exit status that this file alone would have."""
        if self.unusable is not None:
            return UNUSABLE
        return PROBLEMS if self.count("error") or (strict and self.problems) else CLEAN
