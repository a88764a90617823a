"""Finds the control plane's programs, and builds from pinned Go modules those that are missing.

In this order: the folder that ``KUBEBUILDER_ASSETS`` names, the cache, ``go build``. The cache lies
outside the checkout, in ``$XDG_CACHE_HOME/vci-webhook/tools``, one folder for each module in
``tools/``, keyed by everything that decides what comes out of a build.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).parent / "tools"
GO_NEEDED = (1, 26)
FLAGS = ("-trimpath", "-buildvcs=false")
TAGS = {"prometheus": "remove_all_sd"}  # without the clients of all clouds, which promtool links
CRDS = "argo-crds"
CERTIFICATE_CRDS, MONITORING_CRDS = "cert-manager-crds", "prometheus-operator-crds"

Progress = Callable[[str], None]
Binaries = Mapping[str, Path]


class UnavailableError(Exception):
    """A program is neither at hand nor can it be built here."""


class BuildError(Exception):
    """``go build`` failed."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A program, or a folder of a module's files, that the control plane needs."""

    name: str
    module: str  # folder in tools/
    package: str
    folder: str = ""  # copied from the package's module instead of building a program


KUBERNETES = "k8s.io/kubernetes/cmd"
ARGO = "github.com/argoproj/argo-workflows/v3"
CONTROL_PLANE = (
    Asset("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
    Asset("kube-apiserver", "kubernetes", f"{KUBERNETES}/kube-apiserver"),
    Asset("kube-controller-manager", "kubernetes", f"{KUBERNETES}/kube-controller-manager"),
    Asset("kube-scheduler", "kubernetes", f"{KUBERNETES}/kube-scheduler"),
    Asset("kubectl", "kubernetes", f"{KUBERNETES}/kubectl"),
    Asset("workflow-controller", "argo", f"{ARGO}/cmd/workflow-controller"),
    Asset(CRDS, "argo", ARGO, folder="manifests/base/crds/minimal"),
)
FOR_THE_CHART = (
    Asset("helm", "helm", "helm.sh/helm/v4/cmd/helm"),
    Asset("promtool", "prometheus", "github.com/prometheus/prometheus/cmd/promtool"),
    Asset(
        CERTIFICATE_CRDS,
        "cert-manager",
        "github.com/cert-manager/cert-manager",
        folder="deploy/crds",
    ),
    Asset(
        MONITORING_CRDS,
        "prometheus-operator",
        "github.com/prometheus-operator/prometheus-operator",
        folder="example/prometheus-operator-crd",
    ),
)
ASSETS = (*CONTROL_PLANE, *FOR_THE_CHART)


def locate(progress: Progress = print, assets: Sequence[Asset] = ASSETS) -> Binaries:
    """Return where each asset is, after building what is missing."""
    found = {asset.name: find(asset) for asset in assets}
    if not all(found.values()):
        _build_missing(progress, assets)
    return {asset.name: find(asset) or _cached(asset) for asset in assets}


def find(asset: Asset) -> Path | None:
    """Look in ``KUBEBUILDER_ASSETS``, which may lack some, then in the cache."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    candidates = [Path(assets, asset.name)] if assets else []
    return next((path for path in (*candidates, _cached(asset)) if path.exists()), None)


def cache() -> Path:
    """Return the folder outside the checkout where built programs are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "vci-webhook", "tools")


def key(module: str, tools: Path = TOOLS) -> str:
    """Hash what decides the outcome of a module's builds."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((tools / module / name).read_bytes())
    digest.update(
        repr((_flags(module), ldflags(module), sys.platform, platform.machine())).encode()
    )
    return digest.hexdigest()[:16]


def ldflags(module: str) -> str:
    """Strip symbols; tell Kubernetes' programs their version, else they report v0.0.0."""
    release = re.search(r"k8s\.io/kubernetes v(\d+)\.(\d+)\.\d+", _go_mod(module))
    if module != "kubernetes" or not release:
        return "-s -w"
    version = release[0].split()[1]
    fields = {"gitVersion": version, "gitMajor": release[1], "gitMinor": release[2]}
    settings = (f"-X k8s.io/component-base/version.{name}={fields[name]}" for name in fields)
    return " ".join(("-s -w", *settings))


def _flags(module: str) -> tuple[str, ...]:
    return (*FLAGS, "-tags", TAGS[module]) if module in TAGS else FLAGS


def _go_mod(module: str) -> str:
    return (TOOLS / module / "go.mod").read_text("utf-8")


def _cached(asset: Asset) -> Path:
    return cache() / f"{asset.module}-{key(asset.module)}" / asset.name


def _build_missing(progress: Progress, assets: Sequence[Asset]) -> None:
    go = find_go()
    with _lock(progress):
        missing = [asset for asset in assets if not find(asset)]  # another run may have built them
        if missing:
            progress(f"building {len(missing)} parts of the control plane into {cache()}")
            progress("(this happens once: some 15 minutes on 2 cores, and 5 for the chart's tools)")
        for number, asset in enumerate(missing, start=1):
            left = len(missing) - number
            progress(f"[{number}/{len(missing)}] building {asset.name}, {left} left after it")
            started = time.monotonic()
            _build(asset, go)
            progress(f"[{number}/{len(missing)}] {asset.name}: {time.monotonic() - started:.0f} s")


def find_go() -> str:
    """Return the go command, if it is new enough."""
    needed = ".".join(map(str, GO_NEEDED))
    go = shutil.which("go")
    if not go:
        raise UnavailableError(
            f"control plane: its programs are not built yet and there is no go command; "
            f"install Go >= {needed}, or name a folder that has them in KUBEBUILDER_ASSETS"
        )
    version = _output([go, "env", "GOVERSION"], Path("/"))
    release = re.match(r"go(\d+)\.(\d+)", version)
    if not release or (int(release[1]), int(release[2])) < GO_NEEDED:
        raise UnavailableError(
            f'control plane: its programs are not built yet and "{go}" is {version}; '
            f"install Go >= {needed}, or name a folder that has them in KUBEBUILDER_ASSETS"
        )
    return go


def _build(asset: Asset, go: str) -> None:
    """Build into a temporary name and rename it, so that a program in the cache is a whole one."""
    target = _cached(asset)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{asset.name}.{os.getpid()}")
    try:
        if asset.folder:
            _copy_folder(asset, go, temporary)
        else:
            _go_build(asset, go, temporary)
        temporary.rename(target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)


def _go_build(asset: Asset, go: str, target: Path) -> None:
    flags = (*_flags(asset.module), "-ldflags", ldflags(asset.module), "-o", str(target))
    _output([go, "build", *flags, asset.package], TOOLS / asset.module)


def _copy_folder(asset: Asset, go: str, target: Path) -> None:
    _output([go, "mod", "download", asset.package], TOOLS / asset.module)
    module = _output([go, "list", "-m", "-f", "{{.Dir}}", asset.package], TOOLS / asset.module)
    shutil.copytree(Path(module, asset.folder), target, copy_function=shutil.copyfile)
    target.chmod(0o755)  # the module cache is read-only, and so is a copy of its folder


def _output(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        tail = "\n".join(done.stderr.splitlines()[-20:])
        raise BuildError(f"{' '.join(command)}: exit status {done.returncode}, in {folder}\n{tail}")
    return done.stdout.strip()


@contextmanager
def _lock(progress: Progress) -> Iterator[None]:
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another run that is building the control plane")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    for name, path in locate().items():
        print(f"{name:24} {path}")
