"""One task's command: its folder, its output, its end."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from commonhold.compute.sandboxed.task import LenderLine, perform
from commonhold.errors import NotFound, Unreachable

SPEC: dict[str, Any] = {"timeout": None, "fetch": False, "alone": False, "cores": 1, "memory": 0}


class AtHand(LenderLine):
    """The other end, for a task that runs in this process: it stores what it finds, and has no second input."""

    why = ""  # what it killed says

    def __init__(self, folder: Path) -> None:
        super().__init__(None, None, str(folder), "desk")  # type: ignore[arg-type]

    def ask(self, what: str, *, key: str = "", outcome: Any = None, group: int = 0) -> Any:
        if what == "why":
            return self.why
        folder = self.work / key
        if what == "fetch" and key == "1-2-1":
            raise NotFound("The input is gone.")
        if what == "fetch":
            (folder / "in.txt").write_text("given")
            return None
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def node(tmp_path: Path) -> LenderLine:
    return AtHand(tmp_path)


def ran(
    node: LenderLine, *words: str, task: int = 1, fetch: bool = False, timeout: float | None = None
) -> dict[str, Any]:
    spec = {
        "key": f"1-{task}-1",
        "words": words,
        "timeout": timeout,
        "fetch": fetch,
        "alone": False,
        "cores": 1,
        "memory": 0,
    }
    outcome = perform(node, spec)
    assert [path for path in node.work.rglob("*") if path.is_file()] == []  # nothing stays
    return outcome


def test_it_runs_in_an_empty_folder_of_its_own_with_nothing_to_read(node: LenderLine):
    assert ran(node, "sh", "-c", "pwd; ls -A; cat")["output"] == f"{node.work}/1-1-1\n"


def test_output_errors_and_status_are_kept_apart(node: LenderLine):
    outcome = ran(node, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (outcome["exit"], outcome["output"], outcome["error"], outcome["computer"]) == (7, "out\n", "err\n", "desk")


def test_what_it_leaves_is_stored_and_named(node: LenderLine):
    outcome = ran(node, "sh", "-c", "mkdir a; cp in.txt a/b", fetch=True)
    assert outcome["outputs"] == ["a/b", "in.txt"]


def test_an_input_that_cannot_be_had_keeps_the_command_from_running(node: LenderLine):
    outcome = ran(node, "sh", "-c", "echo ran", task=2, fetch=True)
    assert (outcome["exit"], outcome["problem"]) == (None, "The input is gone.")


def test_a_signal_is_told_as_shells_tell_it(node: LenderLine):
    assert ran(node, "sh", "-c", "kill -15 $$")["exit"] == 143


def test_time_ends_it_with_all_its_children(node: LenderLine):
    outcome = ran(node, "sh", "-c", "sleep 600 & sleep 600", timeout=0.1)
    assert outcome["exit"] is None
    assert "after 0.1 s," in outcome["problem"]


def test_the_commands_of_a_job_that_is_over_are_killed_and_no_other_starts(node: LenderLine):
    spec = SPEC | {"key": "1-1-1", "words": ["sleep", "600"]}
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(perform, node, spec)
        while not node.commands._running:
            time.sleep(0.01)
        node.commands.forget(1)
        assert running.result(10)["exit"] == 128 + 9
    assert not node.commands._running
    assert perform(node, spec)["problem"] == "Job 1 is over."
    assert perform(node, spec | {"key": "2-1-1", "words": ["true"]})["exit"] == 0
    node.commands.learn(1)
    assert perform(node, spec | {"words": ["true"]})["exit"] == 0


def test_what_kept_a_task_from_its_files_is_told_from_its_own_failing(
    node: LenderLine, monkeypatch: pytest.MonkeyPatch
):
    def away(what: str, **words: Any) -> Any:
        raise Unreachable("tower is away.")

    monkeypatch.setattr(node, "ask", away)
    assert ran(node, "true", fetch=True)["trouble"] == "unreachable"
    assert "trouble" not in ran(node, "false")
