"""People who are played use the network as anybody does, and wait for no computer that has gone."""

from __future__ import annotations

import sys
from random import Random

import pytest

from commonhold.errors import CommonholdError
from commonhold.lab.crew import Crew
from commonhold.lab.here import ThisComputer
from commonhold.lab.venues import fill
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.queues.workload import Operation, named
from commonhold.plan.trials.script import STORED, Script, prepared
from commonhold.plan.trials.trial import Arrangement

from ..conftest import town, until

FILES = named("fileserver").operations
LARGE = (Operation(1.0, "read", 12_000_000),)


def script(operations, think=0.01) -> Script:
    return Script(operations, think, 1, 1, 2, Arrangement(Shape.CLIENT_SERVER))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """tower of ann with files for people, and laptop of bob, who may write there."""
    tmp_path = tmp_path_factory.mktemp("village")
    with town(tmp_path) as make:
        tower, laptop = make("tower"), make("laptop", "bob")
        tower.create("casa")
        laptop.join(tower)
        laptop.knows("tower", "laptop")
        folder = tmp_path / "fichiers à lire"
        fill(folder, prepared(FILES, 1, Random) | prepared(LARGE, 1, Random))
        tower.net.share(folder, "files", to="bob", verb="write")
        people = tmp_path / "people"
        people.mkdir()
        yield tower, ThisComputer(laptop.home.folder, people), folder


def test_several_people_of_one_computer_read_list_and_store(shared):
    _, machine, folder = shared
    with Crew([machine], ["tower:files/", "nobody:files/"]) as crew:
        crew.begin(script(FILES), 3)
        kinds = {"read", "list", "write"}
        until(lambda: {(e.person, e.kind) for e in crew.happened()} == {(p, k) for p in range(3) for k in kinds}, "all")
        happened = crew.end()
        assert not [each.error for each in happened if each.error]
        assert all(each.asked <= each.answered and each.thought >= 0 for each in happened)
        assert all(each.bytes > 0 for each in happened)
        stored = {path.name for path in (folder / STORED).iterdir()}
        assert {name.partition("-")[0] for name in stored} == {"0", "1", "2"}
        crew.begin(script(FILES), 1)  # the same processes play again, from the beginning
        until(lambda: len(crew.happened()) > 3, "some more")
        assert {each.person for each in crew.end()} == {0}


def test_who_plays_ends_with_whoever_started_it(shared):
    _, machine, _ = shared
    process = machine.start(sys.executable, "-m", "commonhold.lab.people", str(machine.home), str(machine.folder))
    assert process.communicate(timeout=40)[0] == '"ended"\n'
    assert process.returncode == 0


def test_a_process_that_ends_before_its_time_is_told(shared):
    _, machine, _ = shared
    with Crew([machine], ["tower:files/", "nobody:files/"]) as crew:
        crew.begin(script(FILES), 1)
        crew._desks[0]._process.kill()
        with pytest.raises(CommonholdError, match="ended before their time"):
            crew.wait(40)


def test_a_computer_that_dies_in_the_middle_of_a_file_is_an_error_and_not_for_ever(shared):
    tower, machine, _ = shared
    with Crew([machine], ["tower:files/", "nobody:files/"]) as crew:
        crew.begin(script(LARGE, 0.0), 2)
        until(lambda: len(crew.happened()) > 4, "some files")
        tower.kill()
        until(lambda: {each.person for each in crew.happened() if each.error} == {0, 1}, "both were told")
        last = crew.end()[-1]
        assert last.error.endswith(".")
        assert last.bytes == 0
