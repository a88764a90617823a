"""The command line: what is wrong is one line that names the place, with exit status 2."""

import dataclasses
import json
import os
import re
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
import yaml

from tests.contract.conftest import PROFILE, write_pair
from tests.contract.reviews import encoded, operations_of
from tests.contract.serving import Files, run_command, serve_process
from webhook import __version__
from webhook.cli import main
from webhook.settings import Settings


class Command:
    """The command line in this process, as the console script calls it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._environment = monkeypatch
        self._output = capsys

    def complains(self, *arguments: str, **environment: str) -> str:
        """Run what must fail, and give the one line that it says."""
        for name, value in environment.items():
            self._environment.setenv(name, value)
        status = main(arguments)
        stdout, stderr = self._output.readouterr()
        assert (status, stdout) == (2, "")
        return one_line_of(stderr)


def one_line_of(stderr: str) -> str:
    """Check that stderr is one printable line of ours, and give it."""
    assert stderr.startswith("vci-webhook: ")
    assert stderr.endswith("\n")
    assert stderr[:-1].isprintable()
    return stderr[:-1]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line, in an environment without settings."""
    for name in [name for name in os.environ if name.startswith("VCI_WEBHOOK")]:
        monkeypatch.delenv(name)
    return Command(monkeypatch, capsys)


@pytest.mark.parametrize("arguments", [[], ["serve"], ["serve", "--port=x"], ["srve"]])
def test_a_process_that_cannot_start_ends_with_status_2(arguments: list[str]) -> None:
    """``python -m webhook`` says one line on stderr, nothing on stdout, and no traceback."""
    ended = run_command(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    one_line_of(ended.stderr)


def test_the_version_is_told() -> None:
    """``--version`` prints name and version."""
    ended = run_command("--version")
    assert (ended.returncode, ended.stdout) == (0, f"vci-webhook {__version__}\n")


def test_the_help_names_every_flag_and_its_variable() -> None:
    """``serve --help`` is the reference of the settings."""
    text = run_command("serve", "--help").stdout
    for setting in dataclasses.fields(Settings):
        assert f"--{setting.name.replace('_', '-')} " in text
        assert f"VCI_WEBHOOK_{setting.name.upper()}" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "missing command"),
        (["srve"], 'no such command "srve"'),
        (["--verson"], '--verson: no such flag; did you mean "--version"?'),
        (["serve", "--prot", "1"], '--prot: no such flag; did you mean "--port"?'),
        (["serve", "--port"], "--port: its value is missing"),
        (["serve", "now"], "unexpected extra argument (now)"),
        (["serve", "\x1b[31mred\nline"], "unexpected extra argument"),
        (["serve"], "--tls-dir (VCI_WEBHOOK_TLS_DIR): missing"),
        (["serve", "--profile=x"], "--namespaces (VCI_WEBHOOK_NAMESPACES): missing"),
        (["serve", "--namespaces=x"], "--profile (VCI_WEBHOOK_PROFILE): missing"),
        (["serve", "--profile=x", "--kubeconfig=y"], "not of use with --profile"),
        (["serve", "--profile=x", "--namespaces=x"], "--tls-dir (VCI_WEBHOOK_TLS_DIR): missing"),
    ],
)
def test_a_slip_of_the_pen_is_one_line(command: Command, arguments: list[str], said: str) -> None:
    """Commands and flags that do not exist or are missing are named, with the nearest one."""
    assert said in command.complains(*arguments)


def test_without_files_there_must_be_a_cluster(command: Command, tmp_path: Path) -> None:
    """Outside of a Pod, and without a kubeconfig that can be used, there is nothing to serve by."""
    serve = ("serve", f"--tls-dir={tmp_path}")
    told = command.complains(*serve, KUBERNETES_SERVICE_HOST="", KUBECONFIG="")
    assert "--kubeconfig (VCI_WEBHOOK_KUBECONFIG): missing, and this is not a Pod" in told
    broken = tmp_path / "kubeconfig"
    for content in ("", "{", "[]", "apiVersion: v1\nkind: Config\n"):
        broken.write_text(content)
        told = command.complains(*serve, f"--kubeconfig={broken}")
        assert f"--kubeconfig (VCI_WEBHOOK_KUBECONFIG): {broken}: no usable credentials" in told
    absent = tmp_path / "absent"
    assert f"{absent}: no usable credentials" in command.complains(*serve, KUBECONFIG=str(absent))
    told = command.complains(*serve, KUBECONFIG="", KUBERNETES_SERVICE_HOST="10.0.0.1")
    assert "/var/run/secrets/kubernetes.io/serviceaccount: no usable credentials" in told


