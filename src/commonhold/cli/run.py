"""`commonhold run`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.lists import divided, listed, piped, require_in_front
from commonhold.cli.output import Output, counted, size
from commonhold.cli.progress import job_progress
from commonhold.cli.words import Duration, Size
from commonhold.errors import CommonholdError, Interrupted, PartlyFailed, Unreachable, WrongUsage

if TYPE_CHECKING:
    from commonhold.api import Network
    from commonhold.compute.environment import Packages
    from commonhold.compute.job import Job, Plan, Task
    from commonhold.submit import JobEvent


@declare(
    "run",
    "commonhold run 'gzip -9 -c {} > {}.gz' ::: 'tower:logs/*.log'",
    "commonhold run --into tower:small 'convert {} -resize 25% {.}.jpg' ::: tower:photos",
    "commonhold run --env requirements.txt 'python {} > {.}.txt' ::: analysis/*.py",
    "commonhold run --on tower factor {} ::: 600851475143 1000000007",
    "commonhold run --dry-run 'wc -l < {}' :::: files.txt",
    "commonhold run -0 'flac {}' :::: recordings.list",
    "commonhold run --memory 2GiB --on tower 'blender -b {} -a' ::: tower:scenes",
    "commonhold run --on all uname -a",
    allow_interspersed_args=False,  # what follows the first word belongs to the command, options too
)
@click.option("--on", default="any", show_default=True, metavar="any|all|COMPUTER", help="Where to compute.")
@click.option("--into", metavar="REMOTE", help="The folder that takes the new files.  [default: the job's own]")
@click.option("--timeout", type=Duration(), help="How long one task may take: 90s, 30m, 2h.")
@click.option("--retries", type=click.IntRange(min=0), default=0, show_default=True, help="Tries after a failure.")
@click.option("--cores", type=click.IntRange(min=1), default=1, show_default=True, help="Cores that one task uses.")
@click.option("--memory", type=Size(), default=0, metavar="SIZE", help="What one task uses at most: 500MB, 2GiB.")
@click.option("--env", metavar="FILE", help="Packages that travel along: a file of requirements, as pip reads it.")
@click.option("-0", "--null", is_flag=True, help="In a list, inputs end with NUL instead of a line's end.")
@click.option("--dry-run", is_flag=True, help="Only say what each task would run.")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND... [::: INPUT...]")
def command(invocation: Invocation, /, *, words: tuple[str, ...], null: bool, dry_run: bool, **how: Any) -> None:
    """Each task runs in an empty folder of its own with its input copied in; every new file that it leaves is kept.

    {} is the input's name there, {.} without its extension, {/} without folders, {/.} without both, {//} its folder,
    {#} the number of the task; a command with none of these gets the input as its last word. COMPUTER:SHARE/PATH
    is a remote file (quote * so that the other computer expands it), what exists here is a local file, and anything
    else is a plain value. Of a folder it is every file in it, and new files go to the same places below --into.
    COMMAND in one piece is given to `sh -c`; in several words it runs without a shell.

    :::: FILE names a list of inputs, one on a line; - is standard input. Without ::: and ::::, a command with {} (or
    one of its kin) takes what is piped to it as the list; any other runs once, whatever standard input is.

    Options stand before COMMAND. Ctrl-C ends the waiting, and no job that has begun: `commonhold cancel` does that.
    """
    own = click.get_current_context().command.params
    require_in_front(words, {name for option in own for name in option.opts if name.startswith("--")})
    typed = divided(words)
    if typed.list is not None:
        typed = typed._replace(inputs=listed(typed.list, null))
    elif not typed.named and piped() and _takes_input(typed.command):
        typed = typed._replace(inputs=listed("-", null))
    elif null:
        raise WrongUsage("-0 is about a list, and there is none.", "commonhold run -0 COMMAND :::: FILE")
    elif not typed.named and _takes_input(typed.command):
        invocation.out.remark("No input is named, so {} and its kin stand for themselves; inputs follow behind :::")
    with invocation.network() as network:
        if dry_run:
            packages = network.packages(how["env"]) if how["env"] else None
            plans = network.plan(typed.command, typed.inputs, how["into"], env=how["env"])
            tell_plan(invocation.out, plans, how["on"], packages)
            return
        job, failed = perform(
            network, invocation.out, lambda hear: network.run(typed.command, typed.inputs, progress=hear, **how)
        )
    tell_end(invocation.out, job, failed)
    if how["into"] is None:
        invocation.out.remark(f"commonhold get -r {shlex.quote(job.into)} copies the new files that they left, if any")


def tell_end(out: Output, job: Job, failed: Sequence[Task]) -> None:
    """What became of a job. Raises PartlyFailed or CommonholdError unless all of it is done."""
    out.answer(job, tally(job))
    for note in job.notes if job.total else job.notes[:-1]:  # of a job that never began the last one is the error
        out.remark(note)
    if job.failed or job.state != "done":
        raise failure(job, failed)
    out.remark(f"commonhold log {job.job} prints what the tasks printed")


def _takes_input(command: str | Sequence[str]) -> bool:
    from commonhold.compute.job import takes_input  # noqa: PLC0415 - late: --help needs no msgspec

    return takes_input(command)


def perform(
    network: Network, out: Output, begin: Callable[[Callable[[JobEvent], None]], Job]
) -> tuple[Job, list[Task]]:
    """The job when it has ended, and those of its tasks that failed. Ctrl-C ends the waiting."""
    way = Underway()
    with job_progress(out) as show:

        def hear(event: JobEvent) -> None:
            way.hear(event)
            if event["event"] == "note" and not way.number:
                out.remark(event["note"])
            if show is not None:
                show(event)

        try:
            job = begin(hear)
        except KeyboardInterrupt:
            raise way.left() from None
        except CommonholdError as error:
            if way.number and not way.begun:
                out.remark(f"Job {way.number} has not begun; {AGAIN.format(way.number)}")
            if way.begun and isinstance(error, Unreachable):
                # Whoever tries again has two jobs.
                hint = f"job {way.number} goes on when its node does: commonhold log -f {way.number} follows it"
                raise type(error)(error.sentence, hint, **error.more) from error
            raise
    return job, network.log(job.job, state="failed") if job.failed else []


AGAIN = "commonhold again {} brings what is missing of its inputs, and runs it"


class Underway:
    """How far the job of this command is: until it has begun, it needs us."""

    def __init__(self) -> None:
        self.number = 0
        self.begun = False

    def hear(self, event: JobEvent) -> None:
        if event["event"] == "job":
            self.number = event["job"]["job"]
            self.begun = self.begun or event["job"]["state"] != "collecting"
        self.begun = self.begun or event["event"] == "begin"

    def left(self) -> Interrupted:
        """Ctrl-C ends the waiting; a job that has begun is its node's, and goes on."""
        if not self.number:
            return Interrupted("Interrupted; nothing was begun.")
        if not self.begun:
            return Interrupted(f"Interrupted; job {self.number} has not begun.", AGAIN.format(self.number))
        hint = f"commonhold log -f {self.number} follows it, commonhold cancel {self.number} ends it"
        return Interrupted(f"Interrupted; job {self.number} goes on.", hint)


def tell_plan(out: Output, plans: Sequence[Plan], on: str, packages: Packages | None) -> None:
    """One line for each task: its number, what comes in, what would run, where new files would go."""
    if out.json:
        out.answer(plans)
        return
    out.lines(
        f"{plan.task}  {f'{plan.kind} {plan.input}  ' if plan.input else ''}{' '.join(plan.command.split())}"
        f"  → {plan.into or 'the folder of the job'}"
        for plan in plans
    )
    where = {"any": "any computer that lends", "all": "each computer that lends"}.get(on, on)
    if packages is not None:
        tell_packages(out, packages)
    out.remark(f"Nothing was done; {counted(len(plans), 'task')} would run on {where}.")


def tell_packages(out: Output, packages: Packages) -> None:
    """What would travel along: which packages, for which computers, and how much of it is not at the hub yet."""
    known = ", ".join(packages.packages) or "no package"
    out.remark(f"Its environment: {known}; {size(packages.size)} for Python {packages.python} on {packages.machine}.")
    sent = f"{size(packages.to_send)} of it would be sent to" if packages.to_send else "All of it is at"
    out.remark(f"{sent} {packages.hub}, from where lenders fetch what they have not unpacked yet.")


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
    return f"{status.removesuffix('.')}: {said[-1]}" if said else status
