"""Every error that a person can meet.

    CommonholdError            1   it failed
     ├─ WrongUsage             2   the command or the request makes no sense
     ├─ NotFound               3   no such computer, share, file, job
     ├─ Refused                4   no right; carries the reason and the rule
     │   ├─ WrongCode          4   the code to join is wrong, spent or over
     │   ├─ NotAdmitted        4   no member's certificate: nothing is served
 │   └─ TooManyTries       4   too many wrong passwords: wait, and try again
     ├─ Unreachable            5   the other computer does not answer
     │   └─ NodeNotRunning     5   this computer's own node does not
     ├─ Conflict               6   a name is taken, or something else stands in the way
     │   ├─ Changed            6   it is not what the asker had seen: a condition of the request failed
     │   └─ Locked             6   somebody has locked it, and says until when
     ├─ NoSpace                7   the disk is full
     ├─ PartlyFailed           8   some of many failed
     ├─ Damaged                1   a file of our own, or a transfer, is not what it was
     └─ Interrupted          130   Ctrl-C

The number is the exit code. Each error is one sentence and one hint; `cli.output` alone prints
them. Between computers they travel as RFC 9457 problem documents (`problem`, `from_problem`), so
that a refusal reads the same at the door where it fell and on the screen of the person refused.
"""

from __future__ import annotations

from typing import Any, ClassVar


class CommonholdError(Exception):
    """It failed: `sentence` says what, `hint` what to do about it."""

    exit_code: ClassVar[int] = 1
    status: ClassVar[int] = 500  # HTTP status at a door

    def __init__(self, sentence: str, hint: str = "", **more: Any) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.more = more

    def problem(self) -> dict[str, Any]:
        """This error as an RFC 9457 document."""
        return {"type": type(self).__name__, "title": self.sentence, "hint": self.hint, **self.more}


class WrongUsage(CommonholdError):
    exit_code = 2
    status = 400


class NotFound(CommonholdError):
    exit_code = 3
    status = 404


class Refused(CommonholdError):
    """No right: `more["reason"]` and `more["rule"]` come from the decision."""

    exit_code = 4
    status = 403


class WrongCode(Refused):
    """The code to join is wrong, spent or over: `more["tries"]` says how many tries are left."""


class NotAdmitted(Refused):
    """Without a member's certificate nothing but joining is served (RFC 9110, 15.5.2)."""

    status = 401


class TooManyTries(Refused):
    """`more["retry_after"]` says how many seconds to wait (RFC 6585, 4)."""

    status = 429


class Unreachable(CommonholdError):
    exit_code = 5
    status = 504


class NodeNotRunning(Unreachable):
    pass


class Conflict(CommonholdError):
    exit_code = 6
    status = 409


class Changed(Conflict):
    """A condition of the request failed (RFC 9110, 13.1): nothing was done."""

    status = 412


class Locked(Conflict):
    """Somebody's lock forbids it (RFC 4918, 11.3); `more["path"]` is what they have locked."""

    status = 423


class NoSpace(CommonholdError):
    exit_code = 7
    status = 507


class PartlyFailed(CommonholdError):
    exit_code = 8


class Damaged(CommonholdError):
    pass


class Interrupted(CommonholdError):
    exit_code = 130  # 128 + SIGINT, as every shell reports it


KINDS: dict[str, type[CommonholdError]] = {
    kind.__name__: kind
    for kind in (
        CommonholdError,
        WrongUsage,
        NotFound,
        Refused,
        WrongCode,
        NotAdmitted,
        TooManyTries,
        Unreachable,
        NodeNotRunning,
        Conflict,
        Changed,
        Locked,
        NoSpace,
        PartlyFailed,
        Damaged,
        Interrupted,
    )
}

BY_STATUS: dict[int, type[CommonholdError]] = {
    400: WrongUsage,
    401: NotAdmitted,
    403: Refused,
    404: NotFound,
    409: Conflict,
    412: Changed,
    423: Locked,
    429: TooManyTries,
    504: Unreachable,
    507: NoSpace,
}


# What is said of an error here, or handed to its class, is not for another computer to set.
OURS = frozenset({"sentence", "self", "error", "kind", "exit", "failed"})


def from_problem(document: object, status: int) -> CommonholdError:
    """The error that another computer reported; an answer that is no problem document becomes one sentence."""
    if not isinstance(document, dict) or not isinstance(document.get("title"), str):
        return BY_STATUS.get(status, CommonholdError)(f"The other computer answered {status}.")
    fields = {str(key): value for key, value in document.items()}
    kind = KINDS.get(str(fields.pop("type", "")), BY_STATUS.get(status, CommonholdError))
    sentence, hint = str(fields.pop("title")), str(fields.pop("hint", ""))
    return kind(sentence, hint, **{key: value for key, value in fields.items() if key not in OURS})