UNUSABLE = {
    "host": ["", "a b", "x/y"],
    "port": ["", "x", "-1", "65536", "1.5", "٣x"],
    "management-port": ["http", "99999"],
    "profile-name": ["Profile", "-x", "a_b", "a" * 254],
    "profile-namespace": ["kube.system", "A", "a" * 64],
    "own-namespace": ["Webhook", ""],
    "drain-seconds": ["soon", "-1", "nan", "inf", "3601"],
    "request-seconds": ["soon", "-1"],
    "max-connections": ["many", "-1", "1000001"],
    "max-in-flight": ["1.5", ""],
    "max-in-flight-mib": ["32Mi"],
    "log-format": ["xml", "TEXT"],
    "log-level": ["loud", "INFO"],
    "log-reviews-per-second": ["all", "-1"],
}


@pytest.mark.parametrize(
    ("flag", "value"), [(flag, value) for flag, values in UNUSABLE.items() for value in values]
)
def test_an_unusable_value_is_named_with_flag_and_variable(
    command: Command, flag: str, value: str
) -> None:
    """The line names the flag, its variable and the value, and says what to give."""
    variable = f"VCI_WEBHOOK_{flag.upper().replace('-', '_')}"
    line = command.complains("serve", f"--{flag}={value}")
    assert line.startswith(f'vci-webhook: --{flag} ({variable}): "{value}" is not ')
    assert "; " in line


def test_a_variable_is_as_good_as_a_flag(command: Command) -> None:
    """Each setting can come from the environment; a wrong one is named likewise, a flag wins."""
    assert 'VCI_WEBHOOK_PORT): "x" is not a port' in command.complains(
        "serve", VCI_WEBHOOK_PORT="x"
    )
    line = command.complains("serve", "--port=1", VCI_WEBHOOK_PORT="x", VCI_WEBHOOK_PROFILE="p")
    assert "--namespaces" in line


def test_the_server_starts_from_variables_alone(command: Command, files: Files) -> None:
    """Flags are not needed: the process that a chart starts has an environment."""
    taken = socket.create_server(("127.0.0.1", 0))
    with taken:
        line = command.complains(
            "serve",
            VCI_WEBHOOK_PROFILE=str(files.profile),
            VCI_WEBHOOK_NAMESPACES=str(files.namespaces),
            VCI_WEBHOOK_TLS_DIR=str(files.tls_dir),
            VCI_WEBHOOK_PORT=str(taken.getsockname()[1]),
        )
    assert "address already in use" in line


@pytest.mark.parametrize("flag", ["profile", "namespaces"])
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/nowhere/file", "no such file or directory"),
        ("/", "is a directory"),
        ("/proc/self/mem", "input/output error"),  # unreadable, even for root
        ("/dev/zero", "larger than 64 MiB"),
        ("/dev/null", ""),
    ],
)
def test_an_unreadable_file_is_named(
    command: Command, files: Files, flag: str, path: str, said: str
) -> None:
    """The flag, the file and the system's reason are in the line."""
    line = command.complains("serve", *files.flags(), f"--{flag}={path}")
    assert line.startswith(f"vci-webhook: --{flag} (VCI_WEBHOOK_{flag.upper()}): {path}")
    assert said in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("kind: [", ":1:"),
        ("a: 1\n\tb: 2\n", ":2:1"),
        ("\x00\x01", ""),
        ("- a\n- b\n", "a list where the manifest of a ConfigMap belongs"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: vci-profile}\n", '"v1, Secret"'),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n", '"kube-system/other"'),
    ],
)
def test_a_file_that_is_no_profile_is_named_with_the_place(
    command: Command, files: Files, tmp_path: Path, text: str, said: str
) -> None:
    """Line and column of the file, where the text has them."""
    path = tmp_path / "profile.yaml"
    path.write_text(text)
    line = command.complains("serve", *replace(files, profile=path).flags())
    assert f"--profile (VCI_WEBHOOK_PROFILE): {path}" in line
    assert said in line


