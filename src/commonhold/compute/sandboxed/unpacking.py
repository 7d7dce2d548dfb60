"""Makes an environment of wheels, in a sandbox in which nothing else runs. Nothing in the wheels is executed.

It is a venv: its `python` finds its packages and, but for the standard library, nothing else. Later sessions see it at
the same place, and cannot write there.
"""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import msgspec

from commonhold.compute.channel import Message
from commonhold.errors import CommonholdError, NoSpace, WrongUsage

WHEELS = "wheels"  # the folder in the sandbox's own in which they lie
MEMORY = 2 * 2**30  # bytes that it may take: files are unpacked piece by piece, but what describes them is read whole
BLOCK = 4096  # bytes that any file takes at least, and a name some: empty ones fill a disk, too
SAID = 500  # characters of what pip complains that are told
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")
INSTALL = ("install", "--no-index", "--no-deps", "--no-cache-dir", "--root-user-action=ignore")


def unpack(folder: Path, place: Path, most: int) -> dict[str, object]:
    """Unpack `folder/wheels` at `place`. -> What to tell the node: nothing, or the problem. `most`: bytes unpacked."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        wheels = sorted((folder / WHEELS).iterdir())
        _require_harmless(wheels, most)
        venv.EnvBuilder(symlinks=True).create(place)
        _install(wheels, place)
    except CommonholdError as error:
        return {"problem": error.problem()}
    except OSError as error:
        return {"problem": CommonholdError(f"The environment cannot be unpacked: {error.strerror}.").problem()}
    return {}


def tell(node: socket.socket, words: dict[str, object]) -> None:
    """Say that it is done, or what hinders."""
    node.sendall(msgspec.json.encode(Message(tell="unpacked", words=words)) + b"\n")


def _require_harmless(wheels: list[Path], most: int) -> None:
    """Raise WrongUsage for a path that leads out, NoSpace for too much. A zip's reader gives no more than it says."""
    size = 0
    for wheel in wheels:
        try:
            with zipfile.ZipFile(wheel) as archive:
                for entry in archive.infolist():
                    size += entry.file_size + BLOCK
                    parts = Path(entry.filename).parts
                    if entry.filename.startswith("/") or ".." in parts or "\\" in entry.filename:
                        raise WrongUsage(f"{wheel.name} is refused: “{entry.filename[:80]}” leads out of it.")
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            raise WrongUsage(f"{wheel.name} is no wheel.") from None
    if size > most:
        raise NoSpace(f"The environment would have {size} bytes unpacked, and at most {most} are lent.")


def _install(wheels: list[Path], place: Path) -> None:
    if not wheels:
        return
    python = ("--python", str(place / "bin" / "python"))
    words = [sys.executable, "-I", *PIP, *python, *INSTALL, *map(str, wheels)]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or done.stderr.splitlines()[-1:]
        raise WrongUsage(f"The environment cannot be unpacked: {' '.join(said)[:SAID]}")
