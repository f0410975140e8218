"""Who may ask, and what a browser may do with the answer.

A page of another site that is open in the same browser must not reach this server: neither by a
name that it lets point here (Host), nor by a form (Origin, and JSON alone is read).
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, List, Optional, Tuple
from urllib.parse import parse_qs, urlsplit

MOST_BYTES = 1 << 18  # of a request: more than the longest text that is looked at
PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REPORT = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
]


class Guard:
    """``hosts``: names by which this server may be called; None: any, since a ``token`` is
    needed. ``cookie``: where a browser keeps that; one for each port, which cookies do not know."""

    def __init__(
        self, app: Any, hosts: Optional[Iterable[str]], token: Optional[str], cookie: str = "token"
    ) -> None:
        self._app, self._token, self._cookie = app, token, cookie
        self._hosts = None if hosts is None else set(hosts)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(send, *refusal)
            return
        more = list(HEADERS)
        policy = REPORT if scope["path"] == "/results" else PAGE
        more.append((b"content-security-policy", policy.encode()))
        if self._token and _given(scope):
            cookie = f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/"
            more.append((b"set-cookie", cookie.encode()))

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, scope: Any, headers: Mapping[str, str]) -> Optional[Tuple[int, str]]:
        if self._hosts is not None and _name_in(headers.get("host", "")) not in self._hosts:
            return 421, "This server is called by another name."
        if self._token and not _same(self._token, [*_given(scope), *self._of_cookie(headers)]):
            return 401, "A token is needed: open the address that the server has printed."
        if _is_of_another_site(scope, headers):
            return 403, "Only the server's own page may ask."
        return _refused_question(headers) if scope["method"] == "POST" else None

    def _of_cookie(self, headers: Mapping[str, str]) -> List[str]:
        """Whatever else is in it, of other servers of the same name."""
        pairs = (each.strip().partition("=") for each in headers.get("cookie", "").split(";"))
        return [value for name, _, value in pairs if name == self._cookie]


def _name_in(host: str) -> Optional[str]:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_of_another_site(scope: Any, headers: Mapping[str, str]) -> bool:
    """By what a browser says of itself. A link may lead to the page, and no further."""
    site = headers.get("sec-fetch-site", "none")
    is_link = headers.get("sec-fetch-dest") == "document" and scope["path"] == "/"
    return site not in ("none", "same-origin") and not is_link


def _refused_question(headers: Mapping[str, str]) -> Optional[Tuple[int, str]]:
    origin, size = headers.get("origin"), headers.get("content-length", "")
    if origin is not None and origin.partition("://")[2] != headers.get("host", ""):
        return 403, "Only the server's own page may ask."
    if headers.get("content-type", "").partition(";")[0] != "application/json":
        return 415, "Only JSON is read."
    if "transfer-encoding" in headers or not size.isdecimal():
        return 411, "How long the request is must be said."
    if int(size) > MOST_BYTES:
        return 413, f"That is too long: {MOST_BYTES:,} bytes are the most."
    return None


def _given(scope: Any) -> List[str]:
    return parse_qs(scope["query_string"].decode("latin-1")).get("token", [])


def _same(token: str, given: Sequence[str]) -> bool:
    return any(hmac.compare_digest(token.encode(), each.encode()) for each in given)


async def _refuse(send: Any, status: int, message: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": message.encode()})
