"""A hostile task tries to get at what is not its own: real guests under bubblewrap, and their owner's real things."""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.compute.conftest import BOB, CAROL, Computer, Town, needs_bubblewrap

from commonhold.authority.authority import Verb
from commonhold.compute import sandbox
from commonhold.compute.job import State, Task
from commonhold.compute.sandboxed import forbidden

pytestmark = needs_bubblewrap
SECRET = "what-nobody-is-told"


@pytest.fixture
def owners_program() -> Iterator[subprocess.Popen[bytes]]:
    """A program of the owner's, with a secret in its environment."""
    program = subprocess.Popen(["sleep", "600"], env=os.environ | {"TOKEN": SECRET})
    yield program
    program.kill()
    program.wait()


async def tried(computer: Computer, command: str | tuple[str, ...]) -> Task:
    """What became of the one task."""
    job = await computer.run(command)
    [task] = computer.journal.tasks(job.job)
    return task


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


async def test_the_environment_of_other_processes_is_out_of_reach(
    warm: Computer, owners_program: subprocess.Popen[bytes]
):
    assert SECRET.encode() in Path(f"/proc/{owners_program.pid}/environ").read_bytes()
    task = await tried(warm, "cat /proc/*/environ | tr '\\0' '\\n'")
    assert "LANG=C.UTF-8" in task.output
    assert SECRET not in task.output
    assert str(Path.home()) not in [line.partition("=")[2] for line in task.output.splitlines()]


async def test_other_processes_hear_no_signal(warm: Computer, owners_program: subprocess.Popen[bytes]):
    """-1 is everybody: the guest ends itself with it, and nobody else."""
    numbers = f"{owners_program.pid} {os.getpid()} {warm.scheduler().pid if warm.cluster._dispatches else 1}"
    task = await tried(warm, f"for n in {numbers}; do kill -9 $n; done; true")
    assert task.error.count("No such process") + task.error.count("not permitted") >= 2
    job = await warm.run("kill -9 -1; sleep 60")
    assert job.state == State.FAILED
    assert owners_program.poll() is None
    assert (await warm.run("true")).done == 1


async def test_other_processes_cannot_be_traced(warm: Computer, owners_program: subprocess.Popen[bytes]):
    attach = "import ctypes; print(ctypes.CDLL(None).ptrace(16, {}, 0, 0))"
    task = await tried(warm, python(attach.format(owners_program.pid)))
    assert task.output == "-1\n"
    assert psutil.Process(owners_program.pid).status() != psutil.STATUS_TRACING_STOP


async def test_a_task_neither_traces_nor_stops_its_worker_for_good(warm: Computer):
    """By tracing it, by reading its memory; and by the signal, which it may send: then both end, and it is told."""
    calls = "l = ctypes.CDLL(None); print(l.ptrace(16, 2, 0, 0), l.process_vm_readv(2, 0, 0, 0, 0, 0))"
    assert (await tried(warm, python(f"import ctypes; {calls}"))).output == "-1 -1\n"
    job = await warm.begin("kill -STOP 2; sleep 60")
    said = "The worker on tower was ended by its lender (It stopped the worker that ran it)"
    async with asyncio.timeout(60):
        while not any(note.startswith(said) for note in warm.journal.job(job).notes):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await warm.cluster.cancel(job)


async def test_no_address_is_reached_be_it_the_gateway_or_any_service_of_the_owner(warm: Computer):
    """By TCP over either IP, by UDP, by names of Unix sockets without a file, and by those with one."""
    [address] = warm.listener.addresses
    heard: list[str] = []
    unix = warm.folder / "service.sock"
    service = await asyncio.start_server(lambda *_: heard.append("tcp"), "127.0.0.1", 0)
    named = await asyncio.start_unix_server(lambda *_: heard.append("unix"), unix)
    hidden = await asyncio.start_unix_server(lambda *_: heard.append("abstract"), "\0owners-bus")
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    port, udp = service.sockets[0].getsockname()[1], datagrams.getsockname()[1]
    knock = f"""
from socket import AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_STREAM, socket
for family, kind, where in [
    (AF_INET, SOCK_STREAM, ("127.0.0.1", {port})), (AF_INET, SOCK_STREAM, ("{address.host}", {address.port})),
    (AF_INET6, SOCK_STREAM, ("::1", {port})), (AF_INET, SOCK_STREAM, ("192.0.2.1", 80)),
    (AF_INET, SOCK_DGRAM, ("127.0.0.1", {udp})),
    (AF_UNIX, SOCK_STREAM, "\\0owners-bus"), (AF_UNIX, SOCK_STREAM, "{unix}"),
]:
    with socket(family, kind) as s:
        s.settimeout(3)
        try:
            s.connect(where); s.send(b"x"); s.recv(1); print("reached", where)
        except OSError as error:
            print("not", error)
"""
    task = await tried(warm, python(knock))
    for each in (service, named, hidden):
        each.close()
    datagrams.setblocking(False)
    with datagrams, pytest.raises(BlockingIOError):
        datagrams.recv(1)
    assert (task.output.count("not"), task.output.count("reached"), heard) == (7, 0, [])


