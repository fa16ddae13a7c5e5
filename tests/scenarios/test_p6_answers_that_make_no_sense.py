"""P6: a list that makes no sense ends the run with words that say what to look at, and loses nothing."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from integrator.errors import SignInAgainError, SourceBrokenError
from integrator.model.run import Status
from tests.services.moving import flow, move, parts, plan
from tests.services.system import System


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: web.Response(text="<html>sorry</html>", content_type="text/html"), "text/html"),
        (lambda: web.Response(body=b"[" * 10_000 + b"]" * 10_000, content_type="application/json"), "nested too deep"),
        (
            lambda: web.Response(body=b'{"items": "' + b"x" * (50 << 20) + b'"}', content_type="application/json"),
            "larger than 32 MiB",
        ),
        (lambda: web.json_response({"data": []}), "no list of records"),
        (lambda: web.json_response({"items": {"a": 1}}), "no list of records"),
        (lambda: web.Response(status=403), "allowed to read"),
        (lambda: web.Response(status=404), "is the path right"),
    ],
    ids=["html", "deep", "large", "elsewhere", "object", "403", "404"],
)
async def test_a_list_that_makes_no_sense_stops_the_run_with_words(system: System, answer: Any, said: str) -> None:
    system.on_read = lambda _request: answer()
    made = parts(system.credential())
    with pytest.raises(SourceBrokenError, match=said):
        await move(made, plan(flow()))
    assert made.journal.runs("acme", "sync", 1)[0].status is Status.FAILED


async def test_an_empty_list_in_its_many_forms_is_empty(system: System) -> None:
    for answer in (web.Response(status=204), web.json_response({"items": None}), web.json_response({"items": []})):
        system.on_read = lambda _request, answer=answer: answer  # type: ignore[misc]
        assert (await move(parts(system.credential()), plan(flow()))).counts.read == 0


async def test_a_wrong_password_stops_the_run_at_once(system: System) -> None:
    system.on_read = lambda _request: web.Response(status=401)
    with pytest.raises(SignInAgainError, match="acme__there refuses the credential"):
        await move(parts(system.credential()), plan(flow()))
    assert system.calls["GET items"] == 1
