"""Signing in and out of a running platform: a session ends where it is ended, with every token and cookie of it. Source: PRODUCT.md P5, P9."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import requests

from integrator.model.access import Kind, Role
from integrator.sign_in.guarded import PAIR_MOST
from tests.services.people import ADMINISTRATOR, NEIGHBOUR, NOBODY, OWNER, PASSWORD, STANDARD, People, people_of, until
from tests.services.platform import Platform

ME = "/ui/auth/me"
OUT = "/api/v2/auth/logout"
NUMBER = "SELECT id FROM ab_user WHERE username = ?"


@pytest.fixture(scope="module")
def people(embedded_platform: Platform) -> Iterator[People]:
    with people_of(embedded_platform) as made:
        yield made


@pytest.fixture(autouse=True)
def _fresh(people: People) -> None:
    ask(people, "DELETE FROM integrator_tries")


def ask(people: People, sql: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(people.platform.home / "airflow.db", timeout=60)) as c, c:
        return c.execute(sql, values).fetchall()


def new_token(people: People, who: str, password: str = PASSWORD) -> requests.Response:
    return requests.post(f"{people.platform.url}/auth/token", json={"username": who, "password": password}, timeout=60)


def status(people: People, path: str = ME, **cookies: str) -> int:
    return requests.get(f"{people.platform.url}{path}", cookies=cookies, timeout=60, allow_redirects=False).status_code


def with_token(people: People, token: str, path: str = ME) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{people.platform.url}{path}", headers=headers, timeout=60, allow_redirects=False).status_code


def lines(people: People, action: str) -> list[tuple[str, str, str]]:
    rows = ask(people, "SELECT actor, origin, came FROM integrator_audit WHERE action = ? ORDER BY number", action)
    return [(actor, origin, came) for actor, origin, came in rows]


def test_a_token_holds_for_a_quarter_of_an_hour_and_names_its_session(people: People) -> None:
    import jwt

    for path in ("/auth/token", "/auth/token/cli"):
        answer = requests.post(f"{people.platform.url}{path}", json={"username": STANDARD, "password": PASSWORD}, timeout=60)
        claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] <= 900, path
        assert ask(people, "SELECT user_id FROM integrator_user_sessions WHERE id = ?", claims["sid"]) == [(int(claims["sub"]),)]
        assert answer.headers["cache-control"] == "no-store"


def test_signing_out_ends_a_token_and_no_other(people: People) -> None:
    one, other = (new_token(people, STANDARD).json()["access_token"] for _ in range(2))
    assert (with_token(people, one), with_token(people, other)) == (200, 200)
    assert with_token(people, one, OUT) == 307
    assert with_token(people, one) in (401, 403)
    assert with_token(people, other) == 200
    assert lines(people, "sign_in.out")[-1] == (STANDARD, "127.0.0.1", "done")


def test_signing_out_of_the_pages_ends_every_token_and_cookie_of_the_session(people: People) -> None:
    browser = people.browser(STANDARD)
    cookies = dict(browser.cookies)
    second = requests.Session()  # another tab, which got a token of its own with the same session
    second.cookies.set("session", cookies["session"])
    renewed = second.get(f"{people.platform.url}/auth/login/", timeout=60, allow_redirects=False)
    tab = renewed.cookies["_token"]
    assert tab != cookies["_token"]
    assert [status(people, _token=one) for one in (cookies["_token"], tab)] == [200, 200]
    gone = browser.get(f"{people.platform.url}{OUT}", timeout=60)
    assert gone.url.startswith(f"{people.platform.url}/auth/login")
    assert all(status(people, _token=one) in (401, 403) for one in (cookies["_token"], tab))
    replay = requests.Session()
    replay.cookies.set("session", cookies["session"])
    answer = replay.get(f"{people.platform.url}/auth/login/", timeout=60, allow_redirects=False)
    assert (answer.status_code, "_token" in answer.cookies) == (200, False), "an old cookie gives no new token"
    assert replay.get(f"{people.platform.url}/auth/users/userinfo/", timeout=60, allow_redirects=False).status_code != 200
    kept = cookies["session"].split(".")[0]
    assert ask(people, "SELECT count(*) FROM session WHERE session_id = ?", kept) == [(0,)], "the row in the database goes too"


def test_a_sign_out_by_the_address_of_the_sign_in_alone_ends_it_too(people: People) -> None:
    browser = people.browser(STANDARD)
    token = browser.cookies["_token"]
    browser.get(f"{people.platform.url}/auth/logout", timeout=60, allow_redirects=False)
    assert status(people, _token=token) in (401, 403)


def test_signing_in_gives_a_new_session_id(people: People) -> None:
    """Whoever plants a session's cookie in a browser before its user signs in has nothing of it afterwards."""
    session, page = requests.Session(), f"{people.platform.url}/auth/login/"
    form = session.get(page, timeout=60).text
    before = session.cookies["session"]
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
    assert found
    session.post(
        page, data={"csrf_token": found[1], "username": STANDARD, "password": PASSWORD}, timeout=60, allow_redirects=False
    )
    assert session.cookies["session"] != before
    planted = requests.get(page, cookies={"session": before}, timeout=60, allow_redirects=False)
    assert (planted.status_code, "_token" in planted.cookies) == (200, False)


