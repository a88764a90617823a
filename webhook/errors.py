"""Who is to blame for what: one exception for each party that can be wrong.

Every message reads ``where: what is wrong; what to do``, in one line, without the offending object.
"""


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
