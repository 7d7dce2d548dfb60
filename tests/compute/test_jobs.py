"""Jobs from end to end: real sandboxes, real Dask, real TLS between computers."""

from __future__ import annotations

from commonhold.authority.authority import Verb
from commonhold.compute.job import Input, State
from tests.compute.conftest import ANN, Computer, Town


async def test_a_command_runs_on_ones_own_computer_and_its_output_is_kept(alone: Computer):
    job = await alone.run("echo hello; echo trouble >&2")
    assert (job.state, job.total, job.done, job.failed) == (State.DONE, 1, 1, 0)
    [task] = alone.journal.tasks(job.job)
    assert (task.exit, task.output, task.error, task.computer) == (0, "hello\n", "trouble\n", "tower")
