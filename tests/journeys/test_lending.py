"""The owner comes first: ann runs jobs on bob's laptop, and bob says on which terms."""

from __future__ import annotations

import os

import psutil
import pytest

from commonhold.errors import NotFound, WrongUsage

from ..conftest import town, until

GIB = 2**30


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """ann's tower lends nothing; bob's laptop lends."""
    with town(tmp_path_factory.mktemp("Bürgers Netz")) as make:
        tower, laptop = make("tower", "ann"), make("laptop", "bob")
        tower.create("casa")
        laptop.join(tower)
        laptop.knows("tower", "laptop")
        yield tower, laptop


@pytest.fixture
def tower(network):
    return network[0]


@pytest.fixture
def laptop(network):
    """On terms that are as at the beginning."""
    one = network[1]
    one.net.lend("ann", when="always", cores=0, memory=0, disk=0, hours="always")
    return one


def commands(line: str) -> list[psutil.Process]:
    """Processes of that very command, wherever."""
    return [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == line.split()]


def test_without_options_it_shows_the_terms_and_changes_nothing(laptop):
    before = laptop.settings()
    seen = laptop.cli("lend")
    assert seen.out.splitlines()[1:] == ["Who may: ann.", "Nobody computes here now."]
    assert seen.out.startswith(
        "laptop lends always: all cores, half of its memory, half of what is free on its disk; tasks are held by "
    )
    document = laptop.json("lend")
    assert (document["when"], document["lends"], document["people"], document["guests"]) == (
        "always",
        True,
        ["ann"],
        [],
    )
    assert laptop.settings() == before


def test_terms_are_kept_over_a_restart_and_recorded(laptop):
    laptop.cli("lend", "--cores", 1, "--memory", "1GiB", "--disk", "2GB", "--hours", "0:00-24")
    assert laptop.settings()["lend"] == {
        "when": "always",
        "cores": 1,
        "memory": GIB,
        "disk": 2_000_000_000,
        "hours": "0-24",
    }
    laptop.kill()
    laptop.up()
    now = laptop.net.lend()
    assert (now.cores, now.memory, now.disk, now.hours, now.lends) == (1, GIB, 2_000_000_000, "0-24", True)
    assert laptop.net.status().lend.cores == 1
    line = [each for each in laptop.json("audit") if each["event"] == "lending"][-1]
    assert (line["by"], line["cores"], line["hours"]) == ("bob", 1, "0-24")
    laptop.cli("lend", "--cores", "default")
    assert laptop.net.lend().cores == 0
    assert laptop.net.lend().memory == GIB, "what is not named stays"


def test_for_says_the_rule_that_allow_would_say(laptop):
    laptop.net.deny("ann", "run", "compute")
    assert laptop.net.lend().people == ()
    assert "Nobody may: commonhold lend --for WHO" in laptop.cli("lend").out
    seen = laptop.cli("lend", "--for", "ann", "--for", "members")
    assert "Who may: ann, members." in seen.out
    assert laptop.net.explain("ann", "run", "compute").rule == "allow ann run compute"
    laptop.net.deny("members", "run", "compute")
    assert laptop.net.lend().people == ("ann",)


def test_somebody_whom_nobody_knows_changes_nothing(laptop):
    seen = laptop.cli("lend", "--cores", 1, "--for", "eve", code=3)
    assert "There is nobody called “eve”" in seen.err
    assert laptop.net.lend().cores == 0
    with pytest.raises(NotFound):
        laptop.net.lend("eve")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--hours", "25-7"), "“25-7” are no hours."),
        (("--hours", "at night"), "“at night” are no hours."),
        (("--hours", "9-9"), "“9-9” are no hours."),
        (("--cores", "10000"), "cores, and not 10,000."),
        (("--memory", "1MB"), "bytes of memory, and not 1,000,000."),
        (("--memory", "900TB"), "bytes of memory, and not 900,000,000,000,000."),
        (("--disk", "1kB"), "bytes of disk, and not 1,000."),
    ],
)
def test_terms_that_cannot_be_are_refused_in_one_sentence_and_nothing_changes(laptop, words, sentence):
    before = laptop.settings()
    seen = laptop.cli("lend", *words, code=2)
    assert seen.err.splitlines()[0].endswith(sentence)
    assert seen.hint
    assert laptop.settings() == before


@pytest.mark.parametrize("words", [("--cores", "none"), ("--cores", "0"), ("--memory", "much"), ("--when", "seldom")])
def test_what_is_no_term_at_all_is_wrong_usage(laptop, words):
    laptop.cli("lend", *words, code=2)


def test_the_api_checks_what_the_command_would_have(laptop):
    for terms in ({"cores": -1}, {"memory": -5}, {"when": "seldom"}, {"hours": ""}, {"hours": "7"}):
        with pytest.raises(WrongUsage):
            laptop.net.lend(**terms)


def test_a_client_of_a_server_lends_nothing_and_says_so(tmp_path):
    with town(tmp_path) as make:
        server, client = make("server", "ann"), make("client", "bob")
        server.create("office", shape="client-server")
        client.join(server)
        for words in (("lend",), ("lend", "--cores", 1)):
            seen = client.cli(*words, code=4)
            assert "client is a client: it lends nothing." in seen.err
            assert "commonhold lend" in seen.hint
        assert server.net.lend("bob", cores=1).people == ("bob",)
        assert client.net.run("echo {}", ["x"]).done == 1


def test_who_computes_here_is_seen_with_the_command_made_harmless(tower, laptop):
    word = f"6{os.getpid()}"
    job = tower.net.run(f"sleep {word}; : '\x1b[31m' {{}}", ["a\nb"], on="laptop", wait=False)
    try:
        [guest] = until(lambda: [each for each in laptop.net.status().guests if each.commands], "ann computes there")
        assert (guest.person, guest.computer, guest.state) == ("ann", "tower", "running")
        assert guest.commands == (f"sleep {word}; : '\x1b[31m' {{}}",)
        for shown in (laptop.cli("lend").out, laptop.cli("status").out):
            [line] = [each for each in shown.splitlines() if word in each]
            assert "ann (tower)" in line
            assert "\x1b" not in line
        assert laptop.json("lend")["guests"][0]["person"] == "ann"
    finally:
        tower.net.cancel(job.job)
    until(lambda: not any(each.commands for each in laptop.net.status().guests), "its command is over")
