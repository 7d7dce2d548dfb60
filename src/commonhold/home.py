"""The home: the folder where one node keeps what it must not forget.

key.pem          the computer's identity, 0600, never leaves
certificate.der  its self-signed certificate
settings.json    how this computer takes part; written last, so its presence means "has joined"
joining.json     what finishes a joining of which the last answer is awaited; 0600, gone when this computer has joined
state.db         SQLite: roster, rules, invitations, shares, addresses, jobs
files.db         SQLite: what is kept of files beside the files: locks, properties, versions
gateway.json     where the running node answers its own person's programs, and the secret they show; 0600
audit.jsonl      what was done; audit-0001.jsonl …: its full parts
audit.heads      what guards have seen of it, signed by them
clock            empty; its date is the newest time that was known here (authority/clock.py)
measured.toml    what `measure` found: values of a scenario (plan/values/scenario.py)
node.log         what the node says of itself (rotated)
node.lock        held by the node that runs
jobs/            the folders of jobs
wheels/          packages that travel with jobs, of people whose jobs are run from here
environments/    such packages, unpacked, of people who compute here
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import platformdirs

from commonhold.errors import Conflict, Damaged, NodeNotRunning, NotFound, Refused
from commonhold.names import ComputerName
from commonhold.wire import to_json

NOT_JOINED = "This computer belongs to no network yet."
NOT_JOINED_HINT = "commonhold create NETWORK, or commonhold join CODE"


WhenToLend = Literal["always", "idle", "never"]  # idle: while nobody uses this computer
Amount = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]


class LendingTerms(msgspec.Struct, frozen=True):
    """The terms on which this computer lends its processors; what they say at a moment, compute/terms.py knows."""

    when: WhenToLend = "always"
    cores: Amount = 0  # 0: all of them
    memory: Amount = 0  # bytes, for all guests together; 0: half of what the computer has
    disk: Amount = 0  # the same of the disk; 0: half of what is free
    hours: Annotated[str, msgspec.Meta(pattern=r"^$|^\d\d?(:\d\d)?-\d\d?(:\d\d)?$")] = ""  # local time; empty: all day


class Settings(msgspec.Struct, frozen=True):
    """How this computer takes part. Names are labels; `network` is the id of the founding charter."""

    network: str
    computer: str
    listen: tuple[str, ...] = ()  # "HOST:PORT" each; empty: every private address
    found_at: tuple[str, ...] = ()  # where others find it, if not where it listens: behind a port that is passed on
    lend: LendingTerms = LendingTerms()
    certificate: str = ""  # PEM file of a server's certificate that people's programs can verify, if it has one
    certificate_key: str = ""  # PEM file of its key


class GatewayCard(msgspec.Struct, frozen=True):
    """How a program of this person finds and opens the node's gateway."""

    url: str
    secret: str
    pid: int


class Home:
    """One node's folder. Nothing is made before `make`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder / "key.pem"
        self.certificate = folder / "certificate.der"
        self.settings_file = folder / "settings.json"
        self.joining = folder / "joining.json"
        self.state = folder / "state.db"
        self.files = folder / "files.db"
        self.gateway_file = folder / "gateway.json"
        self.audit = folder / "audit.jsonl"
        self.clock = folder / "clock"
        self.heads = folder / "audit.heads"
        self.measured = folder / "measured.toml"
        self.log = folder / "node.log"
        self.lock = folder / "node.lock"
        self.jobs = folder / "jobs"
        self.wheels = folder / "wheels"
        self.environments = folder / "environments"

    @classmethod
    def find(cls, named: str | None = None) -> Home:
        """The home named, else that of $COMMONHOLD_HOME, else the platform's place for a user's data."""
        chosen = named or os.environ.get("COMMONHOLD_HOME") or platformdirs.user_data_dir("commonhold")
        return cls(Path(chosen).expanduser().absolute())

    def __str__(self) -> str:
        return str(self.folder)

    def make(self) -> None:
        """Make the folder, for its owner alone. Raises Conflict where a file stands in the way, Refused where it is

        another user's.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise self._no_folder() from error
        status = self.folder.stat()
        if status.st_uid != os.geteuid():  # who made it could have put a key there that is known to others
            raise Refused(f"{self.folder} belongs to another user.", "name another with --home DIR")
        if status.st_mode & 0o077:
            self.folder.chmod(0o700)

    def _no_folder(self) -> Conflict:
        return Conflict(f"{self.folder} is not a folder.", "name another with --home DIR")

    @property
    def joined(self) -> bool:
        return self.settings_file.exists()

    def settings(self) -> Settings:
        """Raises NotFound before `create` or `join`, Damaged when the file cannot be read."""
        try:
            return msgspec.json.decode(self.settings_file.read_bytes(), type=Settings)
        except FileNotFoundError as error:
            hint = "commonhold join finishes what was begun" if self.joining.exists() else NOT_JOINED_HINT
            raise NotFound(NOT_JOINED, hint) from error
        except NotADirectoryError as error:
            raise self._no_folder() from error
        except msgspec.DecodeError as error:
            raise Damaged(
                f"{self.settings_file} is damaged: {error}.",
                "mend that line by hand, or put back a copy; keys, rules and files are not affected",
            ) from error

    def save_settings(self, settings: Settings) -> None:
        write_private(self.settings_file, msgspec.json.format(to_json(settings), indent=2))

    def computer(self) -> ComputerName:
        return ComputerName(self.settings().computer)

    def gateway(self) -> GatewayCard:
        """Raises NotFound when this computer has not joined, NodeNotRunning when no node left its card here."""
        try:
            return msgspec.json.decode(self.gateway_file.read_bytes(), type=GatewayCard)
        except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError) as error:
            self.settings()
            raise NodeNotRunning("The node of this computer is not running.", "commonhold up") from error


def write_private(path: Path, content: bytes) -> None:
    """Replace a file atomically and durably, readable by its owner alone."""
    write_whole(path, content, 0o600)


def require_place(path: Path) -> None:
    """Raise NotFound where no file could be written: before there is anything to write."""
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        hint = "choose another name"
        raise NotFound(f"{path} cannot be written: there is no folder for it, or none of yours.", hint)


def write_whole(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Replace a file atomically and durably: temporary file, fsync, rename, fsync. Who may read it, the umask says."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
