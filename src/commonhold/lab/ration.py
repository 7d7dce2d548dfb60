"""How much of the processors a computer of the laboratory gets: a control group (version 1 or 2) with a quota.

The group also counts what its processes, and theirs, have used. Needs root.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

PERIOD = 20_000  # microseconds in which a quota is given: the usual 100,000 would show in response times
LEAST = 1_000  # microseconds: what the kernel accepts
FAMILY = "commonhold-lab-"


class Groups:
    """Where this machine's control groups of processors are; `found` looks."""

    def __init__(self, folders: Sequence[Path], version: int) -> None:
        self.folders, self.version = folders, version

    @classmethod
    def found(cls, mounts: str) -> Groups | None:
        """From the text of /proc/mounts; nothing where there are none that we may change."""
        first: dict[str, Path] = {}
        second: Path | None = None
        for line in mounts.splitlines():
            _, where, kind, options, *_ = line.split()
            if kind == "cgroup":
                first |= {name: Path(where) for name in options.split(",") if name in {"cpu", "cpuacct"}}
            elif kind == "cgroup2" and "cpu" in (Path(where) / "cgroup.controllers").read_text().split():
                second = Path(where)
        if second is not None and os.access(second, os.W_OK):
            with suppress(OSError):  # where the first group has processes of its own, as in a container
                (second / "cgroup.subtree_control").write_text("+cpu")
                return cls([second], 2)
        if len(first) == 2 and all(os.access(each, os.W_OK) for each in first.values()):
            return cls(list(dict.fromkeys(first[name] for name in ("cpu", "cpuacct"))), 1)
        return None

    def town(self, token: str) -> list[Path]:
        return [each / f"{FAMILY}{token}" for each in self.folders]

    def ration(self, token: str, number: int, cores: float) -> Ration:
        """A new group, of `cores` processors; 0 does not hold it."""
        for above in self.town(token):
            above.mkdir(exist_ok=True)
            if self.version == 2:
                (above / "cgroup.subtree_control").write_text("+cpu")
            (above / str(number)).mkdir()
        made = Ration([above / str(number) for above in self.town(token)], self.version)
        if cores:
            made.hold(cores)
        return made

    def inhabitants(self, token: str) -> set[int]:
        """The processes in that town's groups."""
        files = [file for above in self.town(token) for file in above.glob("*/cgroup.procs")]
        return {int(word) for file in files for word in file.read_text().split()}

    def remove(self, token: str) -> None:
        """That town's groups; those that still have processes stay."""
        for above in self.town(token):
            for folder in [*above.glob("*/"), above]:
                with suppress(OSError):
                    folder.rmdir()


class Ration:
    """One computer's group, in each hierarchy that it needs."""

    def __init__(self, folders: Sequence[Path], version: int) -> None:
        self._folders, self._version = folders, version

    def hold(self, cores: float) -> None:
        quota = max(LEAST, int(cores * PERIOD))
        if self._version == 2:
            (self._folders[0] / "cpu.max").write_text(f"{quota} {PERIOD}")
        else:
            (self._folders[0] / "cpu.cfs_period_us").write_text(str(PERIOD))
            (self._folders[0] / "cpu.cfs_quota_us").write_text(str(quota))

    def take(self, pid: int) -> None:
        """That process, with all its threads; its children so far are others."""
        for folder in self._folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def inhabitants(self) -> list[int]:
        """The processes that are in it."""
        return [int(word) for word in (self._folders[0] / "cgroup.procs").read_text().split()]

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command so that it is in the group before it begins."""
        enter = "".join(f"echo $$ > '{folder}/cgroup.procs'; " for folder in self._folders)
        return ["sh", "-c", f'{enter}exec "$@"', "sh", *argv]

    def used(self) -> float:
        """Seconds of processors so far."""
        if self._version == 1:
            return int((self._folders[-1] / "cpuacct.usage").read_text()) / 1e9
        words = (self._folders[0] / "cpu.stat").read_text().split()
        return int(words[words.index("usage_usec") + 1]) / 1e6
