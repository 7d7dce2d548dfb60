"""One network, and the questions that every authority is asked.

`Casa`: ann owns tower, the computer whose doors are asked about; bob has a laptop and carol a desk;
dora's old phone was removed. Real keys, certificates, charter and facts, and a real rule book.
"""

from __future__ import annotations

import functools
import itertools
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from commonhold.authority import roster as rosters
from commonhold.authority.accounts import Accounts
from commonhold.authority.authority import (
    COMPUTE,
    EVERY_SHARE,
    ROOT,
    Authority,
    Decision,
    Door,
    Hearing,
    Login,
    Standing,
    Subject,
    Verb,
    permit,
)
from commonhold.authority.book import RuleBook
from commonhold.authority.closed import Closed
from commonhold.authority.entrance import Entrance
from commonhold.authority.passes import Passes
from commonhold.authority.peer import PeerKeeper
from commonhold.authority.roster import Roster
from commonhold.authority.server import ServerKeeper
from commonhold.authority.sessions import Sessions
from commonhold.errors import Refused
from commonhold.identity.certificate import Certificate, self_signed
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, Fingerprint, NetworkName, PersonId, PersonName, SharePath

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANN, BOB, CAROL, DORA, GUS = (PersonId(letter * 32) for letter in "abcde")
NAMES = {ANN: "ann", BOB: "bob", CAROL: "carol", DORA: "dora", GUS: "gus"}

PHOTOS = Door(kind="share", id="5a17", name="photos", owner=ANN)
PAPERS = Door(kind="share", id="90cc", name="papers", owner=ANN)
NOWHERE = Door(kind="share", id="", name="nowhere", owner=ANN)  # how a share that is not there is asked about
ALL_SHARES = Door(kind="share", id=EVERY_SHARE, name="every share", owner=ANN)
PROCESSORS = Door(kind="compute", id=COMPUTE, name=COMPUTE, owner=ANN)
BOBS_JOB = Door(kind="job", id=".job-7", name=".job-7", owner=BOB)
NETWORK = Door(kind="network", id="", name="the network")
FILE_VERBS = (Verb.LIST, Verb.READ, Verb.ADD, Verb.WRITE)

Shape = Literal["closed", "peer", "server"]


@functools.cache
def computer(name: str) -> tuple[Key, Certificate]:
    """The key of that computer, the same in all tests."""
    key = Key.generate()
    return key, self_signed(key, NOON)


def fingerprint(name: str) -> Fingerprint:
    return computer(name)[0].fingerprint


def path(text: str) -> SharePath:
    return SharePath.parse(text)


@functools.cache
def roster_of(shape: Literal["peer-to-peer", "client-server"], laptop: PersonId = BOB) -> Roster:
    key, certificate = computer("tower")
    founding = rosters.found(
        key=key,
        certificate=certificate,
        network=NetworkName("casa"),
        shape=shape,
        trusting=False,
        computer=ComputerName("tower"),
        person=PersonName("ann"),
        person_id=ANN,
        recovery=computer("paper")[0],
        now=NOON,
    )
    roster = Roster.of(founding.id, [founding])
    for name, person in (("laptop", laptop), ("desk", CAROL), ("phone", DORA)):
        roster = admitted(roster, name, person, new=person not in roster.persons)
    roster = admitted(roster, "tablet", ANN)
    return roster.merged(rosters.remove(key, roster, fingerprint("phone")))


def admitted(roster: Roster, name: str, person: PersonId, *, new: bool = False) -> Roster:
    facts = rosters.admit(
        computer("tower")[0],
        roster,
        computer(name)[1],
        name=ComputerName(name),
        person=person,
        person_name=PersonName(NAMES[person]) if new else None,
    )
    return roster.merged(facts)


