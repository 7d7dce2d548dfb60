"""Why bubblewrap does not hold other people's tasks here, and the cure, as each system has it. Pure."""

from __future__ import annotations

from typing import NamedTuple

AGAIN = "then commonhold down; commonhold up"
INSTALL = {  # by the names that systems give themselves and those that they are like (os-release)
    "debian": "sudo apt install bubblewrap",
    "ubuntu": "sudo apt install bubblewrap",
    "fedora": "sudo dnf install bubblewrap",
    "rhel": "sudo dnf install bubblewrap",
    "arch": "sudo pacman -S bubblewrap",
    "suse": "sudo zypper install bubblewrap",
    "opensuse": "sudo zypper install bubblewrap",
    "alpine": "sudo apk add bubblewrap",
}


class Hindrance(NamedTuple):
    """What was looked at."""

    linux: bool = True
    installed: bool = False
    system: tuple[str, ...] = ()  # ID and ID_LIKE of os-release
    container: bool = False
    profiles_only: bool = False  # AppArmor lets only programs with a profile make namespaces (Ubuntu since 23.10)
    switched_off: str = ""  # the setting of the kernel that lets nobody make namespaces, as `sysctl` is given it
    said: str = ""  # by bubblewrap, when it was tried


def explained(found: Hindrance) -> tuple[str, str]:
    """The reason and the cure, a sentence and what to type.

    >>> explained(Hindrance(system=("fedora",)))[1]
    'sudo dnf install bubblewrap, then commonhold down; commonhold up'
    """
    if not found.linux:
        why = "This system has nothing better."
        return why, "lend only to people to whom you would give your account: commonhold allow PERSON run compute"
    if not found.installed:
        known = next((INSTALL[name] for name in found.system if name in INSTALL), "install bubblewrap")
        return "bubblewrap is not installed.", f"{known}, {AGAIN}"
    if found.switched_off:
        why = "bubblewrap is installed, and this system lets nobody make user namespaces."
        return why, f"sudo sysctl -w {found.switched_off} (and a line in /etc/sysctl.d, so that it stays), {AGAIN}"
    if found.profiles_only:
        why = "bubblewrap is installed, and AppArmor forbids it to make namespaces."
        profile = "write the profile of docs/troubleshooting.md to /etc/apparmor.d/bwrap"
        return why, f"{profile}, sudo apparmor_parser -r /etc/apparmor.d/bwrap, {AGAIN}"
    if found.container:
        why = "bubblewrap is installed, and this container may make no namespaces."
        return why, "lend from outside of the container, or start it with the right to: see docs/troubleshooting.md"
    said = f"bubblewrap says: {found.said}." if found.said else "bubblewrap is installed, and does not start."
    return said, f"see what bwrap --unshare-all --ro-bind / / true says; when it says nothing, {AGAIN[5:]}"


def switched_off(clone: str, most: str) -> str:
    """From /proc/sys/kernel/unprivileged_userns_clone and /proc/sys/user/max_user_namespaces; empty: not there.

    >>> switched_off("0", "15000"), switched_off("1", "0"), switched_off("", "15000")
    ('kernel.unprivileged_userns_clone=1', 'user.max_user_namespaces=15000', '')
    """
    if clone.strip() == "0":
        return "kernel.unprivileged_userns_clone=1"
    return "user.max_user_namespaces=15000" if most.strip() == "0" else ""


def likes(release: str) -> tuple[str, ...]:
    """What a system calls itself, and what it is like, from its os-release.

    >>> likes('NAME="Linux Mint"\\nID=linuxmint\\nID_LIKE="ubuntu debian"\\n')
    ('linuxmint', 'ubuntu', 'debian')
    """
    rows = dict(row.split("=", 1) for row in release.splitlines() if "=" in row)
    return tuple(word for name in ("ID", "ID_LIKE") for word in rows.get(name, "").strip("\"'").split())
