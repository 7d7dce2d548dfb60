"""The owner comes first: ann runs jobs on bob's laptop, and bob says on which terms."""

from __future__ import annotations

import os
import pty
import time
from datetime import datetime

import pytest

from commonhold.errors import NotFound, Refused, WrongUsage
from commonhold.node import founding

from ..conftest import commands, lives, town, until

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


def test_without_options_it_shows_the_terms_and_changes_nothing(laptop):
    before = laptop.settings()
    seen = laptop.typed("lend")
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
    laptop.typed("lend", "--cores", 1, "--memory", "1GiB", "--disk", "2GB", "--hours", "0:00-24")
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
    laptop.typed("lend", "--cores", "default")
    assert laptop.net.lend().cores == 0
    assert laptop.net.lend().memory == GIB, "what is not named stays"


def test_for_says_the_rule_that_allow_would_say(laptop):
    laptop.net.deny("ann", "run", "compute")
    assert laptop.net.lend().people == ()
    assert "Nobody may: commonhold lend --for WHO" in laptop.typed("lend").out
    seen = laptop.typed("lend", "--for", "ann", "--for", "members")
    assert "Who may: ann, members." in seen.out
    assert laptop.net.explain("ann", "run", "compute").rule == "allow ann run compute"
    laptop.net.deny("members", "run", "compute")
    assert laptop.net.lend().people == ("ann",)


def test_somebody_whom_nobody_knows_changes_nothing(laptop):
    seen = laptop.typed("lend", "--cores", 1, "--for", "eve", code=3)
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
        (("--cores", "10000"), "cores."),
        (("--memory", "1MB"), "of memory."),
        (("--memory", "900TB"), "of memory."),
        (("--disk", "1kB"), "of disk."),
    ],
)
def test_terms_that_cannot_be_are_refused_in_one_sentence_and_nothing_changes(laptop, words, sentence):
    before = laptop.settings()
    seen = laptop.typed("lend", *words, code=2)
    assert seen.err.splitlines()[0].endswith(sentence)
    assert seen.hint
    assert laptop.settings() == before


@pytest.mark.parametrize("words", [("--cores", "none"), ("--cores", "0"), ("--memory", "much"), ("--when", "seldom")])
def test_what_is_no_term_at_all_is_wrong_usage(laptop, words):
    laptop.typed("lend", *words, code=2)


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
            seen = client.typed(*words, code=4)
            assert "client is a client: it lends nothing." in seen.err
            assert "commonhold lend" in seen.hint
        assert server.net.lend("bob", cores=1).people == ("bob",)
        assert client.net.run("echo {}", ["x"]).done == 1
        server.net.lend(when="never")
        until(lambda: not server.net.status().guests, "its session, which was kept warm, is ended")
        with pytest.raises(Refused, match="server lends nothing now"):
            client.net.run("echo {}", ["x"])


def test_who_computes_here_is_seen_with_the_command_made_harmless(tower, laptop):
    word = f"6{os.getpid()}"
    job = tower.net.run(f"sleep {word}; : '\x1b[31m' {{}}", ["a\nb"], on="laptop", wait=False)
    try:
        [guest] = until(lambda: [each for each in laptop.net.status().guests if each.commands], "ann computes there")
        assert (guest.person, guest.computer, guest.state) == ("ann", "tower", "running")
        assert guest.commands == (f"sleep {word}; : '\x1b[31m' {{}}",)
        for shown in (laptop.typed("lend").out, laptop.typed("status").out):
            [line] = [each for each in shown.splitlines() if word in each]
            assert "ann (tower)" in line
            assert "\x1b" not in line
        assert laptop.json("lend")["guests"][0]["person"] == "ann"
    finally:
        tower.net.cancel(job.job)
    until(lambda: not any(each.commands for each in laptop.net.status().guests), "its command is over")


AT_ONCE, SLACK = 1.0, 1.5  # seconds: promised; and for a machine that does other things besides
COUNTS = "for i in $(seq 1 {}); do echo $i; sleep 0.05; done"


def later() -> str:
    """Hours that do not hold now."""
    hour = datetime.now().astimezone().hour
    return f"{(hour + 2) % 24}-{(hour + 3) % 24}"


def begun(tower, word: str, command: str = "{}", on: str = "laptop"):
    """A job that runs on laptop: its number, and the process of its command there."""
    job = tower.net.run(command.replace("{}", f"sleep {word} # {{}}", 1), ["x"], on=on, wait=False)
    [process] = until(lambda: commands(f"sleep {word}"), "its command runs")
    return job.job, process


