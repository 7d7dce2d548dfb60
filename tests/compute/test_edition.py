"""A package that is replaced under a running node: nothing new is started that would speak other words than it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.compute.conftest import BOB, Town
from tests.compute.test_jobs import values

import commonhold
from commonhold.authority.authority import Verb
from commonhold.compute.edition import Edition
from commonhold.errors import Refused, Unreachable


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return Path(shutil.copytree(Path(commonhold.__file__).parent, tmp_path / "site packages" / "commonhold"))


@pytest.mark.parametrize("file", ["__init__.py", "compute/channel.py", "compute/sandboxed/engine.py"])
def test_other_code_in_what_workers_load_is_seen(package: Path, file: str):
    edition = Edition(package)
    (package / "compute" / "__pycache__").mkdir(exist_ok=True)
    (package / "compute" / "__pycache__" / "job.cpython.pyc").write_bytes(b"made meanwhile")
    assert edition.trouble("laptop") == ""
    (package / file).write_text("# new\n")
    assert edition.trouble("laptop") == "Commonhold was upgraded on laptop since its node started."
    assert not Edition(package).replaced(), "a node that starts now runs it"


def test_a_file_more_or_less_is_seen(package: Path):
    edition = Edition(package)
    (package / "compute" / "new.py").touch()
    assert edition.replaced()
    (package / "compute" / "new.py").unlink()
    assert not edition.replaced()
    (package / "compute" / "relay.py").unlink()
    assert edition.replaced()


async def test_nothing_begins_on_a_computer_nor_at_a_hub_that_was_upgraded(town: Town, package: Path):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.allow(BOB, Verb.RUN)
    tower.lending.edition = Edition(package)
    assert (await laptop.run("true", on="tower")).done == 1
    (package / "compute" / "job.py").write_text("# new\n")
    await tower.lending.stays.close()  # the warm one
    with pytest.raises(Refused, match=r"tower refused: Commonhold was upgraded on tower since") as refused:
        await laptop.run("true", inputs=values("1"), on="tower")
    assert "commonhold explain" not in refused.value.hint
    with pytest.raises(Unreachable, match="was upgraded on tower") as unreachable:
        await tower.run("true")
    assert unreachable.value.hint == "commonhold down && commonhold up, typed on tower"
