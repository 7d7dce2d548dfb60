"""Packages travel with jobs and functions: to lenders with a real sandbox, which has no network."""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import shutil
from pathlib import Path

import pytest
from tests.compute.conftest import ANN, BOB, Computer, needs_bubblewrap
from tests.compute.packages import PYTHON, environment, wheel
from tests.compute.test_equipment import Lender, Shop
from tests.compute.test_functions import held, hub_of

from commonhold.authority.authority import Verb
from commonhold.compute import sandbox
from commonhold.compute.environment import Environment, Wheel
from commonhold.compute.job import Input
from commonhold.compute.submitter.shipping import Shipping
from commonhold.compute.wheels import Wheelhouse
from commonhold.errors import Damaged, NoSpace, NotFound, Refused, Unreachable, WrongUsage

SAYS = "def main():\n    print('hello from', __name__, version)\n"
VERSION = "python -c 'import helper; print(helper.version)'"


def stocked(hub: Computer, *wheels: Path) -> Environment:
    """Wheels of the hub's own person, as its own programs put them there."""
    made, house = environment(*wheels), hub.wheelhouses.of(hub.owner)
    for each, path in zip(made.wheels, wheels, strict=True):
        house.file(each).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, house.file(each))
    return made


async def said(computer: Computer, command: str, made: Environment | None, **spec: object) -> str:
    """What a job of one task printed; it is done."""
    job = await computer.run(command, environment=made, **spec)
    [task] = computer.journal.tasks(job.job)
    assert task.exit == 0, task
    return task.output


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wheels; an environment of the same ones is the same, and so is its session."""
    folder = tmp_path_factory.mktemp("wheels")
    module = f"import helper\nversion = '2.1'\n{SAYS}    print(helper.version)\n"
    wheel(folder, "greet", "2.1", {"greet.py": module}, {"greet": "greet:main"})
    wheel(folder, "helper", "7.0")
    wheel(folder, "other")
    return folder


def helping(hub: Computer, shop: Path) -> Environment:
    """With a command `greet`, and what that needs."""
    return stocked(hub, *shop.glob("greet-*"), *shop.glob("helper-*"))


def other_than(made: Environment, shop: Path) -> Wheel:
    """One that is no part of it."""
    [found] = environment(*shop.glob("other-*")).wheels
    assert found not in made.wheels
    return found


async def test_a_command_finds_the_python_and_the_programs_of_its_environment(warm, shop):
    made = helping(warm, shop)
    found = await said(warm, "greet && python -c 'import greet; print(greet.__file__)'", made)
    assert found.splitlines()[:2] == ["hello from greet 2.1", "7.0"]
    assert found.endswith("/site-packages/greet.py\n")
    # Nothing of the lender's own is in it: it is what the file of requirements says, everywhere.
    job = await warm.run("python -c 'import msgspec'", environment=made)
    assert "No module named" in warm.journal.tasks(job.job)[0].error


async def test_without_bubblewrap_it_is_found_too(alone, tmp_path, monkeypatch):
    monkeypatch.setitem(sandbox._known, "kind", sandbox.Kind.LIMITS)
    greet = wheel(tmp_path / "w", "greet", "2.1", {"greet.py": f"version = '2.1'\n{SAYS}"}, {"greet": "greet:main"})
    assert await said(alone, "greet", stocked(alone, greet)) == "hello from greet 2.1\n"


async def test_a_lender_far_away_gets_it_and_the_second_job_ships_nothing(town, tmp_path):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    laptop.allow(ANN, Verb.RUN)
    made = stocked(tower, wheel(tmp_path / "wheels", "helper", "7.0"))
    for _ in range(2):
        assert await said(tower, VERSION, made, on="laptop") == "7.0\n"
    assert sum("/wheels/" in asked for asked in tower.heard) == 1
    await tower.restart()  # whatever is forgotten with a session, what is unpacked stays
    assert await said(tower, VERSION, made, on="laptop") == "7.0\n"
    assert sum("/wheels/" in asked for asked in tower.heard) == 0


async def test_two_versions_of_one_package_serve_two_jobs_at_the_same_time(alone, tmp_path):
    old, new = (stocked(alone, wheel(tmp_path / "wheels", "helper", version)) for version in ("1.0", "2.0"))
    both = await asyncio.gather(said(alone, VERSION, old), said(alone, VERSION, new))
    assert both == ["1.0\n", "2.0\n"]


async def test_functions_have_a_session_for_each_environment(town, tmp_path):
    tower = town.computers["tower"]
    old, new = (stocked(tower, wheel(tmp_path / "wheels", "helper", version)) for version in ("1.0", "2.0"))
    async with held(town, tower, tower, environment=old) as one, held(town, tower, tower, environment=new) as other:
        assert one.papers.session != other.papers.session
        async with held(town, tower, tower, environment=old) as again:
            assert again.papers.session == one.papers.session


async def test_who_has_it_begins_and_waits_for_nobody_who_gets_it_first(lent, shop):
    tower = lent.computers["tower"]
    made = helping(tower, shop)
    assert await said(tower, VERSION, made, on="laptop") == "7.0\n"
    slow = Shop(shop)
    slow.waits = True
    await tower.equipment.prepare(ANN, made, await sandbox.here(), slow)  # at tower it comes, and does not arrive
    inputs = tuple(Input("value", str(number)) for number in range(4))
    job = await tower.run(f"{VERSION} #", environment=made, inputs=inputs)
    assert job.done == 4
    assert {task.computer for task in tower.journal.tasks(job.job)} == {"laptop"}


# Whom it fits


async def test_a_lender_of_another_kind_says_so_before_anything_starts(town, tmp_path):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    laptop.allow(ANN, Verb.RUN)
    strange = stocked(tower, wheel(tmp_path / "w", "helper", tag="cp311-cp311-manylinux_2_17_riscv64"))
    with pytest.raises(Refused) as refused:
        await tower.run("true", environment=Environment("3.7", "riscv64", strange.wheels))
    for name in ("laptop", "tower"):
        sentence = f"{name} runs Python {PYTHON} on {platform.machine()}; the environment is for 3.7 on riscv64."
        assert sentence in refused.value.sentence
    assert not any("/wheels/" in asked for asked in tower.heard)


async def test_a_wheel_for_a_newer_system_is_named(alone, tmp_path):
    made = stocked(alone, wheel(tmp_path / "w", "helper", tag="py3-none-manylinux_2_999_x86_64"))
    with pytest.raises(Refused, match=r"tower cannot use helper-1.0-py3-none-manylinux_2_999_x86_64.whl: it is for"):
        await alone.run("true", environment=made)


async def test_what_is_too_large_for_what_is_lent_is_refused_and_a_bomb_too(town, tmp_path):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    laptop.allow(ANN, Verb.RUN)
    laptop.terms = type(laptop.terms)(cores=2, memory=2**30, disk=2**21)
    large = stocked(tower, wheel(tmp_path / "w", "large", files={"large.py": os.urandom(2**21)}))
    with pytest.raises(Refused, match="laptop has 1048576 bytes for environments, and this one needs more"):
        await tower.run("true", environment=large, on="laptop")
    bomb = stocked(tower, wheel(tmp_path / "w", "bomb", files={"bomb.py": b"#" * 2**26}))
    assert bomb.size < 2**18
    with pytest.raises(Refused, match="unpacked, and at most 1048576 are lent"):
        await tower.run("true", environment=bomb, on="laptop")
    assert not list((laptop.folder / "environments").glob("*/*-*/whole"))


# What must not happen


@needs_bubblewrap
async def test_a_guest_leaves_nothing_in_an_environment_for_the_next_session(warm, shop):
    made = helping(warm, shop)
    place = "/environment/lib/*/site-packages"
    tries = [
        f"echo version=666 > {place}/helper.py",
        f"chmod -R u+w /environment; rm -rf {place}/helper.py",
        f"mv {place}/helper.py {place}/other.py",
        "ln -sf /bin/false /environment/bin/python",
        "mv /environment /elsewhere; mkdir /environment",
        "mount -o remount,rw /environment",
        "unshare -Urm mount -o remount,rw,bind /environment && touch /environment/lib/there",
        f"python -m pip install --target {place} six",
    ]
    for attack in tries:
        job = await warm.run(f"{attack}; {VERSION}", environment=made)
        [task] = warm.journal.tasks(job.job)
        assert task.output.endswith("7.0\n"), (attack, task)
    await warm.restart()
    assert await said(warm, VERSION, made) == "7.0\n"


@needs_bubblewrap
async def test_nobody_sees_the_environment_of_another_person(lent, shop):
    tower, laptop = lent.computers["tower"], lent.computers["laptop"]
    made = helping(tower, shop)
    assert await said(tower, VERSION, made, on="laptop") == "7.0\n"
    # bob, at his own laptop, has none of it: neither the wheels nor what was unpacked for ann.
    with pytest.raises(NotFound, match="not here any more"):
        await laptop.run(VERSION, environment=made, on="laptop")
    looked = await said(laptop, f"ls / {laptop.folder}/environments 2>&1 || true", None, on="laptop")
    assert "environment" not in looked.split()
    assert [each.name for each in (laptop.folder / "environments").iterdir()] == [str(ANN)]


async def test_only_computers_that_take_part_fetch_wheels_and_only_while_the_session_lives(lent, shop):
    tower, laptop, desk = (lent.computers[name] for name in ("tower", "laptop", "desk"))
    made = helping(tower, shop)
    other = other_than(made, shop)
    stocked(tower, *shop.glob("other-*"))
    await said(tower, VERSION, made, on="laptop")
    [opened] = [
        each.result() for key, each in tower.cluster._sessions._opened.items() if key[2:] == ("laptop", 0, made.digest)
    ]
    session = opened.id
    path = f"/sessions/{session}/wheels/{made.wheels[0].sha256}"
    tower_there = lent.peer(tower.fingerprint)
    async with laptop.caller.request(tower_there, "GET", path) as answer:
        assert hashlib.sha256(await answer.read()).hexdigest() == made.wheels[0].sha256
    with pytest.raises(Refused, match="for the computers that take part"):
        await desk.caller.ask(tower_there, "GET", path)
    for sha256 in (other.sha256, "0" * 64):  # here too, but not of this session
        with pytest.raises(NotFound, match="no such wheel"):
            await laptop.caller.ask(tower_there, "GET", f"/sessions/{session}/wheels/{sha256}")
    await tower.cluster._sessions.end(opened)
    with pytest.raises(NotFound, match="That session is over"):
        await laptop.caller.ask(tower_there, "GET", path)


async def test_wheels_that_lead_out_of_their_place_are_refused(tmp_path):
    lender = Lender(tmp_path)
    shop = lender.shop.folder
    hostile = {
        "one": {"../../../../../../session/evil": "x"},
        "two": {"/session/evil": "x"},
        "three": {"three-1.0.data/data/../../../../../evil": "x"},
        "four": {"a\\..\\..\\evil": "x"},
    }
    for name, odd in hostile.items():
        with pytest.raises(WrongUsage, match=rf"{name}-1.0-py3-none-any.whl is refused: .* leads out of it"):
            await lender.gets(environment(wheel(shop, name, **odd)))
    for script in ("../../../session/evil", "/session/evil"):
        with pytest.raises(WrongUsage, match="would be installed outside"):
            await lender.gets(environment(wheel(shop, "five", scripts={script: "five:main"})))
    assert not list(tmp_path.rglob("evil"))
    await lender.equipment.close()


async def test_what_is_no_wheel_or_is_not_what_its_digest_says_is_refused(alone, tmp_path):
    rubbish = tmp_path / "rubbish-1.0-py3-none-any.whl"
    rubbish.write_bytes(b"PK rubbish")
    with pytest.raises(Refused, match=r"rubbish-1.0-py3-none-any.whl is no wheel"):
        await alone.run("true", environment=stocked(alone, rubbish))
    made = stocked(alone, wheel(tmp_path / "w", "helper"))
    file = alone.wheelhouses.of(ANN).file(made.wheels[0])
    file.write_bytes(bytes(reversed(file.read_bytes())))
    with pytest.raises(Refused, match=r"helper-1.0-py3-none-any.whl arrived damaged"):
        await alone.run("true", environment=made)


# The way to the hub


async def test_a_large_wheel_goes_on_where_it_broke_off(town, tmp_path):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.allow(BOB, Verb.RUN)
    made = stocked(laptop, wheel(tmp_path / "w", "large", files={"large.py": os.urandom(5 * 2**20)}))
    house = laptop.wheelhouses.of(BOB)
    [large] = made.wheels
    hub = hub_of(town, laptop, tower)
    half = house.file(large).read_bytes()[: 3 * 2**20]

    async def breaking():
        yield half
        while tower.wheelhouses.of(BOB).begun(large) < 2 * 2**20:  # noqa: ASYNC110 - a file sets no event
            await asyncio.sleep(0.02)
        raise Unreachable("The laptop was closed.")

    with pytest.raises(Unreachable):
        async with hub.request("PUT", f"/environments/{large.sha256}?from=0&size={large.size}", data=breaking()):
            pass
    heard = []
    await Shipping(hub, house, heard.append).run(made)
    assert heard[-1]["done_bytes"] == large.size
    assert heard[0]["done_bytes"] > 2 * 2**20  # what had arrived was not sent again
    there = tower.wheelhouses.of(BOB).file(large)
    assert hashlib.sha256(there.read_bytes()).hexdigest() == large.sha256
    heard.clear()
    await Shipping(hub, house, heard.append).run(made)
    assert heard == []


async def test_a_lender_goes_on_where_its_hub_broke_off(town, tmp_path):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    laptop.allow(ANN, Verb.RUN)
    made = stocked(
        tower,
        wheel(tmp_path / "w", "large", files={"large.py": b"version = 'large'\n#" + os.urandom(2**20).hex().encode()}),
    )
    [large] = made.wheels
    content = tower.wheelhouses.of(ANN).file(large).read_bytes()
    begun = Wheelhouse(laptop.folder / "environments" / ANN / "wheels")
    with begun.begin(large, 0) as file:
        file.write(content[: 2**19])
    assert await said(tower, "python -c 'import large; print(large.version)'", made, on="laptop") == "large\n"
    # Had it begun anew, it would have ended well all the same: so let what is there already be wrong.
    second = stocked(tower, wheel(tmp_path / "w", "liar", files={"liar.py": os.urandom(2**20)}))
    with begun.begin(second.wheels[0], 0) as file:
        file.write(b"x" * 2**19)
    with pytest.raises(Refused, match="arrived damaged"):
        await tower.run("true", environment=second, on="laptop")
    assert await said(tower, "python -c 'print(3)'", second, on="laptop") == "3\n"  # and that is begun anew


async def test_who_may_not_run_at_a_hub_leaves_no_wheel_there(town, tmp_path):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    made = stocked(laptop, wheel(tmp_path / "w", "helper"))
    hub = hub_of(town, laptop, tower)
    with pytest.raises(Refused, match="no rule lets bob run"):
        await hub.ask("POST", "/environments", made)
    [only] = made.wheels
    with pytest.raises(Refused, match="no rule lets bob run"):
        async with hub.request("PUT", f"/environments/{only.sha256}?from=0&size=1", data=b"x"):
            pass
    assert not (tower.folder / "wheels").exists()


async def test_what_is_sent_is_what_was_said_or_nothing(town, tmp_path):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.allow(BOB, Verb.RUN)
    hub = hub_of(town, laptop, tower)
    digest = hashlib.sha256(b"abc").hexdigest()

    async def put(query: str, data: bytes) -> None:
        async with hub.request("PUT", f"/environments/{digest}?{query}", data=data):
            pass

    for query, data, kind in (
        ("from=0&size=3", b"abd", Damaged),  # another content
        ("from=0&size=3", b"abcd", WrongUsage),  # more than was said
        ("from=7&size=9", b"xx", Damaged),  # what comes before is not there
        ("from=0&size=99999999999999999", b"abc", NoSpace),
        ("from=-1&size=3", b"abc", WrongUsage),
        ("size=3", b"abc", WrongUsage),
    ):
        with pytest.raises(kind):
            await put(query, data)
        assert not tower.wheelhouses.of(BOB).has(Wheel("wheel", digest, 3))
    await put("from=0&size=3", b"abc")
    assert tower.wheelhouses.of(BOB).has(Wheel("wheel", digest, 3))


async def test_the_environment_of_a_job_survives_its_node_and_a_job_whose_packages_are_gone_says_so(alone, tmp_path):
    made = stocked(alone, wheel(tmp_path / "w", "helper", "7.0"))
    number = await alone.begin(f"{VERSION}; sleep 1; {VERSION}", environment=made)
    await alone.until(number, "running")
    await alone.restart()
    job = await alone.ended(number)
    assert job.done == 1
    assert alone.journal.tasks(number)[0].output == "7.0\n7.0\n"
    failed = await alone.begin("false", environment=made)
    await alone.ended(failed)
    alone.wheelhouses.of(ANN).file(made.wheels[0]).unlink()
    await alone.restart()
    await alone.cluster.again(failed)
    job = await alone.ended(failed)
    assert job.notes[-1] == "The packages of its environment are not here any more."
