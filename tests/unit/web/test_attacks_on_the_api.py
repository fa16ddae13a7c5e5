"""The API attacked: names, addresses, bodies and browsers. Nothing crosses a project, nothing is 500, nothing of what was sent comes back but names."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from fastapi import Request
from fastapi.exceptions import RequestValidationError

from integrator.web.guard import BODY_BYTES_MAX
from integrator.web.problems import _of_fields
from tests.services.api_server import ADMINISTRATOR, NEIGHBOUR, NOBODY, ORIGIN, OWNER, PLATFORM, STANDARD, ApiServer

SECRET = "sent-by-somebody-and-never-shown"


def raw(api: ApiServer, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of a call whose address no client makes tidy."""
    parts = urlsplit(api.url)
    line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        line.putrequest(method, f"{parts.path}/v1{path}", skip_accept_encoding=True)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            line.putheader(name.replace("_", "-"), value)
        line.endheaders(body)
        answer = line.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        line.close()


@pytest.mark.parametrize(
    "name",
    [
        "ACME", "Acme", "acme%20", "acme%00", "acme%0a", "acme.", "acme__", "acme%2f..%2facme", "other%2F..%2Facme", "..%2Facme",
        "other/../acme", "./acme", "%2e%2e/acme", "acme;x", "acme%3fx", "аcme", "%D0%B0cme", "acm%C3%A9", "acm%EF%BD%85", "%ff%fe", "a" * 3000, "acme%E2%80%8B",
        "*", "%25", "~", "-", "acme,other", "integrator", "%5C..%5Cacme", "acme%2500", "_", "''", "acme'--",
    ],
)  # fmt: skip
def test_no_way_of_writing_a_name_leads_to_a_project_of_others(api: ApiServer, name: str) -> None:
    name = name.encode("ascii", "ignore").decode() or "x"
    for who in (NEIGHBOUR, NOBODY):
        for method, rest, body in (
            ("GET", "", b""), ("GET", "/members", b""), ("GET", "/audit", b""), ("PATCH", "", b'{"plan": "trial"}'),
            ("PUT", f"/members/users/{who}", b'{"role": "standard"}'), ("DELETE", "/members/users/stan", b""),
            ("POST", "/transfer", json.dumps({"to": who}).encode()), ("DELETE", "?confirm=acme", b""),
        ):  # fmt: skip
            status, _, text = raw(
                api, method, f"/projects/{name}{rest}", body, Authorization=f"Bearer {who}", Content_Type="application/json"
            )
            assert status in (404, 405), (method, name, rest, status, text)
            assert OWNER.encode() not in text
    assert api.roles() == {OWNER: "owner", STANDARD: "standard", "demo-team": "administrator"}
    assert api.parts.wants.every() == {}


@pytest.mark.parametrize(
    "name", ["%00", "a%00b", "%0d%0aSet-Cookie:x", "%E2%80%AEann", "%20ann", "x" * 251, "%ED%A0%80", "%7f", "a%0Ab"]
)
def test_a_name_of_a_user_or_group_that_is_none(api: ApiServer, name: str) -> None:
    for kind in ("users", "groups"):
        for method, body in (("PUT", b'{"role": "standard"}'), ("DELETE", b"")):
            path = f"/projects/acme/members/{kind}/{name}"
            status, headers, text = raw(api, method, path, body, Authorization="Bearer olga", Content_Type="application/json")
            # A line's end is in no address of the framework's; what is not UTF-8 is read with a sign in its place, which is a name.
            assert status in (
                (404,) if "%0" in name.lower()[1:] and "%00" not in name else (200, 204) if name == "%ED%A0%80" else (422,)
            ), (method, name, text)
            assert "set-cookie" not in headers
            assert b"\\u0000" not in text
    assert set(api.roles()) == {OWNER, STANDARD, "demo-team"}


@pytest.mark.parametrize("kind", ["user", "Users", "owners", "%00", "users%00"])
def test_a_kind_of_member_that_is_none_is_no_address(api: ApiServer, kind: str) -> None:
    status, _, text = raw(api, "PUT", f"/projects/acme/members/{kind}/x", b'{"role": "standard"}', Authorization="Bearer olga", Content_Type="application/json")  # fmt: skip
    assert (status, json.loads(text)["detail"]) == (404, "there is no such address")


