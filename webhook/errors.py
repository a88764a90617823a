"""Who is to blame for what: one exception for each party that can be wrong.

Every message reads ``where: what is wrong; what to do``, in one line, without the offending object.
"""

from enum import StrEnum


class ProfileError(Exception):
    """A manifest file cannot be used at all: not text, not YAML, not the expected object."""


class SettingsError(Exception):
    """A flag, an environment variable or a file that it names cannot be used."""


class ReviewError(Exception):
    """The sender's AdmissionReview cannot be used; answered with ``status``, never with a 5xx."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class UnknownNamespaceError(Exception):
    """The labels of the Pod's namespace are not known, so no rule can be evaluated."""

    def __init__(self, namespace: str) -> None:
        super().__init__(
            f'namespace "{namespace}" is not known; its labels decide which rules match'
        )
        self.namespace = namespace


class Cause(StrEnum):
    """Why the API server could not be asked, or its answer not be used."""

    UNREACHABLE = "unreachable"  # refused, reset, silent: nobody there, or nobody who answers
    SILENT = "silent"  # a watch without a word, where nothing happens or nobody is left
    UNTRUSTED = "untrusted"  # its certificate is not one that our CA bundle vouches for
    DENIED = "denied"  # 401, 403: our credentials, or our rights
    UNAVAILABLE = "unavailable"  # 429, 5xx, anything else that is not a success
    EXPIRED = "expired"  # the history does not reach back to the version that we know
    GARBLED = "garbled"  # not what the protocol says
    BUG = "bug"  # ours


class ClusterError(Exception):
    """The API server's part went wrong; whoever follows it waits, and asks again."""

    def __init__(
        self, message: str, cause: Cause, status: int = 0, retry_after_seconds: int = 0
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.status = status
        self.retry_after_seconds = retry_after_seconds
