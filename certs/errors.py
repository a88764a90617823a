"""Who is to blame for what: each message is one line, ``what is wrong; what to do``."""

_SHOWN_LIMIT = 80  # characters of somebody's input in a message that must stay one readable line


class NameUnusableError(ValueError):
    """A DNS name or an address cannot stand in a certificate."""


class AuthorityUnusableError(ValueError):
    """The CA cannot sign: it has expired, or its certificate and key are not a pair."""


class FileUnusableError(Exception):
    """A file cannot be written, or must not be: it exists."""


class ClusterError(Exception):
    """The API server could not be asked, or refused; ``status`` is 0 when there is no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ConflictError(ClusterError):
    """Somebody else wrote the object since it was read; look again."""


class UsageError(Exception):
    """A flag cannot be used; the message names it."""


def quoted(value: object) -> str:
    """Show somebody's input in a message, shortened and on one line."""
    text = "".join(c if c.isprintable() else "?" for c in str(value))
    return f'"{text if len(text) <= _SHOWN_LIMIT else text[: _SHOWN_LIMIT - 3] + "..."}"'
