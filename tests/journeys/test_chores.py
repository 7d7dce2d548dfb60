"""The twelve tasks whose commands are counted, carried out in both shapes with exactly these."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from commonhold.home import Home
from commonhold.node import background
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.textbook.chores import CHORES, ChoreStep, effort

from ..cli.conftest import Computer, free_address
from ..conftest import until


class Household:
    """ann's tower, and who joins; `typed` counts the commands that are no preparation of the test."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.computers: dict[str, Computer] = {}
        self.typed = 0
        self.peers = True

    def computer(self, name: str) -> Computer:
        if name not in self.computers:
            self.computers[name] = Computer(self.folder / name, free_address(f"127.0.44.{len(self.computers) + 2}"))
        return self.computers[name]

    def perform(self, at: str, step: ChoreStep, **words: object) -> str:
        """One command of a task, with words in the place of those in capitals."""
        line = [str(words.pop(word, word)) for word in shlex.split(step.line)][1:]
        self.typed += 1
        return self.computer(at)(*line, *self._machine(at, line[0]), input="otter lamp velvet\n").stdout

    def _machine(self, name: str, command: str) -> list[object]:
        """What a machine of its own knows by itself: how it is called, whose it is, its address."""
        if command not in {"create", "join"}:
            return []
        person = [] if name == "laptop" and self.peers else ["--person", "ann" if name == "tower" else "bob"]
        return ["--computer", name, *person, "--listen", self.computer(name).address]

    def folder_of(self, name: str, *files: str) -> str:
        made = self.folder / name
        made.mkdir()
        for file in files or ("cat.txt", "dog.txt"):
            (made / file).write_text(f"{file}\n")
        return str(made)

    def members(self, field: str) -> set[str]:
        return {each[field] for each in self.computer("tower").json("members")}


@pytest.fixture
def household(tmp_path) -> Iterator[Household]:
    made = Household(tmp_path)
    yield made
    for computer in made.computers.values():
        if background.running(Home(computer.home)):
            computer("down")


@pytest.mark.parametrize("shape", list(Shape))
def test_twelve_tasks_take_the_commands_that_were_counted(household, shape):
    task = {chore.name: chore.steps(shape) for chore in CHORES}
    tower = household.computer("tower")
    peers = shape is Shape.PEER_TO_PEER
    household.peers = peers

    household.perform("tower", task["begin"][0], NETWORK="casa")
    invite, join = task["a new computer"]
    joining = "nas" if peers else "laptop"
    code = household.perform("tower", invite).split()[0]
    household.perform(joining, join, CODE=f"{code}@{tower.address}")
    newcomer = task["a new person"]
    code = household.perform("tower", newcomer[0], PERSON="carol").split()[0]
    if peers:
        household.perform("laptop", newcomer[1], CODE=f"{code}@{tower.address}", PERSON="carol")
    assert {"ann", "bob"} <= household.members("person")
    everywhere = list(household.computers) if peers else ["tower"]
    for step in task["a forgotten password"]:
        household.perform("tower", step, PERSON="carol")

    household.perform("tower", task["a new share for everybody"][0], FOLDER=household.folder_of("photos"))
    for at in everywhere[1:]:
        household.computer(at)("share", household.folder_of(f"photos of {at}"), "--name", "photos", "--to", "members")
    for at in everywhere:
        household.perform(at, task["a person into a group"][0], GROUP="choir", PERSON="carol")
        household.perform(at, task["processors for everybody"][0])
        assert "choir" in household.computer(at)("group").stdout

    bob = household.computer(joining)
    tower("allow", "bob", "write", "photos")
    bob("rm", "tower:photos/cat.txt")
    household.perform("tower", task["a file deleted by mistake"][0], REMOTE="tower:photos/cat.txt")
    assert bob("cat", "tower:photos/cat.txt").stdout == "cat.txt\n"
    noon = datetime.now(UTC).isoformat()
    bob("rm", "tower:photos/dog.txt")
    for at in everywhere:
        household.perform(
            at, task["all that somebody did since noon"][0], PERSON="bob", TIME=noon, REMOTE=f"{at}:photos"
        )
    assert bob("cat", "tower:photos/dog.txt").stdout == "dog.txt\n"

    keeper = household.computer("nas" if peers else "tower")
    keeper("share", household.folder_of("copies"), "--to", "members")
    unshare, get, share = task["a new disk in the place of a broken one"]
    household.perform("tower", unshare, SHARE="photos")
    copies = f"{'nas' if peers else 'tower'}:copies"
    household.perform("tower", get, REMOTE=f"{copies}/*", FOLDER=household.folder_of("new disk", "lost+found"))
    household.perform("tower", share, FOLDER=household.folder / "new disk", SHARE="photos")
    assert bob("cat", "tower:photos/cat.txt").stdout == "cat.txt\n"

    told = {each["about"]: each["sentence"] for each in tower.json("advise")["scores"]}
    assert told["exposure"].startswith("As the rules of this network stand, a stolen key or password destroys")
    assert "; by the rights of this network " in told["accidents"], "bob may delete what ann and carol read"
    thought_of = tower.json("advise", "--computers", "9")["scores"]
    assert not [each for each in thought_of if "of this network" in each["sentence"]]

    household.perform("tower", task["a lost laptop"][0], COMPUTER="laptop")
    until(lambda: "laptop" not in household.members("computer"), "the laptop is out")
    household.perform("tower", task["a person leaves"][0], PERSON="bob" if peers else "carol")
    assert household.members("person") == {"ann"}
    assert household.typed == effort(shape, 3).commands
