"""This computer's own addresses, and the sockets bound to them."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Sequence

import psutil

from commonhold.errors import CommonholdError, Conflict, WrongUsage
from commonhold.names import Address

DEFAULT_PORT = 7440
NEXT_PORTS = 100  # how far `next_free` looks: more homes on one machine than anybody has
BACKLOG = 512  # connections that wait to be taken; a few hundred members may wake up at once


def private_addresses() -> list[str]:
    """The machine's addresses that only a local network reaches; loopback when it has none.

    Private IPv4 (RFC 1918, and 100.64.0.0/10, which overlay networks such as Tailscale use) and unique local
    IPv6 (RFC 4193). Addresses of the open internet are left out: who wants them names them.
    """
    homely = [ipaddress.ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]
    homely.append(ipaddress.ip_network("fc00::/7"))
    found = []
    for interface in psutil.net_if_addrs().values():
        for entry in interface:
            if entry.family in {socket.AF_INET, socket.AF_INET6}:
                address = ipaddress.ip_address(entry.address.partition("%")[0])
                if any(address.version == network.version and address in network for network in homely):
                    found.append(str(address))
    return sorted(set(found), key=lambda text: (":" in text, text)) or ["127.0.0.1"]


def bind(addresses: Sequence[Address], *, next_free: bool = False) -> list[socket.socket]:
    """One listening socket for each address; port 0 lets the system choose. Blocks when a host is a name.

    With `next_free`, all move to the next port together when one is taken. Raises Conflict when a
    port is in use, WrongUsage when an address is not this computer's.
    """
    for step in range(NEXT_PORTS + 1 if next_free else 1):
        bound: list[socket.socket] = []
        try:
            for address in addresses:
                bound.append(_bind_one(address._replace(port=address.port + step if address.port else 0)))
        except Conflict:
            _close_all(bound)
            if step == NEXT_PORTS or not next_free:
                raise
        except BaseException:
            _close_all(bound)
            raise
        else:
            return bound
    raise AssertionError("the loop returns or raises")


def _close_all(sockets: Sequence[socket.socket]) -> None:
    for each in sockets:
        each.close()


def _bind_one(address: Address) -> socket.socket:
    try:
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise WrongUsage(f"{address} is no address of this computer.", "name one with --listen HOST:PORT") from error
    family, kind, protocol, _, where = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            # After a restart the port is free at once. Never SO_REUSEPORT: a second node of the same
            # user would share the port silently.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        notice_the_dead(listening)  # accepted connections inherit it
        listening.bind(where)
        listening.listen(BACKLOG)  # already here: two sockets with SO_REUSEADDR collide only once one listens
    except OSError as error:
        listening.close()
        raise _why_not_bound(address, error) from error
    return listening


def _why_not_bound(address: Address, error: OSError) -> CommonholdError:
    hint = "name another with --listen HOST:PORT"
    if error.errno == errno.EADDRINUSE:
        return Conflict(f"{address} is in use by another program.", hint)
    if error.errno == errno.EACCES:
        return WrongUsage(f"{address} is a port that only the administrator may use.", hint)
    return WrongUsage(f"{address} is no address of this computer.", hint)


def notice_the_dead(connection: socket.socket) -> None:
    """Let the system break a connection whose other end vanished, after about half a minute.

    Keepalive probes for a silent one, TCP_USER_TIMEOUT (RFC 5482) for one with bytes under way. A
    timeout on reading was the other way, but it cannot tell a dead computer from a slow disk.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 30_000)):
        if option := getattr(socket, name, None):  # not every platform has all four
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
