"""What the demo did: each step with what was verified, how, and how long it took."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from commonhold.errors import CommonholdError


class DemoFailed(CommonholdError):
    """Something did not hold: the sentence says what."""


@dataclass
class Step:
    """One line of the table at the end."""

    shape: str
    what: str
    verified: str = ""
    seconds: float = 0.0


@dataclass
class Steps:
    """The steps so far. `say` prints one line as it happens."""

    say: Callable[[str], None]
    shape: str = ""
    done: list[Step] = field(default_factory=list)

    def act(self, shape: str, sentence: str) -> None:
        """Begin a new act of the story."""
        self.shape = shape
        self.say(f"\n{sentence}")

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        """Do one thing; the block sets `verified`, and raises when something does not hold."""
        step = Step(self.shape, what)
        self.say(f"  {what}")
        began = time.monotonic()
        try:
            yield step
        except DemoFailed:
            raise
        except CommonholdError as error:
            raise DemoFailed(f"{what}: {error.sentence}", error.hint) from error
        except OSError as error:  # a full disk, say; of shutil's errors the first tells enough
            first = error.args[0][0][-1] if isinstance(error, shutil.Error) else error
            raise DemoFailed(f"{what}: {first}.", "see that this machine has some 200 MB free") from error
        step.seconds = time.monotonic() - began
        self.say(f"    verified: {step.verified} ({step.seconds:.1f} s)")
        self.done.append(step)


def require(condition: bool, sentence: str) -> None:
    """Go on only when it holds."""
    if not condition:
        raise DemoFailed(sentence, "this is a fault of Commonhold: please report it with these lines")
