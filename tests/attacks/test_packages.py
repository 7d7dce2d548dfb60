"""A file of requirements that somebody else has written, at the computer of who submits."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from commonhold.compute.submitter.requirements import Resolver
from commonhold.compute.wheels import Wheelhouse
from commonhold.errors import NotFound

BACKEND = """
open({!r}, "w").close()
def build_wheel(*words, **more):
    raise SystemExit("built")
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "evil"
version = "1.0"
"""


@pytest.fixture
def executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there when something of the package was executed, which lies in `shop` as its source."""
    place, found = tmp_path / "evil-1.0", tmp_path / "executed"
    place.mkdir()
    (place / "backend.py").write_text(BACKEND.format(str(found)))
    (place / "pyproject.toml").write_text(PROJECT)
    (place / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (tmp_path / "shop").mkdir()
    with tarfile.open(tmp_path / "shop" / "evil-1.0.tar.gz", "w:gz") as archive:
        archive.add(place, "evil-1.0")
    (tmp_path / "nested.txt").write_text("--no-binary :all:\nevil\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "shop"))
    return found


@pytest.mark.parametrize("text", ["evil", "--no-binary :all:\nevil", "--no-binary evil\nevil", "-r nested.txt"])
async def test_no_source_of_an_index_is_built_whatever_the_file_says(tmp_path: Path, executed: Path, text: str):
    (tmp_path / "requirements.txt").write_text(f"{text}\n")
    resolver = Resolver(tmp_path / "kept", Wheelhouse(tmp_path / "wheels"))
    with pytest.raises(NotFound, match="There is no wheel of evil"):
        await resolver.resolve(tmp_path / "requirements.txt")
    assert not executed.exists()
    with pytest.raises(NotFound, match="There is no wheel of evil"):
        await resolver.resolve([f"-r {tmp_path / 'nested.txt'}"] if "nested" in text else text.splitlines())
    assert not executed.exists()
