"""The servers that serve files beside Commonhold in a comparison: from packages, each with its own defaults."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import platformdirs
import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from commonhold.demo.stage import Stage

USER, PASSWORD = "bea", "harbour lamp otter"  # of nobody
PACKAGES = ("WsgiDAV==4.4.0", "cheroot==11.1.2", "copyparty==1.20.26")
SHELF = platformdirs.user_cache_path("commonhold-bench")  # environments of their own, kept between runs
PATIENCE = 30.0  # seconds until a server must answer


@dataclass
class Served:
    """A running server: `url` and `folder` are the same place, over the network and on the disk."""

    name: str
    version: str
    url: str
    folder: Path
    process: psutil.Process

    def processor(self) -> float:
        """Seconds that it has computed so far, with those of its processes that are over."""
        with_children = [self.process, *self.process.children(recursive=True)]
        return sum(sum(each.cpu_times()[:4]) for each in with_children)

    def peak(self) -> float:
        """Megabytes that it held at most since it started."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


class Shelf:
    """Starts servers in `folder`, all of them with one certificate; `missing` says which are not to be had here."""

    def __init__(self, folder: Path) -> None:
        self.missing: list[str] = []
        self._folder = folder
        self._certificate, self._key = self_signed(folder)
        self._programs = environment("peers", PACKAGES)

    def start(self, ending: ExitStack) -> list[Served]:
        """Those that speak HTTP."""
        return [
            ending.enter_context(starting())
            for program, starting in (("rclone", self.rclone), ("copyparty", self.copyparty), ("wsgidav", self.wsgidav))
            if self._found(program)
        ]

    def _found(self, program: str) -> bool:
        if not self._program(program):
            self.missing.append(program)
        return bool(self._program(program))

    def _program(self, name: str) -> str:
        own = self._programs / name
        return str(own) if own.exists() else shutil.which(name) or ""

    @contextmanager
    def rclone(self) -> Iterator[Served]:
        folder, port = self._place("rclone")
        words = [self._program("rclone"), "serve", "webdav", str(folder), "--addr", f"127.0.0.1:{port}"]
        words += ["--cert", str(self._certificate), "--key", str(self._key), "--user", USER, "--pass", PASSWORD]
        said = subprocess.run([words[0], "version"], capture_output=True, text=True, check=True).stdout
        with _running(words, port, self._folder) as process:
            number = said.split()[1].removeprefix("v").removesuffix("-DEV")
            yield Served("rclone", number, f"https://127.0.0.1:{port}", folder, process)

    @contextmanager
    def copyparty(self) -> Iterator[Served]:
        folder, port = self._place("copyparty")
        both = self._folder / "both.pem"
        both.write_bytes(self._key.read_bytes() + self._certificate.read_bytes())
        words = [self._program("copyparty"), "-q", "-i", "127.0.0.1", "-p", str(port), "--https-only", "--daw"]
        words += ["--cert", str(both), "-a", f"{USER}:{PASSWORD}", "-v", f"{folder}::A,{USER}"]
        with _running(words, port, self._folder) as process:
            yield Served("copyparty", _pinned("copyparty"), f"https://127.0.0.1:{port}", folder, process)

    @contextmanager
    def wsgidav(self) -> Iterator[Served]:
        folder, port = self._place("wsgidav")
        settings = self._folder / "wsgidav.yaml"
        settings.write_text(
            f"host: 127.0.0.1\nport: {port}\nprovider_mapping:\n  /: {folder}\n"
            f"simple_dc:\n  user_mapping:\n    '*':\n      {USER}:\n        password: {PASSWORD}\n"
            f"http_authenticator:\n  accept_basic: true\n  accept_digest: false\n  default_to_digest: false\n"
            f"ssl_certificate: {self._certificate}\nssl_private_key: {self._key}\nssl_adapter: builtin\n"
        )
        words = [self._program("wsgidav"), "--config", str(settings), "-q"]
        with _running(words, port, self._folder) as process:
            yield Served("WsgiDAV", _pinned("WsgiDAV"), f"https://127.0.0.1:{port}", folder, process)

    @contextmanager
    def samba(self) -> Iterator[Served | None]:
        """With encryption that it demands; None where it cannot run. Its user is ours, who must be root."""
        if not (shutil.which("smbd") and shutil.which("smbclient") and os.geteuid() == 0):
            self.missing.append("Samba (smbd and smbclient, as root)")
            yield None
            return
        folder, port = self._place("samba")
        settings = self._samba(folder, port)
        secret = f"{PASSWORD}\n" * 2
        adding = ["smbpasswd", "-c", str(settings), "-a", "-s", "root"]
        subprocess.run(adding, input=secret, text=True, check=True, capture_output=True)
        words = ["smbd", "--foreground", "--no-process-group", "-s", str(settings), "-l", str(self._folder)]
        said = subprocess.run(["smbd", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
        with _running(words, port, self._folder) as process:
            yield Served("Samba", said.partition("-")[0], f"//127.0.0.1/shared -p {port}", folder, process)

    def _samba(self, folder: Path, port: int) -> Path:
        own = self._folder / "smbd"
        own.mkdir()
        kept = ("private dir", "lock directory", "state directory", "cache directory", "pid directory", "ncalrpc dir")
        lines = [
            "[global]",
            "server role = standalone server",
            "interfaces = 127.0.0.1/8",
            "bind interfaces only = yes",
            f"smb ports = {port}",
            "server smb encrypt = required",
            "server min protocol = SMB3",
            "load printers = no",
            "disable spoolss = yes",
            f"log file = {own}/log",
            *(f"{name} = {own}" for name in kept),
            "[shared]",
            f"path = {folder}",
            "read only = no",
        ]
        settings = own / "smb.conf"
        settings.write_text("\n".join(lines) + "\n")
        return settings

    def _place(self, name: str) -> tuple[Path, int]:
        folder = self._folder / name
        folder.mkdir()
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", 0))
            return folder, trial.getsockname()[1]


@contextmanager
def commonhold(stage: Stage) -> Iterator[Served]:
    """Ours: a server, where the same person has an account with a password and may write; and `laptop`, a client."""
    tower, laptop = stage.computer("tower", "ann"), stage.computer("laptop", "cid")
    tower.create("office", "client-server")
    laptop.join(tower)
    tower.net.add_person(USER, PASSWORD)
    folder = stage.folder / "shared"
    folder.mkdir()
    tower.net.share(folder, "shared", to=USER, verb="write")
    tower.net.allow("cid", "write", "shared")
    yield Served(
        "Commonhold", version("commonhold"), f"https://{tower.address}/dav/shared", folder, psutil.Process(tower.pid)
    )


@contextmanager
def _running(words: list[str], port: int, home: Path) -> Iterator[psutil.Process]:
    """The server, from when it listens; ended with all that it started."""
    kept = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    with (home / f"{Path(words[0]).name}.log").open("wb") as log:
        process = psutil.Popen(words, cwd=home, env=os.environ | kept, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{words[0]} does not serve: {Path(log.name).read_text()[-500:]}")
            time.sleep(0.05)
        yield process
    finally:
        for each in process.children(recursive=True):
            each.kill()
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def environment(name: str, packages: Sequence[str]) -> Path:
    """The folder of programs of an environment with these packages, kept between runs; made if that is possible."""
    folder = SHELF / name
    if not (done := folder / "ready").exists():
        python = str(Path(sys.base_prefix) / "bin" / "python3")
        subprocess.run([python, "-m", "venv", "--without-pip", "--clear", str(folder)], check=False)
        inner = str(folder / "bin" / "python")
        install = [python, "-m", "pip", "--python", inner, "install", "--quiet", *packages]
        if subprocess.run(install, check=False).returncode == 0:
            done.touch()
    return folder / "bin"


def _pinned(name: str) -> str:
    return dict(each.split("==") for each in PACKAGES)[name]


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key (P-256), as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, private
