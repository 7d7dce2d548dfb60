"""No secret and no content of a file stands in the record, the log or the settings, after everything was used once."""

from __future__ import annotations

from ..conftest import town

PASSWORD = "corset-violet-9317"
CONTENT = b"the treasure lies under the third birch"
IN_A_COMMAND = "hunter2-in-a-command"


def test_after_a_whole_journey_no_secret_lies_in_what_is_written_about_it(tmp_path):
    with town(tmp_path) as make:
        server, laptop = make("server", "ann"), make("laptop", "bob")
        founded = server.json(
            "create", "office", "--shape", "client-server",
            "--computer", "server", "--person", "ann", "--listen", server.address,
        )  # fmt: skip
        server.attach()
        code = server.net.invite().code
        wrong = f"{code.partition('-')[0]}-abandon-ability"
        stranger = make("stranger", "eve")
        stranger.cli(
            "join", f"{wrong}@{server.address}", "--computer", "stranger", "--listen", stranger.address, code=4
        )
        laptop.cli("join", f"{code}@{server.address}", "--computer", "laptop", "--person", "bob",
                   "--listen", laptop.address)  # fmt: skip
        laptop.attach()
        server.cli("person", "add", "carol", input=f"{PASSWORD}\n")
        (tmp_path / "shared").mkdir()
        server.net.share(tmp_path / "shared", "papers", to="bob", verb="write")
        server.net.allow("bob", "run", "compute")
        (tmp_path / "map.txt").write_bytes(CONTENT)
        for _ in range(2):  # the second time it is overwritten
            laptop.net.put(tmp_path / "map.txt", "server:papers/map.txt")
        laptop.net.get("server:papers/map.txt", tmp_path / "back.txt")
        laptop.net.run(f"cat {{}} && true {IN_A_COMMAND}", ["server:papers/map.txt"])
        secrets = {
            "the code's words": code.partition("-")[2],
            "the wrong code's words": wrong.partition("-")[2],
            "the recovery key": " ".join(founded["recovery"].split()[:3]),
            "the password": PASSWORD,
            "a file's content": CONTENT.decode(),
            "a job's command": IN_A_COMMAND,
            **{f"the gateway's secret of {one.name}": one.home.gateway().secret for one in (server, laptop)},
            **{f"the key of {one.name}": one.home.key.read_text().splitlines()[1] for one in (server, laptop)},
        }
        events = {entry["event"] for one in (server, laptop) for entry in one.json("audit")}
        server.down()
        laptop.down()
        assert {"founding", "invitation", "wrong code", "join", "admit", "account", "rule", "overwritten"} <= events
        assert {"door opened", "job started", "job ended"} <= events
        for one in (server, laptop):
            kinds = ("audit*", "node.log*", "settings.json", "crash.log")
            written = [path for kind in kinds for path in one.home.folder.glob(kind)]
            assert {"audit.jsonl", "node.log", "settings.json"} <= {path.name for path in written}
            for what, secret in secrets.items():
                found = [path.name for path in written if secret in path.read_text(errors="replace")]
                assert not found, f"{what} stands in {found} of {one.name}"
