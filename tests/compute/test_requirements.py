"""A file of requirements becomes an environment: by pip itself, from a folder instead of an index."""

from __future__ import annotations

import asyncio
import os
import platform
import time

import pytest
from tests.compute.packages import PYTHON, wheel

from commonhold.compute.submitter.requirements import KEPT, Resolver
from commonhold.compute.wheels import Wheelhouse
from commonhold.errors import Damaged, NotFound, Unreachable, WrongUsage


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Where pip looks, instead of at an index: greet needs helper, of which there are two versions."""
    folder = tmp_path / "shop"
    for version in ("1.0", "2.0"):
        wheel(folder, "helper", version)
    wheel(folder, "greet", "2.1", requires=("helper<2",))
    wheel(folder, "elsewhere", tag="cp311-cp311-manylinux_2_17_riscv64")
    (folder / "sources-1.0.tar.gz").write_bytes(b"no wheel")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def resolver(tmp_path):
    return Resolver(tmp_path / "asked", Wheelhouse(tmp_path / "wheels"))


def written(tmp_path, text, name="requirements.txt"):
    file = tmp_path / name
    file.write_text(text)
    return file


async def test_it_has_what_is_named_and_what_that_needs(resolver, shop, tmp_path):
    heard = []
    found = await resolver.resolve(written(tmp_path, "greet\n"), heard.append)
    assert found.packages == ["greet 2.1", "helper 1.0"]
    assert (found.python, found.machine) == (PYTHON, platform.machine())
    assert {path.name for path in (tmp_path / "wheels").iterdir()} == {each.sha256 for each in found.wheels}
    assert any(event["doing"].endswith("greet-2.1") for event in heard)
    assert not list((tmp_path / "asked").glob("tmp*"))
    assert (await resolver.resolve(["helper==2.0"])).packages == ["helper 2.0"]
    assert (await resolver.resolve([])).packages == []


async def test_paths_with_spaces_and_accents_and_places_in_the_file_itself(resolver, shop, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_FIND_LINKS")
    folder = tmp_path / "été à la mer"
    folder.mkdir()
    shop.rename(folder / "shop")
    file = written(folder, '--find-links "shop"\ngreet  # one\n', "mes paquets.txt")
    assert (await resolver.resolve(file)).packages == ["greet 2.1", "helper 1.0"]
    straight = written(folder, "./shop/helper-2.0-py3-none-any.whl\n", "un.txt")
    assert (await resolver.resolve(str(straight))).packages == ["helper 2.0"]


async def test_what_a_file_gave_it_gives_again_for_a_day(resolver, shop, tmp_path):
    file = written(tmp_path, "helper  # whichever\n\n# and no more\n")
    first = await resolver.resolve(file)
    begun = time.monotonic()
    assert await resolver.resolve(file) == first
    at_once = time.monotonic() - begun
    heard = []
    assert await resolver.resolve(file, heard.append) == first
    assert heard == [], at_once
    # When a wheel is not here any more, a day has passed, or the folder has changed, pip is asked.
    for path in (tmp_path / "wheels").iterdir():
        path.unlink()
    await resolver.resolve(file, heard.append)
    assert heard
    heard.clear()
    [kept] = (tmp_path / "asked").glob("*.json")
    os.utime(kept, (time.time() - KEPT - 1,) * 2)
    await resolver.resolve(file, heard.append)
    assert heard
    wheel(shop, "helper", "3.0")
    assert (await resolver.resolve(file)).packages == ["helper 3.0"]


async def test_what_names_places_is_looked_for_each_time(resolver, shop, tmp_path):
    other = written(tmp_path, "helper==1.0\n", "other.txt")
    file = written(tmp_path, "-r other.txt\n")
    assert (await resolver.resolve(file)).packages == ["helper 1.0"]
    other.write_text("helper==2.0\n")
    assert (await resolver.resolve(file)).packages == ["helper 2.0"]


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("missing-one", NotFound, f"There is no wheel of missing-one for Python {PYTHON} on {platform.machine()}."),
        ("elsewhere", NotFound, "There is no wheel of elsewhere for"),
        ("sources", NotFound, "There is no wheel of sources for"),
        ("helper==9", NotFound, "No version of helper==9 has a wheel for .*; there are 1.0, 2.0."),
        ("greet\nhelper==2.0", WrongUsage, "The requirements of .*requirements.txt contradict each other: Cannot inst"),
        ("helper==", WrongUsage, "requirements.txt gives no environment: Invalid requirement: 'helper=='"),
        ("-r gone.txt", WrongUsage, "requirements.txt gives no environment: Could not open requirements file"),
        (f"helper==1.0 --hash=sha256:{'0' * 64}", Damaged, "A package is not what .* says: its digest is another."),
    ],
)
async def test_what_gives_no_environment_is_said_in_one_sentence(resolver, shop, tmp_path, text, kind, said):
    with pytest.raises(kind, match=said) as raised:
        await resolver.resolve(written(tmp_path, f"{text}\n"))
    assert "\n" not in raised.value.sentence
    assert not list((tmp_path / "asked").glob("*"))


async def test_an_index_that_does_not_answer(resolver, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(Unreachable, match="No package index answers"):
        await resolver.resolve(["helper"])


@pytest.mark.parametrize(("content", "kind"), [(None, NotFound), (b"\xff\xfe\xff", WrongUsage)])
async def test_a_file_that_is_none(resolver, tmp_path, content, kind):
    file = tmp_path / "requirements.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(kind, match=r"requirements\.txt"):
        await resolver.resolve(file)
    with pytest.raises(WrongUsage, match="cannot be read"):
        await resolver.resolve(tmp_path)


async def test_who_gives_up_leaves_no_process_and_no_file_behind(resolver, tmp_path, monkeypatch):
    """An index that accepts and never answers: Ctrl-C ends pip, too."""
    asked = asyncio.Event()

    async def silent(reader, writer):
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    resolving = asyncio.create_task(resolver.resolve(["helper"]))
    await asyncio.wait_for(asked.wait(), 30)
    resolving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await resolving
    server.close()
    await server.wait_closed()  # pip's connection has ended
    assert not list((tmp_path / "asked").glob("*"))
    assert not list(temporary.iterdir())
