"""bob, who has an account, locks a file of ann's server; carol's computer meets the lock, whatever happens between."""

from __future__ import annotations

from ..conftest import town
from ..people import Visitor

PASSWORD = "harbour lamp otter"
WISH = (
    b'<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype>'
    b"<owner>bob's editor</owner></lockinfo>"
)


def test_a_lock_by_password_holds_for_a_certificate_and_after_a_kill_until_its_person_is_removed(tmp_path):
    with town(tmp_path) as make:
        server, desk = make("tower", "ann"), make("desk", "carol")
        server.create("office", "client-server")
        server.net.add_person("bob", PASSWORD)
        desk.join(server)
        folder, text = tmp_path / "work", tmp_path / "plan.txt"
        folder.mkdir()
        (folder / "plan.txt").write_text("first draft\n")
        text.write_text("carol's\n")
        server.net.share(folder, to="bob", verb="write")
        server.net.allow("carol", "write", "work")

        locked = Visitor(server, "bob", PASSWORD).ask("LOCK", "/dav/work/plan.txt", WISH, Depth="0")
        assert locked.status == 200
        assert "is locked by bob until" in desk.typed("put", text, "tower:work/plan.txt", code=6).err

        server.kill()
        server.up()
        told = desk.typed("put", text, "tower:work/plan.txt", code=6)
        assert "is locked by bob until" in told.err
        assert "or wait until then" in told.hint
        desk.typed("rm", "tower:work/plan.txt", code=6)
        token = locked.headers["Lock-Token"]
        mine = Visitor(server, "bob", PASSWORD).ask("PUT", "/dav/work/plan.txt", b"bob's\n", If=f"({token})")
        assert mine.status == 204

        server.net.remove_person("bob")
        desk.typed("put", text, "tower:work/plan.txt")
        assert (folder / "plan.txt").read_text() == "carol's\n"
