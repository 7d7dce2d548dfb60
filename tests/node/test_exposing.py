"""`expose` on real nodes: what it says is what comes of trying it over real sockets, and nobody learns rules by it."""

from __future__ import annotations

import json
import shlex
import socket
from contextlib import closing

import psutil
import pytest
from msgspec import ValidationError

from commonhold.authority import roster as rosters
from commonhold.authority.facts import FactStore
from commonhold.errors import Conflict, NotFound, WrongUsage
from commonhold.identity.certificate import self_signed
from commonhold.identity.keys import Key
from commonhold.names import ComputerName
from commonhold.node import founding
from commonhold.node.premises import Lying
from commonhold.node.state import open_state
from commonhold.wire import convert, to_json

from ..attacks.reach import As
from ..conftest import NOON, Computer, town, until
from ..people import Visitor

PASSWORD = "harbour lamp otter"


class Attacker:
    """Tries each file of the shares at `at` over its real door, by `ask(method, path, body) -> (status, body)`."""

    def __init__(self, at: Computer, shares: dict[str, list[str]], ask) -> None:
        self.at, self.shares, self.ask = at, shares, ask

    def achieves(self) -> dict[str, str]:
        """For each file, the furthest that was come; everything is put back."""
        return {
            f"{share}/{name}": self._furthest(share, name) for share, names in self.shares.items() for name in names
        }

    def _furthest(self, share: str, name: str) -> str:
        path, file = f"{share}/{name}", self.at.folder / share / name
        content = file.read_bytes()
        status, body = self.ask("GET", f"/dav/{path}")
        got = "reads" if status == 200 and body == content else ""
        if self.ask("PUT", f"/dav/{path}", b"ruined")[0] < 300:
            assert file.read_bytes() == b"ruined"
            got = "destroys"
            if self.ask("DELETE", f"/history/{path}")[0] < 300 and not self.at.net.history(f"{self.at.name}:{path}"):
                got = "destroys beyond the versions"
        file.write_bytes(content)
        self.at.net.forget(f"{self.at.name}:{path}")
        return got


def by_key(at, computer):
    known = As(at, computer)

    def ask(method, path, body=None):
        answer = known(method, path, body)
        return answer.status, answer.body

    return ask


def by_password(at, name):
    visitor = Visitor(at, name, PASSWORD)

    def ask(method, path, body=None):
        answer = visitor.ask(method, path, body)
        return answer.status, answer.body

    return ask


def said(found, name, at, shares):
    """What is predicted of each file: by its share, since rules speak of shares."""
    row = next(row for row in found.rows if row.name == name)
    extents = {each.door: each.extent for each in row.approaches if each.extent != "opens"}
    return {
        f"{share}/{file}": extents.get(f"{at.name}:{share}", "") for share, names in shares.items() for file in names
    }


def filled(folder, *names):
    shares = {}
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(2):
            (folder / name / f"{number}.txt").write_text(f"{name} {number} {'x' * number * 1000}")
        shares[name] = ["0.txt", "1.txt"]
    return shares


@pytest.fixture(scope="module")
def peers(tmp_path_factory):
    """tower of ann, who guards, laptop of bob, desk of carol: tower and laptop share."""
    with town(tmp_path_factory.mktemp("peers")) as make:
        tower, laptop, desk = make("tower", "ann"), make("laptop", "bob"), make("desk", "carol")
        tower.create("casa")
        for each in (laptop, desk):
            each.join(tower)
        for each in (tower, laptop, desk):
            each.knows("tower", "laptop", "desk")
        tower.shared = filled(tower.folder, "open", "half", "shut")
        laptop.shared = filled(laptop.folder, "diary")
        for each in (tower, laptop):
            for name in each.shared:
                each.net.share(each.folder / name)
        tower.net.group_add("friends", "bob")
        tower.net.allow("members", "write", "open")
        tower.net.allow("friends", "read", "half")
        tower.net.deny("carol", "read", "open")
        yield tower, laptop, desk


def test_each_key_achieves_what_is_said_of_it(peers):
    tower, laptop, desk = peers
    found = tower.net.expose()
    assert (found.known, found.unknown, found.files) == (("tower",), ("desk", "laptop"), 6)
    for each in (laptop, desk):
        got = Attacker(tower, tower.shared, by_key(tower, each)).achieves()
        assert got == said(found, f"{each.name}'s key", tower, tower.shared)
    assert set(got.values()) == {""}, "whoever may only add reads nothing"