class Casa:
    """The network around one authority: `casa.authority` answers at tower's doors."""

    def __init__(self, shape: Shape) -> None:
        self.now = NOON
        self.roster = roster_of("peer-to-peer" if shape == "peer" else "client-server")
        self.book = RuleBook(sqlite3.connect(":memory:", isolation_level=None), now=lambda: self.now)
        self.passes = Passes(lambda: self.authority, now=lambda: self.now)
        self.events: list[tuple[str, dict[str, object]]] = []
        self.state = sqlite3.connect(":memory:", isolation_level=None)
        self.accounts = Accounts(self.state, lambda: self.roster, self.record, clock=lambda: self.now)
        self.sessions = Sessions(self.state, clock=lambda: self.now)
        self.entrance = Entrance(self.accounts, self.sessions, lambda: self.roster)
        self.authority: Authority = self._authority(shape)

    def _authority(self, shape: Shape) -> Authority:
        if shape == "closed":
            return Closed.client(lambda: self.roster, "tower")
        kept = (lambda: self.roster, self.book, self.passes, ANN, fingerprint("tower"))
        if shape == "peer":
            return PeerKeeper(*kept, now=lambda: self.now)
        return ServerKeeper(*kept, now=lambda: self.now, holds=self.entrance.holds)

    def record(self, event: str, **words: object) -> None:
        self.events.append((event, words))

    def signed_in(self, person: PersonId, until: datetime | None = None, *, session: bool = False) -> Subject:
        """That person by a password: gus, a guest, too, who has no computer. No hash is made: none is compared."""
        if person not in self.roster.persons:
            name = PersonName(NAMES[person])
            self.roster = self.roster.merged(rosters.introduce(computer("tower")[0], self.roster, person, name))
        account = self.accounts.put(person, "unhashed", until)
        return self.entrance.subject(account, self.sessions.begin(account)[1] if session else None)

    def who(self, name: str, pass_id: str | None = None) -> Subject:
        return self.authority.who(fingerprint(name), pass_id)

    def ask(self, name: str, verb: Verb, door: Door, at: SharePath = ROOT, pass_id: str | None = None) -> Decision:
        return self.authority.decide(self.who(name, pass_id), verb, door, at)

    def may(self, name: str, verb: Verb, door: Door, at: SharePath = ROOT, pass_id: str | None = None) -> bool:
        return self.ask(name, verb, door, at, pass_id).allowed

    def allow(self, who: str, verb: Verb, door: Door, until: datetime | None = None) -> str:
        return self.book.allow(who, NAMES.get(PersonId(who), who) if len(who) == 32 else who, verb, door, until)

    def deny(self, who: str, verb: Verb, door: Door, until: datetime | None = None) -> str:
        return self.book.deny(who, NAMES.get(PersonId(who), who) if len(who) == 32 else who, verb, door, until)

    def remove(self, name: str) -> None:
        self._removed(fingerprint(name))

    def remove_person(self, person: PersonId) -> None:
        self._removed(person)

    def _removed(self, whom: Fingerprint | PersonId) -> None:
        self.roster = self.roster.merged(rosters.remove(computer("tower")[0], self.roster, whom))
        self.accounts.roster_changed(self.roster)

    def later(self, **more: float) -> None:
        self.now += timedelta(**more)


