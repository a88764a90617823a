"""The image's own Python runs our programs, as its user, with nothing that can be written."""

import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

from tests.contract.client import Connection, trusting
from tests.contract.conftest import NAMESPACES, PROFILE
from tests.contract.reviews import encoded
from tests.contract.serving import ServeProcess, wait_until
from tests.image.build import Built
from tests.image.conftest import Run
from tests.image.running import USER, command_in, started

IMPORT_ALL = """
import importlib, pkgutil
for package in ("webhook", "certs"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""
LOOK_AROUND = """
import json, os
SYSTEM = ("/proc", "/dev")
lines = [line.split() for line in open("/proc/self/status")]
def writable(folder):
    try:
        open(os.path.join(folder, "probe"), "w")
    except OSError:
        return False
    return True
print(json.dumps({
    "user": [os.getuid(), os.getgid(), *os.getgroups()],
    "capabilities": {words[0]: words[1] for words in lines if words[0] in ("CapEff:", "CapPrm:")},
    "top": sorted(os.listdir("/")),
    "writable": [at for at, _, _ in os.walk("/") if not at.startswith(SYSTEM) and writable(at)],
}))
"""


def writable_folder(path: Path) -> Path:
    """Make a folder as an emptyDir is: the image's user may write into it."""
    path.mkdir()
    os.chown(path, USER, USER)
    return path


def test_both_programs_start_by_the_names_that_the_chart_uses(run: Run) -> None:
    """``vci-webhook`` and ``python -m certs`` are found by PATH, without a shell."""
    assert run("vci-webhook", "--version").stdout.startswith("vci-webhook ")
    told = run("python", "-m", "certs", "--help")
    assert told.returncode == 0, told.stderr
    for name in ("run", "ensure", "issue"):
        assert name in told.stdout


def test_every_module_finds_what_it_imports(run: Run) -> None:
    """Nothing that was left out of the standard library or of a package is missed."""
    told = run("python", "-c", IMPORT_ALL)
    assert (told.returncode, told.stderr) == (0, "")


def test_a_process_may_do_nothing_to_its_root(run: Run) -> None:
    """It is user 65532 without a group or a capability, and no folder takes a file."""
    told = run("python", "-c", LOOK_AROUND)
    seen = json.loads(told.stdout)
    assert seen["user"] == [USER, USER]
    assert set(seen["capabilities"].values()) == {"0000000000000000"}
    assert seen["writable"] == []
    assert (
        {"opt", "usr", "etc"}
        <= set(seen["top"])
        <= {
            *("bin", "dev", "etc", "lib", "lib64", "opt", "proc", "sbin", "usr", "var"),
        }
    )


def test_a_review_is_answered_out_of_the_image(image: Built, run: Run, tmp_path: Path) -> None:
    """One program issues the pair, the other serves with it over TLS; SIGTERM ends it in order."""
    tls = writable_folder(tmp_path / "tls")
    issued = run(
        "python", "-m", "certs", "issue", "--dir=/tls", "--dns=localhost", mounts={"/tls": tls}
    )
    assert issued.returncode == 0, issued.stderr
    files = tmp_path / "files"
    files.mkdir()
    for name, content in (("profile.yaml", PROFILE), ("namespaces.yaml", NAMESPACES)):
        (files / name).write_text(json.dumps(content), "utf-8")
    command = ["vci-webhook", "serve", "--tls-dir=/etc/vci-webhook/tls", "--port=0"]
    command += ["--profile=/files/profile.yaml", "--namespaces=/files/namespaces.yaml"]
    command += ["--management-port=0", "--drain-seconds=0"]
    folder = tmp_path / "server"
    folder.mkdir()
    mounts = {"/etc/vci-webhook/tls": tls, "/files": files}
    log = tmp_path / "log"
    with started(
        command_in(image.root, folder, command, mounts), image.environment, log
    ) as process:
        server = ServeProcess(process, log, tls / "ca.crt")
        server.wait_until_serving()
        wait_until(lambda: server.probe("/readyz").status == 200, "readiness")
        with Connection(server.url, trusting(server.ca)) as connection:
            answer: Any = connection.post(encoded()).json
        assert answer["response"]["allowed"] is True
        assert answer["response"]["patchType"] == "JSONPatch"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 1.0, "a second of processor time for the whole life: something was compiled anew"
