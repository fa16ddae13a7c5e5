"""What stands around the sign-in: whose pages may change something, which passwords may be one, how many may be tried."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from integrator.errors import ConfigError
from integrator.sign_in.guarded import ADDRESS_MOST, PAIR_MOST, Guarded
from integrator.sign_in.own_origin import OwnOrigin
from integrator.sign_in.parts import ORIGIN, SignInParts
from integrator.sign_in.passwords import METHOD, check_password, strong

COOKIE = {"Cookie": "a=b; _token=x"}


def answering(base_url: str = "", **headers: str) -> TestClient:
    async def said(request: Request) -> Response:
        answer = JSONResponse({"from": ORIGIN.get()}, headers=headers)
        answer.set_cookie("_token", "x", httponly=True)
        return answer

    app = Starlette(routes=[Route("/{path:path}", said, methods=["GET", "POST", "PATCH", "DELETE"])])
    return TestClient(OwnOrigin(app, base_url), base_url="http://ours.example:8080")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://ours.example:8080"}, 200),
        ({"Origin": "https://ours.example:8080"}, 200),
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://ours.example"}, 403),
        ({"Origin": "http://ours.example:8081"}, 403),
        ({"Origin": "http://sub.ours.example:8080"}, 403),
        ({"Origin": "http://ours.example:8080.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_only_our_own_pages_change_something_with_a_cookie(headers: dict[str, str], status: int) -> None:
    client = answering()
    for method in ("POST", "PATCH", "DELETE"):
        assert client.request(method, "/api/v2/dags/x", headers={**COOKIE, **headers}).status_code == status, method
        assert client.request(method, "/x", headers={"Cookie": "session=1", **headers}).status_code == status, method
    assert client.get("/api/v2/dags/x", headers={**COOKIE, **headers}).status_code == 200


def test_who_brings_a_token_or_no_cookie_of_ours_is_asked_nothing() -> None:
    for headers in ({"Authorization": "Bearer x", **COOKIE}, {"Cookie": "other_token=1; my_session=2"}, {}):
        assert answering().post("/x", headers={"Origin": "http://evil.example", **headers}).status_code == 200, headers
    assert (
        answering().post("/x", headers={"Origin": "http://evil.example", "Authorization": "Basic x", **COOKIE}).status_code == 403
    )


def test_behind_tls_only_tls_is_ours() -> None:
    client = answering("https://integrator.example/")
    for origin, status in (
        ("https://integrator.example", 200),
        ("https://ours.example:8080", 200),
        ("http://ours.example:8080", 403),
    ):
        assert client.post("/x", headers={**COOKIE, "Origin": origin}).status_code == status, origin


def test_every_answer_says_what_browsers_may_do_with_it() -> None:
    plain, tls = answering().get("/api/v2/x"), answering("https://integrator.example").get("/ui/x")
    for answer in (plain, tls):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
    assert ("strict-transport-security" in plain.headers, "strict-transport-security" in tls.headers) == (False, True)
    assert "secure" not in plain.headers["set-cookie"].lower()
    assert tls.headers["set-cookie"].endswith("; Secure")
    assert "cache-control" not in answering().get("/static/x.js").headers
    own = answering(**{"X-Frame-Options": "DENY", "Cache-Control": "max-age=5"}).get("/api/x")
    assert (own.headers["x-frame-options"], own.headers["cache-control"]) == ("DENY", "max-age=5")


def test_what_is_called_within_knows_the_address() -> None:
    assert answering().get("/x").json() == {"from": "testclient"}
    assert ORIGIN.get() == ""


@pytest.mark.parametrize("password", ["", "short", "x" * 257, "aaaaaaaaaaaaaaaa", "AaBbCcDdAaBb", "12121212121212"])
def test_what_is_no_password(password: str) -> None:
    with pytest.raises(ConfigError) as fault:
        check_password(password)
    assert not password or password not in str(fault.value)


@pytest.mark.parametrize("password", ["correct horse battery", "ünï cödé wörds", "x1!x1!x1!abc", "a" * 200 + "bcde"])
def test_what_is_one(password: str) -> None:
    check_password(password)


@pytest.mark.parametrize(
    ("method", "enough"),
    [
        (METHOD, True),
        ("pbkdf2:sha512:210000", True),
        ("pbkdf2:sha256:1000000", True),
        ("pbkdf2:sha256:599999", False),
        ("pbkdf2:sha512:1000", False),
        ("pbkdf2:sha1:9000000", False),
        ("pbkdf2:sha256", False),
        ("scrypt:32768:8:1", False),
        ("", False),
    ],
)
def test_how_much_work_a_guess_costs(method: str, enough: bool) -> None:
    assert strong(method) is enough


class Counted:
    """Tries, counted in a dictionary; and lines of the audit."""

    def __init__(self) -> None:
        self.count: dict[str, int] = {}
        self.lines: list[Any] = []

    def take(self, allowed: dict[str, int]) -> float:
        for who in allowed:
            self.count[who] = self.count.get(who, 0) + 1
        return self.waits({who: most + 1 for who, most in allowed.items()})

    def waits(self, allowed: dict[str, int]) -> float:
        return 900.0 if any(self.count.get(who, 0) >= most for who, most in allowed.items()) else 0.0

    def give_back(self, who: str) -> None:
        self.count[who] -= 1

    def forget(self, who: str) -> None:
        self.count.pop(who, None)

    def add(self, line: Any) -> None:
        self.lines.append(line)


def guarded(counted: Counted, status: int = 401) -> TestClient:
    async def said(request: Request) -> Response:
        await request.body()
        return Response(status_code=status)

    app = Starlette(routes=[Route("/{path:path}", said, methods=["GET", "POST"])])
    parts = SignInParts(members=None, sessions=None, tries=counted, audit=counted)  # type: ignore[arg-type]

    def known(name: str) -> bool:
        name.encode()  # as a database's driver does
        assert "\0" not in name
        return name == "ann"

    return TestClient(Guarded(app, lambda: parts, None, known), follow_redirects=False)


def test_a_name_has_so_many_tries_from_an_address() -> None:
    counted = Counted()
    client = guarded(counted)
    told = [client.post("/auth/token", json={"username": " ANN ", "password": "x"}).status_code for _ in range(PAIR_MOST + 2)]
    assert told == [401] * PAIR_MOST + [429] * 2
    assert client.post("/auth/token/cli", json={"username": "ann", "password": "x"}).status_code == 429
    assert client.post("/auth/token", json={"username": "bob", "password": "x"}).status_code == 401
    assert {line.actor for line in counted.lines} == {"ann", "somebody unknown"}, "what is no user's name may be a password"
    assert [line.action for line in counted.lines].count("sign_in.limited") == 1


def test_names_that_change_are_stopped_by_the_address() -> None:
    client = guarded(Counted())
    told = [
        client.post("/auth/token", json={"username": f"u{place}", "password": "x"}).status_code
        for place in range(ADDRESS_MOST + 1)
    ]
    assert told[-2:] == [401, 429]


@pytest.mark.parametrize("form", [{"username": "ann", "password": "x"}, {"username": ["ann", "bob"]}])
def test_the_form_counts_too(form: Any) -> None:
    counted = Counted()
    client = guarded(counted, 302)
    told = [client.post("/auth/login/", data=form).status_code for _ in range(PAIR_MOST + 1)]
    assert told == [302] * PAIR_MOST + [429]
    assert client.post("/auth/login/", files={"username": b"bob"}).status_code == 415, (
        "another way to write the form is none around it"
    )
    assert client.get("/auth/login/").status_code == 302


@pytest.mark.parametrize("status", [400, 422, 500, 503])
def test_where_nobody_looked_at_a_password_nothing_counts(status: int) -> None:
    counted = Counted()
    client = guarded(counted, status)
    for _ in range(PAIR_MOST + 2):
        assert client.post("/auth/token", json={"username": "ann", "password": ""}).status_code == status
    assert (set(counted.count.values()), counted.lines) == ({0}, [])


def test_a_body_of_any_size_or_shape_is_no_harm() -> None:
    client = guarded(Counted())
    assert client.post("/auth/token", content=b"x" * 70_000).status_code == 413
    for body in (b"[" * 60_000, b"{}", b"[1]", b'{"username": {"a": 1}}', b"\xff\xfe", b"", b'{"username": "\\ud800"}'):
        assert client.post("/auth/token", content=body).status_code == 401, body[:20]


def test_a_failure_is_noted_whatever_the_name_is() -> None:
    counted = Counted()
    for body in (b'{"username": "a\\u0000b"}', b'{"username": "\\ud800"}', b'{"username": "ann"}'):
        assert guarded(counted).post("/auth/token", content=body).status_code == 401
    assert [line.actor for line in counted.lines] == ["somebody unknown", "somebody unknown", "ann"]


def test_tokens_that_know_no_session_are_not_given() -> None:
    assert guarded(Counted()).post("/auth/api/v1/security/login", json={"username": "ann"}).status_code == 404
