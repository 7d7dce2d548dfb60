"""A comparison's file: written after every point, and taken up by whoever asks for the same again."""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path

from commonhold.errors import Conflict, NotFound, WrongUsage
from commonhold.plan.trials import trial as trials
from commonhold.plan.trials.trial import Circumstances, Trial

LARGEST = 2**26  # bytes
ABOUT = frozenset({"command", "machine", "day"})  # what may differ when it is taken up


class TrialFile:
    """Raises NotFound at once where nothing can be written: not after the first point."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise NotFound(f"{path} cannot be written: there is no folder for it, or none of yours.")

    def begun(self, circumstances: Circumstances) -> Trial | None:
        """What it has of this very comparison. Raises Conflict when it is there, and anything else."""
        hint = f"another name, or first: rm {shlex.quote(str(self._path))}"
        try:
            if self._path.stat().st_size > LARGEST:
                raise WrongUsage("It is too large.")
            found = trials.read(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise NotFound(f"{self._path} cannot be read: {error.strerror}.") from None
        except WrongUsage:
            raise Conflict(f"{self._path} is there already, and is no comparison.", hint) from None
        for name in Circumstances.__struct_fields__:
            was, wanted = getattr(found.circumstances, name), getattr(circumstances, name)
            if was != wanted and name not in ABOUT:
                raise Conflict(f"{self._path} has another comparison: its {name} is {was}, not {wanted}.", hint)
        return found

    def save(self, trial: Trial) -> None:
        """In the place of what was there, whole or not at all."""
        handle, beside = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(trials.written(trial))
                file.flush()
                os.fsync(file.fileno())
            Path(beside).chmod(0o644)
            Path(beside).replace(self._path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
