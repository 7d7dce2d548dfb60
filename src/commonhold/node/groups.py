"""Groups of this computer's rules: filled, emptied and listed by whoever keeps the rules."""

from __future__ import annotations

import shlex
from typing import Literal

import msgspec
from aiohttp import web

from commonhold.answers import Group
from commonhold.authority.gate import SUBJECT
from commonhold.authority.roster import Roster
from commonhold.errors import Conflict, NotFound, WrongUsage
from commonhold.names import GroupName, PersonId
from commonhold.node.desk import Desk
from commonhold.transport import document, json_answer


class GroupChange(msgspec.Struct, frozen=True):
    """Who comes into a group, or leaves it: the body of POST /groups. Without persons all leave."""

    change: Literal["add", "remove"]
    group: str
    persons: tuple[str, ...] = ()


class GroupDesk:
    """Beside the desk of rules: whoever keeps those says who is in which group."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._book = desk.book

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/groups", self._list), web.post("/groups", self._change)]

    async def _list(self, request: web.Request) -> web.Response:
        self._desk.require_keeper(request[SUBJECT])
        return json_answer([self._group(name) for name in self._book.groups()])

    async def _change(self, request: web.Request) -> web.Response:
        change = await document(request, GroupChange)
        subject = request[SUBJECT]
        self._desk.require_keeper(subject)  # before anybody is looked up: names of groups are not told to others
        add = change.change == "add"
        answer = self._add(change) if add else self._remove(change)
        self._desk.record("group", by=str(subject), change=change.change, group=answer.group, who=list(change.persons))
        return json_answer(answer)

    def _add(self, change: GroupChange) -> Group:
        self._require_free(change.group)
        if not change.persons:
            raise WrongUsage(
                "A group is there while somebody is in it.", f"commonhold group add {shlex.quote(change.group)} PERSON"
            )
        return self._group(self._book.join(change.group, *map(self._person, change.persons)))

    def _remove(self, change: GroupChange) -> Group:
        name = self._book.spelling(change.group)
        if name is None:
            raise NotFound(f"There is no group “{change.group}” here.", "commonhold group list")
        persons = [self._person(text) for text in change.persons]
        for person in persons:
            if person not in self._book.groups()[name]:
                raise NotFound(f"{self._name(person)} is not in the group {name}.", "commonhold group list")
        ended = self._book.leave(name, *persons)
        return msgspec.structs.replace(self._group(name), ended=tuple(map(str, ended)))

    def tidy(self, roster: Roster) -> None:
        """Whoever was removed from the network leaves the groups."""
        for person in frozenset().union(*self._book.groups().values()):
            if person in roster.gone and person not in roster.persons and (left := self._book.part(person)):
                self._desk.record("group", change="remove", group=", ".join(left), who=[str(person)])

    def _require_free(self, group: str) -> None:
        """Raise unless a rule for this name could mean the group alone."""
        roster = self._desk.roster()
        if roster.find_person(group) is not None or roster.find(group) is not None:
            what = "person" if roster.find_person(group) is not None else "computer"
            raise Conflict(f"“{group}” is a {what} of the network already.", "choose another name for the group")
        GroupName(group)

    def _person(self, text: str) -> PersonId:
        roster = self._desk.roster()
        person = roster.find_person(text)
        if person is None:
            computer = roster.find(text)
            hint = f"name its person: {roster.persons[computer.person]}" if computer else "commonhold members"
            raise NotFound(f"There is no person “{text}” in the network {roster.network}.", hint)
        return person

    def _name(self, person: PersonId) -> str:
        return self._desk.roster().persons.get(person, person)

    def _group(self, name: str) -> Group:
        persons = self._book.groups().get(name, frozenset())
        return Group(name, tuple(sorted(map(self._name, persons), key=str.casefold)))
