"""``vci-webhook check``: say everything that is wrong or unwise in a profile, and where."""

import io
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import click

from webhook.cli.excerpt import excerpt
from webhook.cli.judgement import CLEAN, InCluster, Judgement
from webhook.cli.options import NAMESPACE, OBJECT_NAME, Kind, option, profile_options
from webhook.document import LINE_BREAK
from webhook.errors import ProfileError, SettingsError
from webhook.files import read_argument
from webhook.log import one_line
from webhook.manifests import read_manifest
from webhook.problems import Problem
from webhook.settings import Settings

_OUTPUTS = ("text", "json")
_COLOURS = {"error": "red", "warning": "yellow"}


def _read_output(text: str) -> str:
    if text in _OUTPUTS:
        return text
    raise ValueError


_OUTPUT = Kind("|".join(_OUTPUTS), _read_output, f"an output; give one of {', '.join(_OUTPUTS)}")


@click.command(
    no_args_is_help=False,
    epilog="Exit status: 0 clean, 1 problems (errors; with --strict warnings too), 2 a file that "
    "holds no profile. The JSON has status, errors, warnings, and files: a list, each with file, "
    "unusable (null, or why), rules (active, shadow) and problems: a list, each with severity "
    "(error, warning), path, line, column (both null when unknown) and message. With --cluster it "
    "has cluster as well: notes (what could not be judged), and rules, each with name, placement, "
    "namespaces, called (how many of them the webhook is called for) and pods (null when not "
    "counted). Lines of a live profile count in selectors.",
)
@click.argument("files", nargs=-1, metavar="[FILE]...")
@option("--cluster", is_flag=True, help="Judge by a cluster too; without FILE, its live profile.")
@option(
    "--kubeconfig",
    metavar="FILE",
    help="Kubeconfig of the cluster; else KUBECONFIG, else that of the Pod or of kubectl.",
)
@option(
    "--service-name",
    type=NAMESPACE,
    metavar="NAME",
    help="The webhook's Service, after which its configuration is named unless told.",
)
@option(
    "--webhook-configuration",
    type=OBJECT_NAME,
    help="The MutatingWebhookConfiguration that calls the webhook; else SERVICE-NAME, else the one "
    "that looks so.",
)
@option(
    "--own-namespace",
    type=NAMESPACE,
    default=Settings.own_namespace,
    help="The webhook's own namespace, whose Pods no rule meets.",
)
@option("--output", type=_OUTPUT, default="text", help="text for a person, json for a machine.")
@option("--strict", is_flag=True, help="Fail on warnings too.")
@profile_options
def check(files: Sequence[str], output: str, *, cluster: bool, strict: bool, **flags: Any) -> int:
    """Say everything that is wrong or unwise in the manifest of a profile.

    Each FILE holds one ConfigMap, as YAML or JSON, and is judged by itself; - is standard input.
    An error does not act: the rule is left out, the key has no effect. A warning acts as written.
    """
    if not files and not cluster:
        raise SettingsError(
            "check: no file; name the manifest of a profile, - to read one, or --cluster for the "
            "live profile"
        )
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # whatever a terminal cannot show
    judgements = _judge_all(files, flags, cluster=cluster)
    status = max(judgement.status(strict=strict) for judgement in judgements)
    if output == "json":
        click.echo(json.dumps(_as_json(judgements, status), indent=2))
    else:
        _print(judgements, status)
    return status


def _judge_all(files: Sequence[str], flags: dict[str, Any], *, cluster: bool) -> list[Judgement]:
    """Judge each file; by the cluster too when that is asked for."""
    profile_object = flags["profile_namespace"], flags["profile_name"]
    judgements = [_judge(file, *profile_object) for file in files]
    if not cluster:
        return judgements
    from webhook.cli.in_cluster import judge_in_cluster  # noqa: PLC0415 - 20 MB, for this only

    configuration = flags["webhook_configuration"] or flags["service_name"] or ""
    names = configuration, flags["own_namespace"]
    return judge_in_cluster(judgements, profile_object, flags["kubeconfig"], names)


def _judge(file: str, namespace: str, name: str) -> Judgement:
    """Read one file and gather all that can be said about it."""
    where = "standard input" if file == "-" else file
    try:
        content = read_argument(file)
        reading = read_manifest(content, where, name, namespace)
    except (ProfileError, SettingsError) as error:
        return Judgement(where, unusable=str(error))
    text = content.decode("utf-8-sig")
    return Judgement(where, reading.problems, reading.profile, text)


