"""What a quota says, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonhold.cli.output import counted, size

if TYPE_CHECKING:
    from commonhold.answers import Quota


def storing(quota: Quota) -> str:
    """`10.0 GB in 20000 files`; nothing without a limit."""
    limits = [] if quota.most_bytes is None else [size(quota.most_bytes)]
    limits += [] if quota.most_files is None else [counted(quota.most_files, "file")]
    return " in ".join(limits)


def computing(quota: Quota) -> str:
    """`2 cores, 4.0 GB of memory, 5 jobs, 1000 tasks`; nothing without a limit."""
    limits = ((quota.most_cores, "core"), (quota.most_jobs, "job"), (quota.most_tasks, "task"))
    said = [counted(most, what) for most, what in limits if most is not None]
    if quota.most_memory is not None:
        said.insert(quota.most_cores is not None, f"{size(quota.most_memory)} of memory")
    return ", ".join(said)
