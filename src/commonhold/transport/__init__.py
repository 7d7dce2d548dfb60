"""HTTPS between computers, and plain HTTP inside one: nothing else here opens a connection.

tls       contexts, and whose certificate was shown
addresses where computers are, and sockets bound here
listener  the door                dial    reaching one computer at any of its addresses
public    a certificate for people's programs, which a server with a name may have
answers   errors and JSON as sent caller  asking other computers (Caller), or a stranger (Knock)
local     the gateway on loopback, and asking it
connections of both doors: what is no HTTP, and strangers    alike  requests that are like one before
"""

from commonhold.names import Address
from commonhold.transport.addresses import DEFAULT_PORT, private_addresses
from commonhold.transport.alike import STAMP, Stamp
from commonhold.transport.answers import answer_groups, answer_lines, caller_of, json_lines, problems
from commonhold.transport.caller import ROSTER_HEADER, Caller, Knock, Peer
from commonhold.transport.connections import KEEPALIVE, answer_alike, vouch
from commonhold.transport.documents import document, json_answer
from commonhold.transport.listener import Listener
from commonhold.transport.local import Gateway, LocalCaller
from commonhold.transport.loop import LoopThread, run
from commonhold.transport.public import PublicCertificate

__all__ = [
    "DEFAULT_PORT",
    "KEEPALIVE",
    "ROSTER_HEADER",
    "STAMP",
    "Address",
    "Caller",
    "Gateway",
    "Knock",
    "Listener",
    "LocalCaller",
    "LoopThread",
    "Peer",
    "PublicCertificate",
    "Stamp",
    "answer_alike",
    "answer_groups",
    "answer_lines",
    "caller_of",
    "document",
    "json_answer",
    "json_lines",
    "private_addresses",
    "problems",
    "run",
    "vouch",
]