def _as_json(judgements: Sequence[Judgement], status: int) -> dict[str, object]:
    return {
        "status": status,
        "errors": sum(judgement.count("error") for judgement in judgements),
        "warnings": sum(judgement.count("warning") for judgement in judgements),
        "files": [
            {
                "file": judgement.file,
                "unusable": judgement.unusable,
                "rules": {"active": judgement.active, "shadow": judgement.shadow},
                "problems": [
                    {
                        "severity": problem.severity,
                        "path": problem.path,
                        "line": problem.line or None,
                        "column": problem.column or None,
                        "message": problem.message,
                    }
                    for problem in judgement.problems
                ],
                **_cluster_as_json(judgement.in_cluster),
            }
            for judgement in judgements
        ],
    }


def _cluster_as_json(told: InCluster | None) -> dict[str, object]:
    if told is None:
        return {}
    return {"cluster": {"notes": told.notes, "rules": [asdict(rule) for rule in told.rules]}}


def _print(judgements: Sequence[Judgement], status: int) -> None:
    """Print for a person: on a terminal in colours, each problem with the line it is about."""
    colour = False if os.environ.get("NO_COLOR") else None  # None: click knows a terminal
    for judgement in judgements:
        if judgement.unusable is not None:
            click.echo(f"vci-webhook: {one_line(judgement.unusable)}", err=True)
        lines = LINE_BREAK.split(judgement.text)
        for problem in judgement.problems:
            click.echo(_headline(judgement.file, problem), color=colour)
            if sys.stdout.isatty() and problem.line:
                for line in _excerpt(lines, problem):
                    click.echo(line, color=colour)
        for line in _told(judgement):
            click.echo(line, color=colour)
    if any(judgement.unusable is None for judgement in judgements):
        warned = any(judgement.problems for judgement in judgements)
        style = "red" if status != CLEAN else "yellow" if warned else "green"
        click.echo(click.style(_summary(judgements), fg=style, bold=True), color=colour)


def _headline(file: str, problem: Problem) -> str:
    place = f"{file}:{problem.line}:{problem.column}" if problem.line else file
    severity = click.style(problem.severity, fg=_COLOURS[problem.severity], bold=True)
    path = click.style(one_line(problem.path), bold=True)
    return f"{one_line(place)}: {severity}: {path}: {one_line(problem.message)}"


def _excerpt(lines: Sequence[str], problem: Problem) -> Iterator[str]:
    width = shutil.get_terminal_size().columns
    line, mark = excerpt(lines[problem.line - 1], problem.line, problem.column, width)
    yield click.style(line, dim=True)
    yield click.style(mark, fg=_COLOURS[problem.severity])


def _told(judgement: Judgement) -> Iterator[str]:
    """Write what the cluster told: notes, and a table of the rules."""
    if (told := judgement.in_cluster) is None:
        return
    for note in told.notes:
        yield f"{one_line(judgement.file)}: {one_line(note)}"
    rows = [
        (rule.name, rule.placement, *map(_number, (rule.namespaces, rule.called, rule.pods)))
        for rule in told.rules
    ]
    if rows:
        rows.insert(0, ("rule", "placement", "namespaces", "called for", "running pods"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        words = map(str.ljust, row[:2], widths)
        yield "  ".join([*words, *map(str.rjust, row[2:], widths[2:])])


def _number(count: int | None) -> str:
    return "?" if count is None else str(count)


def _summary(judgements: Sequence[Judgement]) -> str:
    errors = sum(judgement.count("error") for judgement in judgements)
    warnings = sum(judgement.count("warning") for judgement in judgements)
    unusable = sum(judgement.unusable is not None for judgement in judgements)
    shadow = sum(judgement.shadow for judgement in judgements)
    parts = [
        _counted(len(judgements), "file"),
        *([f"{unusable} unusable"] if unusable else []),
        *([_counted(errors, "error")] if errors else []),
        *([_counted(warnings, "warning")] if warnings else []),
        *(["no problem"] if not (unusable or errors or warnings) else []),
        _counted(sum(judgement.active for judgement in judgements), "active rule"),
        *([f"{shadow} in shadow"] if shadow else []),
    ]
    return ", ".join(parts)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
