from __future__ import annotations


async def test_one_computer_asks_another_and_both_know_who_it_is(computer):
    tower, laptop = computer("tower", "127.0.0.2"), computer("laptop")
    await tower.open(trusted=[laptop])
    assert await laptop.caller.ask(tower.peer, "GET", "/who") == laptop.key.fingerprint
    assert await laptop.caller.ask(tower.peer, "POST", "/echo", {"a": 1}) == {"a": 1}
