"""Whose the Secrets are: the program's own account, so that they go when it is uninstalled.

The account's token says who it is, so no right is needed to find out.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Owner:
    """A ServiceAccount in the namespace of the Secrets."""

    name: str
    uid: str

    @property
    def reference(self) -> dict[str, str]:
        """Give the entry of ``ownerReferences``; it keeps nobody from deleting the account."""
        account = {"apiVersion": "v1", "kind": "ServiceAccount"}
        return {**account, "name": self.name, "uid": self.uid}


def read_owner(token: str, namespace: str) -> Owner | None:
    """Read who a token is for; None unless it is an account of the namespace.

    What belongs to an object of another namespace would be collected at once.
    """
    try:
        claims = _payload(token)["kubernetes.io"]
        account = claims["serviceaccount"]
        if claims["namespace"] != namespace:
            return None
        return Owner(str(account["name"]), str(account["uid"]))
    except (ValueError, KeyError, TypeError, IndexError):
        return None


def _payload(token: str) -> Any:
    text = token.split(".")[1]
    try:
        return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except binascii.Error as error:
        raise ValueError("not base64") from error