def test_an_administrator_never_touches_the_owner(api: ApiServer) -> None:
    for name in (OWNER, "%6flga", f"{OWNER}%20", f"{OWNER}/", f"./{OWNER}", OWNER.upper()):
        raw(api, "PUT", f"/projects/acme/members/users/{name}", b'{"role": "standard"}', Authorization=f"Bearer {ADMINISTRATOR}", Content_Type="application/json")  # fmt: skip
        raw(api, "DELETE", f"/projects/acme/members/users/{name}", Authorization=f"Bearer {ADMINISTRATOR}")
    assert api.roles()[OWNER] == "owner"
    assert api.ask(ADMINISTRATOR, "POST", "/projects/acme/transfer", {"to": ADMINISTRATOR}).status_code == 403
    # A group that is called as the owner is another thing, and leaves the owner alone.
    assert api.ask(ADMINISTRATOR, "PUT", f"/projects/acme/members/groups/{OWNER}", {"role": "standard"}).status_code == 200
    assert [(m["kind"], m["role"]) for m in api.ask(OWNER, "GET", "/projects/acme/members").json()["members"] if m["name"] == OWNER] == [
        ("user", "owner"), ("group", "standard"),
    ]  # fmt: skip


def test_another_sites_page_changes_nothing_with_a_persons_cookie(api: ApiServer) -> None:
    host = urlsplit(api.url).netloc
    put = ("PUT", "/projects/acme/members/users/nora", {"role": "administrator"})
    for headers in (
        {}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": f"http://{host}.evil.example"}, {"Origin": f"https://{host}:1"},
        {"Origin": f"http://{host}", "Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"},
        {"Origin": "http://evil.example", "Referer": f"http://{host}/"}, {"Origin": ""}, {"Sec-Fetch-Site": ""}, {"Origin": "http://127.0.0.1"},
        {"Origin": f"{ORIGIN}.evil.example"}, {"Origin": "http://integrator.example"}, {"X-Forwarded-Host": "evil.example", "Origin": "http://evil.example"},
        {"Authorization": "Basic b2xnYTpv", "Origin": "https://evil.example"}, {"Authorization": "Bearer", "Origin": "https://evil.example"},
        {"Authorization": "Bearer ", "Origin": "https://evil.example"},
    ):  # fmt: skip
        answer = api.by_cookie(OWNER, *put, **headers)
        # A header that is no token at all may also leave nobody signed in.
        assert answer.status_code in ((401, 403) if "Authorization" in headers else (403,)), (headers, answer.text)
        for method, path, body in (
            ("DELETE", "/projects/acme?confirm=acme", None),
            ("PATCH", "/projects/acme", {"plan": "trial"}),
            ("POST", "/projects/acme/transfer", {"to": "x"}),
        ):
            assert api.by_cookie(OWNER, method, path, body, **headers).status_code in (401, 403), (method, headers)
    assert api.roles() == {OWNER: "owner", STANDARD: "standard", "demo-team": "administrator"}
    assert (OWNER, "project.grant", "refused") in api.lines("")
    for headers in (
        {"Origin": f"http://{host}"},
        {"Origin": ORIGIN},
        {"Sec-Fetch-Site": "same-origin", "Origin": f"https://{host}"},
    ):
        assert api.by_cookie(OWNER, *put, **headers).status_code == 200, headers
    assert api.by_cookie(OWNER, "GET", "/projects/acme").status_code == 200
    # A token is nothing that a browser sends by itself.
    assert api.ask(OWNER, *put, headers={"Origin": "https://evil.example"}).status_code == 200


def test_a_form_of_another_site_is_no_body(api: ApiServer) -> None:
    """What a page may send to another site without asking it first."""
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "application/jsonp",
        "text/json",
        "application/xml",
    ):
        status, _, text = raw(api, "PUT", "/projects/acme/members/users/x", b'{"role": "standard"}', Authorization="Bearer olga", **({"Content_Type": kind} if kind else {}))  # fmt: skip
        assert (status, json.loads(text)["title"]) == (415, "Unsupported Media Type"), kind
    status, _, _ = raw(api, "PUT", "/projects/acme/members/users/x", b'{"role": "standard"}', Authorization="Bearer olga", Content_Type="Application/JSON; charset=utf-8")  # fmt: skip
    assert status == 200


