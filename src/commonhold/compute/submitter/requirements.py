"""From a file of requirements to an environment: pip downloads what fits together, for this computer's Python.

What it gives is kept, so that the next job with the same file asks no index, for a day.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from commonhold.compute.environment import Environment
from commonhold.compute.papers import PYTHON
from commonhold.compute.wheels import Wheelhouse
from commonhold.errors import CommonholdError, Damaged, NotFound, Unreachable, WrongUsage
from commonhold.home import write_private

KEPT = 86_400.0  # seconds
PIP = ("-P", "-m", "pip", "--disable-pip-version-check", "--no-input", "--no-color")
WHEEL = ("wheel", "--only-binary", ":all:", "--progress-bar", "raw", "--wheel-dir")
ONLY_WHEELS = "--only-binary :all:\n"  # as the last file that pip reads, it holds whatever the others have said of it
PLAIN = re.compile(r"\s*(#.*)?|[A-Za-z0-9][^@/\\]*\\?|\s+--hash=\S+\s*\\?")  # a line that names a package, and no place
STEP = re.compile(r"\s*(Collecting|Downloading|Building|Processing) +(?:wheels? for )?(\S+)(.*)")
BYTES = re.compile(r"Progress (\d+) of (\d+)")
SAID = 300  # characters of pip's own words

Requirements = str | os.PathLike[str] | Sequence[str]  # a file, or requirements themselves
Watcher = Callable[[dict[str, Any]], object]


class Resolver:
    """Keeps wheels in `house`, and in `folder` what each file gave."""

    def __init__(self, folder: Path, house: Wheelhouse) -> None:
        self._folder = folder
        self._house = house

    async def resolve(self, wanted: Requirements, watch: Watcher | None = None) -> Environment:
        """All wheels are in the house then. `watch` hears what is being done.

        Raises NotFound for a file that is not there and for a package that has no wheel, WrongUsage for requirements
        that cannot be read or contradict each other, Unreachable when no index answers.
        """
        text, lines = await asyncio.to_thread(_read, wanted)
        kept = self._folder / f"{_key(text)}.json" if all(map(PLAIN.fullmatch, lines)) else None
        if kept is not None and (known := await asyncio.to_thread(self._known, kept)):
            return known
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            environment = await self._downloaded(wanted, Path(scratch), watch)
        if kept is not None:
            await asyncio.to_thread(write_private, kept, msgspec.json.encode(environment))
        return environment

    def _known(self, kept: Path) -> Environment | None:
        """What the same file gave within a day, if all of it is still here."""
        with suppress(OSError, msgspec.MsgspecError):
            environment = msgspec.json.decode(kept.read_bytes(), type=Environment)
            if time.time() - kept.stat().st_mtime < KEPT and not self._house.lacking(environment):
                return environment
        return None

    async def _downloaded(self, wanted: Requirements, scratch: Path, watch: Watcher | None) -> Environment:
        wheels, given = scratch / "wheels", scratch / "requirements.txt"
        wheels.mkdir()
        if isinstance(wanted, str | os.PathLike):
            file = Path(wanted).expanduser().absolute()
        else:
            file = given
            given.write_text("".join(f"{line}\n" for line in wanted))
        (last := scratch / "last.txt").write_text(ONLY_WHEELS)
        words = [*WHEEL, str(wheels), "-r", str(file), "-r", str(last)]
        said = await _pip(words, file.parent if file != given else Path.cwd(), scratch, watch)
        if said is not None:
            raise _trouble(said, "the requirements" if file == given else str(wanted))
        found = [self._house.take(wheel) for wheel in sorted(wheels.iterdir())]
        environment = Environment(PYTHON, platform.machine(), tuple(found))
        environment.check()
        await asyncio.to_thread(self._tidy, environment)
        return environment

    def _tidy(self, environment: Environment) -> None:
        """What is old gives way: wheels where they are too many, and answers of yesterday."""
        self._house.make_room(0, {wheel.sha256 for wheel in environment.wheels})
        for kept in self._folder.glob("*.json"):
            if time.time() - kept.stat().st_mtime > KEPT:
                kept.unlink(missing_ok=True)


async def _pip(words: Sequence[str], folder: Path, scratch: Path, watch: Watcher | None) -> list[str] | None:
    """Run it. -> What it complained, None when all went well. What it leaves when it is ended is in `scratch`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *PIP,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env=os.environ | {"TMPDIR": str(scratch)},
        start_new_session=True,  # Ctrl-C is for us, and we end it
        limit=2**20,
    )
    assert process.stdout is not None  # noqa: S101 - both are pipes
    assert process.stderr is not None  # noqa: S101
    complaints = asyncio.create_task(process.stderr.read())
    try:
        doing = ""
        async for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            if step := STEP.match(text):
                doing = f"{step[1].lower()} {_package(step[2])}"
            moved = BYTES.fullmatch(text)
            if watch is not None and (step or moved):
                done, total = (int(moved[1]), int(moved[2])) if moved else (0, 0)
                watch({"event": "environment", "doing": doing, "done_bytes": done, "total_bytes": total})
        status = await process.wait()
        said = (await complaints).decode(errors="replace").splitlines()
    finally:
        complaints.cancel()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            await process.wait()
    return said if status else None