def test_an_idle_session_is_over_and_its_pages_send_to_sign_in(people: People) -> None:
    browser = people.browser(STANDARD)
    cookies = dict(browser.cookies)
    ask(
        people,
        f"UPDATE integrator_user_sessions SET seen_at = datetime('now', '-61 minutes') WHERE user_id = ({NUMBER})",
        STANDARD,
    )
    assert status(people, _token=cookies["_token"]) == 401
    answer = browser.get(f"{people.platform.url}/auth/login/", timeout=60, allow_redirects=False)
    assert (answer.status_code, "_token" in answer.cookies) == (200, False)


def test_a_session_past_its_longest_is_over(people: People) -> None:
    token = people.browser(STANDARD).cookies["_token"]
    ask(
        people,
        f"UPDATE integrator_user_sessions SET until_at = datetime('now', '-1 seconds') WHERE user_id = ({NUMBER})",
        STANDARD,
    )
    assert status(people, _token=token) == 401


def test_forged_and_foreign_tokens_open_nothing(people: People) -> None:
    import jwt

    token = new_token(people, STANDARD).json()["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    secret = people.platform.env["AIRFLOW__API_AUTH__JWT_SECRET"]

    def made(key: str = secret, algorithm: str = "HS512", **changed: Any) -> str:
        said = {name: value for name, value in {**claims, "jti": "x", **changed}.items() if value is not None}
        return jwt.encode(said, key, algorithm=algorithm)

    assert with_token(people, made()) == 200, "what the others below differ from"
    owner = str(ask(people, "SELECT id FROM ab_user WHERE username = ?", OWNER)[0][0])
    forged = [
        made(sub=owner), made(sid=None), made(sid="x"), made(sid=""), made(sub=None), made(sub="0"), made(sub="x"),
        made(exp=int(time.time()) - 100), made("another-secret-that-is-long-enough-" * 3), made("", "none"), token + "x", token[:-4], "x", "a.b.c",
    ]  # fmt: skip
    assert {with_token(people, one) for one in forged} <= {401, 403}


def test_passwords_may_not_be_tried_without_end(people: People) -> None:
    told = [new_token(people, NOBODY, f"wrong password {place}").status_code for place in range(PAIR_MOST + 2)]
    assert told == [401] * PAIR_MOST + [429] * 2
    right = new_token(people, NOBODY)
    assert right.status_code == 429, "the right one would tell that it was found"
    assert int(right.headers["retry-after"]) > 600
    assert new_token(people, STANDARD).status_code == 201, "others sign in"
    failed = [line for line in lines(people, "sign_in.failed") if line[0] == NOBODY]
    assert failed == [(NOBODY, "127.0.0.1", "refused")] * PAIR_MOST
    assert (NOBODY, "127.0.0.1", "refused") in lines(people, "sign_in.limited")
    new_token(people, "my-own-password-typed-as-a-name", "x" * 20)
    assert "my-own-password" not in json.dumps(ask(people, "SELECT * FROM integrator_audit"))


def test_the_same_time_for_users_that_do_not_exist(people: People) -> None:
    """Which of both takes longer tells nothing: the medians are closer than a quarter of the hash's own time."""

    def seconds(who: str) -> float:
        begun = time.monotonic()
        assert new_token(people, who, "not the password").status_code == 401
        return time.monotonic() - begun

    def medians() -> tuple[float, float]:
        known, unknown = [], []
        for place in range(7):
            ask(people, "DELETE FROM integrator_tries")
            known.append(seconds(STANDARD))
            unknown.append(seconds(f"nobody-{place}"))
        return sorted(known)[3], sorted(unknown)[3]

    # A busy machine may hold one of them up; that it holds the same one up three times is no chance.
    assert any(abs(one - two) < 0.25 * max(one, two) for one, two in (medians() for _ in range(3)))
    kept = ask(people, "SELECT password FROM ab_user WHERE username = ?", STANDARD)[0][0]
    assert kept.startswith("pbkdf2:sha256:600000$")


def test_weak_hashes_are_renewed_by_signing_in(people: People) -> None:
    from werkzeug.security import generate_password_hash

    weak = generate_password_hash(PASSWORD, method="pbkdf2:sha256:1000")
    ask(people, "UPDATE ab_user SET password = ? WHERE username = ?", weak, NOBODY)
    assert new_token(people, NOBODY).status_code == 201
    kept = ask(people, "SELECT password FROM ab_user WHERE username = ?", NOBODY)[0][0]
    assert kept.startswith("pbkdf2:sha256:600000$")
    assert new_token(people, NOBODY).status_code == 201


def test_a_password_that_is_none_is_refused_with_the_reason(people: People) -> None:
    body = {"username": "petra", "email": "petra@example.com", "first_name": "P", "last_name": "X", "roles": [{"name": "Public"}]}
    code, told = people.platform.api("POST", "/fab/v1/users", {**body, "password": "short"}, root="/auth")
    assert (code, "12 to 256 characters" in str(told)) == (400, True)
    code, told = people.platform.api(
        "PATCH", f"/fab/v1/users/{NOBODY}?update_mask=password", {**body, "password": "short"}, root="/auth"
    )
    assert (code, "12 to 256 characters" in str(told)) == (400, True)
    assert new_token(people, NOBODY).status_code == 201


def test_a_new_password_and_being_switched_off_end_all_sessions(people: People) -> None:
    token, browser = new_token(people, NOBODY).json()["access_token"], people.browser(NOBODY)
    body = {
        "username": NOBODY,
        "email": f"{NOBODY}@example.com",
        "first_name": "N",
        "last_name": "X",
        "roles": [{"name": "Viewer"}],
    }
    code, told = people.platform.api(
        "PATCH", f"/fab/v1/users/{NOBODY}?update_mask=password", {**body, "password": "another long password"}, root="/auth"
    )
    assert code == 200, told
    assert with_token(people, token) == 401
    assert status(people, _token=browser.cookies["_token"]) == 401
    code, told = people.platform.api(
        "PATCH", f"/fab/v1/users/{NOBODY}?update_mask=password", {**body, "password": PASSWORD}, root="/auth"
    )
    assert code == 200, told
    token = new_token(people, NOBODY).json()["access_token"]
    with people.switched_off(NOBODY):
        assert until(lambda: with_token(people, token) in (401, 403), 10) < 5
        assert new_token(people, NOBODY).status_code == 401


def test_a_projects_owner_cannot_be_deleted_and_roles_go_with_their_user(people: People) -> None:
    code, told = people.platform.api("DELETE", f"/fab/v1/users/{OWNER}", root="/auth")
    assert (code, "owns demo" in str(told), "project transfer" in str(told)) == (409, True, True)
    assert new_token(people, OWNER).status_code == 201
    body = {"username": "petra", "email": "petra@example.com", "first_name": "P", "last_name": "X", "password": PASSWORD,
            "roles": [{"name": "Public"}]}  # fmt: skip
    assert people.platform.api("POST", "/fab/v1/users", body, root="/auth")[0] in (200, 201)
    people.members.grant("demo", Kind.USER, "petra", Role.ADMINISTRATOR, "test")
    token = new_token(people, "petra").json()["access_token"]
    assert with_token(people, token, "/api/v2/dags/demo.orders") == 200
    code, told = people.platform.api(
        "PATCH", "/fab/v1/users/petra?update_mask=username", {**body, "username": "petra2"}, root="/auth"
    )
    if code == 200:
        assert people.members.roles("petra") == {}
        assert people.members.roles("petra2") == {"demo": Role.ADMINISTRATOR}
    name = "petra2" if code == 200 else "petra"
    assert people.platform.api("DELETE", f"/fab/v1/users/{name}", root="/auth")[0] in (200, 204)
    assert people.members.roles(name) == {}, "somebody of the same name would have them later"
    assert with_token(people, token) in (401, 403)


@pytest.mark.parametrize("who", [ADMINISTRATOR, NEIGHBOUR])
def test_another_page_changes_nothing_with_a_signed_in_browser(people: People, who: str) -> None:
    browser = people.browser(who)
    dag = "demo.orders.rerun" if who == ADMINISTRATOR else "other.stock"
    for origin, expected in (("http://evil.example", 403), ("null", 403), (people.platform.url, 200)):
        answer = browser.patch(
            f"{people.platform.url}/api/v2/dags/{dag}", json={"is_paused": False}, headers={"Origin": origin}, timeout=60
        )
        assert answer.status_code == expected, (origin, answer.text)


def test_many_requests_at_once_are_all_answered(people: People) -> None:
    """What is kept of users for a few seconds is shared by threads."""
    tokens = [new_token(people, who).json()["access_token"] for who in (OWNER, ADMINISTRATOR, STANDARD, NEIGHBOUR, NOBODY)]
    with ThreadPoolExecutor(20) as threads:
        told = list(threads.map(lambda place: with_token(people, tokens[place % len(tokens)]), range(400)))
    assert set(told) == {200}
