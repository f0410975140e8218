"""Who may ask: by which name, from which page, with which token."""

import asyncio

import pytest

from fairseq_ebm.explore.guard import MOST_BYTES, Guard
from fairseq_ebm.explore.options import LOOPBACK

COOKIE = "fairseq-ebm-8642"


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"answered"})


def ask(guard, method="GET", path="/", query="", **headers):
    """(status, headers, body)"""
    given = {"host": "127.0.0.1:8642", **{n.replace("_", "-"): v for n, v in headers.items()}}
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(),
             "headers": [(n.encode(), v.encode()) for n, v in given.items()]}  # fmt: skip
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(guard(scope, None, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, sent[1]["body"].decode()


LOCAL = Guard(app, LOOPBACK, None)
JSON = {"content_type": "application/json", "content_length": "2"}


@pytest.mark.parametrize("host", ["127.0.0.1:8642", "localhost", "LOCALHOST:1", "[::1]:8642"])
def test_its_own_names(host):
    assert ask(LOCAL, host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8642", "", "127.0.0.1.evil.example"]
)
def test_other_names(host):
    """By which a page of another site could reach it."""
    assert ask(LOCAL, host=host)[0] == 421


REFUSED = [
    ({"origin": "http://evil.example"}, 403),
    ({"origin": "null"}, 403),
    ({"origin": "http://["}, 403),
    ({"transfer_encoding": "chunked"}, 411),
    ({"origin": "http://127.0.0.1:1"}, 403),
    ({"content_type": "text/plain"}, 415),
    ({"content_length": str(MOST_BYTES + 1)}, 413),
    ({"content_length": ""}, 411),
    ({"content_length": "-1"}, 411),
]


@pytest.mark.parametrize(("change", "status"), REFUSED)
def test_questions_that_are_refused(change, status):
    assert ask(LOCAL, "POST", "/api/write", **{**JSON, **change})[0] == status


def test_questions_of_the_page_itself():
    own = {**JSON, "origin": "http://127.0.0.1:8642", "content_type": "application/json; charset=u"}
    assert ask(LOCAL, "POST", "/api/write", **own)[2] == "answered"


def test_pages_of_other_sites():
    """Not even a picture's address of theirs may make a report."""
    image = {"sec_fetch_site": "cross-site", "sec_fetch_dest": "image"}
    assert ask(LOCAL, path="/results", **image)[0] == 403
    link = {"sec_fetch_site": "cross-site", "sec_fetch_dest": "document"}
    assert ask(LOCAL, path="/results", **link)[0] == 403 and ask(LOCAL, **link)[0] == 200
    assert ask(LOCAL, path="/results", sec_fetch_site="same-origin")[0] == 200
    assert ask(LOCAL, path="/results", sec_fetch_site="same-site")[0] == 403


def test_a_token():
    guard = Guard(app, None, "secret", COOKIE)
    assert ask(guard, host="elsewhere")[0] == 401
    assert ask(guard, host="elsewhere", query="token=secre")[0] == 401
    assert ask(guard, cookie=f"{COOKIE}=other")[0] == 401
    status, headers, _ = ask(guard, host="elsewhere", query="token=secret")
    assert status == 200
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert ask(guard, cookie=cookie.partition(";")[0])[0] == 200
    shared = f'prefs={{"a": 1}}; {cookie.partition(";")[0]}; fairseq-ebm-8643=another'
    assert ask(guard, cookie=shared)[0] == 200
    assert "set-cookie" not in ask(guard, cookie=cookie.partition(";")[0])[1]


def test_a_browser_may_run_and_fetch_nothing_else():
    headers = ask(LOCAL)[1]
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert "frame-ancestors 'none'" in policy and headers["x-content-type-options"] == "nosniff"
    report = ask(LOCAL, path="/results")[1]["content-security-policy"]
    assert "script-src" not in report and "default-src 'none'" in report