class Questions:
    """What holds whoever decides. Test files subclass it and say their `shape`."""

    shape: Shape

    @pytest.fixture
    def casa(self) -> Casa:
        return Casa(self.shape)

    def test_a_certificate_is_its_computer_acting_for_its_person(self, casa):
        bob = casa.who("laptop")
        assert (bob.standing, bob.computer_name, bob.person, bob.person_name) == ("member", "laptop", BOB, "bob")

    def test_whoever_shows_no_certificate_or_an_unknown_one_is_a_stranger(self, casa):
        for shown in (None, fingerprint("burglar")):
            stranger = casa.authority.who(shown, "some pass")
            assert stranger == Subject(standing=Standing.STRANGER)

    def test_a_stranger_opens_nothing(self, casa):
        casa.allow("members", Verb.WRITE, ALL_SHARES)
        for door in (PHOTOS, NOWHERE, PROCESSORS, BOBS_JOB, NETWORK):
            for verb in Verb:
                assert not casa.may("burglar", verb, door)

    def test_a_removed_computer_stays_out_and_hears_why(self, casa):
        casa.allow(DORA, Verb.WRITE, PHOTOS)
        assert casa.who("phone").standing is Standing.REMOVED
        for verb in Verb:
            decision = casa.ask("phone", verb, PHOTOS)
            assert decision.reason == "dora's computer phone was removed from the network casa"
            assert "a removed key stays out" in decision.hint
            assert not decision.allowed

    def test_a_removal_counts_at_the_next_question(self, casa):
        casa.allow(BOB, Verb.READ, PHOTOS)
        bob = casa.who("laptop")
        casa.remove("laptop")
        assert casa.who("laptop").standing is Standing.REMOVED
        assert bob.standing is Standing.MEMBER, "what was answered before is a fact of then"

    def test_what_is_asked_in_one_breath_is_answered_as_one_by_one(self, casa):
        casa.allow(BOB, Verb.READ, PHOTOS)
        casa.deny(CAROL, Verb.WRITE, PHOTOS)
        for name, door in itertools.product(("tower", "laptop", "desk", "phone", "nobody"), (PHOTOS, NOWHERE, NETWORK)):
            who, noted = casa.who(name), []
            casa.authority.note = lambda subject, verb, door, decision, noted=noted: noted.append(verb)
            hearing = Hearing(casa.authority, who, door)
            for at, verb in itertools.product((ROOT, path("a"), path("b/c")), FILE_VERBS):
                assert hearing.decide(verb, at) == casa.authority.decide(who, verb, door, at)
                try:
                    assert hearing.permit(verb, at).path == at
                except Refused:
                    assert not casa.authority.decide(who, verb, door, at).allowed
            assert sorted(noted) == sorted(FILE_VERBS), "the record hears of each verb, once"

    def test_without_a_rule_nobody_else_opens_anything(self, casa):
        for name in ("laptop", "desk"):
            for door in (PHOTOS, NOWHERE, PROCESSORS, NETWORK):
                for verb in Verb:
                    assert not casa.may(name, verb, door)

    def test_a_refusal_is_an_error_with_a_reason_and_a_hint(self, casa):
        with pytest.raises(Refused) as refused:
            permit(casa.authority, casa.who("laptop"), Verb.ADD, PHOTOS, path("a.jpg"))
        assert refused.value.sentence.startswith("bob may not add to photos: ")
        assert refused.value.sentence.endswith(".")
        assert "tower" in refused.value.hint

    def test_a_refusal_is_the_same_for_a_share_that_is_not_there(self, casa):
        casa.deny(BOB, Verb.LIST, PHOTOS)
        assert self._heard(casa, PHOTOS) == self._heard(casa, NOWHERE)

    @staticmethod
    def _heard(casa: Casa, door: Door) -> str:
        with pytest.raises(Refused) as refused:
            permit(casa.authority, casa.who("laptop"), Verb.READ, door)
        return str(refused.value.problem()).replace(door.name, "THAT")

    def test_a_password_that_is_not_the_present_one_opens_nothing(self, casa):
        for door in (PHOTOS, NOWHERE, PROCESSORS, BOBS_JOB, NETWORK):
            for person, name in ((ANN, "ann"), (BOB, "bob")):
                claimed = Subject(Standing.MEMBER, person=person, person_name=name, login=Login(7))
                for verb in Verb:
                    assert not casa.authority.decide(claimed, verb, door).allowed

    def test_a_made_up_pass_opens_nothing(self, casa):
        casa.allow(BOB, Verb.WRITE, PHOTOS)
        for verb in Verb:
            assert not casa.may("laptop", verb, PHOTOS, pass_id="0" * 32)
            assert not casa.may("tablet", verb, PHOTOS, pass_id="")


