"""Where a Pod is on the node: its network and its volumes, and how its containers start there."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.cluster.client import Client, Object
from tests.cluster.control_plane import API_SERVER_ADDRESS
from tests.cluster.node.container import Launch
from tests.cluster.node.environment import (
    Addresses,
    UnsupportedError,
    command_of,
    environment_of,
)
from tests.cluster.node.launch import Mount, Root, identity_of
from tests.cluster.node.probes import Target
from tests.cluster.node.settings import Settings
from tests.cluster.node.volumes import PodVolumes

WRITABLE = ("emptyDir", "hostPath")  # unless the mount says otherwise


class Place:
    """Network and volumes of one Pod."""

    def __init__(self, client: Client, settings: Settings, pod: Object) -> None:
        self._client = client
        self._settings = settings
        self._pod = pod
        self.sandbox = settings.network.open_sandbox()
        self._addresses = Addresses(self.sandbox.address, API_SERVER_ADDRESS)
        folder = settings.folder / "volumes" / pod["metadata"]["uid"]
        self.volumes = PodVolumes(client, pod, self._addresses, folder)

    def leave(self) -> None:
        """Let go of everything."""
        self.volumes.remove()
        self.sandbox.release()

    def log(self, container: Object) -> Path:
        """Name the file for what a container prints."""
        folder = self._settings.folder / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self._pod['metadata']['name']}.{container['name']}.log"

    def target(self, container: Object, enter: Callable[[Sequence[str]], list[str]]) -> Target:
        """Tell whom probes of a container ask."""
        ports = {p["name"]: p["containerPort"] for p in container.get("ports", []) if "name" in p}
        return Target(self.sandbox.address, ports, enter)

    def launch(self, container: Object) -> Launch:
        """Tell how a container is started, by what its ConfigMaps and Secrets say now."""
        image = self._settings.image(container["image"])
        environment = {
            **image.environment,
            "HOME": "/",
            "HOSTNAME": self._pod["metadata"]["name"],
            "KUBERNETES_SERVICE_HOST": API_SERVER_ADDRESS,
            "KUBERNETES_SERVICE_PORT": str(self._settings.api_server_port),
            "KUBERNETES_SERVICE_PORT_HTTPS": str(self._settings.api_server_port),
            **environment_of(self._client, self._pod, container, self._addresses),
        }
        folder = self._settings.folder / "roots" / self._pod["metadata"]["uid"] / container["name"]
        folder.mkdir(parents=True, exist_ok=True)
        identity = identity_of(self._pod, container, image)
        working_folder = container.get("workingDir", "/")
        root = Root(folder, image, self._mounts(container), identity, working_folder)
        command = command_of(container, environment)
        return Launch([*self.sandbox.enter, *root.launch(command)], environment)

    def _mounts(self, container: Object) -> list[Mount]:
        return [self._mount(mount) for mount in container.get("volumeMounts", [])]

    def _mount(self, mount: Object) -> Mount:
        name = mount["name"]
        if "subPath" in mount or "subPathExpr" in mount:
            raise UnsupportedError(f'subPath of volume "{name}"')
        volume = next(v for v in self._pod["spec"]["volumes"] if v["name"] == name)
        writable = any(kind in volume for kind in WRITABLE) and not mount.get("readOnly")
        return Mount(self.volumes.path(name), mount["mountPath"], not writable)
