"""Admits to the page whoever has its token, which the address printed at the start contains.

As Jupyter does: the token in the address becomes a cookie, and the browser is sent on to the bare
address, so that the token stays in neither address bar nor history. Scripts send it in a header.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable

REFUSED = (
    "this page is private: open the address that `conspo watch` printed, which ends in ?token=..."
)
TRY_AGAIN = "If you have just followed that address from another page,"


class Door:
    """The token of one server, new at every start, and its forms in a request.

    port: names the cookie, because a browser sends cookies of one machine to all of its ports.
    """

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        self._name = f"conspo-page-{port}"

    @property
    def cookie(self) -> str:
        """The Set-Cookie header that lets a browser in: out of reach for scripts, and not sent with
        requests that other sites make."""
        return f"{self._name}={self.token}; Path=/; HttpOnly; SameSite=Strict"

    def is_token(self, text: str) -> bool:
        """Whether `text` is the token, in a time that does not depend on the text."""
        return hmac.compare_digest(text.encode("utf-8", "replace"), self.token.encode())

    def lets_in(self, cookies: Iterable[str], authorization: str) -> bool:
        """Whether a request's Cookie headers or its Authorization header (Bearer) have the
        token."""
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "bearer" and self.is_token(given.strip()):
            return True
        # Not http.cookies: it stops at the first cookie of another page that it cannot read.
        pairs = (part.strip().partition("=") for header in cookies for part in header.split(";"))
        return any(name == self._name and self.is_token(value) for name, _, value in pairs)
