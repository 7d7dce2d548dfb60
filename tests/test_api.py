"""The Python API as a module: what importing it costs, and what it says before there is a network."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

import commonhold
from commonhold.errors import NodeNotRunning, NotFound, WrongUsage
from commonhold.home import Home

HEAVY = {"dask", "distributed", "numpy", "zeroconf", "matplotlib", "rich", "cloudpickle", "tornado"}
LATE = {"aiohttp", "cryptography", "asyncio", "sqlite3", "msgspec"}


def loaded(program):
    """The top-level modules that are loaded after `program`."""
    told = f"{program}\nimport json, sys\nprint(json.dumps(sorted({{n.partition('.')[0] for n in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_next_to_nothing():
    assert not loaded("import commonhold") & (HEAVY | LATE)


def test_help_loads_next_to_nothing():
    program = "from commonhold.cli.main import perform\nperform(['--help'])"
    assert not loaded(program) & (HEAVY | LATE)
    assert not loaded("from commonhold.cli.main import perform\nperform(['run', '--help'])") & HEAVY


def test_the_api_and_the_node_load_no_dask_and_no_multicast():
    assert not loaded("import commonhold.api") & HEAVY
    assert not loaded("import commonhold.node.process, commonhold.demo.story") & HEAVY


def test_before_joining_connect_says_how_to(tmp_path):
    with pytest.raises(NotFound) as missing:
        commonhold.connect(tmp_path)
    assert missing.value.hint == "commonhold create NETWORK, or commonhold join CODE"


def test_the_home_of_the_environment_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("COMMONHOLD_HOME", str(tmp_path / "there"))
    assert Home.find().folder == tmp_path / "there"
    assert Home.find(str(tmp_path / "named")).folder == tmp_path / "named"


def test_a_network_is_a_context_and_leaves_no_thread(computer):
    one = computer("one")
    one.create("casa")
    before = threading.active_count()
    with commonhold.connect(one.home) as net:
        assert net.status().network == "casa"
        assert [entry.path for entry in net.ls()] == ["one:"]
        with pytest.raises(WrongUsage, match="names no computer"):
            net.ls("photos")
        with pytest.raises(NotFound):
            net.job(99)
        with pytest.raises(WrongUsage):
            net.share(one.folder, to="ann")
    net.close()  # twice does no harm
    assert threading.active_count() == before
    one.home.key.rename(one.folder / "key")
    with pytest.raises(commonhold.errors.Damaged):
        commonhold.connect(one.home)
    assert threading.active_count() == before


def test_many_threads_may_use_one_network(computer, tmp_path):
    one = computer("one")
    one.create("casa")
    (tmp_path / "box").mkdir()
    one.net.share(tmp_path / "box")
    for number in range(20):
        (tmp_path / f"{number}").write_text(str(number))
    threads = [
        threading.Thread(target=one.net.put, args=(tmp_path / f"{number}", f"one:box/{number}")) for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {path.name for path in (tmp_path / "box").iterdir() if path.name != ".commonhold"} == set(
        map(str, range(20))
    )


def test_a_computer_that_moved_is_found_by_the_same_network_object(computer, tmp_path):
    one = computer("one")
    one.create("casa")
    (tmp_path / "box").mkdir()
    one.net.share(tmp_path / "box")
    assert one.net.ls("one:box") == []
    one.kill()
    with pytest.raises(NodeNotRunning) as down:
        one.net.ls("one:box")
    assert down.value.hint == "commonhold up"
