"""A comparison's file: written after every point, and taken up by whoever asks for the same again."""

from __future__ import annotations

import errno
import shlex
import stat
from pathlib import Path

from commonhold.errors import CommonholdError, Conflict, NoSpace, NotFound, WrongUsage
from commonhold.home import require_place, write_whole
from commonhold.plan.trials import trial as trials
from commonhold.plan.trials.trial import Circumstances, Trial

LARGEST = 2**26  # bytes
ABOUT = frozenset({"command", "machine", "day"})  # what may differ when it is taken up


class TrialFile:
    """Raises NotFound at once where nothing can be written: not after the first point."""

    def __init__(self, path: Path) -> None:
        self._path = path
        require_place(path)

    def begun(self, circumstances: Circumstances) -> Trial | None:
        """What it has of this very comparison. Raises Conflict when it is there, and anything else."""
        hint = f"another name, or first: rm {shlex.quote(str(self._path))}"
        try:
            found = self._path.stat()
            if not stat.S_ISREG(found.st_mode):  # a device has no size, and no end
                raise Conflict(f"{self._path} is no file.", "another name")
            if found.st_size > LARGEST:
                raise WrongUsage("It is too large.")
            kept = trials.read(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise NotFound(f"{self._path} cannot be read: {error.strerror}.") from None
        except WrongUsage:
            raise Conflict(f"{self._path} is there already, and is no comparison.", hint) from None
        for name in Circumstances.__struct_fields__:
            was, wanted = getattr(kept.circumstances, name), getattr(circumstances, name)
            if was != wanted and name not in ABOUT:
                raise Conflict(f"{self._path} has another comparison: its {name} is {was}, not {wanted}.", hint)
        return kept

    def save(self, trial: Trial) -> None:
        """In the place of what was there, whole or not at all. Raises NoSpace, or why it cannot be written."""
        try:
            write_whole(self._path, trials.written(trial))
        except OSError as error:
            kind = NoSpace if error.errno == errno.ENOSPC else CommonholdError
            raise kind(
                f"{self._path} cannot be written: {error.strerror}.", "what it holds stays, and is taken up"
            ) from None
