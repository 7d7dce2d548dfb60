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
    """A bar of tasks: done, failed, total; None where nobody watches."""
    if not out.watched:
        yield None
        return
    from rich import progress as bars  # noqa: PLC0415 - late: 60 ms, for terminals only

    columns = (
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[failed]}", markup=False),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=out.console(), transient=True) as drawing:
        bar = drawing.add_task("", total=None, failed="")

        tally = Tally()

        def show(event: JobEvent) -> None:
            tally.hear(event)
            failed = f"{tally.states['failed']} failed" if tally.states["failed"] else ""
            drawing.update(bar, total=tally.total, completed=tally.ended, failed=failed)

        yield show


class Tally:
    """How far a job is, from its events: a task may wait again after its computer was lost."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.states: Counter[str] = Counter()
        self._tasks: dict[int, str] = {}

    def hear(self, event: JobEvent) -> None:
        if event["event"] == "job":
            self.total = event["job"]["total"] or None
        elif event["event"] == "task":
            task, state = event["task"], event["state"]
            if task in self._tasks:
                self.states[self._tasks[task]] -= 1
            self._tasks[task] = state
            self.states[state] += 1

    @property
    def ended(self) -> int:
        return self.states["done"] + self.states["failed"]
