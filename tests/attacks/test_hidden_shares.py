"""A member who may read every share but one, and guesses at its name."""

from __future__ import annotations

from ..conftest import Make
from .reach import As, enrol


def test_whoever_may_read_every_share_but_one_does_not_find_that_one_out(computer: Make, tmp_path):
    tower, desk = computer("tower", "ann"), computer("desk", "mallory")
    tower.create("casa", trusting=True)
    enrol(desk, tower)
    for name in ("secret", "photos"):
        (tmp_path / name).mkdir()
        tower.net.share(tmp_path / name)
    tower.net.deny("mallory", "list", "secret")
    mallory = As(tower, desk)

    def answers(name):
        wish = {"lender": "0" * 64, "job": "1", "verb": "read", "until": "2100-01-01T00:00:00Z", "paths": ["a"]}
        reading = {"copy": "0" * 16, "bearer": "0" * 64, "paths": ["a"]}
        said = [
            mallory("GET", f"/dav/{name}/a"),
            mallory("PROPFIND", f"/dav/{name}/", Depth="1"),
            mallory("GET", f"/explanation?who=mallory&verb=read&door={name}"),
            mallory("POST", "/passes", {**wish, "share": name}),
            mallory("POST", "/readings", {**reading, "share": name}),
        ]
        return [(each.status, each.body.decode().replace(name, "NAME")) for each in said]

    assert answers("secret") == answers("nothing")
    assert [status for status, _ in answers("photos")] == [404, 207, 200, 200, 200]
