"""The command ``vci-webhook``: what a person did wrong is one line on stderr and exit status 2."""

import sys
from collections.abc import Sequence

import click

from webhook import __version__
from webhook.cli.check import check
from webhook.cli.doctor import doctor
from webhook.cli.options import explain
from webhook.cli.serve import serve
from webhook.errors import ProfileError, SettingsError
from webhook.log import one_line

UNUSABLE = 2
INTERRUPTED = 130


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def command() -> None:
    """Place Argo Workflows Pods on VCI virtual nodes, by the rules of one ConfigMap."""


command.add_command(check)
command.add_command(doctor)
command.add_command(serve)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    try:
        status: int | None = command.main(arguments, "vci-webhook", standalone_mode=False)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        return _complain(explain(error))
    except (SettingsError, ProfileError) as error:
        return _complain(str(error))
    return status or 0


def _complain(line: str) -> int:
    """Say what is wrong, in one line whatever the names in it contain."""
    print(f"vci-webhook: {one_line(line)}", file=sys.stderr)  # noqa: T201 - not a log line
    return UNUSABLE