def test_a_body_that_is_too_large_is_not_read(api: ApiServer) -> None:
    big = b'{"role": "' + b"x" * 10_000_000 + b'"}'
    for who in ("olga", ""):
        # The server answers and closes while this still sends, so that either may be seen first.
        try:
            status, headers, text = raw(api, "PUT", "/projects/acme/members/users/x", big, Authorization=f"Bearer {who}", Content_Type="application/json")  # fmt: skip
        except (BrokenPipeError, ConnectionResetError):
            continue
        assert (status, headers["content-type"], headers["cache-control"]) == (413, "application/problem+json", "no-store")
        assert b"262,144 bytes at most" in text
    parts = urlsplit(api.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as line:  # without saying how much comes
        head = f"PUT {parts.path}/v1/projects/acme/members/users/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer olga\r\n"
        line.sendall(f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        for _ in range(BODY_BYTES_MAX // 0x10000 + 1):
            line.sendall(chunk)
        assert line.recv(100).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(
        (parts.hostname or "", parts.port or 0), timeout=30
    ) as line:  # refused by what it says of itself
        line.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {BODY_BYTES_MAX + 1}\r\n\r\n".encode())
        assert line.recv(100).startswith(b"HTTP/1.1 413 ")
    fits = json.dumps({"role": "standard"}).ljust(BODY_BYTES_MAX).encode()
    assert (
        raw(api, "PUT", "/projects/acme/members/users/x", fits, Authorization="Bearer olga", Content_Type="application/json")[0]
        == 200
    )


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000, b'{"a":' * 50_000, b'{"console":' + b"[" * 5000 + b"]" * 5000 + b"}", b"{", b"\xff\xfe\x00", b"\x00", b"null", b"1e999", b"[]", b'"x"', b"NaN",
        b'{"plan": NaN}', b'{"plan": ' + b"9" * 5000 + b"}", b'{"plan": "\\ud800"}', b'{"plan": "\\u0000"}', b'{"\\ud800": 1}', b'{"plan": {"a": 1}}', b'{"alerts": []}',
        b'{"alerts": {"email": ["\\ud800@x.y"]}}', b'{"alerts": {"email": "a@b.c"}}', b'{"alerts": {"on": "never", "x": 1}}', b'{"": 1}', b'{"__class__": 1}',
        b'{"plan": "trial", "plan": "no-such"}', b'{"console": true}', b'{"downloads": "LINKS"}', b"{'plan': 'trial'}", '{"plan": "trial\u202e"}'.encode(),
    ],
    ids=lambda body: body[:20],
)  # fmt: skip
def test_a_body_that_makes_no_sense_is_refused_in_words(api: ApiServer, body: bytes) -> None:
    for method, path in (
        ("PATCH", "/projects/acme"),
        ("PUT", "/projects/acme/members/users/x"),
        ("POST", "/projects/acme/transfer"),
        ("POST", "/projects"),
    ):
        status, headers, text = raw(api, method, path, body, Authorization=f"Bearer {PLATFORM}", Content_Type="application/json")
        told = json.loads(text)
        assert (status in (400, 422), headers["content-type"]) == (True, "application/problem+json"), (path, status, text)
        assert told["detail"]
        assert len(text) < 5000
    assert api.parts.wants.every() == {}


def test_no_words_of_pydantics_own_are_told() -> None:
    """Some hold what was sent."""
    fault = RequestValidationError(
        [
            {
                "type": "union_tag_invalid",
                "loc": ("body", "x"),
                "msg": f"Input tag '{SECRET}' found",
                "input": SECRET,
                "ctx": {"tag": SECRET},
            }
        ]
    )
    told = bytes(_of_fields(Request({"type": "http", "path": "/v1/x", "headers": []}), fault).body)
    assert SECRET.encode() not in told
    assert b"body.x is not what is asked for here" in told


def test_nothing_that_was_sent_comes_back_but_names(api: ApiServer) -> None:
    for method, path, body in (
        ("PUT", "/projects/acme/members/users/x", {"role": SECRET}), ("PUT", "/projects/acme/members/users/x", {"role": [SECRET]}),
        ("PUT", "/projects/acme/members/users/x", SECRET), ("POST", "/projects", {"name": ["acme", SECRET], "owner": {"x": SECRET}}),
        ("PATCH", "/projects/acme", {"console": SECRET, "alerts": {"on": SECRET, "email": [1, {"x": SECRET}]}}), ("PATCH", "/projects/acme", [SECRET]),
        ("GET", f"/projects/acme/audit?limit={SECRET}", None), ("GET", f"/projects/acme/audit?since={SECRET}", None), ("GET", f"/projects/acme/audit?cursor={SECRET}", None),
    ):  # fmt: skip
        answer = api.ask(PLATFORM, method, path, body)
        assert answer.status_code == 422, answer.text
        assert SECRET not in answer.text.replace(answer.json()["instance"], ""), answer.text
        assert answer.json()["errors" if "cursor" not in path else "detail"]
    unknown = api.ask(OWNER, "PUT", "/projects/acme/members/users/x", {"role": "standard", "owner": SECRET})
    assert unknown.json()["errors"] == [{"field": "body.owner", "fault": "is not known here; leave it out"}]
    assert unknown.json()["detail"] == "body.owner is not known here; leave it out"


def test_who_is_not_signed_in_is_told_how(api: ApiServer) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer expired"},
        {"Authorization": "Basic b2xnYTpv"},
        {"Cookie": "_token=expired"},
        {"Cookie": "session=x"},
    ):
        for method, path in (
            ("GET", "/projects"),
            ("PUT", "/projects/acme/members/users/x"),
            ("DELETE", "/projects/acme"),
            ("GET", "/openapi.json"),
            ("GET", "/audit"),
        ):
            answer = api.ask(None, method, path, headers=headers)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="integrator"')
    assert api.lines() == []


