"""Another user of the same machine, against a real node: its files, its process, its gateway."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from commonhold.transport.connections import STRANGERS

from ..conftest import town, until

# What the other user runs, with nothing but Python's own library: it tries, and prints what it got. Root becomes that
# user only when all is imported, since the interpreter itself may lie where others may not read.
PROGRAM = """
import encodings.idna, http.client, json, os, pwd, secrets, sys
if os.geteuid() == 0:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setresgid(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid)
    os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)
home, pid, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
got = {"user": os.geteuid(), "read": [], "asked": [], "killed": False}
def attempt(what, how):
    try:
        how()
    except OSError:
        return
    got["read"].append(what)
attempt(home, lambda: os.listdir(home))
for name in sys.argv[4:]:
    attempt(name, lambda: open(os.path.join(home, name), "rb").read())
    attempt(name + ", to write", lambda: open(os.path.join(home, name), "ab").write(b"x"))
attempt("a new file", lambda: open(os.path.join(home, "new"), "wb"))
for name in ("environ", "maps", "mem", "auxv"):
    attempt(name, lambda: open(f"/proc/{pid}/{name}", "rb").read(1))
attempt("fd", lambda: os.listdir(f"/proc/{pid}/fd"))
secrets_tried = [None, "", "Bearer ", "Bearer " + "A" * 43]
secrets_tried += ["Bearer " + secrets.token_urlsafe(32) for _ in range(200)]
for secret in secrets_tried:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {} if secret is None else {"Authorization": secret}
    connection.request("POST", "/api/invitations", "{}", headers)
    answer = connection.getresponse()
    got["asked"].append([answer.status, answer.read().decode(), sorted(name for name, _ in answer.getheaders())])
    connection.close()
try:
    os.kill(pid, 15)
    got["killed"] = True
except PermissionError:
    pass
print(json.dumps(got))
"""


@pytest.fixture(scope="module")
def tower():
    """In a folder that everybody may walk through: what keeps others out must be the home's own doing."""
    folder = Path(tempfile.mkdtemp(prefix="commonhold-others-"))
    folder.chmod(0o755)
    try:
        with town(folder) as make:
            made = make("tower", "ann")
            made.create("casa")
            yield made
    finally:
        shutil.rmtree(folder)


def as_another_user(*words):
    """Run the program as nobody: by right when root, else by sudo."""
    command = [sys.executable, "-I", "-c", PROGRAM, *words]
    if os.geteuid() != 0:
        sudo = ["sudo", "-n", "-u", "nobody"]
        if not shutil.which("sudo") or subprocess.run([*sudo, "true"], check=False).returncode:
            pytest.skip("only root, or whoever may use sudo without a password, can act as another user here")
        command = [*sudo, *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def port_of(tower):
    return int(tower.home.gateway().url.rpartition(":")[2])


def test_another_user_reads_nothing_of_the_home_and_opens_nothing_at_the_gateway(tower):
    files = sorted(path.name for path in tower.home.folder.iterdir())
    assert {"gateway.json", "key.pem", "state.db", "settings.json", "audit.jsonl"} <= set(files)
    before = tower.net.status(), tower.home.audit.read_bytes()
    got = as_another_user(str(tower.home), str(tower.pid), str(port_of(tower)), *files)
    assert got["user"] != os.geteuid()
    assert got["read"] == []
    assert not got["killed"]
    (only,) = {(status, body, tuple(names)) for status, body, names in got["asked"]}
    assert only[0] == 401
    told = json.loads(only[1])
    assert (told["type"], len(got["asked"])) == ("NotAdmitted", 204)
    assert not {"casa", "tower", "ann"}.intersection(only[1].replace(".", " ").split())
    assert (tower.net.status(), tower.home.audit.read_bytes()) == before


def test_the_gateway_answers_at_no_other_address(tower):
    """At no address of the machine, nor at another one of loopback."""
    port, found = port_of(tower), set()
    for interface in psutil.net_if_addrs().values():
        for entry in interface:
            if entry.family in {socket.AF_INET, socket.AF_INET6}:
                found.add((entry.family, entry.address.partition("%")[0]))
    for family, host in found | {(socket.AF_INET, "127.0.0.2"), (socket.AF_INET6, "::1")}:
        with socket.socket(family) as trial:
            trial.settimeout(5)
            assert (trial.connect_ex((host, port)) == 0) == (host == "127.0.0.1"), host
    listening = {each.laddr for each in psutil.Process(tower.pid).net_connections("tcp") if each.status == "LISTEN"}
    host, _, door = tower.address.rpartition(":")
    assert listening == {("127.0.0.1", port), (host, int(door))}


def test_silent_connections_to_the_gateway_do_not_use_a_node_up(tower):
    """Anybody on the machine can connect; who shows no secret keeps few handles, and others go on."""
    before = psutil.Process(tower.pid).num_fds()
    held = [socket.create_connection(("127.0.0.1", port_of(tower)), timeout=15) for _ in range(3 * STRANGERS)]
    until(lambda: psutil.Process(tower.pid).num_fds() < before + 2 * STRANGERS, "the oldest are broken", seconds=20)
    assert tower.net.status().running
    for each in held:
        each.close()