class OpenQuestions(Questions):
    """What holds where doors can be opened: at a peer and at a server alike."""

    def test_the_owner_may_do_everything_at_the_own_doors_from_any_own_computer(self, casa):
        for name in ("tower", "tablet"):
            for verb in (*FILE_VERBS, Verb.GOVERN, Verb.ADMIT):
                assert casa.may(name, verb, PHOTOS)
            assert casa.may(name, Verb.RUN, PROCESSORS)

    def test_a_rule_opens_what_it_says_and_the_decision_names_it(self, casa):
        casa.allow(BOB, Verb.READ, PHOTOS)
        decision = casa.ask("laptop", Verb.READ, PHOTOS, path("2024/a.jpg"))
        assert decision.reason == "the rule “allow bob read photos” lets bob read photos"
        assert decision.rule in casa.book.rules()
        assert casa.may("laptop", Verb.LIST, PHOTOS)
        assert not casa.may("laptop", Verb.ADD, PHOTOS)
        assert not casa.may("laptop", Verb.READ, PAPERS)
        assert not casa.may("desk", Verb.READ, PHOTOS)

    def test_a_permit_opens_its_door_for_its_verb(self, casa):
        casa.allow(BOB, Verb.READ, PHOTOS)
        opened = permit(casa.authority, casa.who("laptop"), Verb.READ, PHOTOS, path("a.jpg"))
        opened.require(Verb.LIST, PHOTOS.id)
        with pytest.raises(Refused):
            opened.require(Verb.READ, PAPERS.id)

    def test_the_hint_is_the_command_that_would_open_it(self, casa):
        hint = casa.ask("laptop", Verb.READ, PHOTOS).hint
        assert hint.startswith("ask tower's owner ann")
        assert hint.endswith("who can type: commonhold allow bob read photos")

    def test_a_new_share_of_an_old_name_inherits_no_rule(self, casa):
        casa.allow(BOB, Verb.READ, PHOTOS)
        assert not casa.may("laptop", Verb.READ, Door(kind="share", id="beef", name="photos", owner=ANN))

    def test_a_trusting_network_reads_every_share_and_runs_but_does_not_write(self, casa):
        casa.allow("members", Verb.READ, ALL_SHARES)
        casa.allow("members", Verb.RUN, PROCESSORS)
        for name in ("laptop", "desk"):
            assert casa.may(name, Verb.READ, PHOTOS)
            assert casa.may(name, Verb.RUN, PROCESSORS)
            assert not casa.may(name, Verb.ADD, PHOTOS)
        assert not casa.may("desk", Verb.READ, BOBS_JOB), "the folder of a job is no share"

    def test_a_denied_person_is_refused_whatever_members_may(self, casa):
        casa.allow("members", Verb.WRITE, ALL_SHARES)
        casa.deny(BOB, Verb.READ, PHOTOS)
        assert not casa.may("laptop", Verb.READ, PHOTOS)
        assert not casa.may("laptop", Verb.WRITE, PHOTOS), "writing includes reading"
        assert casa.may("laptop", Verb.ADD, PHOTOS)
        assert casa.may("laptop", Verb.READ, PAPERS)
        assert casa.may("desk", Verb.WRITE, PHOTOS)

    def test_the_owner_can_shut_out_a_computer_that_was_stolen_from_the_owner(self, casa):
        for verb in FILE_VERBS:
            casa.deny(fingerprint("tablet"), verb, ALL_SHARES)
        assert not casa.may("tablet", Verb.LIST, PHOTOS)
        assert not casa.may("tablet", Verb.GOVERN, PHOTOS), "else it could take the denial back"
        assert not casa.may("tablet", Verb.ADMIT, NETWORK)
        assert casa.may("tower", Verb.WRITE, PHOTOS)
        assert casa.may("tower", Verb.GOVERN, PHOTOS)

    def test_a_rule_ends_when_it_said(self, casa):
        casa.allow(BOB, Verb.READ, PHOTOS, NOON + timedelta(hours=1))
        assert casa.may("laptop", Verb.READ, PHOTOS)
        casa.later(hours=1)
        assert not casa.may("laptop", Verb.READ, PHOTOS)

    def test_a_group_opens_to_its_persons_while_they_are_in_it(self, casa):
        casa.book.join("choir", BOB)
        casa.allow("group:choir", Verb.ADD, PHOTOS)
        assert casa.may("laptop", Verb.ADD, PHOTOS)
        assert not casa.may("desk", Verb.ADD, PHOTOS)
        casa.book.leave("choir", BOB)
        assert not casa.may("laptop", Verb.ADD, PHOTOS)

    def test_a_job_s_folder_belongs_to_its_person_alone(self, casa):
        casa.allow("members", Verb.WRITE, ALL_SHARES)
        assert casa.may("laptop", Verb.WRITE, BOBS_JOB)
        assert not casa.may("tower", Verb.READ, BOBS_JOB)
        assert not casa.may("desk", Verb.LIST, BOBS_JOB)

    def test_rules_let_nobody_govern_or_admit(self, casa):
        casa.allow("members", Verb.WRITE, ALL_SHARES)
        casa.allow(BOB, Verb.WRITE, PHOTOS)
        decision = casa.ask("laptop", Verb.GOVERN, PHOTOS)
        assert decision.reason == "bob does not keep the doors of tower"
        assert "ask tower's owner ann" in decision.hint
        assert not casa.may("laptop", Verb.ADMIT, NETWORK)

    def test_a_removed_person_s_rule_opens_nothing(self, casa):
        casa.allow(BOB, Verb.READ, PHOTOS)
        casa.remove("laptop")
        assert not casa.may("laptop", Verb.READ, PHOTOS)
