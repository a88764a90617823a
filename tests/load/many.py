"""An API server with thousands of namespaces, in a process of its own: it obeys words on its stdin.

``python -m tests.load.many FOLDER NAMESPACES [RULES]``: at first there is one rule, or so many.
``expire``: every watch of namespaces must begin anew. ``change COUNT``: so many labels change, the
last of them to ``done``. ``profile BYTES``: the profile changes to one of such a size. ``times``:
print when which request came, on the clock that all processes of a machine share.
"""

import json
import sys
from pathlib import Path

from tests.contract.api_server import (
    Answer,
    Object,
    Request,
    ScriptedApiServer,
    event,
    listing,
    namespace,
    profile,
    status,
)

PAGE = 500
PLACED = 7
FIELDS: Object = {
    "f:metadata": {
        "f:annotations": {".": {}, "f:meta.helm.sh/release-name": {}},
        "f:labels": {".": {}, "f:kubernetes.io/metadata.name": {}, "f:team": {}, "f:vci": {}},
    }
}
MANAGED = [
    {
        "manager": "helm",
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2026-11-24T12:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": FIELDS,
    }
]


class ManyNamespaces(ScriptedApiServer):
    """A scripted API server whose list of namespaces has pages, as often as it is asked for."""

    def fill(self, count: int) -> None:
        """Have so many namespaces: 580 bytes each, as ten thousand real ones were 5.8 MB."""
        items = [described(number) for number in range(count)]
        starts = range(0, count, PAGE)
        self.pages = [
            listing(
                "1000", *items[start : start + PAGE], following=self._token(start + PAGE, count)
            )
            for start in starts
        ]
        self.version = 1000

    @staticmethod
    def _token(start: int, count: int) -> str:
        return str(start // PAGE) if start < count else ""

    def next_answer(self, request: Request) -> Answer:
        """Give the page that is asked for; anything else by script."""
        answer = super().next_answer(request)
        if request.kind == "namespaces list":
            return self.pages[int(request.query.get("continue", "0"))]
        return answer

    def obey(self, word: str, argument: str) -> None:
        """Do what a line of stdin says."""
        if word == "expire":
            self.push("namespaces watch", event("ERROR", status(410, "Expired")))
        elif word == "change":
            self._change(int(argument))
        elif word == "profile":
            self.version += 1
            self.push(
                "configmaps watch", event("MODIFIED", large_profile(self.version, int(argument)))
            )
        elif word == "times":
            print(json.dumps([(request.kind, request.at) for request in self.requests]), flush=True)

    def _change(self, count: int) -> None:
        lines = []
        for number in range(count):
            self.version += 1
            team = "done" if number == count - 1 else str(number)
            changed = described(3, str(self.version), vci="true" if team == "done" else "false")
            lines.append(event("MODIFIED", changed))
        self.push("namespaces watch", b"".join(lines))


def described(number: int, version: str = "1", vci: str = "") -> Object:
    """Make a namespace's metadata with everything that real ones have; the rule selects team-7."""
    vci = vci or ("true" if number == PLACED else "false")
    made = namespace(f"team-{number}", version, team=str(number % 50), vci=vci)
    metadata = made["metadata"]
    metadata["uid"] = f"b9c5f0a4-5a0d-4f0a-9d6d-{number:012d}"
    metadata["creationTimestamp"] = "2026-11-24T12:00:00Z"
    metadata["managedFields"] = MANAGED
    return made


def profile_of(rules: int, version: int = 10) -> Object:
    """Make a profile with so many more rules than one."""
    rule = {"namespaceSelector": {"matchLabels": {"x": "y"}}, "effect": {"labels": {"a": "b"}}}
    made = profile(str(version))
    more = [{"name": f"rule-{version}-{number}", **rule} for number in range(rules)]
    made["data"]["selectors"] = json.dumps(json.loads(made["data"]["selectors"]) + more)
    return made


def large_profile(version: int, size: int) -> Object:
    """Make a profile with as many rules as so many bytes hold."""
    two, three = (len(json.dumps(profile_of(rules, version))) for rules in (1, 2))
    return profile_of(size // (three - two), version)


def main(folder: Path, count: int, rules: int = 1) -> None:
    """Serve until stdin ends."""
    api = ManyNamespaces(folder)
    api.fill(count)
    api.script("configmaps list", listing("10", profile_of(rules - 1)))
    api.up()
    print(json.dumps(api.environment), flush=True)
    for line in sys.stdin:
        word, _, argument = line.strip().partition(" ")
        api.obey(word, argument)
    api.down()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
