"""The command `commonhold`: options before the command, lazy loading, what an error becomes.

Nothing but click and our table is loaded until the command is known (measured: 68 ms for `--help`
with 45 commands; with every command loaded it would be a second).
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

import click

import commonhold
from commonhold.cli.output import Output
from commonhold.cli.table import EXAMPLES, GROUPS, PURPOSES
from commonhold.errors import CommonholdError, Interrupted, NoSpace, WrongUsage

ROOT_OPTIONS = ("--home", "--json", "--version")
GARBAGE = 20_000  # new objects between two looks for garbage: nearly all that loading makes stays (a sixth of its time)
SOON = 0.05  # seconds
SIGPIPE_EXIT = 141  # 128 + SIGPIPE, what a shell reports of `ls | head -1` too


class Commands(click.Group):
    """A group that imports a command when it is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(PURPOSES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in PURPOSES:
            return None
        found = importlib.import_module(f"commonhold.cli.{cmd_name}").command
        if not isinstance(found, click.Command):
            raise TypeError(f"commonhold.cli.{cmd_name}.command is no command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group, commands in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl(list(commands.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for line in EXAMPLES:
                formatter.write(f"  {line}\n")


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"commonhold {commonhold.__version__}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--home", metavar="DIR", help="The node's folder.  [default: $COMMONHOLD_HOME, else the user data folder]"
)
@click.option("--json", is_flag=True, help="Print one JSON document on standard output.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def commands(home: str | None, json: bool) -> None:
    """The computers of a home, a lab or a small office as one network that shares disk and computing.

    A remote path is COMPUTER:SHARE/PATH, as with scp.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Perform one command and end the process with its exit code."""
    gc.set_threshold(GARBAGE)
    sys.unraisablehook = interrupt_again
    sys.exit(perform(list(sys.argv[1:] if arguments is None else arguments)))


def interrupt_again(lost: sys.UnraisableHookArgs) -> None:
    """Ctrl-C that fell into a finalizer, whose exceptions Python drops: it comes again, until it is outside."""
    if lost.exc_type is KeyboardInterrupt:
        main_thread = threading.main_thread().ident or 0
        again = threading.Timer(SOON, signal.pthread_kill, (main_thread, signal.SIGINT))  # which ends a wait, too
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(lost)


def perform(arguments: list[str]) -> int:
    """Perform one command; everything it raises becomes a sentence and an exit code."""
    out = Output(json=_wants_json(arguments))
    try:
        with commands.make_context("commonhold", list(arguments), obj=out) as context:  # click empties it
            commands.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as finished:  # --help and --version
        return finished.exit_code
    except BrokenPipeError:
        # Whoever read us has enough. The interpreter would flush once more at its end and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGPIPE_EXIT
    except (Exception, KeyboardInterrupt) as trouble:
        error = _understood(trouble, arguments)
        out.error(error, _usage(trouble))
        return error.exit_code
    return 0


def _understood(trouble: BaseException, arguments: Sequence[str]) -> CommonholdError:
    """Whatever was raised, as an error of ours."""
    match trouble:
        case CommonholdError():
            return trouble
        case click.UsageError():
            return misused(trouble)
        case KeyboardInterrupt() | click.Abort():
            return Interrupted("Interrupted.")
        case OSError() if trouble.filename is not None:
            return translated(trouble)
        case _:
            return _crashed(trouble, arguments)


def _usage(trouble: BaseException) -> str:
    """How the command is used, after an error of usage."""
    if not isinstance(trouble, click.UsageError) or trouble.ctx is None:
        return ""
    if isinstance(trouble, click.exceptions.NoArgsIsHelpError):
        return trouble.ctx.get_help()
    return trouble.ctx.get_usage()


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether `--json` stands before the command: known before parsing, for errors of parsing."""
    for argument in arguments:
        if argument in PURPOSES:
            return False
        if argument == "--json":
            return True
    return False


def misused(error: click.UsageError) -> WrongUsage:
    """Wrong usage in our words, with the nearest thing that exists."""
    path = error.ctx.command_path if error.ctx else "commonhold"
    if isinstance(error, click.exceptions.NoSuchCommand):
        return WrongUsage(f"There is no command “{error.command_name}”.", _meant(error.command_name, PURPOSES, path))
    if isinstance(error, click.exceptions.NoSuchOption) and error.ctx:
        name = error.option_name
        if name in ROOT_OPTIONS and error.ctx.parent:
            return WrongUsage(f"{name} stands before the command.", f"commonhold {name} … {error.ctx.info_name} …")
        known = [option for parameter in error.ctx.command.get_params(error.ctx) for option in parameter.opts]
        return WrongUsage(f"{path} has no option {name}.", _meant(name, known, path))
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return WrongUsage("There is no command.", f"{path} --help")
    sentence = " ".join(error.format_message().split()).rstrip(".")  # click sets choices on lines of their own
    return WrongUsage(sentence.replace("integer range", "whole number") + ".", f"{path} --help")


def _meant(typed: str, known: Sequence[str] | dict[str, str], path: str) -> str:
    import difflib  # noqa: PLC0415 - late: for mistakes only

    near = difflib.get_close_matches(typed, list(known), n=1, cutoff=0.5)
    return f"did you mean “{near[0]}”?" if near else f"{path} --help"


def translated(error: OSError) -> CommonholdError:
    """What the operating system refused this computer's own person."""
    kind = NoSpace if error.errno == errno.ENOSPC else CommonholdError
    return kind(f"{error.filename}: {error.strerror}.")


def _crashed(error: BaseException, arguments: Sequence[str]) -> CommonholdError:
    """A mistake of ours: the details go to a file in the home, which holds no argument (a code may be among them)."""
    import traceback  # noqa: PLC0415 - late: for mistakes only
    from datetime import UTC, datetime  # noqa: PLC0415

    from commonhold.home import Home, write_private  # noqa: PLC0415

    home = Home.find(_named_home(arguments))
    file = home.folder / "crash.log"
    details = "".join(traceback.format_exception(error))
    sentence = f"commonhold made a mistake of its own ({type(error).__name__})."
    try:
        home.make()
        write_private(file, f"{datetime.now(UTC).isoformat()} commonhold {commonhold.__version__}\n{details}".encode())
    except (CommonholdError, OSError):
        click.echo(details, err=True)
        return CommonholdError(sentence, "please report the lines above")
    return CommonholdError(sentence, f"please report it with {file}")


def _named_home(arguments: Sequence[str]) -> str | None:
    """The value of `--home`, read without click: its context is gone when a crash is reported."""
    for position, argument in enumerate(arguments):
        if argument.startswith("--home="):
            return argument.partition("=")[2]
        if argument == "--home":
            return arguments[position + 1] if position + 1 < len(arguments) else None
        if argument in PURPOSES:
            return None
    return None
