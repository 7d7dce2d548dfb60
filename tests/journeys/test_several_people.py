"""Two people compute at one server: ann's, with bob and carol as clients. Real nodes, sandboxes and commands."""

from __future__ import annotations

import json
import subprocess
import threading
from datetime import UTC, datetime

import pytest

from commonhold.errors import NotFound, Refused

from ..conftest import town, until

SECRET = "bobs-secret-7f3a"
# What a task can look at: files that it finds, processes that it sees, and sockets; it prints what holds the secret.
PRYING = f"""
import os, pathlib, sys
secret, found = b"{SECRET[:8]}" + b"{SECRET[8:]}", []
def look(path):
    try:
        if secret in path.read_bytes()[:1_000_000]:
            found.append(str(path))
    except (OSError, ValueError):
        pass
for top in ("/session", "/tmp", "/run", "/home", "/root", "/var", "/dev/shm", "/mnt", "/srv", os.getcwd()):
    for folder, below, names in os.walk(top):
        if folder in (sys.prefix, sys.base_prefix):  # Python's own ten thousand files, which nobody here can write
            below.clear()
            continue
        for name in names:
            path = pathlib.Path(folder, name)
            if path.is_file():
                look(path)
            if secret in os.fsencode(path):
                found.append(str(path))
mine = {{os.getpid(), os.getppid()}}
for process in filter(str.isdecimal, os.listdir("/proc")):
    if int(process) not in mine:
        for kind in ("cmdline", "environ"):
            look(pathlib.Path("/proc", process, kind))
sockets = pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]
found += [line for line in sockets if len(line.split()) > 7]
print("found", *found)
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with town(tmp_path_factory.mktemp("office")) as make:
        server, bob, carol = make("server", "ann"), make("laptop", "bob"), make("desk", "carol")
        server.create("office", "client-server")
        for client in (bob, carol):
            client.join(server)
            folder = server.folder / client.person
            folder.mkdir()
            (folder / "given.txt").write_text(f"of {client.person}\n")
            server.net.share(folder, to=client.person, verb="write")
            server.net.allow(client.person, "run", "compute")
        yield server, bob, carol


def own(client, job):
    """What that person's tasks left at the server."""
    return sorted(entry.path for entry in client.net.ls(job.into))


def test_two_clients_compute_at_once_and_each_has_its_own(network):
    server, bob, carol = network
    jobs = {}

    def compute(client):
        command = "sleep 0.3; echo {} > made-by-" + client.person + "-{#}.txt"
        inputs = [str(number) for number in range(12)]
        jobs[client.person] = client.net.run(command, inputs, into=f"server:{client.person}/made")

    both = [threading.Thread(target=compute, args=(client,)) for client in (bob, carol)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    for client, other in ((bob, carol), (carol, bob)):
        job, theirs = jobs[client.person], jobs[other.person]
        assert (job.state, job.done, job.failed) == ("done", 12, 0)
        names = {f"made-by-{client.person}-{number}.txt" for number in range(1, 13)}
        assert {path.rpartition("/")[2] for path in own(client, job)} == names
        assert {task.computer for task in client.net.log(job.job)} == {"server"}
        assert job.started < theirs.ended, "at once"
        assert {each.job for each in client.net.jobs()}.isdisjoint({theirs.job})
        for ask in (client.net.job, client.net.log, client.net.cancel, client.net.again):
            with pytest.raises(NotFound, match=f"There is no job {theirs.job}"):
                ask(theirs.job)
        for place in (f"server:{theirs.share}", f"server:{other.person}", theirs.into):
            with pytest.raises(Refused):
                client.net.ls(place)
    assert {each.person for each in server.net.jobs()} >= {"bob", "carol"}, "the owner sees all"


def test_a_few_tasks_are_done_long_before_the_many_of_somebody_else(network):
    _, bob, carol = network
    many = bob.net.run("sleep 0.2; : {}", [str(number) for number in range(1000)], wait=False)
    until(lambda: bob.net.job(many.job).done >= 4, "bob's run")
    few = carol.net.run("sleep 0.2; : {}", ["1", "2", "3", "4", "5"])
    assert few.done == 5
    assert bob.net.job(many.job).ended is None
    assert bob.net.cancel(many.job).state == "cancelled"


def test_no_job_sees_files_processes_or_papers_of_another_persons(network):
    server, bob, carol = network
    if server.net.status().sandbox != "bubblewrap":
        pytest.skip("without bubblewrap tasks see what the owner's account sees")
    hiding = f"echo {SECRET} > {SECRET}.txt; exec env SECRET={SECRET} sleep 600 # {SECRET}"
    hidden = bob.net.run(hiding, wait=False)
    until(lambda: bob.net.job(hidden.job).running, "bob's task runs")
    until(lambda: list((server.home.folder / "lent").rglob(f"{SECRET}.txt")), "and has written its secret")
    (pried,) = bob.net.log(bob.net.run(["python3", "-c", PRYING]).job)
    assert f"/{SECRET}.txt" in pried.output, "who may see it finds it so"
    (pried,) = carol.net.log(carol.net.run(["python3", "-c", PRYING]).job)
    assert (pried.exit, pried.error, pried.output) == (0, "", "found\n")
    # What holds bob's session together lies in files that are open to nobody else, and in no folder of carol's.
    keys = [path for path in server.home.folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert keys == [server.home.key], "certificates of sessions stand in no file"
    bob.net.cancel(hidden.job)


def test_a_task_that_names_another_persons_files_is_refused(network):
    """Inputs and outputs are asked of the doors in the name of whoever submits, at the start of the job."""
    _, bob, carol = network
    with pytest.raises((Refused, NotFound)):
        carol.net.run("cat {}", ["server:bob/given.txt"])
    with pytest.raises(Refused):
        carol.net.run("echo x > {}.txt", ["1"], into="server:bob/made")
    assert not [entry for entry in bob.net.ls("server:bob") if entry.path.endswith("1.txt")]


def test_a_laptop_that_goes_away_finds_its_job_done_when_it_is_back(network):
    """Its node is killed, and the program that asked, in the middle of the job."""
    server, bob, _ = network
    words = ["run", "--into", "server:bob/kept", "sleep 0.5; echo {} > {}.txt", ":::", *range(1, 13)]
    asking = subprocess.Popen(bob.words(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    job = until(lambda: next((each.job for each in server.net.jobs() if each.running), None), "it runs at the server")
    asking.kill()
    asking.wait()
    bob.kill()
    left = datetime.now(UTC)
    ended = server.net.follow(job)
    assert (ended.state, ended.done, ended.failed) == ("done", 12, 0)
    assert ended.ended > left, "it went on while the laptop was away"
    bob.up()
    listed = bob.json("jobs")
    assert [(each["state"], each["done"]) for each in listed if each["job"] == job] == [("done", 12)]
    assert {task["state"] for task in json.loads(bob.typed("log", job, json_=True).out)} == {"done"}
    bob.typed("get", "-r", "server:bob/kept", bob.folder / "kept")
    found = {path.name: path.read_text() for path in (bob.folder / "kept").rglob("*.txt")}
    assert found == {f"{number}.txt": f"{number}\n" for number in range(1, 13)}
