"""The node: builds all parts of one computer and joins them. The only file that knows them all.

Here, and nowhere else outside authority/ and plan/, the shape of the network chooses: who decides
at this computer's doors (`closed`, `peer`, `server`), whether it opens a door at all, and where
its person's jobs run.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import msgspec
from aiohttp import web

from commonhold import __version__
from commonhold.answers import Invitation, Member, Offer, Place, Removal, Status
from commonhold.authority import roster as rosters
from commonhold.authority.admission import Invitations
from commonhold.authority.audit import Audit
from commonhold.authority.authority import COMPUTE, Authority, Door, Subject, Verb, permit
from commonhold.authority.book import RuleBook
from commonhold.authority.closed import Closed
from commonhold.authority.exchange import Exchange
from commonhold.authority.facts import FactStore
from commonhold.authority.gate import gate
from commonhold.authority.passes import Passes
from commonhold.authority.peer import Peer as PeerAuthority
from commonhold.authority.server import Server
from commonhold.discovery import AddressBook, Discovery
from commonhold.errors import CommonholdError
from commonhold.files import serve as dav
from commonhold.files.shares import Shares
from commonhold.home import GatewayCard, Home, write_private
from commonhold.identity.certificate import Certificate
from commonhold.identity.code import four_words
from commonhold.identity.keys import Key
from commonhold.node import local
from commonhold.node.desk import Desk
from commonhold.node.directory import Directory
from commonhold.node.state import open_state
from commonhold.transport import DEFAULT_PORT, Address, Caller, Gateway, Listener, Peer, private_addresses, problems
