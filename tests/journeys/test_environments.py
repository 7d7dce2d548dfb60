"""Packages travel along: real nodes as processes, real pip, real sandboxes; a folder takes the place of an index."""

from __future__ import annotations

import platform
import sys

import pytest
from tests.compute.packages import PYTHON, wheel

from commonhold.errors import NotFound, Refused

from ..conftest import lent, town

SOURCE = """
def main():
    print("gem", version)

def told():
    return version

def plus(number):
    return number + int(float(version))
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Where pip looks: gem, which no computer has, in two versions, with a program."""
    folder = tmp_path_factory.mktemp("shop")
    wheel(folder, "pandas", "9.0", {"pandas.py": "__version__ = '9.0'\n"})
    for version in ("1.0", "2.0"):
        files = {"gem.py": f"version = {version!r}\n{SOURCE}"}
        wheel(folder, "gem", version, files, {"gem": "gem:main"})
    return folder


@pytest.fixture(autouse=True)
def _pip(shop, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shop))


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """tower of ann, laptop of bob, who lends ann his processors."""
    with lent(tmp_path_factory.mktemp("casa")) as both:
        yield both


def version_of(_):
    import gem  # type: ignore[import-not-found]

    return gem.version


def test_functions_import_what_no_computer_has(network):
    tower, _ = network
    with tower.net.executor("laptop") as executor, pytest.raises(ModuleNotFoundError):
        executor.submit(version_of, 0).result()
    with (
        tower.net.executor("laptop", env=["gem==1.0"]) as one,
        tower.net.executor("laptop", env=["gem==2.0"]) as other,
    ):
        futures = [executor.submit(version_of, 0) for executor in (one, other, one)]
        assert [future.result() for future in futures] == ["1.0", "2.0", "1.0"]


def test_what_is_not_here_is_no_matter_to_functions_that_bring_it_along(network, recwarn):
    """Dask would warn of each package that has another version here, or is not here at all."""
    tower, _ = network
    with tower.net.executor("laptop", env=["pandas"]) as executor:
        assert executor.submit(lambda: __import__("pandas").__version__).result() == "9.0"
    assert not [each for each in recwarn if "Mismatch" in each.category.__name__]
    with tower.net.dask("laptop", env=["pandas"]):
        assert [each for each in recwarn if "Mismatch" in each.category.__name__]


def test_dask_computes_with_it(network, tmp_path, monkeypatch):
    """Its scheduler opens what is submitted, so that it needs the modules that stand in it as well."""
    tower, _ = network
    (tmp_path / "gem.py").write_text(
        "version = 'the one here'\ndef told(): return version\ndef plus(number): return number\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import gem

    try:
        with tower.net.dask("laptop", env=["gem"]) as client:
            assert client.submit(gem.told).result() == "2.0"
            assert sorted(client.gather(client.map(gem.plus, [1, 2]))) == [3, 4]
    finally:
        del sys.modules["gem"]


def test_a_command_line_with_a_file_of_requirements(network, tmp_path):
    tower, _ = network
    file = tmp_path / "my packages.txt"
    file.write_text("gem<2  # the old one\n")
    done = tower.typed("run", "--env", file, "--on", "all", "gem > out{#}.txt")
    assert "2 done" in done.out
    tower.typed("get", "-r", f"tower:.job-{tower.net.jobs()[-1].job}/out", tmp_path / "got")
    assert {path.read_text() for path in (tmp_path / "got").rglob("*.txt")} == {"gem 1.0\n"}


def test_a_plan_says_what_would_travel(network, tmp_path):
    tower, _ = network
    file = tmp_path / "requirements.txt"
    file.write_text("gem\n")
    jobs = len(tower.net.jobs())
    told = tower.typed("run", "--dry-run", "--env", file, "gem {}", ":::", "1", "2")
    assert "Its environment: gem 2.0; " in told.err
    assert f"for Python {PYTHON} on {platform.machine()}." in told.err
    assert "All of it is at tower" in told.err
    plans = tower.json("run", "--dry-run", "--env", file, "gem {}", ":::", "1", "2")
    found = tower.net.packages(file)
    assert {plan["environment"] for plan in plans} == {found.environment}
    assert found.packages == ("gem 2.0",)
    assert len(tower.net.jobs()) == jobs


def test_a_package_that_nobody_has_stops_everything_before_it_starts(network, tmp_path):
    tower, _ = network
    file = tmp_path / "requirements.txt"
    file.write_text("no-such-gem\n")
    jobs = len(tower.net.jobs())
    ran = tower.typed("run", "--env", file, "true", code=3)
    assert "There is no wheel of no-such-gem for Python" in ran.err
    assert ran.hint
    ran = tower.typed("run", "--env", tmp_path / "gone.txt", "true", code=3)
    assert "There is no file" in ran.err
    with pytest.raises(NotFound):
        tower.net.executor(env=["no-such-gem"])
    assert len(tower.net.jobs()) == jobs


def test_a_client_sends_it_to_the_server_once(tmp_path_factory, tmp_path):
    with town(tmp_path_factory.mktemp("office")) as make:
        server, client = make("server", "ann"), make("client", "bob")
        server.create("office", "client-server")
        client.join(server)
        with pytest.raises(Refused):
            client.net.run("gem", env=["gem"])
        server.net.allow("bob", "run", "compute")
        before = client.net.packages(["gem"])
        assert (before.hub, before.to_send) == ("server", before.size)
        heard = []
        for _ in range(2):
            job = client.net.run("gem", env=["gem"], progress=heard.append)
            assert client.net.log(job.job)[0].output == "gem 2.0\n"
        sent = [event["done_bytes"] for event in heard if event.get("doing") == "sending packages"]
        assert sent == [before.size]
        assert client.net.packages(["gem"]).to_send == 0
        # bob has it there for himself: the server's owner finds nothing of it.
        assert [each.name for each in server.home.wheels.iterdir()] != ["own"]
        with client.net.executor(env=["gem"]) as executor:
            assert executor.submit(version_of, 0).result() == "2.0"
