"""`commonhold expose` as it is read: what is known, the rows, the steps, and what a change would do."""

from __future__ import annotations


def test_the_rows_say_whose_it_is_and_how_far_it_goes(tower, photos):
    lines = tower("expose").stdout.splitlines()
    assert lines[0].startswith("2 files (10 B) in the shares of tower. Of laptop nothing is known: ")
    assert lines[2].split() == ["SEVERITY", "WHAT", "OF", "READ", "DESTROY", "BEYOND", "VERSIONS", "DOORS", "AT"]
    assert "critical  tower's key       ann  100%  100%     100%             2      1 computer" in lines
    assert "critical  laptop's key      bob  100%  100%     0%               1      1 computer" in lines
    assert "  tower: allow bob write photos: read -50.0%, destroy -50.0%" in lines


def test_the_steps_are_told_when_they_are_asked_for(tower, photos):
    said = tower("expose", "--explain").stdout
    assert "\nlaptop's key:\n  tower:photos: destroys: “allow bob write photos” at tower\n" in said
    assert "  tower:photos: destroys beyond the versions: owns tower's doors\n" in said
    assert "beyond the versions: admits a computer of bob's" not in said  # who erases no versions
    assert "“allow bob" not in tower("expose").stdout


def test_what_a_change_would_do_stands_before_and_after(tower, photos):
    said = tower("expose", "--what-if", "deny bob write photos").stdout
    assert "If that were so: took back “allow bob write photos”; bob may not write to photos" in said
    assert "laptop's key     bob  100% → 0%  100% → 0%  0%               1 → 0" in said
    assert "critical" not in said
    nothing = tower("expose", "--what-if", "allow bob read photos").stdout
    assert nothing.endswith("Nothing that is shown here would change.\n")


def test_a_name_with_spaces_and_an_apostrophe_needs_no_quotes(tower, photos):
    tower("share", photos / "2026", "--name", "Photos d'été")
    try:
        said = tower("expose", "--what-if", "allow bob read Photos d'été").stdout
        assert "If that were so: bob may read Photos d'été" in said
    finally:
        tower("unshare", "Photos d'été")


def test_parts_of_bytes_and_a_document(tower, photos):
    (photos / "2026" / "film").write_bytes(b"x" * 90)
    tower("share", photos / "2026", "--to", "members", "--verb", "read")
    try:
        tower("deny", "bob", "write", "photos")
        rows = {row["name"]: row for row in tower.json("expose", "--bytes")["rows"]}
        assert rows["laptop's key"]["read"] == 0.95
        assert tower.json("expose", "--what-if", "remove bob")["what_if"]["shifts"][0]["after"] is None
    finally:
        tower("unshare", "2026")


def test_what_is_no_change_is_refused_with_examples(tower, photos):
    said = tower("expose", "--what-if", "give bob all", code=2).stderr
    assert said.startswith("commonhold: “give bob all” is no change that could be tried.\nhint: allow bob ")
    assert "There is nobody called “eve”" in tower("expose", "--what-if", "allow eve read photos", code=3).stderr


def test_before_joining_it_says_how_to(cli):
    assert cli("expose").code == 3