def test_names_in_errors_cannot_steer_a_terminal(
    command: Command, files: Files, tmp_path: Path
) -> None:
    """A file's name with escape sequences and line ends stays one printable line."""
    path = tmp_path / "a\x1b[2J\nb\u202ec"
    line = command.complains("serve", *replace(files, profile=path).flags())
    assert r"a\u001b[2J\nb\u202ec" in line


class TestServingCertificate:
    """The pair in ``--tls-dir`` is judged before anything listens."""

    def refused(self, command: Command, files: Files, directory: Path) -> str:
        """Give what is said about a directory's pair."""
        line = command.complains("serve", *replace(files, tls_dir=directory).flags())
        prefix = f"vci-webhook: --tls-dir (VCI_WEBHOOK_TLS_DIR): {directory}"
        assert line.startswith(prefix)
        return line.removeprefix(prefix).strip()

    def test_no_directory(self, command: Command, files: Files, tmp_path: Path) -> None:
        """A directory that is none, or a file, is said to be that."""
        (tmp_path / "file").touch()
        for name in ("nowhere", "file"):
            assert self.refused(command, files, tmp_path / name).startswith(
                ": not a directory; name"
            )

    @pytest.mark.parametrize("missing", ["tls.crt", "tls.key"])
    def test_a_file_is_missing(
        self, command: Command, files: Files, tmp_path: Path, missing: str
    ) -> None:
        """The file that is not there is named."""
        write_pair(tmp_path, trustme.CA().issue_cert("localhost"))
        (tmp_path / missing).unlink()
        assert f"/{missing}: cannot be read: no such file" in self.refused(command, files, tmp_path)

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("tls.crt", b""),
            ("tls.crt", b"hello"),
            ("tls.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            ("tls.crt", b"\x30\x82\x01\x0a"),
            ("tls.key", b""),
            ("tls.key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        ],
    )
    def test_a_file_is_not_pem(
        self, command: Command, files: Files, tmp_path: Path, name: str, content: bytes
    ) -> None:
        """Whatever else a file holds, it is named and the form is told."""
        write_pair(tmp_path, trustme.CA().issue_cert("localhost"))
        (tmp_path / name).write_bytes(content)
        found = self.refused(command, files, tmp_path)
        if name == "tls.crt":
            assert found.startswith("/tls.crt: not a PEM certificate")
        else:
            assert found.startswith("/tls.crt: its key is not a PEM private key; give tls.key")

    def test_the_files_are_swapped(self, command: Command, files: Files, tmp_path: Path) -> None:
        """Certificate and key in each other's place are each not what they should be."""
        pair = trustme.CA().issue_cert("localhost")
        (tmp_path / "tls.crt").write_bytes(pair.private_key_pem.bytes())
        (tmp_path / "tls.key").write_bytes(pair.cert_chain_pems[0].bytes())
        assert "/tls.crt: not a PEM certificate" in self.refused(command, files, tmp_path)

    def test_key_and_certificate_of_two_pairs(
        self, command: Command, files: Files, tmp_path: Path
    ) -> None:
        """A key that belongs to another certificate is found before a client finds it."""
        ca = trustme.CA()
        write_pair(tmp_path, ca.issue_cert("localhost"))
        ca.issue_cert("localhost").private_key_pem.write_to_path(tmp_path / "tls.key")
        found = self.refused(command, files, tmp_path)
        assert found.startswith("/tls.crt: its key does not belong to its certificate")

    def test_an_expired_certificate(self, command: Command, files: Files, tmp_path: Path) -> None:
        """A certificate of yesterday is refused with its date."""
        expiry = datetime.now(UTC) - timedelta(days=1)
        write_pair(tmp_path, trustme.CA().issue_cert("localhost", not_after=expiry))
        assert f"/tls.crt: expired at {expiry:%Y-%m-%d}" in self.refused(command, files, tmp_path)

    def test_a_certificate_of_tomorrow(
        self, command: Command, files: Files, tmp_path: Path
    ) -> None:
        """A certificate that is not valid yet points to the clock."""
        begin = datetime.now(UTC) + timedelta(days=1)
        write_pair(tmp_path, trustme.CA().issue_cert("localhost", not_before=begin))
        assert "check this machine's clock" in self.refused(command, files, tmp_path)


@pytest.mark.parametrize("flag", ["port", "management-port"])
def test_a_port_in_use_is_named(command: Command, files: Files, flag: str) -> None:
    """The port, its flag and the reason; the other port is not kept open."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"port": "0", "management-port": "0", flag: str(port)}
        line = command.complains(
            "serve", *files.flags(), *(f"--{name}={ports[name]}" for name in ports)
        )
    assert re.search(
        rf'--{flag} \(\w+\): cannot listen on "127.0.0.1:{port}": address already', line
    )


def test_the_two_ports_must_differ(command: Command, files: Files) -> None:
    """One port cannot speak TLS and not speak it."""
    line = command.complains("serve", *files.flags(), "--port=9443", "--management-port=9443")
    assert (
        "--management-port (VCI_WEBHOOK_MANAGEMENT_PORT): 9443 is the port for reviews too" in line
    )


@pytest.mark.parametrize("host", ["192.0.2.1", ".."])
def test_a_host_that_is_not_ours_is_named(command: Command, files: Files, host: str) -> None:
    """An address of another machine is the host's fault, not the port's."""
    line = command.complains("serve", *files.flags(), f"--host={host}")
    assert f'--host (VCI_WEBHOOK_HOST): "{host}" is not an address of this machine' in line


def test_the_server_listens_on_ipv6_too(files: Files, tmp_path: Path) -> None:
    """An IPv6 address is written in brackets, and served."""
    with serve_process(files, tmp_path / "log", "--host=::1") as server:
        assert server.probe_url.startswith("http://[::1]:")
        assert server.probe("/healthz").status == 200


def test_the_start_tells_what_acts_and_what_does_not(files: Files, tmp_path: Path) -> None:
    """Profile, version, number of rules, each problem, namespaces, certificate, both addresses."""
    data = {
        "tlsEnabel": "true",
        "selectors": json.dumps([{"name": "good", "matchAll": True}, {"name": "bad"}]),
    }
    path = tmp_path / "profile.yaml"
    path.write_text(yaml.safe_dump({**PROFILE, "data": data}))
    with serve_process(replace(files, profile=path), tmp_path / "log") as server:
        records = server.records
    assert [(record["level"], record["message"].split(" ")[0]) for record in records] == [
        ("info", "profile"),
        ("error", "profile"),
        ("warning", "profile"),
        ("info", "namespaces"),
        ("info", "certificate"),
        ("info", "listening"),
        ("info", "listening"),
    ]
    name, version = "kube-system/vci-profile", records[0]["version"]
    assert records[0] | {"name": name, "rules": 1} == records[0]
    assert records[2]["message"].startswith(f"profile {name}@{version}: tlsEnabel: unknown key")
    assert records[1]["message"].startswith(f"profile {name}@{version}: selectors[1]")
    assert records[3]["count"] == 3


def test_the_names_of_profile_and_own_namespace_are_settings(files: Files, tmp_path: Path) -> None:
    """Another ConfigMap can be the profile, and another namespace the one that is left alone."""
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({**PROFILE, "metadata": {"name": "mine", "namespace": "infra"}}))
    names = ("--profile-name=mine", "--profile-namespace=infra")
    renamed = replace(files, profile=path)
    with serve_process(renamed, tmp_path / "log", *names) as server:
        assert operations_of(server.post(encoded()).json)
    with serve_process(renamed, tmp_path / "log", *names, "--own-namespace=argo") as server:
        assert not operations_of(server.post(encoded()).json)
