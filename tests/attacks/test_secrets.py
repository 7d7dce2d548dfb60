"""Somebody who reads the list of processes, the logs and the records of a machine while secrets are typed there."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from commonhold.errors import CommonholdError

from ..conftest import town, until

PASSWORD = "seven brave lanterns hum"
CONTENT = b"the treasure lies under the third birch"
IN_A_COMMAND = "hunter2-in-a-command"


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
            time.sleep(0.05)  # whoever is typed there lives for half a second


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """All that a network is told in secret, typed while somebody looks: (onlooker, secrets, computers)."""
    folder = tmp_path_factory.mktemp("office")
    with town(folder) as make, Onlooker() as onlooker:
        server, laptop = make("server", "ann"), make("laptop", "bob")
        words = ("--person", "ann", "--computer", "server", "--listen", server.address)
        recovery = server.cli("create", "office", "--shape", "client-server", *words, json_=True).document["recovery"]
        server.attach()
        code = server.net.invite().code
        wrong = f"{code.partition('-')[0]}-abandon-ability"
        make("stranger", "eve").cli("join", "--computer", "stranger", input=f"{wrong}@{server.address}\n", code=4)
        where = f"{code}@{server.address}\n"
        laptop.cli("join", "--person", "bob", "--computer", "laptop", input=where)
        laptop.attach()
        server.cli("person", "add", "gwendolyn", input=f"{PASSWORD}\n")
        server.cli("person", "passwd", "gwendolyn", input=f"{PASSWORD} again\n")
        until(lambda: len(server.net.members()) == 2, "both are in")
        with pytest.raises(CommonholdError):
            server.net.invite(person="nobody")
        used(server, laptop, folder)
        secrets = {
            "recovery key": recovery,
            "code": code,
            "password": PASSWORD,
            "gateway": server.home.gateway().secret,
            "key": server.home.key.read_text().splitlines()[1],
            "client's gateway": laptop.home.gateway().secret,
            "client's key": laptop.home.key.read_text().splitlines()[1],
            "wrong code": wrong,
        }
        yield onlooker, {name: secret.encode() for name, secret in secrets.items()}, (server, laptop)


def used(server, laptop, folder):
    """Files and processors, once each."""
    (folder / "shared").mkdir()
    server.net.share(folder / "shared", "papers", to="bob", verb="write")
    server.net.allow("bob", "run", "compute")
    (folder / "map.txt").write_bytes(CONTENT)
    for _ in range(2):  # the second time it is overwritten
        laptop.net.put(folder / "map.txt", "server:papers/map.txt")
    laptop.net.get("server:papers/map.txt", folder / "back.txt")
    laptop.net.run(f"cat {{}} && true {IN_A_COMMAND}", ["server:papers/map.txt"])


def test_no_secret_stands_in_any_process_s_arguments_or_environment(done):
    onlooker, secrets, _ = done
    assert any(b"commonhold" in seen and b"join" in seen for seen in onlooker.seen), "it did look"
    for name, secret in secrets.items():
        assert not [seen for seen in onlooker.seen if secret in seen], name


def test_no_secret_stands_in_a_log_a_record_or_a_file_of_the_home(done):
    """But for the files that are there to hold one, for their owner alone; a spent code may linger in the state."""
    _, secrets, computers = done
    own = {
        "key": "key.pem",
        "client's key": "key.pem",
        "gateway": "gateway.json",
        "client's gateway": "gateway.json",
        "code": "state.db-wal",
    }
    looked = 0
    for computer in computers:
        for file in computer.home.folder.rglob("*"):
            if file.is_file():
                assert file.stat().st_mode & 0o077 == 0 or file.name not in own.values(), file
                content, looked = file.read_bytes(), looked + 1
                for name, secret in secrets.items():
                    assert secret not in content or file.name == own.get(name), (name, file)
    assert looked > 8


def test_after_a_whole_journey_no_secret_lies_in_what_is_written_about_it(done):
    """Nor does the content of a file, or the command of a job."""
    _, known, computers = done
    events = {entry["event"] for one in computers for entry in one.json("audit")}
    assert {"founding", "invitation", "wrong code", "join", "admit", "account", "rule", "overwritten"} <= events
    assert {"door opened", "job started", "job ended"} <= events
    said = {name: secret.decode() for name, secret in known.items()}
    secrets = said | {
        "code": said["code"].partition("-")[2],
        "wrong code": said["wrong code"].partition("-")[2],
        "recovery key": " ".join(said["recovery key"].split()[:3]),
        "a file's content": CONTENT.decode(),
        "a job's command": IN_A_COMMAND,
    }
    for one in computers:
        one.down()
        kinds = ("audit*", "node.log*", "settings.json", "crash.log")
        written = [path for kind in kinds for path in one.home.folder.glob(kind)]
        assert {"audit.jsonl", "node.log", "settings.json"} <= {path.name for path in written}
        for what, secret in secrets.items():
            found = [path.name for path in written if secret in path.read_text(errors="replace")]
            assert not found, f"{what} stands in {found} of {one.name}"
