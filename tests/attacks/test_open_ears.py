"""What listens while two people compute, and what the nodes have loaded: sockets of every kind, and libraries."""

from __future__ import annotations

import ast
import socket
from pathlib import Path

import psutil
import pytest

from ..conftest import town, until

LISTENS = 0x10000  # SO_ACCEPTCON, in the flags of /proc/PID/net/unix
# Parts of Dask, of which each is a library in C that a process maps when it loads it; none of them is of use to a node.
OF_DASK = ("_cmsgpack", "cytoolz", "tornado/speedups")

pytestmark = pytest.mark.skipif(not Path("/proc/self/net/unix").exists(), reason="it is looked for in /proc")


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A server at which two clients have something running: a command each."""
    folder = tmp_path_factory.mktemp("office")
    with town(folder) as make:
        server, bob, carol = make("server", "ann"), make("laptop", "bob"), make("desk", "carol")
        server.create("office", "client-server")
        jobs = {}
        for client in (bob, carol):
            client.join(server)
            server.net.allow(client.person, "run", "compute")
            jobs[client] = client.net.run("sleep 600", wait=False).job
        for client, job in jobs.items():
            until(lambda client=client, job=job: client.net.job(job).running, "its task runs")
        until(lambda: len(list((server.home.folder / "lent").glob("*/room/work/*"))) == 2, "both have begun")
        yield server, bob, carol
        for client, job in jobs.items():
            client.net.cancel(job)


def everything(busy):
    """The nodes of all three, and what they started, down to the commands."""
    nodes = [psutil.Process(each.pid) for each in busy]
    return [*nodes, *(child for node in nodes for child in node.children(recursive=True))]


def unix_listeners(process):
    """Where it accepts connections by Unix sockets: paths, and names that stand in no folder (“@…”)."""
    held = set()
    for handle in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            held.add(str(handle.readlink()))
        except OSError:
            continue
    found = []
    for line in Path(f"/proc/{process.pid}/net/unix").read_text().splitlines()[1:]:
        _, _, _, flags, _, _, inode, *name = line.split()
        if int(flags, 16) & LISTENS and f"socket:[{inode}]" in held:
            found.append(name[0] if name else "")
    return found


def test_while_people_compute_nothing_listens_but_the_servers_door_and_the_gateways(busy):
    """Each at the very address that is meant; of Dask nothing, neither its streams nor its pages."""
    server = busy[0]
    expected = {("127.0.0.1", int(each.home.gateway().url.rpartition(":")[2])) for each in busy}
    host, _, port = server.address.rpartition(":")
    expected.add((host, int(port)))
    heard = set()
    for process in everything(busy):
        listening = [each.laddr for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN]
        heard |= {(each.ip, each.port) for each in listening if each.port != 5353}
    assert heard == expected
    for process in everything(busy):
        assert unix_listeners(process) == [], process.cmdline()


def test_the_scan_for_unix_sockets_finds_one(tmp_path):
    with socket.socket(socket.AF_UNIX) as in_a_folder, socket.socket(socket.AF_UNIX) as abstract:
        in_a_folder.bind(str(tmp_path / "door"))
        abstract.bind(b"\0commonhold-test")
        for each in (in_a_folder, abstract):
            each.listen()
        assert {str(tmp_path / "door"), "@commonhold-test"} <= set(unix_listeners(psutil.Process()))


def mapped(process):
    return {each.path for each in process.memory_maps()}


def test_no_node_has_loaded_dask_while_its_sandboxes_have(busy):
    """A node that never loads it unpickles nothing of what strangers send through it."""

    def parts(process):
        return {part for part in OF_DASK for path in mapped(process) if part in path}

    for one in busy:
        assert not parts(psutil.Process(one.pid)), f"the node of {one.name}"
    assert any(map(parts, psutil.Process(busy[0].pid).children(recursive=True))), "what runs in the sandboxes has"


OPENERS = {"pickle", "cloudpickle", "marshal", "shelve", "dill"}


def imported(path):
    """The modules that a file of ours names in its imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_nothing_that_opens_pickles_is_loaded_by_a_node_or_a_command():
    """Of our own files, by their imports: pickles are opened in sandboxes, and by who calls functions in a process of
    their own."""
    source = Path(__file__).parents[2] / "src" / "commonhold"
    opening = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if any(opener in path.read_text() for opener in OPENERS)
        and {name.partition(".")[0] for name in imported(path)} & OPENERS
    }
    assert opening == {f"compute/{name}.py" for name in ("parcel", "sandboxed/calling", "submitter/feeder")}