def test_a_guards_key_is_everybodys_key(peers):
    """It admits a computer in bob's name, which then says rules at bob's own door."""
    tower, laptop, desk = peers
    thief = Key.load(tower.home.key)
    with closing(open_state(tower.home.state)) as state:
        known = FactStore(state, tower.home.settings().network).roster
    key = Key.generate()
    certificate = self_signed(key, NOON)
    bob = known.find_person("bob")
    forged = rosters.admit(thief, known, certificate, name=ComputerName("shadow"), person=bob)
    assert As(laptop, desk)("POST", "/roster", {"envelopes": json.loads(to_json(forged))}).status == 200
    shadow = As(laptop, desk)
    shadow.key, shadow.certificate = key, certificate
    until(lambda: shadow("GET", "/rules").status == 200, "laptop takes shadow for bob's")
    assert shadow("GET", "/dav/diary/0.txt").body == (laptop.folder / "diary" / "0.txt").read_bytes()
    found = laptop.net.expose()
    for name in ("tower's key", "the recovery key", "shadow's key"):
        assert set(said(found, name, laptop, laptop.shared).values()) == {"destroys beyond the versions"}
    assert set(said(found, "desk's key", laptop, laptop.shared).values()) == {""}
    # What laptop learnt from others it passes on when the two meet, each minute; here somebody is quicker.
    assert As(tower, desk)("POST", "/roster", {"envelopes": json.loads(to_json(forged))}).status == 200
    tower.net.remove("shadow")
    for each in peers:
        each.knows("tower", "laptop", "desk")


def test_nobody_listens_but_at_the_doors_that_are_told(peers):
    """Every port at which a node listens, scanned: strangers get no further than the handshake, at all but one."""
    for each in peers:
        listening = {c.laddr for c in psutil.Process(each.pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        host, _, port = each.address.rpartition(":")
        gateway = int(each.net.status().gateway.rpartition(":")[2])
        assert {(at.ip, at.port) for at in listening} == {(host, int(port)), ("127.0.0.1", gateway)}
        for at in listening:
            socket.create_connection((at.ip, at.port), timeout=15).close()


def test_a_plain_member_learns_no_rule_share_or_number_by_it(peers):
    tower, laptop, desk = peers
    for member in (laptop, desk):
        refused = As(tower, member)("GET", "/premises")
        assert refused.status == 403
        assert not any(word in refused.body for word in (b"half", b"shut", b"friends"))
        found = to_json(member.net.expose())
        assert "tower" in member.net.expose().unknown
        assert not any(word in found for word in (b"half", b"shut", b"friends"))
        with pytest.raises(NotFound, match="The rules of tower are not known here"):
            member.net.expose("allow bob read tower:half")
    knocks = '"verb":"govern","door":"compute"'
    assert knocks not in tower.home.audit.read_text(), "to ask leaves no line, as a knock would"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("allow carol read half", "carol may read half."),
        ("allow friends write half", "friends may write to half."),
        ("deny friends read half", "took back “allow friends read half”."),
        ("deny laptop list 'every share'", "laptop may not list every share, whatever members and groups may."),
        ("allow bob run compute", "bob may run jobs on compute."),
        ("group add friends carol", "carol is in the group friends."),
        ("group remove friends bob", "bob is not in the group friends."),
    ],
)
def test_what_a_change_would_do_is_what_it_does(peers, change, says):
    tower = peers[0]
    before = tower.net.expose()
    supposed = tower.net.expose(change).what_if
    assert supposed.said == says
    assert tower.net.expose().rows == before.rows, "nothing was changed by asking"
    rules, groups = tower.net.rules(), tower.net.groups()
    do(tower.net, *shlex.split(change))
    try:
        after = {(row.kind, row.name): row for row in tower.net.expose().rows}
        was = {(row.kind, row.name): row for row in before.rows}
        changed = {key for key in after if _figures(after[key]) != _figures(was[key])}
        assert {(each.after.kind, each.name) for each in supposed.shifts} == changed
        assert changed
        for each in supposed.shifts:
            assert _figures(each.after) == _figures(after[each.after.kind, each.name])
    finally:
        for rule in tower.net.rules():
            tower.net.strike(rule.number)
        for group in tower.net.groups():
            tower.net.group_remove(group.group)
        for group in groups:
            tower.net.group_add(group.group, *group.persons)
        for rule in rules:
            (tower.net.allow if rule.effect == "allow" else tower.net.deny)(rule.who, rule.verb, rule.door)


def do(net, what, *words):
    if what == "group":
        (net.group_add if words[0] == "add" else net.group_remove)(*words[1:])
    else:
        (net.allow if what == "allow" else net.deny)(*words)


