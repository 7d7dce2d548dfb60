"""Calls of the system that no guest makes: a filter (seccomp) that holds for this process and all that it starts.

The owner's keys in the kernel's keyrings are the reason that there must be one: no namespace keeps a guest from
them. What else is here was, over the years, the way through walls like these, and programs that compute do without:
new namespaces, mounting, loading code into the kernel, watching it, and reading files by their handles. And memory
that is nobody's: what System V's calls share stays when all who had it have gone. And what is in other processes'
memory: a task that traces its worker stops it for good, without an end that anybody sees.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Mapping
from typing import NamedTuple

NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2  # of prctl(2)
ARCHITECTURE, NUMBER, FIRST_ARGUMENT = 4, 0, 16  # where they stand in what a filter reads
LOAD, IS, AT_LEAST, ANY_OF, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # instructions of classic BPF
ALLOW, FAIL = 0x7FFF0000, 0x00050000
FOREIGN = 0x40000000  # x86: from here on numbers are those of another way to call (x32)
NAMESPACES = 0x7E020000  # flags of clone(2) and unshare(2)
NEW_EVERYWHERE = {  # numbers that are the same on all machines
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "memfd_secret": 447,
}


class SystemCalls(NamedTuple):
    """Of one kind of machine: its number, those that always fail, and those that make namespaces."""

    architecture: int
    forbidden: Mapping[str, int]
    clone: int
    unshare: int
    clone3: int = 435


MACHINES = {
    "x86_64": SystemCalls(
        0xC000003E,
        {
            **{"shmget": 29, "msgget": 68, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311},
            **{"add_key": 248, "request_key": 249, "keyctl": 250},
            **{"mount": 165, "umount2": 166, "pivot_root": 155, "setns": 308, "open_by_handle_at": 304},
            **{"init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246},
            **{"kexec_file_load": 320, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "syslog": 103},
            **{"acct": 163, "swapon": 167, "swapoff": 168, "reboot": 169, "quotactl": 179, "move_pages": 279},
            **NEW_EVERYWHERE,
        },
        clone=56,
        unshare=272,
    ),
    "aarch64": SystemCalls(
        0xC00000B7,
        {
            **{"shmget": 194, "msgget": 186, "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271},
            **{"add_key": 217, "request_key": 218, "keyctl": 219},
            **{"mount": 40, "umount2": 39, "pivot_root": 41, "setns": 268, "open_by_handle_at": 265},
            **{"init_module": 105, "finit_module": 273, "delete_module": 106, "kexec_load": 104},
            **{"kexec_file_load": 294, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "syslog": 116},
            **{"acct": 89, "swapon": 224, "swapoff": 225, "reboot": 142, "quotactl": 60, "move_pages": 239},
            **NEW_EVERYWHERE,
        },
        clone=220,
        unshare=97,
    ),
}


def forbid() -> None:
    """Install the filter; nothing can take it away. Machines that are not known to it have none. Raises OSError."""
    calls = MACHINES.get(platform.machine())
    if calls is None or os.uname().sysname != "Linux":
        return
    program = filter_of(calls)
    code = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HP", len(program) // 8, ctypes.addressof(code))
    system = ctypes.CDLL(None, use_errno=True)
    for words in ((NO_NEW_PRIVILEGES, 1, 0, 0, 0), (SECCOMP, FILTER, described, 0, 0)):
        if system.prctl(*words):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def filter_of(calls: SystemCalls) -> bytes:
    """The program that the kernel runs at each call: EPERM for what is forbidden, ENOSYS for what has a substitute."""
    denied = sorted(calls.forbidden.values())
    allow = 10 + len(denied)  # the places of the three ends
    forbid, absent = allow + 1, allow + 2
    code = [
        (LOAD, 0, 0, ARCHITECTURE),
        (IS, 1, 0, calls.architecture),
        (RETURN, 0, 0, FAIL | errno.ENOSYS),  # another architecture's calls, which this machine would take, too
        (LOAD, 0, 0, NUMBER),
    ]
    code += [(IS, forbid - place - 1, 0, number) for place, number in enumerate(denied, len(code))]
    code.append((IS, absent - len(code) - 1, 0, calls.clone3))  # its flags lie where no filter can look
    code.append((AT_LEAST, absent - len(code) - 1, 0, FOREIGN))
    code += [
        (IS, 1, 0, calls.clone),
        (IS, 0, 2, calls.unshare),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (ANY_OF, 1, 0, NAMESPACES),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, FAIL | errno.EPERM),
        (RETURN, 0, 0, FAIL | errno.ENOSYS),
    ]
    return b"".join(struct.pack("HBBI", *each) for each in code)
