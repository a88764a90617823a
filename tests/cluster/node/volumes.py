"""A Pod's volumes: directories on the node, kept in step with the objects that they show."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.client import Client, Object
from tests.cluster.node.directory import (
    DEFAULT_MODE,
    File,
    Files,
    object_files,
    write_directory,
)
from tests.cluster.node.environment import Addresses, UnsupportedError, field_value

TOKEN_SECONDS = 3600
RENEWED_AFTER = 0.8  # of a token's life, as the kubelet does
READABLE_BY_ALL = 0o004


@dataclass(slots=True)
class Token:
    """A ServiceAccount's token for one audience."""

    text: str
    renew_at: float


@dataclass(slots=True)
class PodVolumes:
    """The volumes of one Pod, below a folder of its own."""

    client: Client
    pod: Object
    addresses: Addresses
    folder: Path
    _tokens: dict[tuple[str, int], Token] = field(default_factory=dict)

    def write(self) -> list[str]:
        """Make what is missing, bring the rest up to date, and name what changed."""
        return [v["name"] for v in self.pod["spec"].get("volumes", []) if self._write(v)]

    def path(self, name: str) -> Path:
        """Tell where a volume is."""
        volume = next(v for v in self.pod["spec"]["volumes"] if v["name"] == name)
        return Path(volume["hostPath"]["path"]) if "hostPath" in volume else self.folder / name

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, volume: Object) -> bool:
        directory = self.folder / volume["name"]
        if "emptyDir" in volume:
            directory.mkdir(parents=True, exist_ok=True)
            return False
        if "hostPath" in volume:
            return False
        files = self._files(volume)
        self._check_readable(volume["name"], files)
        return write_directory(directory, files)

    def _files(self, volume: Object) -> Files:
        """Give what a volume holds now; a projected one has several sources."""
        if "projected" not in volume:
            return self._source_files(volume, _mode(volume))
        mode = volume["projected"].get("defaultMode", DEFAULT_MODE)
        files: dict[str, File] = {}
        for source in volume["projected"]["sources"]:
            files |= self._source_files(source, mode)
        return files

    def _source_files(self, source: Object, mode: int) -> Files:
        makers: dict[str, Callable[[Object, int], Files]] = {
            "secret": lambda s, m: self._object("Secret", s.get("secretName") or s["name"], s, m),
            "configMap": lambda s, m: self._object("ConfigMap", s["name"], s, m),
            "downwardAPI": self._downward,
            "serviceAccountToken": self._token,
        }
        for kind, make in makers.items():
            if kind in source:
                return make(source[kind], mode)
        raise UnsupportedError(f"a volume of {', '.join(sorted(source.keys() - {'name'}))}")

    def _object(self, kind: str, name: str, source: Object, mode: int) -> Files:
        found = self.client.find(kind, name, self.pod["metadata"]["namespace"])
        if found is None:
            if source.get("optional"):
                return {}
            raise LookupError(f"{kind} {name} is not there")
        return object_files(found, source.get("items") or (), mode)

    def _downward(self, source: Object, mode: int) -> Files:
        return {
            item["path"]: File(
                field_value(self.pod, self.addresses, item["fieldRef"]["fieldPath"]).encode(), mode
            )
            for item in source.get("items", [])
        }

    def _token(self, source: Object, _mode: int) -> Files:
        wanted = source.get("audience", ""), source.get("expirationSeconds", TOKEN_SECONDS)
        kept = self._tokens.get(wanted)
        if kept is None or time.monotonic() > kept.renew_at:
            kept = self._tokens[wanted] = self._request_token(*wanted)
        return {source["path"]: File(kept.text.encode(), 0o644)}

    def _request_token(self, audience: str, seconds: int) -> Token:
        metadata = self.pod["metadata"]
        bound_to = {"apiVersion": "v1", "kind": "Pod"}
        bound_to |= {"name": metadata["name"], "uid": metadata["uid"]}
        spec: Object = {"expirationSeconds": seconds, "boundObjectRef": bound_to}
        if audience:
            spec["audiences"] = [audience]
        account = self.pod["spec"].get("serviceAccountName", "default")
        token = self.client.request_token(account, metadata["namespace"], **spec)
        return Token(token, time.monotonic() + RENEWED_AFTER * seconds)

    def _check_readable(self, name: str, files: Files) -> None:
        """Refuse what a user other than root could not read on a real node, but can here."""
        security = self.pod["spec"].get("securityContext", {})
        closed = [path for path, file in files.items() if not file.mode & READABLE_BY_ALL]
        if closed and security.get("fsGroup") is None:
            raise UnsupportedError(
                f'volume "{name}": {", ".join(closed)} can be read by root alone, without fsGroup'
            )


def _mode(volume: Object) -> int:
    source = volume.get("secret") or volume.get("configMap") or volume.get("downwardAPI") or {}
    return int(source.get("defaultMode", DEFAULT_MODE))
