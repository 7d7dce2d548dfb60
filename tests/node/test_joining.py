"""Joining that is cut off, at either end and at any line, and joining by a file: with real nodes, killed for good."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time

import msgspec
import psutil
import pytest

from commonhold.authority import newcomer
from commonhold.authority.admission import LastAnswer
from commonhold.authority.ticket import Ticket
from commonhold.errors import CommonholdError, Conflict, Damaged, NotFound, Refused, Unreachable, WrongCode
from commonhold.home import Home
from commonhold.identity.certificate import Certificate
from commonhold.identity.keys import Key
from commonhold.names import Address
from commonhold.node import background, founding
from commonhold.node.joining import Note
from commonhold.transport import Knock
from commonhold.wire import from_json, to_json

from ..conftest import PATIENCE, free_address, town, until

# A newcomer, or an inviter's node, that is killed in the middle of one of its methods.
KILLED = """
import os, signal, sys
from commonhold.{module} import {owner}
def killed(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
{owner}.{method} = killed
"""
JOINS = """
from commonhold.home import Home
from commonhold.node import founding
founding.join(Home.find(sys.argv[1]), sys.argv[2], sys.argv[3] + "-owner", sys.argv[3], [sys.argv[4]])
"""
SERVES = """
from commonhold.cli.main import main
main(["--home", sys.argv[1], "up", "--foreground"])
"""
BEFORE_THE_ANSWER = ("identity.join", "Candidate", "welcomed")
BEFORE_THE_SETTINGS = ("home", "Home", "save_settings")


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    with town(tmp_path_factory.mktemp("tower")) as make:
        made = make("tower", "ann")
        made.create("casa")
        yield made


@pytest.fixture(scope="module")
def false(tmp_path_factory):
    """Of eve, who calls her network the same."""
    with town(tmp_path_factory.mktemp("false")) as make:
        made = make("false", "eve")
        made.create("casa")
        yield made


@pytest.fixture(autouse=True)
def empty_again(tower):
    """Newcomers leave, with their names, and no invitation stays open."""
    yield
    for invitation in tower.net.status().invitations:
        tower.net.withdraw(invitation.number)
    for person in {member.person for member in tower.net.members()} - {"ann"}:
        tower.net.remove(person)
    for computer in {member.computer for member in tower.net.members()} - {"tower"}:
        tower.net.remove(computer)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    monkeypatch.setattr(newcomer, "PAUSE", 0.05)


def script(*parts: str, where: tuple[str, str, str]) -> str:
    module, owner, method = where
    return KILLED.format(module=module, owner=owner, method=method) + "".join(parts)


def killed_joining(home, tower, code, name, where):
    words = [str(home), f"{code}@{tower.address}", name, free_address("127.0.0.2")]
    done = subprocess.run([sys.executable, "-c", script(JOINS, where=where), *words], timeout=PATIENCE, check=False)
    assert done.returncode == -signal.SIGKILL


def events(tower, kind):
    lines = [json.loads(line) for line in tower.home.audit.read_text().splitlines()]
    return [line for line in lines if line["event"] == kind]


def names(tower):
    return sorted(member.computer for member in tower.net.members())


@pytest.mark.parametrize(
    ("where", "again"),
    [
        (BEFORE_THE_ANSWER, None),
        (BEFORE_THE_ANSWER, "code"),
        (BEFORE_THE_SETTINGS, None),
        (BEFORE_THE_SETTINGS, "code"),
    ],
)
def test_a_newcomer_killed_after_its_admission_finishes_with_its_key(tower, home, where, again):
    code, joins, name = tower.net.invite().code, len(events(tower, "join")), f"laptop-{where[2]}-{again}".lower()
    killed_joining(home, tower, code, name, where)
    assert name in names(tower), "it was admitted"
    assert not home.joined
    assert home.joining.stat().st_mode & 0o777 == 0o600
    assert tower.net.status().invitations == (), "and the code is burnt"
    said = []
    typed = f"{code}@{tower.address}" if again else None
    begun = founding.join(home, typed, say=said.append)
    assert (begun.computer, begun.person, begun.inviter) == (name, f"{name}-owner", "tower")
    assert said == ["Finishing what was begun here, with this computer's key."]
    assert not home.joining.exists()
    assert len(events(tower, "join")) == joins + 1
    assert not events(tower, "wrong code")


def test_both_ends_killed_and_the_code_burnt_the_key_still_finishes(tower, home):
    code = tower.net.invite().code
    killed_joining(home, tower, code, "laptop", BEFORE_THE_ANSWER)
    tower.kill()
    with pytest.raises(Unreachable):
        founding.join(home, f"{code}@{tower.address}")
    assert home.joining.exists(), "nobody answered: it is kept for the next try"
    tower.up()
    assert founding.join(home).computer == "laptop"


def test_an_inviter_killed_between_the_admission_and_the_answer_answers_when_it_is_back(tower, home):
    background.stop(tower.home)
    words = [str(tower.home)]
    where = ("identity.join", "Inviter", "welcome")
    dying = subprocess.Popen([sys.executable, "-c", script(SERVES, where=where), *words], stderr=subprocess.DEVNULL)
    try:
        until(tower.home.gateway_file.exists, "the node is up")
        attach(tower)
        code = tower.net.invite().code
        with pytest.raises(Unreachable):
            founding.join(home, f"{code}@{tower.address}", "bob", "laptop")
        assert dying.wait(PATIENCE) == -signal.SIGKILL
    finally:
        dying.kill()
        dying.wait()
    tower.up()
    assert "laptop" in names(tower)
    assert founding.join(home, f"{code}@{tower.address}").computer == "laptop"
    assert len([line for line in events(tower, "join") if line["computer"] == "laptop"]) <= 2


def test_an_inviter_restarted_while_the_newcomer_waits_for_its_answer_needs_no_second_typing(tower, home):
    """The process that joins goes on by itself, once the inviter is there again."""
    background.stop(tower.home)
    where = ("identity.join", "Inviter", "welcome")
    dying = subprocess.Popen(
        [sys.executable, "-c", script(SERVES, where=where), str(tower.home)], stderr=subprocess.DEVNULL
    )
    until(tower.home.gateway_file.exists, "the node is up")
    attach(tower)
    code = tower.net.invite().code
    newcomer.PAUSE = 1.5  # `brisk` sets it back

    def revive():
        dying.wait(PATIENCE)
        background.start(tower.home)

    reviving = threading.Thread(target=revive)
    reviving.start()
    begun = founding.join(home, f"{code}@{tower.address}", "bob", "laptop")
    reviving.join()
    attach(tower)
    assert begun.computer == "laptop"


def asks_again(tower, session, key=None, certificate=None):
    """The answer to whoever asks for a lost last one, with or without a certificate."""

    async def asking():
        plain = Knock(Address.parse(tower.address))
        knock = plain if key is None else plain.showing(key, certificate)
        try:
            return await knock.ask("/join/again", LastAnswer(session))
        finally:
            await knock.close()
            await plain.close()

    return asyncio.run(asking())


def test_nobody_but_the_admitted_key_hears_the_last_answer_again(tower, home, tmp_path):
    """Neither who stole the note, nor another member, nor the same computer once it was removed."""
    other = Home(tmp_path / "other")
    founding.join(other, f"{tower.net.invite().code}@{tower.address}", "eve", "desk")
    killed_joining(home, tower, tower.net.invite().code, "laptop", BEFORE_THE_ANSWER)
    session = from_json(home.joining.read_bytes(), Note).unfinished.remembered.session
    with pytest.raises(WrongCode):
        asks_again(tower, session)
    with pytest.raises(WrongCode):
        asks_again(tower, session, Key.load(other.key), Certificate.parse(other.certificate.read_bytes()))
    mine = Key.load(home.key), Certificate.parse(home.certificate.read_bytes())
    until(lambda: asks_again(tower, session, *mine)["type"] == "welcome", "the door knows the new certificate")
    with pytest.raises(WrongCode):
        asks_again(tower, b"another session", *mine)
    tower.net.remove("laptop-owner")
    with pytest.raises((Refused, Unreachable)):
        asks_again(tower, session, *mine)
    with pytest.raises(CommonholdError):
        founding.join(home)
    assert not home.joined


def test_a_newcomer_believes_nobody_else_at_the_inviters_address(tower, home, false):
    killed_joining(home, tower, tower.net.invite().code, "laptop", BEFORE_THE_ANSWER)
    note = from_json(home.joining.read_bytes(), Note)
    home.joining.write_bytes(to_json(msgspec.structs.replace(note, address=false.address)))
    sought(lambda: founding.join(home), home, tower, false)


def sought(join, home, tower, false):
    """Where the other key answers, no word is said; the inviter is found where it announces itself, if anywhere."""
    try:
        join()
    except Unreachable:
        assert not home.joined
    else:
        assert home.settings().network == tower.net.status().network_id
    assert not events(false, "wrong code")
    assert names(false) == ["false"]


def test_another_code_begins_anew_and_a_home_without_a_note_has_nothing_to_finish(tower, home):
    with pytest.raises(NotFound, match="Nothing that was begun here"):
        founding.join(home)
    killed_joining(home, tower, tower.net.invite().code, "laptop", BEFORE_THE_ANSWER)
    said = []
    begun = founding.join(home, f"{tower.net.invite().code}@{tower.address}", "x", "y", say=said.append)
    assert begun.computer == "laptop", "its key is a member's already"
    assert said == []
    with pytest.raises(Conflict, match="belongs to a network already"):
        founding.join(home)


def test_a_note_that_is_damaged_is_none(tower, home):
    home.make()
    home.joining.write_bytes(b"{ torn")
    begun = founding.join(home, f"{tower.net.invite().code}@{tower.address}", "bob", "laptop")
    assert begun.computer == "laptop"
    assert not home.joining.exists()


def attach(tower):
    tower.net.close()
    tower.attach()


class Answering(threading.Thread):
    """The inviter's person, who says the same to everybody, in a thread of its own."""

    def __init__(self, tower, yes, after=None, **wish):
        super().__init__()
        self.daemon = True
        self.net, self.yes, self.after, self.heard = tower.net, yes, after, []
        self.invitation = self.net.invite(ask=True, **wish)
        self.where = f"{self.invitation.code}@{tower.address}"

    def run(self):
        for news in self.net.newcomers(self.invitation.number):
            self.heard.append(news)
            if news.event == "asks":
                if self.after is not None:
                    assert self.after.wait(PATIENCE)
                self.net.decide(self.invitation.number, news.newcomer, self.yes)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.join(10)
        assert not self.is_alive()


def test_a_newcomer_killed_while_the_inviter_thinks_asks_on_with_the_same_proof(tower, home):
    thought = threading.Event()
    with Answering(tower, True, after=thought) as ann:
        words = [str(home), ann.where, "laptop", free_address("127.0.0.2")]
        waiting = subprocess.Popen([sys.executable, "-c", "import sys" + JOINS, *words])
        until(lambda: ann.heard, "the inviter is asked")
        waiting.kill()
        waiting.wait()
        said = []
        thought.set()
        assert founding.join(home, say=said.append).computer == "laptop"
    assert [news.event for news in ann.heard] == ["asks", "joined", "over"]


def test_after_a_no_nothing_is_left_to_finish(tower, home):
    with Answering(tower, False) as ann, pytest.raises(Refused, match="said no"):
        founding.join(home, ann.where, "bob", "laptop")
    assert {path.name for path in home.folder.iterdir()} == {"key.pem", "certificate.der", "node.lock"}
    assert names(tower) == ["tower"]


def test_the_inviters_program_killed_with_its_question_open_admits_nobody(tower, home):
    asking = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, commonhold\nnet = commonhold.connect(sys.argv[1])\nfor n in (i := net.invite(ask=True)) and"
            " [print(i.code, flush=True)] and net.newcomers(i.number): pass",
            str(tower.home),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    code = asking.stdout.readline().strip()
    outcome = []

    def join():
        try:
            founding.join(home, f"{code}@{tower.address}", "bob", "laptop", say=outcome.append)
        except CommonholdError as error:
            outcome.append(error)

    joining = threading.Thread(target=join)
    joining.start()
    until(lambda: outcome, "the newcomer waits")
    assert outcome == ["The code is right. Waiting for tower's owner to say yes …"]
    psutil.Process(asking.pid).kill()
    asking.wait()
    joining.join(PATIENCE)
    assert "withdrawn before anybody said yes" in outcome[1].sentence
    assert names(tower) == ["tower"]
    until(lambda: tower.net.status().invitations == (), "the invitation is withdrawn")


def test_a_file_lets_one_computer_in_and_knows_whom_to_expect(tower, home, tmp_path):
    file = tmp_path / "für die Küche" / "nas.invitation"
    file.parent.mkdir()
    written = tower.net.invite_file(file)
    assert file.stat().st_mode & 0o777 == 0o600
    ticket = Ticket.read(file)
    assert ticket.inviter == Key.load(tower.home.key).fingerprint
    assert len(ticket.code) == 5 + 64
    assert (written.expires - ticket.expires).total_seconds() == 0
    assert 23.9 < (ticket.expires.timestamp() - time.time()) / 3600 <= 24
    with pytest.raises(Conflict, match="exists already"):
        tower.net.invite_file(file)
    assert Ticket.read(file) == ticket, "nothing was replaced"
    assert len(tower.net.status().invitations) == 1, "and no invitation was drawn for nothing"
    with pytest.raises(Conflict, match="is taken"):
        founding.join(home, file=file, computer="tower", person="zoe")
    begun = founding.join(home, file=file, computer="nas", person="zoe")
    assert (begun.computer, begun.network) == ("nas", "casa")
    with pytest.raises(WrongCode, match="spent or over"):
        founding.join(Home(tmp_path / "another"), file=file, computer="nas2", person="zoe2")


def test_no_number_of_wrong_words_spoils_a_file_and_its_person_is_bound(tower, home, tmp_path):
    file = tmp_path / "nas.invitation"
    tower.net.invite_file(file, person="ann", minutes=5)
    ticket = Ticket.read(file)
    wrong = tmp_path / "wrong"
    wrong.write_bytes(to_json(msgspec.structs.replace(ticket, code=ticket.code[:-4] + "0000")))
    for _ in range(5):
        with pytest.raises(WrongCode, match="tries are left"):
            founding.join(home, file=wrong, computer="nas", person="eve")
    begun = founding.join(home, file=file, computer="nas", person="eve")
    assert begun.person == "ann"


def test_a_file_is_shown_to_nobody_but_its_inviter(tower, home, false, tmp_path):
    """Somebody else at the address hears no word of the conversation."""
    file = tmp_path / "nas.invitation"
    tower.net.invite_file(file)
    ticket = msgspec.structs.replace(Ticket.read(file), addresses=(false.address,))
    file.write_bytes(to_json(ticket))
    false.net.invite()
    sought(lambda: founding.join(home, file=file, computer="nas", person="zoe"), home, tower, false)


@pytest.mark.parametrize("content", ["", "{}", "7-orange-plate", '{"form": "commonhold invitation 1"}', "\x00" * 100])
def test_what_is_no_invitation_is_said_to_be_none(home, tmp_path, content):
    (tmp_path / "file").write_text(content)
    with pytest.raises(Damaged, match="is no invitation of Commonhold"):
        founding.join(home, file=tmp_path / "file")
    with pytest.raises(NotFound, match="There is no file"):
        founding.join(home, file=tmp_path / "missing")
    assert not home.folder.exists()


def test_a_file_that_cannot_be_written_leaves_no_invitation(tower, tmp_path):
    with pytest.raises(NotFound, match="no folder"):
        tower.net.invite_file(tmp_path / "nowhere" / "file")
    with pytest.raises(NotFound, match="nobody called"):
        tower.net.invite_file(tmp_path / "file", person="nobody-at-all")
    assert not (tmp_path / "file").exists()
    assert tower.net.status().invitations == ()
    assert not list(tmp_path.iterdir())
