"""An environment: the wheels that travel with a job or with functions, and which computers it is for. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Annotated

import msgspec
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from commonhold.errors import WrongUsage
from commonhold.names import SharePath

MOST_WHEELS = 1_000
LARGEST = 64 * 2**30  # bytes of all of its wheels

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Wheel(msgspec.Struct, frozen=True, order=True):
    """One file of it. The digest is the whole truth: wherever it arrives, it is checked."""

    name: str  # of the file, which says for which computers it is
    sha256: Sha256
    size: int  # bytes

    @property
    def package(self) -> str:
        """Name and version: `numpy 2.4.0`."""
        project, version, *_ = parse_wheel_filename(self.name)
        return f"{project} {version}"


class Environment(msgspec.Struct, frozen=True):
    """Wheels of packages that fit together, for one Python on one kind of machine."""

    python: str  # major.minor
    machine: str  # x86_64, aarch64 …
    wheels: tuple[Wheel, ...]

    @property
    def digest(self) -> str:
        """What it is known by: two with the same wheels are one."""
        lines = [f"{self.python} {self.machine}\n", *(f"{each.sha256} {each.name}\n" for each in sorted(self.wheels))]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of its wheels."""
        return sum(each.size for each in self.wheels)

    @property
    def packages(self) -> list[str]:
        return sorted(each.package for each in self.wheels)

    def check(self) -> None:
        """Raise WrongUsage for what is no environment; what came over the network is checked here too."""
        if len(self.wheels) > MOST_WHEELS:
            raise WrongUsage(f"An environment has at most {MOST_WHEELS} packages.")
        if any(each.size < 0 for each in self.wheels) or self.size > LARGEST:
            raise WrongUsage("An environment's size is out of bounds.")
        projects = set()
        for each in self.wheels:
            try:
                projects.add(parse_wheel_filename(SharePath((each.name,)).name)[0])
            except InvalidWheelFilename:
                raise WrongUsage(f"“{each.name[:80]}” is no wheel.") from None
        if len(projects) < len(self.wheels):
            raise WrongUsage("An environment has one version of each package.")


class Packages(msgspec.Struct, frozen=True):
    """An environment as people see it, and what it costs to bring it to the hub. Sizes are bytes."""

    environment: str  # the digest by which it is known
    python: str
    machine: str
    packages: tuple[str, ...]  # each with its version
    size: int
    hub: str  # the computer where jobs of this person are run from
    to_send: int


def unfit(environment: Environment, computer: str, python: str, machine: str, tags: Collection[Tag]) -> str:
    """Why it is not for that computer, whose interpreter takes wheels with any of these tags; nothing if it is."""
    strange = [each.name for each in environment.wheels if parse_wheel_filename(each.name)[3].isdisjoint(tags)]
    if environment.python == python and not strange:
        return ""
    if (environment.python, environment.machine) == (python, machine):
        return f"{computer} cannot use {strange[0]}: it is for another system, or for a newer one."
    place = f"{environment.python} on {environment.machine}"
    return f"{computer} runs Python {python} on {machine}; the environment is for {place}."
