"""What the real helm makes of the chart and some values."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "vci-webhook"
VALUES = Path(__file__).parent / "values"
RELEASE = NAMESPACE = "vci-webhook"
KUBERNETES = ("1.26.0", "1.28.0", "1.32.0")  # the oldest, the first with matchConditions, a newer

Object = dict[str, Any]
Values = Path | Mapping[str, Any]

# All of this depends on the version that it is rendered for.
NEEDS = {"conditions": "1.28.0"}


def values_files() -> list[Path]:
    """List the files of values: for each option one that uses it."""
    return sorted(VALUES.glob("*.yaml"))


@dataclass(frozen=True, slots=True)
class Chart:
    """The chart, by the helm that is tested; it finds nobody's settings and leaves none."""

    helm: Path
    folder: Path
    _known: dict[tuple[object, ...], "Rendered"] = field(default_factory=dict)

    def run(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run helm, however it ends."""
        homes = {f"HELM_{name}_HOME": str(self.folder) for name in ("CACHE", "CONFIG", "DATA")}
        given = {name: v for name, v in os.environ.items() if not name.startswith("HELM_")}
        return subprocess.run(
            [self.helm, *arguments],
            env={**given, **homes, "KUBECONFIG": str(self.folder / "none")},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def attempt(
        self,
        values: Values,
        *flags: str,
        command: Sequence[str] = ("template",),
        release: str = RELEASE,
        namespace: str = NAMESPACE,
        kubernetes: str = KUBERNETES[-1],
    ) -> "subprocess.CompletedProcess[str]":
        """Render it, however that ends."""
        file = values if isinstance(values, Path) else self._write(values)
        version = ("--kube-version", kubernetes) if "template" in command else ()
        chosen = (release, CHART, "--namespace", namespace, "--values", file)
        return self.run(*command, *chosen, *version, *flags)

    def _write(self, values: Mapping[str, Any]) -> Path:
        path = self.folder / "values.yaml"
        path.write_text(yaml.safe_dump(dict(values)), "utf-8")
        return path

    def render(self, values: Values, *flags: str, **where: str) -> "Rendered":
        """Render it to a good end; a file is rendered once, whoever asks."""
        key = (values, flags, *sorted({"kubernetes": KUBERNETES[-1], **where}.items()))
        if isinstance(values, Path) and key in self._known:
            return self._known[key]
        done = self.attempt(values, *flags, **where)
        assert not done.returncode, done.stderr
        rendered = Rendered([each for each in yaml.safe_load_all(done.stdout) if each])
        if isinstance(values, Path):
            self._known[key] = rendered
        return rendered

    def refusal(self, values: Values, *flags: str, **where: str) -> list[str]:
        """Return what is said of values that are refused: only what is wrong, line by line."""
        done = self.attempt(values, *flags, **where)
        assert done.returncode, "was rendered"
        assert not done.stdout
        return list(_told(done.stderr))

    def notes(self, values: Values, **where: str) -> str:
        """Return what helm says after an install."""
        dry = ("install", "--dry-run=client")
        done = self.attempt(values, command=dry, **where)
        assert not done.returncode, done.stderr
        return done.stdout.partition("\nNOTES:\n")[2]


def _told(text: str) -> Iterator[str]:
    """Leave out what helm says around it."""
    for line in text.splitlines():
        if line.startswith("Error: execution error at "):
            yield line.partition("): ")[2]
        elif line.lstrip().startswith("- at "):
            yield line.strip()


@dataclass(frozen=True, slots=True)
class Rendered:
    """The objects of one rendering, hooks among them."""

    objects: list[Object]

    def of(self, kind: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] == kind]

    def get(self, kind: str, name: str = RELEASE) -> Object:
        """Give the one object of a kind and name."""
        (found,) = (each for each in self.of(kind) if each["metadata"]["name"] == name)
        return found

    def names(self) -> list[tuple[str, str, str]]:
        """Name all of them: kind, namespace, name."""
        return [
            (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"])
            for each in self.objects
        ]

    def pods(self) -> dict[str, Object]:
        """Give the specification of every Pod that will be, by the name of what makes it."""
        made = {
            each["metadata"]["name"]: each["spec"]["template"] for each in self.of("Deployment")
        }
        made |= {each["metadata"]["name"]: each for each in self.of("Pod")}
        return {name: template["spec"] for name, template in made.items()}


def is_hook(each: Object) -> bool:
    """Tell whether helm leaves it out of the release."""
    return "helm.sh/hook" in each["metadata"].get("annotations", {})
