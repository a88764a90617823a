"""What the flags of all commands have in common: an environment variable, and clear errors."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from webhook.settings import Settings, both, variable

_Command = TypeVar("_Command", bound=Callable[..., Any])

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_LARGEST_PORT = 65535
_LONGEST_SECONDS = 3600.0
_LARGEST_COUNT = 1_000_000


class Kind(click.ParamType[Any]):
    """A kind of value: what reads it, and what to say when it cannot be read."""

    def __init__(self, name: str, read: Callable[[str], Any], advice: str) -> None:
        self.name = name
        self._read = read
        self._advice = advice

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the text; click turns the failure into an error that knows its flag."""
        try:
            return self._read(str(value))
        except ValueError:
            self.fail(f'"{value}" is not {self._advice}', param, ctx)


def _read_port(text: str) -> int:
    return _within(int(text), _LARGEST_PORT)


def _read_count(text: str) -> int:
    return _within(int(text), _LARGEST_COUNT)


def _read_seconds(text: str) -> float:
    return _within(float(text), _LONGEST_SECONDS)


_Number = TypeVar("_Number", int, float)


def _within(number: _Number, largest: float) -> _Number:
    """Give the number when it is neither negative nor too large (nor NaN)."""
    if 0 <= number <= largest:
        return number
    raise ValueError


def _read_names(text: str) -> frozenset[str]:
    names = frozenset(map(str.strip, text.split(",")))
    if "" in names:
        raise ValueError
    return names


def reader_of(pattern: str, longest: int) -> Callable[[str], str]:
    """Make a reader of names that match the pattern as a whole."""
    compiled = re.compile(pattern)

    def read(text: str) -> str:
        if len(text) <= longest and compiled.fullmatch(text):
            return text
        raise ValueError

    return read


PORT = Kind(
    "port", _read_port, f"a port; give a number up to {_LARGEST_PORT}, or 0 for any free one"
)
SECONDS = Kind(
    "seconds", _read_seconds, f"a time in seconds; give a number from 0 to {_LONGEST_SECONDS:.0f}"
)
COUNT = Kind("number", _read_count, f"a number; give one from 0 to {_LARGEST_COUNT}")
HOST = Kind("host", reader_of(r"[^\s/]+", 253), "an address; give one of this machine's")
NAMESPACE = Kind(
    "namespace", reader_of(_LABEL, 63), "the name of a namespace; give one as kubectl shows it"
)
SERVICE = Kind(
    "name",
    reader_of(f"(?:{_LABEL})?", 63),
    "the name of a Service; give one as kubectl shows it, or an empty one for none",
)
OBJECT_NAME = Kind(
    "name", reader_of(rf"{_LABEL}(?:\.{_LABEL})*", 253), "the name of an object; see kubectl get"
)
CLIENT_NAMES = Kind("names", _read_names, "a list of names; write commas between them")


def option(flag_name: str, **attributes: Any) -> Callable[[_Command], _Command]:
    """Declare ``--flag-name`` with its variable; the help shows both, and the default."""
    field = flag_name.removeprefix("--").replace("-", "_")
    return click.option(
        flag_name, envvar=variable(field), show_envvar=True, show_default=True, **attributes
    )


def profile_options(command: _Command) -> _Command:
    """Declare the flags that say which ConfigMap is the profile."""
    named = option(
        "--profile-name",
        type=OBJECT_NAME,
        default=Settings.profile_name,
        help="Name of the profile's ConfigMap.",
    )
    placed = option(
        "--profile-namespace",
        type=NAMESPACE,
        default=Settings.profile_namespace,
        help="Namespace of the profile's ConfigMap.",
    )
    return named(placed(command))


def explain(error: click.ClickException) -> str:
    """Write click's errors as ours: where, what is wrong, what to do."""
    match error:
        case click.NoSuchOption():
            near = f'; did you mean "{error.possibilities[0]}"?' if error.possibilities else ""
            return f"{error.option_name}: no such flag{near or _see_help(error)}"
        case click.BadParameter(param=click.Parameter(name=str(field))):
            return f"{both(field)}: {error.message}"
        case click.BadOptionUsage():
            return f"{error.option_name}: its value is missing; write it behind the flag"
        case click.UsageError():
            message = error.format_message().rstrip(".").replace("'", '"')
            return f"{message[:1].lower()}{message[1:]}{_see_help(error)}"
        case _:
            return error.format_message()


def _see_help(error: click.UsageError) -> str:
    """Point to the help of the command that was used."""
    path = error.ctx.command_path if error.ctx else "vci-webhook"
    return f'; see "{path} --help"'
