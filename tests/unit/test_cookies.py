"""A login's cookies go to the origin that set them. Source: PRODUCT.md section 5, "credentials are not sent to another origin"."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from integrator.auth.cookies import COOKIES_MAX, Jar, place_of
from integrator.auth.presenting import make_ready
from integrator.errors import SignInAgainError
from integrator.model.credential import Credential
from integrator.model.tokens import Token
from integrator.wire.message import Request
from tests.services.clerk import clerk
from tests.services.moving import parts

HOME, ELSEWHERE = place_of("https://api.example.com/v1"), place_of("https://login.example.com")
PAST, FUTURE = "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 2100 23:59:59 GMT"


def sets(*lines: str) -> CIMultiDict[str]:
    return CIMultiDict(("Set-Cookie", line) for line in lines)


def jar(*taken: tuple[str, str]) -> Jar:
    made = Jar()
    for place, line in taken:
        made.take(place, sets(line))
    return made


@pytest.mark.parametrize(
    ("by", "line", "to", "sent"),
    [
        ("https://a.example.com", "s=1", "https://a.example.com", True),
        ("https://a.example.com", "s=1", "https://A.example.com:443", True),
        ("https://a.example.com", "s=1", "https://a.example.com:8443", False),
        ("https://a.example.com", "s=1", "http://a.example.com", False),
        ("https://a.example.com", "s=1", "https://b.example.com", False),
        ("https://a.example.com", "s=1; Domain=example.com", "https://b.example.com", True),
        ("https://a.example.com", "s=1; domain=.EXAMPLE.com; Path=/", "https://b.example.com", True),
        ("https://a.example.com", "s=1; Domain=example.com", "http://b.example.com", False),
        ("http://a.example.com", "s=1; Domain=example.com", "http://b.example.com", False),
        ("https://a.example.com", "s=1; Domain=example.com", "https://badexample.com", False),
        ("https://a.example.com", "s=1; Domain=evil.com", "https://evil.com", False),
        ("https://a.example.com", "s=1; Domain=com", "https://b.com", False),
        ("https://10.1.2.3", "s=1; Domain=2.3", "https://10.9.2.3", False),
        ("https://a.example.com", "s=1; Max-Age=0", "https://a.example.com", False),
        ("https://a.example.com", f"s=1; Expires={PAST}", "https://a.example.com", False),
        ("https://a.example.com", f"s=1; Expires={PAST}; Max-Age=60", "https://a.example.com", True),
        ("https://a.example.com", f"s=1; Expires={FUTURE}", "https://a.example.com", True),
        ("https://a.example.com", "s=1; Expires=soon; Max-Age=soon", "https://a.example.com", True),
    ],
)
def test_a_cookie_goes_where_it_belongs(by: str, line: str, to: str, sent: bool) -> None:
    assert jar((place_of(by), line)).header(place_of(to)) == ("s=1" if sent else "")


def test_an_origin_s_own_cookie_counts_before_its_domain_s_and_a_later_answer_may_delete_it() -> None:
    made = jar((ELSEWHERE, "s=theirs; Domain=example.com"), (HOME, "s=own"), (HOME, "r=2"))
    assert made.header(HOME) == "s=own; r=2"
    made.take(HOME, sets("s=; Max-Age=0"))
    assert made.header(HOME) == "s=theirs; r=2"


def test_more_cookies_than_a_request_can_carry_are_refused() -> None:
    made = jar(*((HOME, f"n{n}={'x' * 1000}") for n in range(COOKIES_MAX // 1000 + 1)))
    with pytest.raises(SignInAgainError, match="more cookies"):
        made.header(HOME)


@given(st.text(max_size=80), st.sampled_from([HOME, ELSEWHERE, "http://127.0.0.1:80"]))
def test_whatever_a_header_holds_no_other_origin_gets_a_cookie_without_a_domain_of_both(line: str, by: str) -> None:
    made = Jar()
    made.take(by, sets(line))
    for to in {HOME, ELSEWHERE, "http://127.0.0.1:80"} - {by}:
        assert made.header(to) == "" or "example.com" in line.lower()
    header = made.header(by)
    assert header.isascii() and header.isprintable() and ";" not in header


async def test_a_login_at_another_host_keeps_its_cookie_to_itself() -> None:
    """The other way round too, and for the calls that keep alive and sign out."""
    with (
        clerk({"ticket": "t1cket"}, headers={"Set-Cookie": "theirs=t; Path=/"}) as login,
        clerk({"ok": 1}, headers={"Set-Cookie": "home=h; Path=/"}) as desk,
    ):
        steps = [
            {"url": f"{login.url}/sso", "take": {"ticket": "ticket"}},
            {"path": "/enter", "headers": {"X-Ticket": "{ticket}"}},
        ]
        again = {"url": f"{login.url}/again", "method": "GET"}
        fields: dict[str, Any] = {
            "plain_http": True, "username": "u", "password": "p", "login": json.dumps([*steps, again]),
            "present": "X-Session: {ticket}-{cookie}", "logout": json.dumps([{"url": f"{login.url}/out", "headers": {"X-Here": "{cookie}"}}, {"path": "/out"}]),
        }  # fmt: skip
        there = Credential("acme", "there", "session_login", desk.url, fields)
        made = make_ready(there, parts().around())
        signed = await made.signer.sign(Request("GET", f"{desk.url}/items", {}))
        await made.signer.close()
    assert signed.request.headers == {"Cookie": "home=h", "X-Session": "t1cket-home=h"}
    assert [one.get("Cookie") for one in login.seen] == [None, "theirs=t", "theirs=t"]  # in, again, out
    assert [one.get("Cookie") for one in desk.seen] == [None, "home=h"]
    assert login.seen[-1]["X-Here"] == "theirs=t"
    assert "X-Session" not in login.seen[-1] and desk.seen[-1]["X-Session"] == "t1cket-home=h"


def test_every_cookie_of_a_token_is_one_of_its_secrets() -> None:
    token = Token("a=1111; b=2222", 0.0, cookies={ELSEWHERE: "c=3333"})
    assert {"a=1111; b=2222", "1111", "2222", "c=3333", "3333"} <= set(token.secrets())