async def test_no_device_is_there_but_harmless_ones(warm: Computer):
    task = await tried(warm, "ls /dev; ls /sys 2>&1; find /dev -type b; mknod d b 8 0; mknod c c 1 1")
    found = set(task.output.split())
    assert {"null", "zero", "urandom"} <= found
    assert not {name for name in found if name.startswith(("sd", "nvme", "vd", "mem", "kmsg", "fuse", "kvm", "input"))}
    assert task.error.count("mknod") >= 2


async def test_nothing_can_be_written_but_its_own_folder_and_what_goes_with_it(warm: Computer):
    places = "find / -xdev -type d -writable -not -path '/proc/*' 2>/dev/null; find /dev /tmp -type d -writable"
    task = await tried(warm, f"{places}; touch /x /dev/x /usr/x /etc/x /tmp/x")
    assert task.error.count("Read-only") == 4
    inside = str(sandbox.INSIDE)
    written = set(task.output.split())
    assert all(place.startswith((inside, "/tmp", "/dev/shm", "/dev/pts")) for place in written), written


async def test_a_link_among_what_it_leaves_leads_nowhere(warm: Computer):
    secret = warm.folder / "secret"
    secret.write_text(SECRET)
    warm.share("results")
    task = await tried(warm, f"ln -s {secret} a; ln -s / b; ln -s {warm.folder} c; mkfifo d; echo mine > e")
    assert [path.rpartition("/")[2] for path in task.outputs] == ["e"]


async def test_another_guest_at_the_same_lender_is_out_of_reach(town: Town):
    tower, laptop, desk = (town.computers[name] for name in ("tower", "laptop", "desk"))
    for person in (BOB, CAROL):
        tower.allow(person, Verb.RUN)
    theirs = await laptop.begin(f"echo {SECRET} > kept; touch /tmp/kept; sleep 60", on="tower")
    await laptop.until(theirs, "running")
    look = "find /session /tmp /dev/shm -name kept; cat /proc/*/cmdline | tr '\\0' ' ' | grep -c 'touch /tmp/[k]ept'"
    job = await desk.run(f"sleep 1; {look}; ls {tower.folder}/lent", on="tower")
    [task] = desk.journal.tasks(job.job)
    assert (task.computer, task.output) == ("tower", "0\n")
    assert "No such file" in task.error
    await laptop.cluster.cancel(theirs)


DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setpgid(0, 0)
        {}
        open('/tmp/mark', 'w').write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
