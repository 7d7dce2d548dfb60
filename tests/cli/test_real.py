"""The commands against real nodes: two computers of one network, each in a home of its own, as processes."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

from commonhold.home import Home
from commonhold.node import background

from ..conftest import until
from .conftest import Computer, free_address


def test_create_prints_the_recovery_key_and_starts_the_node(tower):
    assert tower.created["running"] is True
    assert len(tower.created["recovery"].split()) == 12
    assert tower.created["network"] == "casa"
    key = tower.created["recovery"]
    for file in tower.home.rglob("*"):
        if file.is_file():
            assert key.encode() not in file.read_bytes(), f"the recovery key is kept in {file}"


def test_create_again_is_a_conflict(tower):
    assert tower.json("create", "other", code=6)["exit"] == 6


def test_join_says_what_it_shares_and_lends(laptop):
    first, second = laptop.joined.stdout.splitlines()
    assert first == "laptop has joined casa (peer-to-peer), invited by tower."
    assert second == (
        "laptop shares nothing yet (commonhold share FOLDER)"
        " and lends its processors to nobody (commonhold allow WHO run compute)."
    )


def test_join_with_a_wrong_code_is_refused(tower, tmp_path):
    newcomer = Computer(tmp_path / "newcomer", free_address("127.0.41.4"))
    assert newcomer.json("join", f"99-abandon-ability@{tower.address}", code=4)["exit"] == 4
    newcomer("status", code=3)


def test_join_reads_the_code_from_standard_input_and_who_is_removed_is_told_so(tower, tmp_path):
    newcomer = Computer(tmp_path / "newcomer", free_address("127.0.41.4"))
    words = ["--home", newcomer.home, "join", "--computer", "tablet", "--person", "zoe", "--listen", newcomer.address]
    line = f"{tower.json('invite')['code']}@{tower.address}\n"
    try:
        done = subprocess.run(
            [sys.executable, "-m", "commonhold", *words],
            input=line,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout.startswith("tablet has joined casa (peer-to-peer), invited by tower.\n")
        assert done.stderr == "", "nobody is there to be asked"
        assert tower.json("remove", "tablet", "--yes")["computers"] == ["tablet"]
        assert "removed" in newcomer("ls", "tower:", code=4).stderr
    finally:
        if background.running(Home(newcomer.home)):
            newcomer("down")


def test_invite_shows_the_code_and_both_ways_to_use_it(tower):
    seen = tower("invite", "--minutes", "1").stdout
    code = next(line.strip() for line in seen.splitlines() if line.startswith("    "))
    assert f"commonhold join {code}\n" in seen
    assert f"commonhold join {code}@{tower.address}\n" in seen
    assert "for 1 computer and ends at" in seen


def test_status_and_members_tell_the_same(tower, laptop):
    status = tower.json("status")
    assert (status["computer"], status["running"], status["listener"]) == ("tower", True, [tower.address])
    members = laptop.json("members")
    assert [(m["computer"], m["person"]) for m in members] == [("laptop", "bob"), ("tower", "ann")]
    table = laptop("members").stdout.splitlines()
    assert table[0].startswith("COMPUTER  PERSON")
    assert status["words"] in table[2]
    assert "running:" in tower("status").stdout


def test_rules_are_said_listed_and_explained(tower, photos):
    tower("allow", "members", "read", "photos", "--until", "2h")
    rules = {(rule["who"], rule["verb"], rule["door"]): rule for rule in tower.json("rules", "photos")}
    assert rules["members", "read", "photos"]["until"].endswith("Z")
    assert rules["bob", "write", "photos"].get("until") is None
    assert tower.json("explain", "bob", "write", "photos")["allowed"] is True
    assert "No folder is shared as “nosuch” here." in tower("explain", "ann", "read", "nosuch", code=3).stderr
    tower("deny", "bob", "write", "photos")
    refused = tower("explain", "bob", "write", "photos")
    assert refused.stdout.startswith("Refused: ")
    assert "EFFECT" in tower("rules").stdout


def test_a_rule_of_another_computer_is_its_owners(laptop, photos):
    assert laptop.json("allow", "bob", "read", "tower:photos", code=4)["kind"] == "Refused"


def test_a_refusal_carries_the_reason_and_exit_4(tower, laptop, tmp_path):
    (tmp_path / "secret").mkdir()
    tower("share", tmp_path / "secret")
    refused = laptop.json("ls", "tower:secret", code=4)
    assert refused["reason"]
    assert "rule" in refused
    tower("unshare", "secret")


def test_ls_lists_computers_shares_and_files(laptop, photos):
    assert laptop("ls").stdout == "laptop:\ntower:\n"
    assert "photos/" in laptop("ls", "tower:").stdout.splitlines()
    assert laptop("ls", "tower:photos").stdout == "2026/\ncat.txt\n"
    assert "2026/dog.txt" in laptop("ls", "-r", "tower:photos").stdout.splitlines()
    size, _, name = laptop("ls", "-l", "tower:photos").stdout.splitlines()[1].strip().partition("  ")
    assert (size.strip(), name.rpartition(" ")[2]) == ("5 B", "cat.txt")
    entry = next(e for e in laptop.json("ls", "tower:photos") if e["path"] == "cat.txt")
    assert (entry["kind"], entry["size"]) == ("file", 5)


def test_get_copies_a_file_or_a_folder(laptop, photos, tmp_path):
    assert laptop("get", "tower:photos/cat.txt", tmp_path / "here.txt").stdout == "1 file copied, 5 B.\n"
    assert (tmp_path / "here.txt").read_text() == "miau\n"
    assert laptop.json("get", "tower:photos", code=2)["kind"] == "WrongUsage"
    report = laptop.json("get", "-r", "tower:photos", tmp_path / "all")
    assert (report["files"], report["bytes"]) == (2, 10)
    assert (tmp_path / "all" / "2026" / "dog.txt").read_text() == "woof\n"
    laptop("get", "tower:photos/nothing", code=3)


def test_put_takes_one_or_several(laptop, photos, tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    laptop("put", tmp_path / "a.txt", "tower:photos/renamed.txt")
    assert (photos / "renamed.txt").read_text() == "a.txt"
    report = laptop.json("put", tmp_path / "a.txt", tmp_path / "b.txt", "tower:photos/both")
    assert (report["files"], report["bytes"]) == (2, 10)
    assert sorted(path.name for path in (photos / "both").iterdir()) == ["a.txt", "b.txt"]


def test_several_are_never_put_over_one_another(laptop, photos, tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    laptop("put", tmp_path / "a.txt", tmp_path / "b.txt", "tower:photos/cat.txt", code=6)
    assert (photos / "cat.txt").read_text() == "miau\n"


def test_put_of_several_says_which_failed(laptop, photos, tmp_path):
    (tmp_path / "good.txt").write_text("good")
    os.mkfifo(tmp_path / "pipe")
    seen = laptop("put", tmp_path / "good.txt", tmp_path / "pipe", "tower:photos", code=8)
    assert "1 of 2 files failed" in seen.stderr
    assert str(tmp_path / "pipe") in seen.stderr
    assert (photos / "good.txt").read_text() == "good"


def test_put_of_a_tree_can_be_repeated(laptop, photos, tmp_path):
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "leaf.txt").write_text("leaf")
    for _ in range(2):
        laptop("put", "-r", tmp_path / "tree", "tower:photos")
    assert [p.relative_to(photos).as_posix() for p in photos.rglob("leaf.txt")] == ["tree/deep/leaf.txt"]


def test_cat_mkdir_and_rm(laptop, photos):
    assert laptop("cat", "tower:photos/cat.txt").stdout == "miau\n"
    laptop("mkdir", "-p", "tower:photos/new/deep")
    assert (photos / "new" / "deep").is_dir()
    laptop("mkdir", "tower:photos/new", code=6)
    laptop("rm", "tower:photos/new", code=2)
    assert "“photos” itself can't be deleted" in laptop("rm", "tower:photos", code=4).stderr
    assert "That is the list of shares" in laptop("rm", "tower:", code=2).stderr
    laptop("rm", "-r", "tower:photos/new")
    assert not (photos / "new").exists()
    assert laptop.json("rm", "tower:photos/cat.txt") == {"path": "tower:photos/cat.txt", "deleted": True}


def test_a_computer_nobody_knows_is_not_found(laptop):
    assert laptop.json("ls", "ghost:x", code=3)["kind"] == "NotFound"
    assert "the shares of a computer called tower are tower:" in laptop("ls", "tower", code=2).stderr


def test_a_table_on_a_terminal_is_drawn_and_complete(laptop):
    pid, screen = pty.fork()
    if pid == 0:
        words = [sys.executable, "-m", "commonhold", "--home", str(laptop.home), "members"]
        os.execve(sys.executable, words, {**os.environ, "COLUMNS": "120"})  # noqa: S606
    drawn = b""
    while True:
        try:
            drawn += os.read(screen, 65536)
        except OSError:
            break
    os.close(screen)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    for word in (b"COMPUTER", b"tower", b"laptop", b"ann", b"bob"):
        assert word in drawn


def test_progress_on_a_terminal_and_none_when_piped(laptop, photos, tmp_path):
    (photos / "big.bin").write_bytes(os.urandom(20_000_000))
    assert laptop("get", "tower:photos/big.bin", tmp_path / "piped.bin").stderr == ""
    pid, screen = pty.fork()
    if pid == 0:
        words = ["--home", str(laptop.home), "get", "tower:photos/big.bin", str(tmp_path / "watched.bin")]
        os.execve(sys.executable, [sys.executable, "-m", "commonhold", *words], {**os.environ, "TERM": "xterm"})  # noqa: S606
    drawn = b""
    while True:
        try:
            drawn += os.read(screen, 65536)
        except OSError:
            break
    os.close(screen)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"/1 files" in drawn
    assert drawn.decode().rstrip().endswith("1 file copied, 20.0 MB.")
    assert (tmp_path / "watched.bin").read_bytes() == (photos / "big.bin").read_bytes()


def test_run_over_files_and_values(tower, laptop, photos, tmp_path):
    """One job on the processors of both: refused first, then allowed."""
    refused = laptop("run", "--on", "tower", "true", code=4)
    assert "tower refused: bob may not run" in refused.stderr
    tower("allow", "bob", "run", "compute")
    job = laptop.json("run", "--into", "tower:photos/out", "wc -c < {} > {.}.count", ":::", "tower:photos/*.txt")
    assert (job["state"], job["done"], job["failed"]) == ("done", 1, 0)
    assert (photos / "out" / "cat.count").read_text().strip() == "5"
    assert laptop("run", "echo value {}", ":::", "a", "b c").stdout == "2 done\n"
    told = laptop("run", "echo {} > {}.txt", ":::", "a").stderr
    folder = re.search(r"commonhold get -r (\S+) copies the new files", told)[1]
    laptop("get", "-r", folder, tmp_path / "left")
    assert (tmp_path / "left" / "a.txt").read_text() == "a\n"


def test_a_failed_task_is_reported_with_its_last_words(laptop):
    seen = laptop("run", "echo no luck >&2; test {} != 2", ":::", "1", "2", "3", code=8)
    assert seen.stdout == "2 done, 1 failed\n"
    assert "commonhold: 1 of 3 tasks failed." in seen.stderr
    assert "  2: exit status 1: no luck" in seen.stderr
    job = laptop.json("jobs")[-1]
    assert f"hint: commonhold log {job['job']}" in seen.stderr
    laptop("run", "false", code=1)


def test_jobs_and_log_tell_it_again(laptop):
    laptop("run", "echo said {}; echo cried {} >&2", ":::", "x", "y")
    number = laptop.json("jobs")[-1]["job"]
    assert laptop("jobs").stdout.splitlines()[-1].startswith(f"{number} ")
    whole = laptop("log", number).stdout
    assert "— 1 x at " in whole
    assert "said y" in whole
    one = laptop("log", number, 2)
    assert (one.stdout, one.stderr) == ("said y\n", "cried y\n")
    followed = laptop("log", "-f", number)
    assert sorted(followed.stdout.splitlines()) == ["x\tsaid x", "y\tsaid y"]
    assert {"x\tcried x", "y\tcried y"} < set(followed.stderr.splitlines())
    assert f"Job {number} ended as done: 2 done" in followed.stderr
    assert [task["input"] for task in laptop.json("log", number)] == ["x", "y"]
    laptop("log", number, 9, code=3)
    laptop("log", 999, code=3)


def test_a_program_in_several_words_keeps_its_options(laptop):
    laptop("run", "printf", "%s-%s", ":::", "1")
    number = laptop.json("jobs")[-1]["job"]
    assert laptop("log", number, 1).stdout == "1-"  # as it was printed, without a line's end


def test_down_and_up(laptop):
    assert laptop("up").stdout == "The node of laptop already runs.\n"
    assert laptop("down").stdout == "The node of laptop has stopped.\n"
    assert laptop.json("ls", code=5)["hint"] == "commonhold up"
    assert laptop.json("status")["running"] is False
    assert laptop.json("up") == {"computer": "laptop", "running": True, "already": False, "certificate": []}
    assert laptop("ls").stdout == "laptop:\ntower:\n"


def test_a_job_is_cancelled_and_what_was_not_done_runs_again(tower):
    running = subprocess.Popen(
        [sys.executable, "-m", "commonhold", "--home", tower.home, "run", "sleep {}", ":::", "0", "60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        found = until(lambda: [each for each in tower.json("jobs") if each["done"] == 1], "the first task is done")
        assert running.poll() is None
        job = found[-1]["job"]
        assert tower.json("cancel", str(job))["state"] == "cancelled"
        _, said = running.communicate(timeout=30)
        assert running.returncode == 1
        assert f"Job {job} ended as cancelled." in said
    finally:
        running.kill()
    assert tower.json("cancel", str(job), code=6)["exit"] == 6
    failing = tower.json("run", "test {} = a", ":::", "a", "b", code=8)
    assert (failing["done"], failing["failed"]) == (1, 1)
    last = tower.json("jobs")[-1]
    assert (last["done"], last["failed"]) == (1, 1)
    assert tower.json("again", str(last["job"]), code=8)["failed"] == 1
    assert tower.json("jobs")[-1]["job"] == last["job"]
