"""NTLM against Apache with gss-ntlmssp, which neither we nor the library that signs us in have written."""

from __future__ import annotations

from typing import Any

import pytest

from integrator.auth.presenting import make_ready
from integrator.errors import SignInAgainError
from integrator.hooks.signed_session import SignedSession
from integrator.model.credential import Credential
from integrator.wire.proxies import NO_PROXIES
from tests.services.apache_ntlm import ApacheNtlm
from tests.services.moving import flow, move, parts, plan
from tests.services.ntlm_server import DOMAIN, PASSWORD, USER

LISTED = flow(source={"pages": {"by": "single"}})
EVERY = [f"r{n}" for n in range(40)]


def credential(apache: ApacheNtlm, *, tls: bool, **fields: Any) -> Credential:
    given = {"username": f"{DOMAIN}\\{USER}", "password": PASSWORD, "plain_http": True, "ca_certificate": apache.certificates.ca}
    return Credential("acme", "there", "ntlm", apache.tls_url if tls else apache.url, {**given, **fields})


@pytest.mark.parametrize("word", ["NTLM", "Negotiate"])
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_apache_is_read_and_written_by_flows(apache_ntlm: ApacheNtlm, tls: bool, word: str) -> None:
    apache_ntlm.forget()
    report = await move(parts(credential(apache_ntlm, tls=tls, word=word)), plan(LISTED))
    assert (report.counts.read, report.counts.created) == (40, 40)
    assert sorted(one["ext"] for one in apache_ntlm.stored()) == sorted(EVERY)


@pytest.mark.parametrize("word", ["NTLM", "Negotiate"])
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_apache_is_read_and_written_by_people(apache_ntlm: ApacheNtlm, tls: bool, word: str) -> None:
    apache_ntlm.forget()
    with SignedSession(make_ready(credential(apache_ntlm, tls=tls, word=word), parts().around()), NO_PROXIES) as session:
        for number in range(3):
            assert len(session.get("/items").json()["items"]) == 40
            assert session.post("/orders", json={"ext": number}).status_code == 201
    assert [one["ext"] for one in sorted(apache_ntlm.stored(), key=lambda one: one["ext"])] == [0, 1, 2]


async def test_apache_refuses_a_wrong_password_once(apache_ntlm: ApacheNtlm) -> None:
    apache_ntlm.forget()
    before = len(apache_ntlm.calls())
    wrong = credential(apache_ntlm, tls=False, password="wrong-password-42")
    with pytest.raises(SignInAgainError):
        await move(parts(wrong), plan(LISTED))
    with SignedSession(make_ready(wrong, parts().around()), NO_PROXIES) as session, pytest.raises(SignInAgainError):
        session.post("/orders", json={"ext": 1})
    # A hello and an answer each; for the flow, one hello more, since HEAD ends the connection there.
    assert len(apache_ntlm.calls()) - before <= 5
    assert apache_ntlm.stored() == []
