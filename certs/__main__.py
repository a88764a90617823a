"""``python -m certs``: ``issue`` writes files, ``ensure`` and ``run`` look after a cluster."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from certs import flags, issue_files
from certs.errors import ClusterError, UsageError

PROGRAM = "python -m certs"
FAILED, UNUSABLE_INPUT = 1, 2

ENSURE = """
Look at the Secrets and the webhook configurations, do what can be done now, and say what comes
later. Exit status: 0 all is well, 1 something failed, 2 unusable input, 3 not finished: something
has to wait, or, with --dry-run, would be done. Each flag is an environment variable too:
--ca-secret is VCI_WEBHOOK_CERTS_CA_SECRET. Times have a unit: 90s, 15m, 2h, 30d.
"""
RUN = """
Look after the certificates until stopped: at every change, and in full every --interval. Each flag
is an environment variable too: --ca-secret is VCI_WEBHOOK_CERTS_CA_SECRET. Times have a unit: 90s,
15m, 2h, 30d.
"""


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(UNUSABLE_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def build_parser() -> Parser:
    parser = Parser(prog=PROGRAM, description="The certificates of vci-webhook.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, told: str, description: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=told, description=description, allow_abbrev=False)

    told = "write a new CA and a serving certificate as files"
    issue_files.add_flags(command("issue", told, issue_files.DESCRIPTION))
    ensure = command("ensure", "put a cluster's certificates right, once", ENSURE)
    ensure.add_argument("--dry-run", action="store_true", help="only say what would be done")
    flags.add_flags(ensure, flags.ENSURE)
    run = command("run", "keep a cluster's certificates right", RUN)
    flags.add_flags(run, flags.RUN)
    return parser


def _ensure(options: argparse.Namespace) -> int:
    # These cost a while, which the third command need not spend.
    from rich.console import Console  # noqa: PLC0415 - see above

    from certs.cluster import Cluster  # noqa: PLC0415 - see above
    from certs.ensure import ensure  # noqa: PLC0415 - see above

    parameters, settings = flags.read_flags(options, flags.ENSURE, os.environ)
    console = Console(width=None if sys.stdout.isatty() else 140)
    cluster = Cluster(parameters, settings.kubeconfig)
    return asyncio.run(ensure(cluster, parameters, console, dry_run=options.dry_run))


def _run(options: argparse.Namespace) -> int:
    from certs.log import configure_logging  # noqa: PLC0415 - see above
    from certs.run import run  # noqa: PLC0415 - see above

    parameters, settings = flags.read_flags(options, flags.RUN, os.environ)
    configure_logging(settings.log_format)
    asyncio.run(run(parameters, settings))
    return 0


def _issue(options: argparse.Namespace) -> int:
    print(issue_files.run(options))
    return 0


_COMMANDS = {"issue": _issue, "ensure": _ensure, "run": _run}


def main(arguments: Sequence[str] | None = None) -> int:
    options = build_parser().parse_args(arguments)
    try:
        return _COMMANDS[options.command](options)
    except UsageError as error:
        print(f"{PROGRAM} {options.command}: {error}", file=sys.stderr)
        return UNUSABLE_INPUT
    except ClusterError as error:
        print(f"{PROGRAM} {options.command}: {error}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
