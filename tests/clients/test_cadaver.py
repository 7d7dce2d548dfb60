"""cadaver, typed by hand as ever: every command that changes something at a share."""

from __future__ import annotations

import re

import pytest

from .conftest import PASSWORD, needs, without_tls

pytestmark = needs("cadaver")


@pytest.fixture
def type_(drive):
    """Types these lines at cadaver in the share, and gives what it said.

    It asks a terminal, and nobody else, whether to take a certificate: a forwarder stands between.
    """
    netrc = drive.root.parent / ".netrc"
    netrc.touch(mode=0o600)
    netrc.write_text(f"machine 127.0.0.1\nlogin bob\npassword {PASSWORD}\n")
    with without_tls(drive.computer) as address:
        yield lambda *lines: drive.run("cadaver", f"{address}/dav/{drive.share}/", input="\n".join((*lines, "quit\n")))


def test_a_session_at_a_share(type_, drive, tmp_path):
    (tmp_path / "letter.txt").write_text("Dear all,\n")
    said = type_(
        "mkcol letters",
        "cd letters",
        "put letter.txt",
        "copy letter.txt second.txt",
        "move second.txt third.txt",
        "propset third.txt colour blue",
        "propget third.txt colour",
        "lock third.txt",
        "discover third.txt",
        "propset third.txt colour green",
        "put letter.txt third.txt",
        "unlock third.txt",
        "move third.txt ../moved.txt",
        "propget ../moved.txt colour",
        "get ../moved.txt back.txt",
        "delete letter.txt",
        "cd ..",
        "rmcol letters",
        "ls",
    )
    assert "failed" not in said
    assert "Scope: exclusive  Type: write" in said
    assert re.findall("Value of colour is: (.+)", said) == ["blue", "green"], "also of what was moved"
    assert drive.files() == {"moved.txt": b"Dear all,\n"}
    assert (tmp_path / "back.txt").read_text() == "Dear all,\n"
