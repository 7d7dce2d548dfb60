"""All people of a comparison: a process for each desk that has some, told what to play, and listened to."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self, cast

from commonhold import wire
from commonhold.errors import CommonholdError
from commonhold.lab.people import ENDED, READY, Cast
from commonhold.plan.trials.outcome import Happened
from commonhold.plan.trials.script import Script, seat

PATIENCE = 120.0  # seconds until all must be ready, or have their last answers: a session of a slow computer takes long
LOOK = 0.05  # seconds between two looks whether it is so


class Workplace(Protocol):
    """Where people sit: a computer of a town, or this very one."""

    @property
    def name(self) -> str: ...

    @property
    def home(self) -> Path: ...

    @property
    def folder(self) -> Path: ...

    def start(self, *argv: str) -> subprocess.Popen[str]: ...


class Desks:
    """A process of one machine, and what it said since the last beginning."""

    def __init__(self, machine: Workplace) -> None:
        self.machine = machine
        folder = machine.folder / "people"
        folder.mkdir(exist_ok=True)
        self._process = machine.start(sys.executable, "-m", "commonhold.lab.people", str(machine.home), str(folder))
        self._input, self._output = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)
        self.said = ""
        self._happened: list[Happened] = []
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    @property
    def happened(self) -> list[Happened]:
        return list(self._happened)

    def tell(self, what: Cast | None) -> None:
        with suppress(BrokenPipeError):  # `require_alive` says so
            self._input.write(wire.to_json(what).decode() + "\n")
            self._input.flush()

    def begin(self, what: Cast) -> None:
        self.said, self._happened = "", []
        self.tell(what)

    def require_alive(self) -> None:
        """Raises CommonholdError with the last words of a process that has ended."""
        if not self._listening.is_alive():
            raise CommonholdError(f"The people at {self.machine.name} have ended before their time.")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listening.join()
        for pipe in (self._input, self._output):
            with suppress(OSError):
                pipe.close()

    def _listen(self) -> None:
        for line in self._output:
            if line.startswith("["):
                self._happened.append(wire.from_json(line, Happened))
            else:
                self.said = wire.from_json(line, str)


class Crew:
    """People of every machine. Leaving it ends their processes."""

    def __init__(self, machines: Sequence[Workplace], places: Sequence[str]) -> None:
        """`machines` are the desks from number 1 on, `places` the folders of all computers."""
        self._machines, self._places = machines, list(places)
        self._desks: dict[int, Desks] = {}
        self._playing: list[Desks] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for desks in self._desks.values():
            desks.end()

    def begin(self, script: Script, people: int) -> None:
        """Returns when everybody has begun."""
        casts: dict[int, list[int]] = {}
        for person in range(people):
            casts.setdefault((seat(person, script.computers) - 1) % len(self._machines), []).append(person)
        self._playing = []
        for number, here in casts.items():
            if number not in self._desks:
                self._desks[number] = Desks(self._machines[number])
            self._desks[number].begin(Cast(script, here, self._places))
            self._playing.append(self._desks[number])
        self._wait(lambda desks: desks.said == READY, "be ready")

    def happened(self) -> list[Happened]:
        """So far."""
        return [each for desks in self._playing for each in desks.happened]

    def wait(self, seconds: float) -> None:
        """Raises CommonholdError when a process ends meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LOOK))
            for desks in self._playing:
                desks.require_alive()

    def end(self) -> list[Happened]:
        """All that happened, when everybody has the last answer."""
        for desks in self._playing:
            desks.tell(None)
        self._wait(lambda desks: desks.said == ENDED, "have their answers")
        return self.happened()

    def _wait(self, condition: Callable[[Desks], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while late := [desks.machine.name for desks in self._playing if not condition(desks)]:
            if time.monotonic() > deadline:
                raise CommonholdError(f"The people at {late[0]} did not {what} within {PATIENCE:.0f} s.")
            self.wait(LOOK)
