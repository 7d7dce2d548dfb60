"""What a terminal shows while something takes its time: on standard error, and nothing when piped or with `--json`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from commonhold.cli.output import Output, shown

if TYPE_CHECKING:
    from commonhold.compute.job import Job
    from commonhold.files.copy import Progress


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

        def show(progress: Progress) -> None:
            drawing.update(
                bar,
                total=progress.total_bytes,
                completed=progress.done_bytes,
                description=shown(progress.current or verb)[-40:],
                files=f"{progress.done_files}/{progress.total_files} files",
            )

        yield show


@contextmanager
def job_progress(out: Output) -> Iterator[Callable[[Job], None] | None]:
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

        def show(job: Job) -> None:
            failed = f"{job.failed} failed" if job.failed else ""
            drawing.update(bar, total=job.total or None, completed=job.done + job.failed, failed=failed)

        yield show