def test_an_address_or_a_method_that_is_not_there(api: ApiServer) -> None:
    for method, path in (
        ("GET", "/nothing"),
        ("GET", "/projects/"),
        ("GET", "//projects"),
        ("GET", "/projects/acme/"),
        ("GET", "/../console"),
        ("GET", "/docs"),
        ("GET", ""),
    ):
        status, headers, text = raw(api, method, path, Authorization=f"Bearer {OWNER}")
        assert (status, headers["content-type"], "location" in headers) == (404, "application/problem+json", False), (path, text)
    for method in ("HEAD", "OPTIONS", "TRACE", "PROPFIND", "POST"):
        assert raw(api, method, "/projects/acme", Authorization=f"Bearer {OWNER}")[0] == 405, method
    told = api.ask(OWNER, "GET", "/nothing")
    assert told.json() == {
        "type": "urn:problem-type:integrator:not-found", "title": "Not Found", "status": 404, "detail": "there is no such address",
        "instance": "/integrator/v1/nothing",
    }  # fmt: skip


def test_a_link_that_does_not_hold_is_not_told_back(api: ApiServer) -> None:
    answer = requests.get(f"{api.url}/console/links/{SECRET}", timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"], SECRET in answer.text) == (404, "application/problem+json", False)


def test_a_fault_of_ours_says_nothing_of_what_it_was_about(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError(SECRET)

    monkeypatch.setattr("integrator.store.members.SqlMembers.of", broken)
    answer = api.ask(OWNER, "GET", "/projects/acme/members")
    assert (answer.status_code, SECRET in answer.text, SECRET in caplog.text) == (500, False, False)
    assert "ZeroDivisionError at" in caplog.text


def test_a_database_that_does_not_answer_is_said_so(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from integrator.errors import StopRunError, TryAgainError

    for fault, kind in (
        (TryAgainError(f"{SECRET} is locked"), "try-again"),
        (StopRunError(f"{SECRET} is damaged"), "out-of-order"),
    ):

        def away(*_: Any, fault: Exception = fault) -> Any:
            raise fault

        monkeypatch.setattr("integrator.store.members.SqlMembers.of", away)
        answer = api.ask(OWNER, "GET", "/projects/acme/members")
        assert SECRET not in answer.text, "where a store is, is for who runs the platform"
        assert (answer.status_code, answer.headers["Retry-After"], answer.json()["type"]) == (
            503,
            "5",
            f"urn:problem-type:integrator:{kind}",
        )


def test_where_somebody_asks_from_is_what_the_server_sees(api: ApiServer) -> None:
    """Whoever asks may say anything of another address; that counts only where the server was told to trust a proxy."""
    api.ask(
        NEIGHBOUR,
        "POST",
        "/projects",
        {"name": "x", "owner": "x"},
        headers={"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"},
    )
    assert [one.line.origin for one in api.parts.audit.lines()] == ["127.0.0.1"]
