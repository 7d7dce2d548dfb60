"""What a task cannot reach, and that nothing outlives its node."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.compute.conftest import Computer, needs_bubblewrap, nobody_left
from tests.conftest import processes_of

from commonhold.compute import sandbox
from commonhold.compute.job import State
from commonhold.compute.lender import frost

STARTER = """
import asyncio, sys
from pathlib import Path
from commonhold.compute import sandbox

async def deaf(what, words): ...

async def main():
    room = Path(sys.argv[1])
    box = await sandbox.Sandbox.start(room, deaf, sandbox.Kind(sys.argv[2]))
    print(box.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@needs_bubblewrap
async def test_the_owners_home_and_the_networks_identity_are_out_of_reach(warm: Computer):
    secret = warm.folder / "key.pem"
    secret.write_text("the network identity")
    job = await warm.run(f"cat {secret} {Path.home()}/.bashrc /etc/shadow; ls {warm.folder}")
    [task] = warm.journal.tasks(job.job)
    assert (task.state, task.output) == (State.FAILED, "")
    assert task.error.count("No such file") == 4


@needs_bubblewrap
async def test_loopback_and_the_networks_outside_are_out_of_reach(warm: Computer):
    [address] = warm.listener.addresses
    knock = f"import socket; socket.create_connection(('{address.host}', {address.port}), 2)"
    job = await warm.run((sys.executable, "-c", knock))
    assert "refused" in warm.journal.tasks(job.job)[0].error
    job = await warm.run("cat /proc/net/dev | wc -l")
    assert warm.journal.tasks(job.job)[0].output.strip() == "3"  # two lines of heading, and lo


@needs_bubblewrap
async def test_other_processes_are_out_of_sight(warm: Computer):
    job = await warm.run("ls /proc | grep -c '^[0-9]'")
    assert int(warm.journal.tasks(job.job)[0].output) < 8


@needs_bubblewrap
async def test_programs_and_the_system_cannot_be_changed(warm: Computer):
    package = Path(sandbox.__file__).parent
    job = await warm.run(f"touch {package}/x {sys.prefix}/x /usr/x /etc/x")
    assert warm.journal.tasks(job.job)[0].error.count("Read-only") >= 3
    assert not (package / "x").exists()


async def test_a_task_knows_nothing_of_the_owners_environment(warm: Computer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OWNERS_SECRET", "told to nobody")
    job = await warm.run("env")
    assert "told to nobody" not in warm.journal.tasks(job.job)[0].output


async def test_temporary_files_lie_in_the_folder_that_is_removed(boxed: Computer):
    """Dask's too: without a sandbox they would stay in the owner's /tmp."""
    job = await boxed.run('echo "$TMPDIR"; ls -d "$TMPDIR"/dask-scratch-space')
    [task] = boxed.journal.tasks(job.job)
    folder, scratch = task.output.split()
    assert folder == str(sandbox.INSIDE) or Path(folder).is_relative_to(boxed.folder)
    assert scratch.startswith(folder)


async def test_nothing_listens_on_any_port(unboxed: Computer):
    """Without bubblewrap, where it would be seen."""
    job = await unboxed.begin("sleep 600")
    await unboxed.until(job, "running")
    guests = [each for each in processes_of(unboxed.folder) if "python" in each.name()]
    assert len(guests) == 2
    assert [guest.net_connections("inet") for guest in guests] == [[], []]


async def test_tasks_compute_only_when_nobody_else_wants_to(boxed: Computer):
    job = await boxed.run((sys.executable, "-c", "import os; print(os.sched_getscheduler(0) == os.SCHED_IDLE)"))
    assert boxed.journal.tasks(job.job)[0].output == "True\n"


AUTOGROUP = Path("/proc/self/autogroup")
SHARED = AUTOGROUP.exists() and bool(AUTOGROUP.read_text())  # among sessions


@pytest.mark.skipif(not SHARED, reason="this system does not divide processors among sessions")
async def test_tasks_have_no_sessions_share_where_linux_divides_among_sessions(warm: Computer):
    """Else their session had as much as all that its owner started from one terminal."""
    job = await warm.run(f"cat {AUTOGROUP}")
    assert warm.journal.tasks(job.job)[0].output.endswith(" nice 19\n")
    assert AUTOGROUP.read_text().endswith(" nice 0\n")


@pytest.mark.parametrize("kind", sandbox.Kind)
async def test_a_node_that_is_killed_leaves_no_process(tmp_path: Path, kind: sandbox.Kind):
    if kind is sandbox.Kind.BUBBLEWRAP and await sandbox.here() is not kind:
        pytest.skip("bubblewrap does not work here")
    room = tmp_path / "room"
    room.mkdir()
    words = (sys.executable, "-c", STARTER, str(room), str(kind))
    node = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    assert node.stdout is not None
    inside = int(await node.stdout.readline())
    os.kill(inside, 0)
    node.send_signal(signal.SIGKILL)
    await node.wait()
    await nobody_left(room)


def test_the_interpreters_environment_is_visible_and_no_home_is():
    words = sandbox._wrapped(Path("/nowhere"))
    bound = {words[place + 1] for place, word in enumerate(words) if word.startswith("--ro-bind")}
    assert str(Path.home()) not in bound
    assert any(Path(sys.base_prefix).is_relative_to(place) for place in bound)


def test_the_node_itself_loads_neither_dask_nor_anything_that_unpickles():
    code = "import sys, commonhold.compute.hub.serve, commonhold.compute.lender.lend; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"dask", "distributed", "cloudpickle"} & set(loaded)


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
async def test_what_is_killed_while_it_starts_leaves_nothing(tmp_path: Path, frozen: bool):
    """bubblewrap's own child did not die with it yet, and waited for it for ever, or stood still for ever."""

    async def deaf(what: str, words: dict[str, object]) -> None: ...

    for number in range(40):
        room = tmp_path / f"room{number}"
        room.mkdir()
        box = await sandbox.Sandbox.start(room, deaf)
        await asyncio.sleep(number * 0.0003)
        if frozen:
            await asyncio.to_thread(frost.freeze, box.pid, box.kind)
        box.kill()
        await box.wait()
    await nobody_left(tmp_path)
