"""Runs one task, inside a worker: fetch its inputs, run its command in a folder of its own, store what it left.

Dask finds `perform` by its name (engine.py), so that no code travels. The node does the fetching and
storing: this process has neither network nor rights, it only names the job, the task and the input.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from commonhold.compute.channel import Channel
from commonhold.compute.job import KEPT_OUTPUT
from commonhold.errors import CommonholdError

WORK = "work"  # tasks' folders lie in it, in the process's own


class LenderLine:
    """This worker's node, for tasks in their threads."""

    def __init__(self, channel: Channel, loop: asyncio.AbstractEventLoop, folder: str, computer: str) -> None:
        self._channel = channel
        self._loop = loop
        self.work = Path(folder) / WORK
        self.computer = computer
        self.work.mkdir(exist_ok=True)
        self._empty: list[Path] = []
        self._lock = threading.Lock()

    def room(self, name: str) -> Path:
        """An empty folder of that name."""
        folder = self.work / name
        with self._lock:
            if folder in self._empty:  # an earlier try's
                self._empty.remove(folder)
                return folder
            shutil.rmtree(folder, ignore_errors=True)
            if self._empty:
                return self._empty.pop().rename(folder)
        folder.mkdir()
        return folder

    def leave(self, folder: Path) -> None:
        """Remove what a task left. An empty folder is kept for the next task: rmdir costs 0.45 ms, a rename 0.02."""
        try:
            with os.scandir(folder) as entries:
                empty = next(entries, None) is None
            if empty:
                with self._lock:
                    self._empty.append(folder)
                return
        except OSError:
            pass
        shutil.rmtree(folder, ignore_errors=True)

    def ask(self, what: str, **words: Any) -> Any:
        """The node's answer; raises the problem that it reports."""
        return asyncio.run_coroutine_threadsafe(self._channel.ask(what, **words), self._loop).result()


def perform(node: LenderLine, spec: dict[str, Any]) -> dict[str, Any]:
    """Run one task. It never raises: what went wrong is in `problem`, and then `exit` is None.

    spec: job, task, words, timeout, and fetch (whether it has an input file).
    """
    began = time.monotonic()
    outcome: dict[str, Any] = {"exit": None, "computer": node.computer}
    folder = node.work / f"{spec['job']}-{spec['task']}"
    try:
        node.room(folder.name)
        if spec["fetch"]:
            node.ask("fetch", job=spec["job"], task=spec["task"])
        outcome |= _run(spec["words"], folder, spec["timeout"])
        if any(folder.iterdir()):
            outcome["outputs"] = node.ask("store", job=spec["job"], task=spec["task"])
    except CommonholdError as error:
        outcome |= {"exit": None, "problem": error.sentence}
    except OSError as error:
        outcome |= {"exit": None, "problem": f"It could not be run: {error.strerror or error}."}
    finally:
        node.leave(folder)
    return outcome | {"seconds": time.monotonic() - began}


def _run(words: list[str], folder: Path, timeout: float | None) -> dict[str, Any]:
    """Exit status and what it printed. Output goes to files: a pipe would have to be read while it runs."""
    outside = folder.parent
    with tempfile.TemporaryFile(dir=outside) as output, tempfile.TemporaryFile(dir=outside) as error:
        result = _exit_of(words, folder, timeout, output, error)
        return result | {"output": kept(output), "error": kept(error)}


def _exit_of(
    words: list[str], folder: Path, timeout: float | None, output: IO[bytes], error: IO[bytes]
) -> dict[str, Any]:
    try:
        process = subprocess.Popen(
            words, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=error, process_group=0
        )
    except (FileNotFoundError, PermissionError):
        return {"exit": 127, "problem": f"There is no program “{words[0]}” on this computer."}
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        return {"exit": None, "problem": f"It was stopped after {timeout:g} seconds, as the job says."}
    finally:
        # What it left running in the background goes with it, and so does everything when time is up.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return {"exit": status if status >= 0 else 128 - status}  # as shells say it: 128 + signal


def kept(file: IO[bytes]) -> str:
    """A file's text: all of it, or its head and its tail."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size <= KEPT_OUTPUT:
        return file.read().decode(errors="replace")
    head = file.read(KEPT_OUTPUT // 2)
    file.seek(size - KEPT_OUTPUT // 2)
    left_out = size - KEPT_OUTPUT // 2 * 2
    return f"{head.decode(errors='replace')}\n… {left_out} bytes left out …\n{file.read().decode(errors='replace')}"
