"""Passes at tower's doors: bob submits job 7, carol's desk is the lender."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.authority import passes as passes_module
from commonhold.authority.authority import Door, Hearing, Verb
from commonhold.authority.passes import handed_by
from commonhold.errors import CommonholdError, Conflict, Refused, WrongUsage
from commonhold.names import SharePath

from .suite import (
    ALL_SHARES,
    BOB,
    BOBS_JOB,
    CAROL,
    NETWORK,
    NOON,
    NOWHERE,
    PAPERS,
    PHOTOS,
    PROCESSORS,
    ROOT,
    Casa,
    fingerprint,
    path,
    roster_of,
)

A, B = path("2024/a.jpg"), path("2024/b.jpg")
OUT = path("out")
HOUR = NOON + timedelta(hours=1)


@pytest.fixture(params=["peer", "server"])
def casa(request) -> Casa:
    casa = Casa(request.param)
    casa.allow(BOB, Verb.WRITE, PHOTOS)
    return casa


def issue(casa: Casa, verb: Verb, paths: frozenset[SharePath] | SharePath, door=PHOTOS, job: str = "job 7") -> str:
    return casa.passes.issue(casa.who("laptop"), fingerprint("desk"), job, door, verb, paths=paths, until=HOUR)


def reading(casa: Casa) -> str:
    return issue(casa, Verb.READ, frozenset({A, B}))


def test_a_pass_reads_the_files_it_names_and_no_others(casa):
    pass_id = reading(casa)
    assert casa.may("desk", Verb.READ, PHOTOS, A, pass_id)
    assert casa.may("desk", Verb.LIST, PHOTOS, B, pass_id), "how large a file is, its reader may know"
    for other in (path("2024/c.jpg"), path("2024"), ROOT, A / "deeper"):
        assert not casa.may("desk", Verb.READ, PHOTOS, other, pass_id)
        assert not casa.may("desk", Verb.LIST, PHOTOS, other, pass_id)


def test_a_pass_is_asked_about_each_path_also_in_one_breath(casa):
    hearing = Hearing(casa.authority, casa.who("desk", reading(casa)), PHOTOS)
    for at in (A, path("2024/c.jpg"), B, A / "deeper"):
        assert hearing.decide(Verb.READ, at).allowed == (at in {A, B})
    assert hearing.permit(Verb.READ, B).path == B
    with pytest.raises(Refused):
        hearing.permit(Verb.READ, ROOT)


def test_a_pass_to_read_changes_nothing(casa):
    pass_id = reading(casa)
    for verb in (Verb.ADD, Verb.WRITE, Verb.RUN, Verb.GOVERN, Verb.ADMIT):
        assert not casa.may("desk", verb, PHOTOS, A, pass_id)


def test_a_pass_opens_no_other_door(casa):
    casa.allow(BOB, Verb.WRITE, ALL_SHARES)
    pass_id = reading(casa)
    for door in (PAPERS, NOWHERE, PROCESSORS, NETWORK, BOBS_JOB):
        assert not casa.may("desk", Verb.READ, door, A, pass_id)


def test_a_pass_to_add_adds_within_its_folder_and_reads_nothing(casa):
    pass_id = issue(casa, Verb.ADD, OUT)
    assert casa.may("desk", Verb.ADD, PHOTOS, OUT / "a.png", pass_id)
    assert casa.may("desk", Verb.ADD, PHOTOS, OUT / "deep" / "a.png", pass_id)
    assert casa.may("desk", Verb.ADD, PHOTOS, OUT, pass_id), "the folder itself may have to be made"
    assert not casa.may("desk", Verb.ADD, PHOTOS, path("outside/a.png"), pass_id)
    for verb in (Verb.LIST, Verb.READ, Verb.WRITE):
        assert not casa.may("desk", verb, PHOTOS, OUT / "a.png", pass_id)


def test_a_pass_to_write_writes_and_looks_within_its_folder(casa):
    pass_id = issue(casa, Verb.WRITE, OUT)
    for verb in (Verb.LIST, Verb.READ, Verb.ADD, Verb.WRITE):
        assert casa.may("desk", verb, PHOTOS, OUT / "a.png", pass_id)
        assert not casa.may("desk", verb, PHOTOS, path("a.png"), pass_id)
    assert casa.may("desk", Verb.LIST, PHOTOS, OUT, pass_id)
    assert not casa.may("desk", Verb.WRITE, PHOTOS, OUT, pass_id), "the folder belongs to what holds it"


def test_under_a_pass_the_lender_s_own_rights_sleep(casa):
    casa.allow(CAROL, Verb.WRITE, PHOTOS)
    pass_id = reading(casa)
    assert casa.may("desk", Verb.READ, PHOTOS, path("c.jpg"))
    assert not casa.may("desk", Verb.READ, PHOTOS, path("c.jpg"), pass_id)
    owners = casa.passes.issue(
        casa.who("laptop"), fingerprint("tablet"), "job 7", PHOTOS, Verb.READ, paths=frozenset({A}), until=HOUR
    )
    assert casa.may("tablet", Verb.READ, PHOTOS, A, owners)
    assert not casa.may("tablet", Verb.READ, PHOTOS, B, owners), "not even the owner's"
    assert not casa.may("tablet", Verb.GOVERN, PHOTOS, A, owners)


def test_a_stolen_pass_opens_nothing_for_another_computer(casa):
    pass_id = reading(casa)
    for thief in ("tablet", "laptop"):
        decision = casa.ask(thief, Verb.READ, PHOTOS, A, pass_id)
        assert decision.reason == "the pass was given to another computer"
        assert not decision.allowed
    assert not casa.may("phone", Verb.READ, PHOTOS, A, pass_id)
    assert not casa.may("burglar", Verb.READ, PHOTOS, A, pass_id)


def test_the_reason_says_whose_job_it_is(casa):
    decision = casa.ask("desk", Verb.READ, PHOTOS, A, reading(casa))
    assert decision.reason == "a pass of bob's job 7 lets desk read photos"
    assert str(decision.rule) == "allow bob write photos"


def test_a_pass_ends_with_its_time(casa):
    pass_id = reading(casa)
    casa.later(hours=1)
    decision = casa.ask("desk", Verb.READ, PHOTOS, A, pass_id)
    assert decision.reason == "that pass is over, or was never given out here"
    assert casa.passes.find(pass_id) is None


def test_a_pass_ends_with_its_job_and_others_go_on(casa):
    seven, eight = reading(casa), issue(casa, Verb.READ, frozenset({A}), job="job 8")
    assert casa.passes.void("job 7", casa.who("laptop")) == 1
    assert not casa.may("desk", Verb.READ, PHOTOS, A, seven)
    assert casa.may("desk", Verb.READ, PHOTOS, A, eight)


def test_the_passes_of_one_lender_end_and_those_of_others_go_on(casa):
    pass_id = reading(casa)
    assert casa.passes.void("job 7", casa.who("laptop"), casa.who("tower").computer) == 0
    assert casa.may("desk", Verb.READ, PHOTOS, A, pass_id)
    assert casa.passes.void("job 7", casa.who("laptop"), casa.who("desk").computer) == 1
    assert not casa.may("desk", Verb.READ, PHOTOS, A, pass_id)


def test_nobody_else_ends_a_job_s_passes(casa):
    pass_id = reading(casa)
    assert casa.passes.void("job 7", casa.who("desk")) == 0
    assert casa.passes.void("job 7", casa.who("burglar")) == 0
    assert casa.may("desk", Verb.READ, PHOTOS, A, pass_id)


def test_a_pass_is_void_when_the_submitter_loses_the_right(casa):
    pass_id = reading(casa)
    casa.deny(BOB, Verb.READ, PHOTOS)
    decision = casa.ask("desk", Verb.READ, PHOTOS, A, pass_id)
    assert not decision.allowed
    assert decision.reason.startswith("the pass of job 7 is void, since ")
    casa.allow(BOB, Verb.READ, PHOTOS)
    assert casa.may("desk", Verb.READ, PHOTOS, A, pass_id)


def test_a_pass_is_void_when_the_submitter_s_rule_is_over(casa):
    casa.allow(BOB, Verb.WRITE, PHOTOS, NOON + timedelta(minutes=5))
    pass_id = reading(casa)
    casa.later(minutes=5)
    assert not casa.may("desk", Verb.READ, PHOTOS, A, pass_id)


def test_a_pass_is_void_when_the_submitter_is_removed(casa):
    pass_id = reading(casa)
    casa.remove("laptop")
    decision = casa.ask("desk", Verb.READ, PHOTOS, A, pass_id)
    assert not decision.allowed
    assert "bob's computer laptop was removed from the network casa" in decision.reason


def test_a_pass_is_void_when_the_submitter_s_computer_has_become_somebody_else_s(casa):
    pass_id = reading(casa)
    casa.roster = roster_of("peer-to-peer", laptop=CAROL)
    casa.allow(CAROL, Verb.READ, PHOTOS)
    assert not casa.may("desk", Verb.READ, PHOTOS, A, pass_id)


def test_a_pass_is_void_when_the_lender_is_removed(casa):
    pass_id = reading(casa)
    casa.remove("desk")
    assert casa.who("desk", pass_id).pass_id is None
    assert not casa.may("desk", Verb.READ, PHOTOS, A, pass_id)


def test_a_denial_of_the_lender_stands_against_its_passes(casa):
    pass_id = reading(casa)
    casa.deny(fingerprint("desk"), Verb.READ, PHOTOS)
    assert not casa.may("desk", Verb.READ, PHOTOS, A, pass_id)
    casa.allow(fingerprint("desk"), Verb.READ, PHOTOS)
    casa.deny(CAROL, Verb.READ, PHOTOS)
    assert not casa.may("desk", Verb.READ, PHOTOS, A, pass_id)


def test_nobody_is_given_a_pass_beyond_their_own_rights(casa):
    with pytest.raises(Refused, match="no rule lets bob read papers"):
        issue(casa, Verb.READ, frozenset({A}), door=PAPERS)
    for name in ("phone", "burglar"):
        with pytest.raises(Refused):
            casa.passes.issue(
                casa.who(name), fingerprint("desk"), "job 7", PHOTOS, Verb.READ, paths=frozenset({A}), until=HOUR
            )


def test_a_pass_begets_no_pass(casa):
    under_pass = casa.who("desk", issue(casa, Verb.READ, ROOT))
    assert casa.authority.decide(under_pass, Verb.READ, PHOTOS, ROOT).allowed
    with pytest.raises(Refused):
        casa.passes.issue(
            under_pass, fingerprint("tablet"), "job 7", PHOTOS, Verb.READ, paths=frozenset({A}), until=HOUR
        )


def test_the_folder_of_a_job_opens_to_its_passes(casa):
    pass_id = issue(casa, Verb.READ, frozenset({A}), door=BOBS_JOB)
    assert casa.may("desk", Verb.READ, BOBS_JOB, A, pass_id)
    assert not casa.may("desk", Verb.READ, BOBS_JOB, A)


@pytest.mark.parametrize("verb", [Verb.LIST, Verb.RUN, Verb.GOVERN, Verb.ADMIT])
def test_a_pass_says_read_add_or_write(casa, verb):
    with pytest.raises(WrongUsage):
        issue(casa, verb, frozenset({A}))


def test_a_pass_needs_a_time_to_come(casa):
    casa.later(hours=1)
    with pytest.raises(WrongUsage):
        reading(casa)


def test_one_computer_cannot_fill_the_memory_with_passes(casa, monkeypatch):
    monkeypatch.setattr(passes_module, "MOST_PATHS", 3)
    reading(casa)
    issue(casa, Verb.ADD, OUT)
    with pytest.raises(Conflict, match="more than 3 files"):
        issue(casa, Verb.ADD, OUT)
    casa.passes.issue(casa.who("tower"), fingerprint("desk"), "job 1", PHOTOS, Verb.ADD, paths=OUT, until=HOUR)
    casa.passes.void("job 7", casa.who("laptop"))
    issue(casa, Verb.ADD, OUT)


def test_nor_with_long_paths_of_many_folders(casa, monkeypatch):
    """4,096 bytes of names of two letters take 80 KB as parts: a hundred thousand of them were eight gigabytes."""
    deep = SharePath(tuple(f"{number % 100:02}" for number in range(1365)))
    monkeypatch.setattr(passes_module, "MOST_BYTES", 3 * len(str(deep)) + 50)
    tracemalloc.start()
    try:
        for number in range(3):
            paths = frozenset({deep / str(number)})
            issue(casa, Verb.READ, paths) if number else issue(casa, Verb.ADD, deep)
            del paths
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 100_000
    with pytest.raises(Conflict, match="more than 12332 bytes"):
        issue(casa, Verb.READ, frozenset({deep}))
    reading(casa)


@pytest.mark.parametrize("verb", [Verb.ADD, Verb.WRITE])
@pytest.mark.parametrize("folder", ["", "out", "out/of"])
def test_a_folder_is_what_lies_in_it_and_not_what_is_called_like_it(casa, verb, folder):
    within = SharePath.parse(folder)
    pass_id = issue(casa, verb, within)
    told = {"out/of/a": True, "out/often": "of" not in folder, "outer/a": not folder, "a": not folder}
    for at, inside in told.items():
        assert casa.may("desk", Verb.ADD, PHOTOS, path(at), pass_id) is inside, at
    assert casa.may("desk", Verb.ADD, PHOTOS, within, pass_id) is True
    assert casa.may("desk", Verb.WRITE, PHOTOS, within, pass_id) is False


def test_passes_that_are_over_make_room(casa, monkeypatch):
    monkeypatch.setattr(passes_module, "MOST_PATHS", 2)
    reading(casa)
    casa.later(hours=1)
    casa.passes.issue(
        casa.who("laptop"), fingerprint("desk"), "job 8", PHOTOS, Verb.ADD, paths=OUT, until=HOUR + timedelta(hours=1)
    )


def test_no_two_passes_are_alike(casa):
    ids = {issue(casa, Verb.ADD, OUT) for _ in range(50)}
    assert len(ids) == 50
    assert all(len(pass_id) == 32 for pass_id in ids)


def test_a_pass_that_is_handed_on_is_made_of_who_hands_it_and_of_a_token(casa):
    token = casa.passes.issue(
        casa.who("laptop"),
        fingerprint("desk"),
        "copy 1",
        PHOTOS,
        Verb.READ,
        paths=frozenset({A}),
        until=HOUR,
        handed=True,
    )
    assert not casa.may("desk", Verb.READ, PHOTOS, A, token), "the token by itself is no pass"
    assert casa.may("desk", Verb.READ, PHOTOS, A, handed_by(fingerprint("laptop"), token))
    assert not casa.may("desk", Verb.READ, PHOTOS, A, handed_by(fingerprint("tablet"), token)), "a thief's is none"


def test_a_pass_is_prolonged_by_who_asked_for_it_while_it_lasts(casa):
    pass_id = reading(casa)
    later = HOUR + timedelta(hours=1)
    assert casa.passes.prolong("job 7", casa.who("desk"), later) == 0, "not by its bearer"
    assert casa.passes.prolong("job 8", casa.who("laptop"), later) == 0
    assert casa.passes.prolong("job 7", casa.who("laptop"), later) == 1
    casa.later(hours=1)
    assert casa.may("desk", Verb.READ, PHOTOS, A, pass_id)
    casa.later(hours=1)
    assert casa.passes.prolong("job 7", casa.who("laptop"), later + timedelta(hours=1)) == 0, "what is over stays over"
    assert not casa.may("desk", Verb.READ, PHOTOS, A, pass_id)


sayings = st.tuples(
    st.booleans(),
    st.sampled_from([BOB, CAROL, "members", fingerprint("desk"), fingerprint("laptop")]),
    st.sampled_from([Verb.LIST, Verb.READ, Verb.ADD, Verb.WRITE]),
    st.sampled_from([PHOTOS, PAPERS, ALL_SHARES]),
)


@settings(max_examples=60)
@given(
    st.lists(sayings, max_size=5),
    st.lists(sayings, max_size=5),
    st.sampled_from([Verb.READ, Verb.ADD, Verb.WRITE]),
    st.sampled_from([A, OUT, ROOT]),
    st.sampled_from(list(Verb)),
)
def test_a_pass_never_opens_more_than_its_submitter_may(before, after, said, folder, asked):
    casa = Casa("peer")
    say_all(casa, before)
    may = casa.may("laptop", said, PHOTOS)
    try:
        pass_id = issue(casa, said, folder)
    except Refused:
        assert not may
        return
    assert may
    say_all(casa, after)
    for at in (A, B, OUT / "a.png", ROOT):
        if casa.may("desk", asked, PHOTOS, at, pass_id):
            assert casa.may("laptop", asked, PHOTOS, at)
            assert at.within(folder)


def say_all(casa: Casa, said: list[tuple[bool, str, Verb, Door]]) -> None:
    for allow, who, verb, door in said:
        with suppress(CommonholdError):
            (casa.allow if allow else casa.deny)(who, verb, door)
