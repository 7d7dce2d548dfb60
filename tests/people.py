"""People who reach a server without a computer of its network, as a browser or a file manager does."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .conftest import Computer

COOKIE = "__Host-commonhold"


@dataclass
class Heard:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Visitor:
    """Somebody at a server's listener: by `name` and `password`, in a session after `sign_in`, or as nobody."""

    place = "127.0.0.1"  # where from: wrong passwords are counted by address too

    def __init__(self, server: Computer, name: str = "", password: str = "") -> None:
        self.server, self.name, self.password = server, name, password
        self.cookie = ""

    @property
    def page(self) -> str:
        """What a browser says of requests that come from the server's own page."""
        return f"https://{self.server.address}"

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Heard:
        """A dict is sent as JSON; header names have `_` for `-`."""
        with self.opened(method, path, body, **headers) as answer:
            return Heard(answer.status, dict(answer.getheaders()), answer.read())

    @contextmanager
    def opened(self, method: str, path: str, body: object = None, **headers: str) -> Iterator[http.client.HTTPResponse]:
        """The answer as it begins."""
        host, _, port = self.server.address.rpartition(":")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            host, int(port), timeout=30, context=context, source_address=(self.place, 0)
        )
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            named["Cookie"] = f"{COOKIE}={self.cookie}"
        elif self.name:
            named["Authorization"] = basic(self.name, self.password)
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        try:
            connection.request(method, path, data, named)
            yield connection.getresponse()
        finally:
            connection.close()

    def get(self, path: str) -> int:
        return self.ask("GET", path).status

    def sign_in(self) -> Heard:
        """From then on with the session's cookie, as the page does."""
        heard = Visitor(self.server).ask("POST", "/session", {"person": self.name, "password": self.password})
        if heard.status == 200:
            self.cookie = heard.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
        return heard


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