def test_never_ends_what_runs_within_a_second(tower, laptop):
    job, process = begun(tower, f"71{os.getpid()}")
    told = time.monotonic()
    laptop.net.lend(when="never")
    until(lambda: not lives(process), "it is ended", AT_ONCE + SLACK)
    assert time.monotonic() - told < AT_ONCE + SLACK
    assert laptop.net.status().guests == ()
    assert laptop.typed("lend").out.splitlines()[0] == "laptop lends nothing: commonhold lend --when always"
    until(lambda: any("gave its tasks back" in note for note in tower.net.job(job).notes), "its person is told why")
    laptop.net.lend(when="always")
    until(lambda: commands(f"sleep 71{os.getpid()}"), "it runs again when laptop lends again")
    tower.net.cancel(job)


def test_hours_that_end_freeze_what_runs_and_it_goes_on_when_they_come_back(tower, laptop):
    job = tower.net.run(COUNTS, ["60"], on="laptop", wait=False)
    until(lambda: any(each.commands for each in laptop.net.status().guests), "it runs")
    laptop.typed("lend", "--hours", later())
    [guest] = until(lambda: [each for each in laptop.net.status().guests if each.state == "frozen"], "it is frozen")
    assert guest.person == "ann"
    assert "frozen" in laptop.typed("status").out
    time.sleep(1)
    laptop.typed("lend", "--hours", "always")
    ended = tower.net.follow(job.job)
    assert (ended.state, ended.done) == ("done", 1)
    [task] = tower.net.log(job.job)
    assert task.output.split() == [str(number) for number in range(1, 61)]
    assert any("what runs there waits, for a minute at most" in note for note in ended.notes)


def test_a_node_that_is_killed_takes_what_is_frozen_along(tower, laptop):
    job, process = begun(tower, f"72{os.getpid()}")
    laptop.net.lend(hours=later())
    until(lambda: [each for each in laptop.net.status().guests if each.state == "frozen"], "it is frozen")
    laptop.kill()
    until(lambda: not lives(process), "it is ended")
    tower.net.cancel(job)
    laptop.up()
    assert laptop.net.lend().hours, "the terms hold still"


def test_a_minute_after_the_hours_have_ended_the_tasks_run_elsewhere(tower, laptop):
    job = tower.net.run("sleep 2; echo {}", list("abcdefgh"), wait=False).job
    until(lambda: {"laptop", "tower"} <= {task.computer for task in tower.net.log(job)}, "both compute")
    laptop.net.lend(hours=later())
    told = time.monotonic()
    held = [task.task for task in tower.net.log(job) if task.computer == "laptop" and task.state == "running"]
    ended = tower.net.follow(job)
    assert (ended.state, ended.done) == ("done", 8)
    if held:
        assert time.monotonic() - told > 55
    assert {task.computer for task in tower.net.log(job) if task.task in held} <= {"tower", "laptop"}
    assert not any("given up" in note or "lost" in note for note in ended.notes), ended.notes
    assert laptop.net.status().guests == ()


def test_functions_that_are_given_back_run_elsewhere_and_are_not_blamed(tower, laptop):
    with tower.net.executor() as executor:
        calls = [executor.submit(time.sleep, 1) for _ in range(12)]
        until(lambda: laptop.net.status().guests, "laptop takes part")
        until(lambda: sum(call.done() for call in calls) >= 2, "some are done")
        for _ in range(3):
            laptop.net.lend(when="never")
            laptop.net.lend(when="always")
        laptop.net.lend(when="never")
        for call in calls:
            assert call.result(60) is None


def test_idle_lends_to_nobody_while_somebody_types(tower, laptop):
    laptop.net.lend(when="never")  # a session that is kept warm would be frozen, and a job wait there
    until(lambda: not laptop.net.status().guests, "nobody is left")
    ours, theirs = pty.openpty()
    try:
        os.write(ours, b"x\n")
        os.read(theirs, 10)
        laptop.typed("lend", "--when", "idle")
        now = laptop.net.lend()
        assert (now.lends, now.use) == (False, "somebody typed here within the last 3 minutes")
        seen = laptop.typed("lend").out
        assert seen.startswith("laptop lends while nobody uses it: all cores, ")
        assert "At present it is in use, and lends only while it is not: somebody typed here within" in seen
        with pytest.raises(Refused) as refused:
            tower.net.run("echo {}", ["x"], on="laptop")
        assert "laptop is in use, and lends only while it is not." in refused.value.sentence
        assert "typed" not in refused.value.sentence, "what its owner does is no matter for others"
    finally:
        os.close(ours)
        os.close(theirs)


def test_terms_that_were_damaged_by_hand_are_told_when_the_node_starts(computer):
    one = computer("one")
    founding.create(one.home, "casa", person="ann", computer="one", listen=[one.address])
    text = one.home.settings_file.read_text()
    one.home.settings_file.write_text(text.replace('"hours": ""', '"hours": "9-9"'))
    failed = one.typed("up", code=1)
    assert "settings.json is damaged: “9-9” are no hours." in failed.err
