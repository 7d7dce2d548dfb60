"""Those who compute beside Commonhold in a comparison: GNU parallel, raw Dask, and a shell on one core."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import distributed
from rows import seconds

VERSION = distributed.__version__
PATIENCE = 150.0  # seconds that one of them gets for one piece of work


class GnuParallel:
    """`parallel` on this machine, so many jobs at a time; `version` is empty where it is not installed."""

    def __init__(self, jobs: int, home: Path) -> None:
        self._program = shutil.which("parallel") or ""
        self._jobs = jobs
        # Its shell is the one that Commonhold's tasks have: a person's own may start more slowly.
        self._settings = os.environ | {"PARALLEL_HOME": str(home), "SHELL": "/bin/sh"}
        self.version = self._version() if self._program else ""
        home.mkdir(exist_ok=True)

    def _version(self) -> str:
        said = subprocess.run([self._program, "--version"], capture_output=True, text=True, check=False).stdout
        first = said.partition("\n")[0].split()
        return first[-1] if first[:2] == ["GNU", "parallel"] else ""  # moreutils has another program of that name

    def run(self, command: str, inputs: Sequence[str], folder: Path) -> float:
        """Seconds for the command over the inputs, in that folder."""
        words = [self._program, "--will-cite", f"-j{self._jobs}", command]
        return seconds(lambda: _fed(words, inputs, folder, self._settings))


def one_core(command: str, inputs: Sequence[str], folder: Path) -> float:
    """Seconds for the same with one shell after the other."""
    return seconds(lambda: _fed(["xargs", "-I{}", "sh", "-c", command], inputs, folder, dict(os.environ)))


def _fed(words: list[str], inputs: Sequence[str], folder: Path, settings: dict[str, str]) -> None:
    """Raises RuntimeError when it fails, or takes too long; then it is killed with all that it started."""
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        _, said = process.communicate("".join(f"{each}\n" for each in inputs), timeout=PATIENCE)
    except BaseException:
        os.killpg(process.pid, 9)
        process.wait()
        raise
    if process.returncode:
        raise RuntimeError(f"{words[0]} ended with {process.returncode}: {said[-300:]}")


class RawDask:
    """A LocalCluster with TLS, as many processes of one thread each, and its client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def commands(self, count: int) -> float:
        return seconds(lambda: self._gathered(one_true, count))

    def calls(self, count: int) -> float:
        return seconds(lambda: self._gathered(one_more, count))

    def _gathered(self, function: Any, count: int) -> None:
        futures = self._client.map(function, range(count), pure=False)
        self._client.gather(futures)


@contextmanager
def raw_dask(processes: int) -> Iterator[RawDask]:
    words: dict[str, Any] = {"n_workers": processes, "threads_per_worker": 1, "dashboard_address": None}
    cluster = distributed.LocalCluster(processes=True, security=True, silence_logs=50, **words)
    with cluster, distributed.Client(cluster, set_as_default=False, timeout="20s") as client:
        client.wait_for_workers(processes, timeout=30)
        client.gather(client.map(one_more, range(2 * processes), pure=False))
        yield RawDask(client)


def one_true(_: int) -> None:
    subprocess.run(["true"], check=True)


def one_more(number: int) -> int:
    return number + 1
