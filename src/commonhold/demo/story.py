"""The demo from beginning to end."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from commonhold.demo import acts
from commonhold.demo.stage import Stage
from commonhold.demo.steps import DemoFailed, Step, Steps
from commonhold.node.computer import ended_alike


def play(say: Callable[[str], None]) -> list[Step]:
    """All acts; `say` hears what happens, line by line. Raises DemoFailed with the sentence that says what failed.

    However it ends, no node runs and no file lies about after it.
    """
    if shutil.which("gzip") is None:
        raise DemoFailed("The demo compresses files with gzip, which is not on this computer.", "install gzip")
    steps = Steps(say)
    with ended_alike(), Stage() as stage:
        acts.peer_to_peer(stage, steps)
        acts.trusting(stage, steps)
        acts.client_server(stage, steps)
    with steps.step("everything is cleared away") as step:
        stage.require_nothing_left()
        step.verified = "no node runs, no file is left"
    return steps.done
