"""`commonhold log`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import Output, counted, local
from commonhold.cli.run import tally
from commonhold.errors import Interrupted

if TYPE_CHECKING:
    from commonhold.api import Network
    from commonhold.compute.job import Task
    from commonhold.compute.said import Said

LONGEST = 8_192  # characters of a line that has no end yet: then what there is of it is shown


@declare("log", "commonhold log 12", "commonhold log 12 3", "commonhold log -f 12")
@click.argument("job", type=click.IntRange(min=1))
@click.argument("task", type=click.IntRange(min=1), required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what they print as they print it, until they end.")
def command(invocation: Invocation, job: int, task: int | None, follow: bool) -> None:
    """Those that failed come first. Of one TASK it prints just that: output to standard output, errors to the other,
    and there, of one that was tried more than once, at which computers, and why the earlier tries ended.

    With -f lines of several tasks follow one another as they come, each behind its task's input and a tab (as of
    GNU parallel with --tag); how each task ended is told on standard error. Ctrl-C ends the following, and no job.
    """
    out = invocation.out
    with invocation.network() as network:
        if follow:
            try:
                _follow(network, out, job, task)
            except KeyboardInterrupt:
                raise Interrupted("Interrupted; the job goes on.", f"commonhold log -f {job}") from None
            return
        if out.json:
            out.answer(network.log(job, task))
            return
        if task is None:
            _tell(network, out, job)
            return
        for record in network.log(job, task):
            out.text(record.output, closed=False)
            out.text(record.error, err=True, closed=False)
            if record.state == "failed":
                out.remark(heading(record))
            for line in tried(record):
                out.remark(line)


def _tell(network: Network, out: Output, number: int) -> None:
    """What failed first; tasks that are done and said nothing are only counted."""
    job = network.job(number)
    failed = network.log(number, state="failed") if job.failed else []
    spoken = [task for task in network.log(number, said=True) if task.state != "failed"]
    for record in [*failed, *spoken]:
        out.answer(None, heading(record))
        out.text(record.output)
        out.text(record.error)
    silent = job.done - sum(task.state == "done" for task in spoken)
    counts = [(silent, "done without a word"), (job.running, "running"), (job.waiting, "waiting")]
    rest = ", ".join(f"{count} {words}" for count, words in [*counts, (job.cancelled, "cancelled")] if count)
    if not job.total and job.ended is not None:
        out.remark(": ".join([f"Job {number} ended as {job.state} before it had tasks", *job.notes[-1:]]))
    if rest:
        out.remark(f"Of {counted(job.total, 'task')}: {rest}")
    if job.ended is None:
        out.remark(f"commonhold log -f {number} follows what they print")


def _follow(network: Network, out: Output, job: int, task: int | None) -> None:
    lines = Interleaving(out, alone=task is not None)
    for told in network.listen(job, task):
        if not out.json:
            lines.hear(told)
    if out.json:
        out.answer(network.log(job, task))
    elif task is None:
        ended = network.job(job)
        out.remark(f"Job {job} ended as {ended.state}: {tally(ended)}")


class Interleaving:
    """What several tasks say at the same time, in whole lines; of one that is `alone`, all as it comes."""

    def __init__(self, out: Output, alone: bool) -> None:
        self._out = out
        self._alone = alone
        self._open: dict[tuple[int, str], tuple[str, str]] = {}  # by task and stream: its tag, and the line so far

    def hear(self, told: Said | Task) -> None:
        from commonhold.compute.said import Said  # noqa: PLC0415 - late: --help needs no msgspec

        if not isinstance(told, Said):
            self._end(told)
            return
        cut = f"… {told.left_out} bytes left out …\n" if told.left_out else ""
        if self._alone:
            self._out.text(f"\n{cut}{told.text}" if cut else told.text, err=told.stream == "error", closed=False)
            return
        key, tag = (told.task, told.stream), " ".join((told.input or told.computer).split("\n"))
        begun = self._open.pop(key, (tag, ""))[1]
        *whole, rest = (begun + ("\n" if begun and cut else "") + cut + told.text).split("\n")
        if len(rest) > LONGEST:
            whole, rest = [*whole, rest], ""
        if rest:
            self._open[key] = tag, rest
        self._print(tag, whole, key[1])

    def _end(self, task: Task) -> None:
        for key in [key for key in self._open if key[0] == task.task]:
            tag, rest = self._open.pop(key)
            self._print(tag, [rest], key[1])
        if not self._alone or task.state == "failed":
            self._out.remark(heading(task))

    def _print(self, tag: str, lines: list[str], stream: str) -> None:
        for line in lines:
            self._out.text(f"{tag}\t{line}\n", err=stream == "error")


def heading(task: Task) -> str:
    """One line about a task, above what it printed."""
    words = [f"— {task.task}", task.input, f"at {task.computer}" if task.computer else "", task.state]
    if task.exit:
        words.append(f"with exit status {task.exit}")
    return " ".join(word for word in words if word) + (f": {task.problem}" if task.problem else "")


def tried(task: Task) -> list[str]:
    """What there is to say of a task's tries, when one of them was not the last."""
    if not task.earlier:
        return []
    lines = [f"It was tried {counted(task.tries, 'time')}."]
    for each in task.earlier:
        where = f" at {each.computer}" if each.computer else ""
        when = f", {local(each.ended)}" if each.ended else ""
        lines.append(f"  try {each.number}{where}{when}: {each.why}")
    return lines
