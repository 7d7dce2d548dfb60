"""Pickles a function or its arguments for another computer, and reads what a pickle needs there.

What the standard library or an installed package has travels by its name; the person's own modules travel
as they are. Modules go by cloudpickle's list of those that do, which is the whole process's: each
parcel puts its own there and takes them away again.
"""

from __future__ import annotations

import functools
import hashlib
import io
import pickletools
import site
import sys
import sysconfig
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import cloudpickle

STRINGS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})
PASSIVE = frozenset({"PROTO", "FRAME", "MARK"})  # they push nothing that a name could be mistaken for
EVERYWHERE = frozenset({"builtins", "__main__", "cloudpickle", "commonhold"}) | sys.stdlib_module_names
LEFT_OUT = frozenset({"__builtins__", "__loader__", "__spec__", "__cached__"})  # of a module that travels
LARGEST_READ = 2**18  # bytes of arguments that are read: it takes a microsecond for each piece

_lock = threading.Lock()


class Parcel(NamedTuple):
    data: bytes
    modules: frozenset[str]  # that it needs where it is opened, but for those that are everywhere
    carried: tuple[ModuleType, ...]  # that are in it

    def digest(self) -> bytes:
        return hashlib.sha256(self.data).digest()


def pack(what: object, carried: tuple[ModuleType, ...] = (), read: bool = True) -> Parcel:
    """Pickle it, with those modules and, where it is `read`, others of the person's that it needs.

    Raises what pickling raises.
    """
    with _lock:
        taken: list[ModuleType] = []
        try:
            _take(taken, carried)
            while True:
                data = _pickled(what, taken)
                needed = modules_of(data) if read and len(data) <= LARGEST_READ else frozenset()
                own = [module for name in sorted(needed) if (module := _own(name)) and module not in taken]
                if not own:
                    return Parcel(data, frozenset(name for name in needed if _asked(name)), tuple(taken))
                _take(taken, own)
        finally:
            for module in taken:
                cloudpickle.unregister_pickle_by_value(module)


class _Packer(cloudpickle.Pickler):  # type: ignore[misc]
    """Modules that travel are made first and filled then: cloudpickle itself never ends where two know each other."""

    def __init__(self, file: io.BytesIO, own: list[ModuleType]) -> None:
        super().__init__(file)
        self._own = tuple(f"{module.__name__}." for module in own)

    def reducer_override(self, obj: object) -> Any:
        if isinstance(obj, ModuleType) and f"{obj.__name__}.".startswith(self._own):
            return ModuleType, (obj.__name__,), {key: value for key, value in vars(obj).items() if key not in LEFT_OUT}
        return super().reducer_override(obj)


def _pickled(what: object, own: list[ModuleType]) -> bytes:
    file = io.BytesIO()
    _Packer(file, own).dump(what)
    return file.getvalue()


def _take(taken: list[ModuleType], modules: list[ModuleType] | tuple[ModuleType, ...]) -> None:
    for module in modules:
        if module not in taken:
            cloudpickle.register_pickle_by_value(module)
            taken.append(module)


@functools.lru_cache(maxsize=256)
def modules_of(data: bytes) -> frozenset[str]:
    """The modules that opening this pickle imports, read from its instructions: nothing is executed."""
    found: set[str] = set()
    memo: list[str | None] = []
    before: str | None = None  # the two pushed last, where they are strings
    last: str | None = None
    module_next = False
    for code, argument, _ in pickletools.genops(data):
        name = code.name
        if name == "MEMOIZE":
            memo.append(last)
            continue
        if name in PASSIVE:
            continue
        if name == "GLOBAL":  # as older protocols say it
            found.add(str(argument).partition(" ")[0])
        if name == "STACK_GLOBAL":
            module_next = (before, last) == ("cloudpickle.cloudpickle", "subimport")
            found.add(before or "")
            before, last = None, None
            continue
        pushed = argument if name in STRINGS else None
        if name in {"BINGET", "LONG_BINGET"} and isinstance(argument, int) and argument < len(memo):
            pushed = memo[argument]
        if module_next and isinstance(pushed, str):
            found.add(pushed)
            module_next = False
        before, last = last, pushed if isinstance(pushed, str) else None
    return frozenset(found - {""})


def _asked(name: str) -> bool:
    """Whether another computer may lack it."""
    return name.partition(".")[0] not in EVERYWHERE


def _own(name: str) -> ModuleType | None:
    """The person's own module of that name, or its package: neither of the standard library nor installed."""
    top = name.partition(".")[0]
    if top in EVERYWHERE:
        return None
    for module in (sys.modules.get(top), sys.modules.get(name)):
        file = getattr(module, "__file__", None)
        if module is not None and file and not any(Path(file).is_relative_to(folder) for folder in _installed()):
            return module
    return None


@functools.cache
def _installed() -> tuple[Path, ...]:
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [sysconfig.get_path(kind) for kind in kinds] + site.getsitepackages() + [site.getusersitepackages()]
    return tuple({Path(folder) for folder in folders})
