"""What people already have, at real nodes: programs for WebDAV against a server with an account, and against a peer."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12

from commonhold.identity.keys import Key

from ..conftest import Computer, town
from ..people import Visitor

PASSWORD = "harbour-lamp-otter"  # without a space: cadaver reads it from a .netrc


def needs(program: str, package: str = "") -> pytest.MarkDecorator:
    """Skips, saying so, where a program is not installed. `make programs` installs it where it may."""
    missing = shutil.which(program) is None
    return pytest.mark.skipif(missing, reason=f"{program} is not installed: apt install {package or program}")


@dataclass
class Drive:
    """A share as a program meets it, and the folder that it is."""

    computer: Computer
    share: str
    root: Path

    @property
    def address(self) -> str:
        return f"https://{self.computer.address}"

    @property
    def url(self) -> str:
        return f"{self.address}/dav/{self.share}/"

    def visitor(self, name: str = "bob", password: str = PASSWORD) -> Visitor:
        return Visitor(self.computer, name, password)

    def run(self, *words: object, code: int = 0, **more: object) -> str:
        """A program of others, in a home of its own; what it said."""
        environment = {**os.environ, "HOME": str(self.root.parent)}
        done = subprocess.run(
            list(map(str, words)), capture_output=True, text=True, timeout=100, check=False,
            cwd=self.root.parent, env=environment, **more,
        )  # fmt: skip
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def files(self) -> dict[str, bytes]:
        """What lies in the folder, our own apart."""
        found = (path for path in self.root.rglob("*") if path.is_file())
        named = {path.relative_to(self.root).as_posix(): path for path in found}
        return {name: path.read_bytes() for name, path in named.items() if not name.startswith(".commonhold/")}


@contextmanager
def offered(computer: Computer, folder: Path) -> Iterator[Drive]:
    """A new folder of that computer that bob may write."""
    folder.mkdir()
    computer.net.share(folder, to="bob", verb="write")
    yield Drive(computer, folder.name, folder)
    computer.net.unshare(folder.name)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computer]:
    """ann's server; bob has an account there, and no computer."""
    with town(tmp_path_factory.mktemp("office")) as make:
        made = make("tower", "ann")
        made.create("office", "client-server")
        made.net.add_person("bob", PASSWORD)
        yield made


@pytest.fixture(scope="session")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Computer, Computer]]:
    """ann's nas and bob's laptop, in a network without a server."""
    with town(tmp_path_factory.mktemp("home")) as make:
        nas, laptop = make("nas", "ann"), make("laptop", "bob")
        nas.create("home")
        laptop.join(nas)
        nas.knows("nas", "laptop")
        yield nas, laptop


@pytest.fixture
def drive(server: Computer, tmp_path: Path) -> Iterator[Drive]:
    """A share of the server for bob's programs."""
    with offered(server, tmp_path / "drive") as made:
        yield made


@pytest.fixture
def peer_drive(peers: tuple[Computer, Computer], tmp_path: Path) -> Iterator[Drive]:
    """A share of a peer for bob's programs, which show his laptop's certificate."""
    with offered(peers[0], tmp_path / "shelf") as made:
        yield made


def pkcs12_of(computer: Computer, file: Path, password: str) -> Path:
    """The computer's key and certificate as programs for WebDAV take them."""
    private = load_pem_private_key(Key.load(computer.home.key).pem(), None)
    certificate = x509.load_der_x509_certificate(computer.home.certificate.read_bytes())
    locked = BestAvailableEncryption(password.encode())
    file.write_bytes(pkcs12.serialize_key_and_certificates(b"me", private, certificate, None, locked))
    return file


@contextmanager
def without_tls(at: Computer) -> Iterator[str]:
    """An address on loopback that speaks plain HTTP: its bytes go to and from that computer's listener over TLS."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, _, port = at.address.rpartition(":")

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = context.wrap_socket(socket.create_connection((host, int(port))))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        thread.join()
