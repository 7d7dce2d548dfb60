"""`commonhold run`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import counted
from commonhold.cli.progress import job_progress
from commonhold.cli.words import Duration
from commonhold.errors import CommonholdError, Interrupted, PartlyFailed, WrongUsage

if TYPE_CHECKING:
    from commonhold.compute.job import Job, Task
    from commonhold.submit import JobEvent

SEPARATOR = ":::"


@declare(
    "run",
    "commonhold run 'gzip -9 -c {} > {}.gz' ::: 'tower:logs/*.log'",
    "commonhold run --into tower:small 'convert {} -resize 25% {.}.jpg' ::: 'tower:photos/*.png'",
    "commonhold run --on tower ./simulate --seed {} ::: 1 2 3",
    "commonhold run --on all uname -a",
    allow_interspersed_args=False,  # what follows the first word belongs to the command, options too
)
@click.option("--on", default="any", show_default=True, metavar="any|all|COMPUTER", help="Where to compute.")
@click.option("--into", metavar="REMOTE", help="The folder that takes the new files.  [default: the job's own]")
@click.option("--timeout", type=Duration(), help="How long one task may take: 90s, 30m, 2h.")
@click.option("--retries", type=click.IntRange(min=0), default=0, show_default=True, help="Tries after a failure.")
@click.option("--cores", type=click.IntRange(min=1), default=1, show_default=True, help="Cores that one task uses.")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND... [::: INPUT...]")
def command(
    invocation: Invocation,
    *,
    on: str,
    into: str | None,
    timeout: float | None,
    retries: int,
    cores: int,
    words: tuple[str, ...],
) -> None:
    """Each task runs in an empty folder of its own with its input copied in; every new file that it leaves is kept.

    {} is the input's name there, {.} without its extension, {/} without folders, {/.} without both; a command with none
    of these gets the input as its last word. COMPUTER:SHARE/PATH
    is a remote file (quote * so that the other computer expands it), what exists here is a local file, and anything
    else is a plain value. COMMAND in one piece is given to `sh -c`; in several words it runs without a shell.
    """
    line, inputs = divided(words)
    number: list[int] = []  # of the job, once it has one

    with invocation.network() as network:
        with job_progress(invocation.out) as show:

            def hear(event: JobEvent) -> None:
                if event["event"] == "job" and not number:
                    number.append(event["job"]["job"])
                if show is not None:
                    show(event)

            try:
                job = network.run(
                    line, inputs, into=into, on=on, timeout=timeout, retries=retries, cores=cores, progress=hear
                )
            except KeyboardInterrupt:
                raise left(number) from None
        failed = [task for task in network.log(job.job) if task.state == "failed"] if job.failed else []
    invocation.out.answer(job, tally(job))
    for note in job.notes if job.total else job.notes[:-1]:  # of a job that never began the last one is the error
        invocation.out.remark(note)
    if job.failed or job.state != "done":
        raise failure(job, failed)
    invocation.out.remark(f"commonhold log {job.job} prints what the tasks printed")
    if into is None:
        invocation.out.remark(f"commonhold get -r {shlex.quote(job.into)} copies the new files that they left, if any")


def divided(words: Sequence[str]) -> tuple[str | list[str], list[str]]:
    """The command and the inputs: one word before `:::` is a line for the shell, several are a program with arguments.

    >>> divided(["wc -l < {}", ":::", "a", "b"])
    ('wc -l < {}', ['a', 'b'])
    >>> divided(["uname", "-a"])
    (['uname', '-a'], [])
    """
    here = list(words).index(SEPARATOR) if SEPARATOR in words else len(words)
    line, inputs = list(words[:here]), list(words[here + 1 :])
    if not line or not any(word.strip() for word in line):
        raise WrongUsage("There is no command before “:::”.", "commonhold run COMMAND ::: INPUT...")
    if SEPARATOR in words and not inputs:
        # A pattern that the shell expanded to nothing must not run the command once on nothing.
        raise WrongUsage("“:::” is there, but no input follows it.", "leave “:::” out to run the command once")
    return (line[0] if len(line) == 1 else line), inputs


def left(number: Sequence[int]) -> Interrupted:
    """Ctrl-C ends the waiting; a job that has begun is its node's, and goes on."""
    if not number:
        return Interrupted("Interrupted.")
    return Interrupted(f"Interrupted; job {number[0]} goes on.", f"commonhold log -f {number[0]}")


def tally(job: Job) -> str:
    """`97 done, 3 failed`."""
    return f"{job.done} done" + (f", {job.failed} failed" if job.failed else "")


def failure(job: Job, failed: Sequence[Task]) -> CommonholdError:
    """Some or all of the tasks failed: each with its input, its exit status and the last line of its error."""
    hint = f"commonhold log {job.job}"
    if not job.failed:
        return CommonholdError(f"Job {job.job} ended as {job.state}.", hint)
    kind = PartlyFailed if job.done else CommonholdError
    listed = [{"path": task.input or f"task {task.task}", "error": ending(task)} for task in failed]
    return kind(f"{job.failed} of {counted(job.total, 'task')} failed.", hint, failed=listed)


def ending(task: Task) -> str:
    """How a task ended: why it could not run, or its exit status and the last line that it said."""
    status = task.problem or f"exit status {task.exit}"
    said = [line.strip() for line in (task.error or task.output).splitlines() if line.strip()]
    return f"{status}: {said[-1]}" if said else status
