"""Packages travel with jobs and functions: to lenders with a real sandbox, which has no network."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.compute.conftest import Computer
from tests.compute.packages import environment, wheel

from commonhold.authority.authority import Verb
from commonhold.compute.environment import Environment

SAYS = "def main():\n    print('hello from', __name__, version)\n"


def stocked(hub: Computer, *wheels: Path) -> Environment:
    """Wheels of the hub's own person, as its own programs put them there."""
    made, house = environment(*wheels), hub.wheelhouses.of(hub.owner)
    for each, path in zip(made.wheels, wheels, strict=True):
        house.file(each).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, house.file(each))
    return made


async def test_a_command_finds_the_python_and_the_programs_of_its_environment(alone, tmp_path):
    greet = wheel(
        tmp_path / "wheels",
        "greet",
        "2.1",
        {"greet.py": f"import helper\nversion = '2.1'\n{SAYS}    print(helper.version)\n"},
        {"greet": "greet:main"},
    )
    made = stocked(alone, greet, wheel(tmp_path / "wheels", "helper", "7.0"))
    job = await alone.run(
        "greet && python -c 'import greet; print(greet.__file__)' && python -m greet", environment=made
    )
    assert (job.done, job.failed) == (1, 0), alone.journal.tasks(1)
    said = alone.journal.tasks(1)[0].output.splitlines()
    assert said[:2] == ["hello from greet 2.1", "7.0"]
    assert said[2].endswith("/site-packages/greet.py")


async def test_a_lender_far_away_gets_it_and_the_second_job_ships_nothing(town, tmp_path):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    laptop.allow(town.computers["tower"].owner, Verb.RUN)
    made = stocked(tower, wheel(tmp_path / "wheels", "helper", "7.0"))
    for _ in range(2):
        job = await tower.run("python -c 'import helper; print(helper.version)'", environment=made, on="laptop")
        assert tower.journal.tasks(job.job)[0].output == "7.0\n"
    fetched = [asked for asked in tower.heard if "/wheels/" in asked]
    assert len(fetched) == 1
