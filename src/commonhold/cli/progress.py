"""What a terminal shows while something takes its time: on standard error, and nothing when piped or with `--json`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from commonhold.cli.output import Output, shown

if TYPE_CHECKING:
    from commonhold.files.used.tally import Progress
    from commonhold.submit import JobEvent

LINE_EVERY = 10.0  # seconds between two lines where there is no bar
EYE = 0.05  # seconds between two looks of a bar: ten thousand small files need not draw ten thousand


@contextmanager
def files_progress(out: Output, verb: str) -> Iterator[Callable[[Progress], None] | None]:
    """A bar of bytes with files, rate and time left; None where nobody watches."""
    if not out.watched:
        yield None
        return
    from rich import progress as bars  # noqa: PLC0415 - late: 60 ms, for terminals only

    columns = (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[files]}", markup=False),
    )
    with bars.Progress(*columns, console=out.console(), transient=True) as drawing:
        bar = drawing.add_task(verb, total=None, files="")

        shown_at = 0.0

        def show(progress: Progress) -> None:
            nonlocal shown_at
            if (now := time.monotonic()) - shown_at < EYE and progress.done_files < progress.total_files:
                return
            shown_at = now
            drawing.update(
                bar,
                total=progress.total_bytes,
                completed=progress.done_bytes,
                description=shown(progress.current or verb)[-40:],
                files=f"{progress.done_files}/{progress.total_files} files",
            )

        yield show


@contextmanager
def job_progress(out: Output) -> Iterator[Callable[[JobEvent], None] | None]:
    """One bar: inputs uploaded, then tasks done, failed, running, and the time left; without a terminal a line now and

    then, and nothing with `--json`.
    """
    if out.json:
        yield None
        return
    tally = Tally()
    if not out.watched:
        yield _lines(out, tally)
        return
    from rich import progress as bars  # noqa: PLC0415 - late: 60 ms, for terminals only

    columns = (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[more]}", markup=False),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=out.console(), transient=True) as drawing:
        bar = drawing.add_task("", total=None, more="")
        shown_at = 0.0

        def show(event: JobEvent) -> None:
            nonlocal shown_at
            if event["event"] == "environment":
                drawing.update(bar, description=fetched(event))
                return
            began = tally.uploading and event["event"] != "upload"
            tally.hear(event)
            if began and not tally.uploading:
                drawing.reset(bar, total=tally.total, description="", more="")  # the time left is of tasks
            if (now := time.monotonic()) - shown_at < EYE and tally.ended != tally.total:
                return
            shown_at = now
            if tally.uploading:
                drawing.update(bar, total=tally.uploads, completed=tally.uploaded, description="upload")
            else:
                drawing.update(bar, total=tally.total, completed=tally.ended, more=tally.words(), description="")

        yield show


@contextmanager
def steps_progress(out: Output) -> Iterator[Callable[[str], None]]:
    """What is being done now: one line with a turning mark on a terminal, else a line for each step, none with

    `--json`.
    """
    if not out.watched:
        yield lambda step: out.remark(f"{step} …")
        return
    with out.console().status("") as status:
        yield lambda step: status.update(shown(step))


def _lines(out: Output, tally: Tally) -> Callable[[JobEvent], None]:
    said = time.monotonic()

    def show(event: JobEvent) -> None:
        nonlocal said
        tally.hear(event)
        if event["event"] == "environment" and time.monotonic() - said >= LINE_EVERY:
            said = time.monotonic()
            out.remark(fetched(event))
        if event["event"] == "note":
            return  # it is told at the end, with all others
        if time.monotonic() - said >= LINE_EVERY and tally.ended != tally.total:
            said = time.monotonic()
            if tally.uploading:
                out.remark(f"{tally.uploaded} of {tally.uploads} inputs uploaded")
            elif tally.total:
                more = tally.words()
                out.remark(f"{tally.ended} of {tally.total} ended" + (f", {more}" if more else ""))

    return show


def fetched(event: JobEvent) -> str:
    """What is being done for the packages that travel along: `downloading numpy, 3.1 of 16.6 MB`."""
    done, total = event["done_bytes"], event["total_bytes"]
    return shown(event["doing"])[-60:] + (f", {done / 1e6:.1f} of {total / 1e6:.1f} MB" if total else "")


class Tally:
    """How far a job is, from its events: a task may wait again after its computer was lost."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.states: Counter[str] = Counter()
        self.uploading = False
        self.uploads = self.uploaded = 0
        self._tasks: dict[int, str] = {}

    def hear(self, event: JobEvent) -> None:
        if event["event"] == "upload":
            self.uploads, self.uploaded = event["total_files"], event["done_files"]
            self.uploading = True
        elif event["event"] == "begin":
            self.uploading = False
        elif event["event"] == "job":
            self.total = event["job"]["total"] or None
            self.uploading = False
        elif event["event"] == "task":
            task, state = event["task"], event["state"]
            if task in self._tasks:
                self.states[self._tasks[task]] -= 1
            self._tasks[task] = state
            self.states[state] += 1

    def words(self) -> str:
        """`2 running, 1 failed`; of these what there is."""
        return ", ".join(f"{self.states[each]} {each}" for each in ("running", "failed") if self.states[each])

    @property
    def ended(self) -> int:
        return self.states["done"] + self.states["failed"]
