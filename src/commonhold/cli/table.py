"""Every command's name, group and purpose. `commonhold --help` reads this and loads no command."""

from __future__ import annotations

GROUPS: dict[str, dict[str, str]] = {
    "Network": {
        "create": "Found a network on this computer.",
        "invite": "Print a code with which another computer joins.",
        "join": "Join a network with a code.",
        "up": "Start this computer's node.",
        "down": "Stop this computer's node.",
        "status": "Show this computer and its node.",
        "doctor": "Find what is wrong, and its cure.",
        "demo": "Play a whole network on this machine, in both shapes.",
    },
    "People and rules": {
        "members": "List the computers of the network.",
        "remove": "Remove a computer or a person from the network.",
        "guard": "Say which computers admit and remove others.",
        "recover": "Put a network right with its recovery key.",
        "group": "Say who is in which group, or list the groups.",
        "person": "Give people accounts at a server, or take them back.",
        "quota": "Limit what a person may store and compute, or list what each has.",
        "allow": "Say who may do what at a door.",
        "deny": "Say who may not do what at a door.",
        "rules": "List the rules of this computer.",
        "explain": "Say whether somebody may do something, and why.",
        "audit": "Show what was done here, or verify the record.",
    },
    "Files": {
        "share": "Offer a folder to the network.",
        "unshare": "Stop offering a folder.",
        "ls": "List computers, shares, folders and files.",
        "get": "Copy files from another computer.",
        "put": "Copy files to another computer.",
        "cp": "Copy files from one place of the network to another.",
        "mv": "Move or rename files of other computers.",
        "cat": "Print files of another computer.",
        "mkdir": "Make folders on another computer.",
        "rm": "Delete files and folders on another computer.",
        "history": "List what files were before.",
        "restore": "Bring back what a file or folder was.",
        "undo": "Take back what somebody did.",
    },
    "Processors": {
        "lend": "Say on which terms this computer lends its processors.",
        "run": "Run a command over many inputs on the network's processors.",
        "jobs": "List the jobs.",
        "log": "Print what the tasks of a job printed.",
        "cancel": "End a job that runs or waits.",
        "again": "Run what failed of a job once more.",
    },
    "Advice": {
        "measure": "Measure processors, disks, links, and what serving costs.",
        "compare": "Let the same people ask the same in both shapes.",
        "advise": "Say which shape suits this network, or one that you think of.",
        "model": "Predict waits, loads and costs in both shapes.",
        "report": "Put what was measured, and the advice, on one page of pictures.",
        "expose": "Show who could read or destroy what, worst first.",
    },
}
PURPOSES: dict[str, str] = {name: purpose for group in GROUPS.values() for name, purpose in group.items()}

EXAMPLES = (
    "commonhold create home",
    "commonhold share ~/photos --to members",
    "commonhold get tower:photos/cat.jpg",
    "commonhold run --into tower:small 'convert {} -resize 25% {.}.jpg' ::: 'tower:photos/*.png'",
)