def _package(word: str) -> str:
    """Of a file's name only what people know it by: `numpy-2.4.0`."""
    name = word.rpartition("/")[2]
    return "-".join(name.split("-")[:2]) if ".whl" in name else name


def _read(wanted: Requirements) -> tuple[str, list[str]]:
    """What decides on the environment, and its lines. Raises NotFound, WrongUsage."""
    if not isinstance(wanted, str | os.PathLike):
        return "\n".join(wanted), list(wanted)
    try:
        text = Path(wanted).expanduser().read_text()
    except FileNotFoundError:
        raise NotFound(f"There is no file {wanted}.", "--env names a file of requirements, as pip reads it") from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise WrongUsage(f"{wanted} cannot be read: {why}.", "--env names a file of requirements") from None
    return text, text.splitlines()


def _key(text: str) -> str:
    """Of all that decides what pip finds: what people set for it, and what lies in the folders where it looks."""
    settings = sorted(f"{key}={value}" for key, value in os.environ.items() if key.startswith("PIP_"))
    folders = [Path(word) for word in os.environ.get("PIP_FIND_LINKS", "").split()]
    dates = [str(folder.stat().st_mtime_ns) for folder in folders if folder.is_dir()]
    words = [text, sys.version, platform.machine(), platform.release(), *settings, *dates]
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


def _here() -> str:
    return f"Python {PYTHON} on {platform.machine()}"


def _trouble(said: Sequence[str], name: str) -> CommonholdError:
    """pip's complaint, in one sentence."""
    whole = "\n".join(said)
    errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")]
    if any(
        word in whole for word in ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ProxyError")
    ):
        return Unreachable(
            "No package index answers.", "packages are fetched here, once; see that this computer is online"
        )
    if "DO NOT MATCH THE HASHES" in whole:
        return Damaged(f"A package is not what {name} says: its digest is another.", "look who changed it")
    if missing := re.search(r"requirement (.+?) \(from versions: (.*?)\)", whole):
        if missing[2] == "none":
            why = f"There is no wheel of {missing[1]} for {_here()}."
        else:
            why = f"No version of {missing[1]} has a wheel for {_here()}; there are {missing[2][-SAID:]}."
        return NotFound(why, f"look how it is written; pip wheel PACKAGE makes a wheel, whose path may stand in {name}")
    if "ResolutionImpossible" in whole or "conflicting dependencies" in whole:
        return WrongUsage(f"The requirements of {name} contradict each other: {errors[0][:SAID] if errors else whole}")
    last = errors[-1] if errors else (said[-1] if said else "pip said nothing")
    return WrongUsage(f"{name} gives no environment: {last[:SAID]}", f"pip wheel --only-binary :all: -r {name}")
