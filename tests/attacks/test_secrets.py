"""Somebody who reads the list of processes, the logs and the records of a machine while secrets are typed there."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from commonhold.errors import CommonholdError

from ..conftest import town, until

PASSWORD = "seven brave lanterns hum"


class Onlooker:
    """Reads every process's arguments and environment, again and again."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            for process in Path("/proc").iterdir():
                if process.name.isdecimal():
                    for name in ("cmdline", "environ"):
                        try:
                            self.seen.add((process / name).read_bytes())
                        except OSError:
                            continue
            time.sleep(0.005)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """All that a network is told in secret, typed while somebody looks: (onlooker, secrets, computers)."""
    folder = tmp_path_factory.mktemp("office")
    with town(folder) as make, Onlooker() as onlooker:
        server, laptop = make("server", "ann"), make("laptop", "bob")
        words = ("--person", "ann", "--computer", "server", "--listen", server.address)
        recovery = server.json("create", "office", "--shape", "client-server", *words)["recovery"]
        server.attach()
        code = server.net.invite().code
        where = f"{code}@{server.address}\n"
        laptop.cli("join", "--person", "bob", "--computer", "laptop", input=where)
        laptop.attach()
        server.cli("person", "add", "gwendolyn", input=f"{PASSWORD}\n")
        server.cli("person", "passwd", "gwendolyn", input=f"{PASSWORD} again\n")
        until(lambda: len(server.net.members()) == 2, "both are in")
        with pytest.raises(CommonholdError):
            server.net.invite(person="nobody")
        server.net.run("true")
        secrets = {
            "recovery key": recovery,
            "code": code,
            "password": PASSWORD,
            "gateway": server.home.gateway().secret,
            "key": server.home.key.read_text().splitlines()[1],
            "client's gateway": laptop.home.gateway().secret,
        }
        yield onlooker, {name: secret.encode() for name, secret in secrets.items()}, (server, laptop)


def test_no_secret_stands_in_any_process_s_arguments_or_environment(done):
    onlooker, secrets, _ = done
    assert any(b"commonhold" in seen and b"join" in seen for seen in onlooker.seen), "it did look"
    for name, secret in secrets.items():
        assert not [seen for seen in onlooker.seen if secret in seen], name


def test_no_secret_stands_in_a_log_a_record_or_a_file_of_the_home(done):
    """But for the files that are there to hold one, for their owner alone; a spent code may linger in the state."""
    _, secrets, computers = done
    own = {"key": "key.pem", "gateway": "gateway.json", "client's gateway": "gateway.json", "code": "state.db-wal"}
    looked = 0
    for computer in computers:
        for file in computer.home.folder.rglob("*"):
            if file.is_file():
                assert file.stat().st_mode & 0o077 == 0 or file.name not in own.values(), file
                content, looked = file.read_bytes(), looked + 1
                for name, secret in secrets.items():
                    assert secret not in content or file.name == own.get(name), (name, file)
    assert looked > 8