while not os.path.exists('/tmp/mark'): time.sleep(0.02)
"""


@pytest.mark.parametrize("hides", ["", "os.execve('/bin/sh', ['sh', '-c', 'echo $$ > /tmp/mark; exec sleep 600'], {})"])
async def test_what_leaves_its_session_does_not_outlive_its_task(warm: Computer, hides: str):
    """The worker lives on, and its next task looks for it. One tells nothing of where it came from."""
    task = await tried(warm, python(DAEMON.format(hides)))
    assert task.state == State.DONE, task.error
    looking = "for n in $(seq 50); do [ -e /proc/$(cat /tmp/mark) ] || { echo gone; exit; }; sleep 0.1; done"
    assert (await tried(warm, looking)).output == "gone\n"


async def test_killing_ends_what_runs_in_the_background_and_what_left_its_session_too(
    alone: Computer, monkeypatch: pytest.MonkeyPatch
):
    """Without bubblewrap, where no namespace ends with it."""
    monkeypatch.setitem(sandbox._known, "kind", sandbox.Kind.LIMITS)
    mark = alone.folder / "mark"
    beside = f"sleep 600 & echo $! >> {mark}"
    job = await alone.begin(f"{beside}; setsid sh -c 'setsid {beside}; wait' & sleep 600")
    await alone.until(job, "running")
    while not (mark.exists() and len(mark.read_text().split()) == 2):  # noqa: ASYNC110 - a file sets no event
        await asyncio.sleep(0.02)
    processes = [psutil.Process(int(word)) for word in mark.read_text().split()]
    await alone.cluster.cancel(job)
    await alone.cluster.close()
    for process in processes:
        process.wait(10)


async def test_a_program_in_the_background_lives_as_long_as_its_task(warm: Computer):
    """Its parents have ended, and another task of the same worker, too."""
    serve = "(setsid sleep 600 & echo $! > pid); sleep 1.5; kill -0 $(cat pid) && echo alive; rm pid"
    job = await warm.begin(serve)
    assert (await tried(warm, "sleep 0.5")).state == State.DONE
    await warm.ended(job)
    assert warm.journal.tasks(job)[0].output == "alive\n"


async def test_many_open_files_are_refused_to_the_task_alone(warm: Computer):
    code = "files = []\nwhile True: files.append(open('/dev/null'))"
    task = await tried(warm, python(code))
    assert "Too many open files" in task.error
    assert (await warm.run("true")).done == 1


knows_the_machine = pytest.mark.skipif(platform.machine() not in forbidden.MACHINES, reason="no filter for it")
KEYS = """
import ctypes, os
system = ctypes.CDLL(None, use_errno=True)
for number, *words in [
    ({0}, b"user", b"x", b"x", 1, -3), ({1}, b"user", b"x", None, -3), ({2}, 10, -3, b"user", b"{3}", 0),
]:
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in words]
    print(system.syscall(number, *words), os.strerror(ctypes.get_errno()))
"""


@knows_the_machine
async def test_the_owners_keys_in_the_kernel_are_out_of_reach(warm: Computer):
    """No namespace keeps them apart: a guest has the session's keyring of whoever started its node."""
    numbers = [forbidden.MACHINES[platform.machine()].forbidden[name] for name in ("add_key", "request_key", "keyctl")]
    mine = ctypes.CDLL(None, use_errno=True)
    key = mine.syscall(numbers[0], b"user", SECRET.encode(), b"secret", 6, ctypes.c_long(-3))
    if key < 0:
        pytest.skip("this kernel keeps no keys")
    task = await tried(warm, python(KEYS.format(*numbers, SECRET)))
    assert task.output == "-1 Operation not permitted\n" * 3


@knows_the_machine
async def test_no_namespace_is_made_inside_and_nothing_is_mounted(warm: Computer):
    """A user namespace would open large parts of the kernel to it."""
    task = await tried(warm, "unshare -U true; unshare -r mount -t tmpfs none /tmp; nsenter -t 1 -m true; true")
    assert task.error.count("Operation not permitted") >= 3
    clone = "import ctypes; c = ctypes.CDLL(None, use_errno=True); print(c.syscall({}, 0x10000011, 0, 0, 0, 0), {})"
    number = forbidden.MACHINES[platform.machine()].clone
    task = await tried(warm, python(clone.format(number, "ctypes.get_errno()")))
    assert task.output == "-1 1\n"


@knows_the_machine
async def test_programs_run_as_ever_under_the_filter(warm: Computer):
    """Threads, processes, pipes, and what asks for clone3 first."""
    code = """
import subprocess, threading, multiprocessing, sqlite3, socket
pair = socket.socketpair()
print(subprocess.run(["echo", "one"], capture_output=True, text=True).stdout.strip())
thread = threading.Thread(target=print, args=["two"]); thread.start(); thread.join()
with multiprocessing.Pool(2) as pool: print(pool.map(len, ["abc"]))
print(sqlite3.connect("x.db").execute("select 4").fetchone(), [one.send(b"12345") for one in pair])
"""
    task = await tried(warm, python(code))
    assert task.output == "one\ntwo\n[3]\n(4,) [5, 5]\n", task.error


def test_a_filter_fits_into_its_jumps_and_ends_in_its_three_ends():
    for calls in forbidden.MACHINES.values():
        program = forbidden.filter_of(calls)
        steps = [program[place : place + 8] for place in range(0, len(program), 8)]
        assert len(steps) == len(calls.forbidden) + 13
        assert all(step[0] == forbidden.RETURN for step in steps[-3:])
        assert len(set(calls.forbidden.values())) == len(calls.forbidden)