def _figures(row):
    return row.read, row.destroy, row.gone, row.doors


def test_what_could_not_be_done_is_not_supposed(peers):
    tower = peers[0]
    for change, error in (
        ("allow bob fly half", WrongUsage),
        ("allow nobody read half", NotFound),
        ("allow bob read nothing", NotFound),
        ("allow bob read 'half", NotFound),
        ("give bob everything", WrongUsage),
        ("group remove friends carol", NotFound),
        ("remove nobody", NotFound),
        ("remove ann", Conflict),
    ):
        with pytest.raises(error):
            tower.net.expose(change)


def test_numbers_that_cannot_be_are_not_counted():
    for files in (-1, 2**60):
        with pytest.raises(ValidationError):
            convert({"shares": [], "files": files, "bytes": 0}, Lying)


def test_a_removal_is_supposed_too(peers):
    shifts = peers[0].net.expose("remove bob").what_if.shifts
    assert {each.name for each in shifts if each.after is None} == {"laptop", "laptop's key"}


def test_ones_other_computer_is_asked_and_answers(peers, tmp_path):
    """tablet is ann's: what tower knows of its own doors, tablet is told."""
    tower = peers[0]
    with town(tmp_path) as make:
        tablet = make("tablet", "ann")
        code = tower.net.invite(person="ann").code
        founding.join(tablet.home, f"{code}@{tower.address}", None, "tablet", [tablet.address])
        tablet.up()
        until(lambda: "tower" in tablet.net.expose().known, "tablet hears of tower's doors")
        found = tablet.net.expose("deny carol add tower:open")
        assert found.files == 6
        assert found.what_if.said.startswith("carol may not add to open")
        tower.net.remove("tablet")
    for each in peers:
        each.knows("tower", "laptop", "desk")


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """ann's server; bob, an admin, and carol have clients; dora and gus, a guest, have a password."""
    with town(tmp_path_factory.mktemp("office")) as make:
        server, laptop, desk = make("server", "ann"), make("laptop", "bob"), make("desk", "carol")
        server.create("office", "client-server")
        for each in (laptop, desk):
            each.join(server)
        server.shared = filled(server.folder, "plans", "drafts", "shut")
        for name in server.shared:
            server.net.share(server.folder / name)
        server.typed("person", "add", "dora", input=f"{PASSWORD}\n")
        server.typed("person", "add", "gus", "--until", "1d", input=f"{PASSWORD}\n")
        server.typed("person", "passwd", "bob", input=f"{PASSWORD}\n")
        server.net.group_add("admins", "bob")
        server.net.allow("members", "write", "plans")
        server.net.allow("guests", "read", "drafts")
        server.net.allow("carol", "read", "drafts")
        yield server, laptop, desk


def test_at_a_server_keys_and_passwords_achieve_what_is_said_of_them(office):
    server, _, desk = office
    found = server.net.expose()
    assert (found.known, found.unknown) == (("server",), ())
    asked = {"desk's key": by_key(server, desk)} | {
        f"{name}'s password": by_password(server, name) for name in ("bob", "dora", "gus")
    }
    for name, ask in asked.items():
        assert Attacker(server, server.shared, ask).achieves() == said(found, name, server, server.shared), name
    assert said(found, "bob's password", server, server.shared)["plans/0.txt"] == "destroys beyond the versions"
    assert said(found, "bob's password", server, server.shared)["shut/0.txt"] == "", "a password says no rules"


def test_an_admins_key_lets_itself_in(office):
    server, laptop, _ = office
    found = laptop.net.expose()
    assert found.rows == server.net.expose().rows, "whoever keeps the rules is told them"
    bob = by_key(server, laptop)
    assert set(said(found, "laptop's key", server, server.shared).values()) == {"destroys beyond the versions"}
    assert bob("POST", "/rules", {"effect": "allow", "who": "bob", "verb": "write", "door": "every share"})[0] == 200
    try:
        assert set(Attacker(server, server.shared, bob).achieves().values()) == {"destroys beyond the versions"}
    finally:
        server.net.deny("bob", "write", "every share")
        server.net.allow("bob", "write", "every share")
        server.net.strike(next(rule.number for rule in server.net.rules() if rule.who == "bob"))


def test_a_client_that_keeps_nothing_is_told_nothing(office):
    server, _, desk = office
    found = desk.net.expose()
    assert (found.known, found.unknown, found.files) == ((), ("server",), 0)
    assert As(server, desk)("GET", "/premises").status == 403
    for name in ("bob", "dora"):
        assert by_password(server, name)("GET", "/premises")[0] == 401, "an admin's password, too"
