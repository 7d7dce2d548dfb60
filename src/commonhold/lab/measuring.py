"""A measurement, from beginning to end: probe after probe, and what they found. One that fails is named and passed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

import msgspec
import psutil

from commonhold.answers import KnownComputer
from commonhold.api import Network
from commonhold.authority import lines
from commonhold.errors import CommonholdError
from commonhold.home import Home
from commonhold.lab import doors, others, probes
from commonhold.plan.values import measured
from commonhold.plan.values.fitting import Middle, spread
from commonhold.plan.values.measured import Measurement, OwnComputer, Reached, value
from commonhold.plan.values.scenario import Value

Say = Callable[[str], object]
ROOM = 300 * 2**20  # bytes that must be free: what all probes store at once, and some


class Measuring:
    """What was found so far: it is there at any moment, also when the measurement is broken off."""

    def __init__(self, home: Home, day: date, seconds: float) -> None:
        """Each probe takes `seconds` or so; `say` hears what is being done. Raises NotFound before joining."""
        self._home, self._day, self._seconds = home, day, seconds
        self.say: Say = lambda what: None
        cores = psutil.cpu_count() or 1
        self.machine = OwnComputer(home.settings().computer, cores, psutil.virtual_memory().total)
        self.values: dict[str, Value] = {}
        self.reached: list[Reached] = []
        self.notes: list[str] = []
        self._computations: list[float] = []

    def here(self) -> None:
        """This computer alone: nobody else notices."""
        self._note_values({"cores": Middle(*[float(self.machine.cores)] * 3)}, "this computer's processor")
        self.processor()
        with self._probe("the disk"):
            self._disk()
        with self._probe("what this computer does for others"), doors.Stand() as stand:
            self._doors(stand)

    def record(self, server: bool) -> None:
        """How long people think, as far as this computer's own record tells; `server`: it is the network's."""
        with self._probe("the record"):
            found = measured.thought(lines.entries(self._home.audit), server, self._day)
            self.values |= found
            if not found:
                self.notes.append(f"how long people think: the record tells of fewer than {measured.FEW} pauses so far")
            if not server:
                self.notes.append(
                    "which part of all requests goes to the busiest computer (hot): each peer sees only its own doors"
                )

    def processor(self) -> None:
        """The fixed computation: what the others are compared with."""
        with self._probe("the processor"):
            self._computations = probes.processor(self._seconds)
            middle = spread(self._computations).middle
            self.machine = msgspec.structs.replace(self.machine, computation=middle)

    def others(self, net: Network, wanted: list[KnownComputer], server: str) -> None:
        """Other computers, one after the other; `server` is the name of the network's, if it has one."""
        if not self._computations:
            self.processor()
        own = spread(self._computations).middle
        for each in wanted:
            with self._probe(each.computer):
                found = others.reach(net, each.computer, self._seconds, own)
                self.reached.append(found)
                self.notes += [f"{each.computer}, {trouble}" for trouble in found.troubles]
        self.values |= measured.links(self.reached, self._day)
        speeds = {each.computer: [each.speed] for each in self.reached if each.speed}
        speeds[self.machine.computer] = [own / each for each in self._computations]
        self.values |= measured.strength(speeds, server, self._day)

    def measurement(self) -> Measurement:
        """What was found so far."""
        return Measurement(self.machine, tuple(self.reached), measured.figures(self.values), tuple(self.notes))

    def _disk(self) -> None:
        folder = self._home.folder
        if shutil.disk_usage(folder).free < ROOM:
            raise CommonholdError(f"Less than {ROOM // 10**6} MB are free at {folder}, so the disk was left alone.")
        found = probes.disk(folder, self._seconds)
        slower = min(found.stored, found.read, key=lambda rates: spread(rates).middle)
        self._note_values(
            {"disk_rate": spread([rate / 1e6 for rate in slower]), "sync": spread(found.synced)},
            f"the disk of {folder}",
        )

    def _doors(self, stand: doors.Stand) -> None:
        with self._probe("reading, storing and listing"):
            rounds = list(stand.rounds(self._seconds))
            self.values |= measured.rates(rounds, "a node's own doors, on loopback", self._day)
        with self._probe("how an owner's small task fares while files are served"):
            alone = spread(probes.owner(stand.folder, self._seconds / 2)).middle
            with stand.asked():
                served = probes.owner(stand.folder, self._seconds / 2)
            # Who asks runs here, too, and takes its part of the processor.
            self._note_values(
                {"serving": spread([each / alone for each in served])}, "asked on loopback: at most so much"
            )
        with self._probe("the start of a task"):
            stand.lend()
            self._note_values({"start": spread(list(stand.starts(self._seconds)))}, "a command that does nothing")
        with self._probe("how an owner's small task fares while guests compute"):
            with stand.computing():
                lent = probes.owner(stand.folder, self._seconds / 2)
            self._note_values({"lending": spread([each / alone for each in lent])}, "guests on every processor")

    def _note_values(self, found: dict[str, Middle], source: str) -> None:
        self.values |= {name: value(name, each, source, self._day) for name, each in found.items()}

    @contextmanager
    def _probe(self, what: str) -> Iterator[None]:
        """One probe, told; what makes it fail is a note."""
        self.say(what)
        try:
            yield
        except (CommonholdError, OSError) as error:
            sentence = error.sentence if isinstance(error, CommonholdError) else f"{error.strerror or error}."
            self.notes.append(f"{what}: {sentence}")
