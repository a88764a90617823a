"""What a node has, and how it behaves."""

from dataclasses import dataclass
from pathlib import Path

from tests.cluster.node.environment import UnsupportedError
from tests.cluster.node.image import Image
from tests.cluster.node.network import Network

LONGEST_BACKOFF = 300.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How a node behaves, and what it has."""

    name: str
    folder: Path
    network: Network
    api_server_port: int
    images: dict[str, Image]
    sync_seconds: float = 5.0  # between two looks at what volumes show; a kubelet takes a minute
    backoff_seconds: float = 1.0  # before a second restart, then doubled; a kubelet begins with ten

    def restart_delay(self, restarts: int) -> float:
        """Tell how long a container waits that has been started again so often: at first not."""
        return min(self.backoff_seconds * 2 ** (restarts - 1), LONGEST_BACKOFF) if restarts else 0.0

    def image(self, name: str) -> Image:
        """Find an image by its name without registry, tag and digest."""
        short = name.rpartition("/")[2].partition("@")[0].partition(":")[0]
        if short not in self.images:
            raise UnsupportedError(f'image "{name}"; there is {", ".join(self.images)}')
        return self.images[short]
