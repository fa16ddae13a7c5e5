"""NTLM's parts: what binds to TLS, which challenges are read, which messages are let out, and which fields are taken."""

from __future__ import annotations

import hashlib
import os
import ssl
import subprocess
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import spnego
from hypothesis import given
from hypothesis import strategies as st
from spnego._ntlm_raw.messages import AvId, Challenge, NegotiateFlags, TargetInfo, Version

from integrator.auth.connections import from_environment
from integrator.auth.ntlm import NtlmHandshake, is_version_2
from integrator.auth.scheme import scheme_of, secrets_of
from integrator.errors import ConfigError
from integrator.model.credential import Credential
from integrator.wire.binding import end_point
from integrator.wire.handshakes import challenge_in

PASSWORD = "a password that is long"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.mark.parametrize(
    ("key", "signed", "bound"),
    [
        ("ec", "-sha256", "sha256"), ("ec", "-sha384", "sha384"), ("ec", "-sha512", "sha512"), ("rsa", "-sha1", "sha256"),
        ("rsa", "-md5", "sha256"), ("pss", "-sha384", "sha384"), ("ed25519", "", None),
    ],
)  # fmt: skip
def test_binds_by_the_hash_of_the_certificate_s_signature(folder: Path, key: str, signed: str, bound: str | None) -> None:
    # Source: RFC 5929 section 4.1
    kinds = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["rsa:2048"], "pss": ["rsa:2048", "-sigopt", "rsa_padding_mode:pss"], "ed25519": ["ed25519"]}  # fmt: skip
    made = folder / f"{key}{signed}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-subj", "/CN=x", *([signed] if signed else []), "-newkey", *kinds[key],
         "-keyout", str(folder / "key"), "-out", str(made)],
        check=True, capture_output=True,
    )  # fmt: skip
    der = ssl.PEM_cert_to_DER_cert(made.read_text())
    assert end_point(der) == (b"tls-server-end-point:" + hashlib.new(bound, der).digest() if bound else None)


@pytest.mark.parametrize(
    ("offers", "found"),
    [
        (["NTLM QUJD"], b"ABC"), (["ntlm QUJD"], b"ABC"), (['Basic realm="x"', "NTLM  QUJD"], b"ABC"), (['Basic realm="x", NTLM QUJD'], b"ABC"),
        (["NTLM QUJD, Basic realm=x"], b"ABC"), (["NTLM"], None), (["Negotiate QUJD"], None), (["NTLM Q"], None), (["NTLM QUJD", "NTLM AAAA"], b"ABC"),
        (["NTLM " + "A" * 20_000], None), (["XNTLM QUJD"], None), ([], None), (["NTLM QUJD\x00"], None),
    ],
)  # fmt: skip
def test_finds_the_challenge_among_what_is_offered(offers: list[str], found: bytes | None) -> None:
    assert challenge_in(offers, "NTLM") == found


@given(st.lists(st.text(st.sampled_from("NTLM ,=A\t\"'"), max_size=3000), max_size=3))
def test_reading_an_offer_takes_no_time(offers: list[str]) -> None:
    began = time.monotonic()
    challenge_in([*offers, "NTLM " + " " * 16_000 + "!"], "NTLM")
    assert time.monotonic() - began < 0.2


def challenge() -> bytes:
    """Return an acceptor's challenge."""
    path = Path(os.environ["NTLM_USER_FILE"])
    path.write_text("D:u:p\n")
    made = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
    return made.step(NtlmHandshake("D\\u", PASSWORD, "h").step(None, None)) or b""


@pytest.fixture
def good(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> bytes:
    monkeypatch.setenv("NTLM_USER_FILE", str(tmp_path / "accounts"))
    return challenge()


@given(data=st.binary(max_size=400))
def test_no_challenge_gets_anything_but_a_refusal_or_version_2(data: bytes) -> None:
    for said in (data, b"NTLMSSP\0\x02\0\0\0" + data):
        _answered(said)


@given(data=st.data())
def test_no_change_to_a_challenge_gets_anything_but_a_refusal_or_version_2(data: st.DataObject) -> None:
    changed = bytearray(CHALLENGE)
    for at in data.draw(st.lists(st.integers(12, len(changed) - 1), max_size=12)):
        changed[at] = data.draw(st.integers(0, 255))
    _answered(bytes(changed[: data.draw(st.integers(12, len(changed)))]))


def written() -> bytes:
    """Return a challenge that is the same each time."""
    flags = (
        NegotiateFlags.ntlm
        | NegotiateFlags.unicode
        | NegotiateFlags.target_info
        | NegotiateFlags.key_128
        | NegotiateFlags.version
    )
    info = TargetInfo()
    info[AvId.nb_domain_name], info[AvId.dns_computer_name] = "DOMAIN", "server.domain.example"
    return Challenge(flags, b"12345678", target_name="DOMAIN", target_info=info, version=Version(10, 0, 1)).pack()


CHALLENGE = written()


def test_the_challenge_that_is_changed_makes_sense() -> None:
    handshake = NtlmHandshake("D\\u", PASSWORD, "h")
    handshake.step(None, None)
    assert is_version_2(handshake.step(CHALLENGE, None))


def _answered(said: bytes) -> None:
    handshake = NtlmHandshake("D\\u", PASSWORD, "h")
    handshake.step(None, None)
    try:
        answer = handshake.step(said, None)
    except ValueError as fault:
        assert PASSWORD not in str(fault)
    else:
        assert is_version_2(answer)


def test_a_good_challenge_is_answered_with_version_2_and_for_this_host(good: bytes) -> None:
    handshake = NtlmHandshake("DOMAIN\\user", PASSWORD, "erp.example.com")
    handshake.step(None, None)
    assert not handshake.complete
    answer = handshake.step(good, None)
    assert handshake.complete
    assert is_version_2(answer)
    for text in ("DOMAIN", "user", "HTTP/erp.example.com"):
        assert text.encode("utf-16-le") in answer
    assert PASSWORD.encode("utf-16-le") not in answer


@pytest.mark.parametrize("level", ["0", "1", "2"])
def test_version_1_is_told_apart(good: bytes, monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    monkeypatch.setenv("LM_COMPAT_LEVEL", level)
    weak = spnego.client("D\\u", "p", protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
    weak.step()
    assert not is_version_2(weak.step(good) or b"")
    handshake = NtlmHandshake("D\\u", PASSWORD, "h")
    handshake.step(None, None)
    with pytest.raises(ValueError, match="LM_COMPAT_LEVEL"):
        handshake.step(good, None)


@pytest.mark.parametrize("level", ["nonsense", "9"])
def test_an_environment_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    monkeypatch.setenv("LM_COMPAT_LEVEL", level)
    with pytest.raises(ValueError, match="LM_COMPAT_LEVEL"):
        NtlmHandshake("D\\u", PASSWORD, "h")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"username": "D\\u\r\nX-Evil: 1"}, "line break"), ({"username": "u", "domain": "D\n"}, None), ({"username": "u", "domain": "D\nE"}, "line break"),
        ({"username": ""}, "username is empty"), ({"username": "D\\"}, "username is empty"), ({"password": ""}, "password is empty"),
        ({"password": "a\0b"}, "line break"), ({"domain": "D"}, "already names a domain"), ({"username": "D\\\\u"}, "one backslash"),
        ({"word": "Basic"}, "word is one of"), ({"connections": 0}, "from 1 to 256"), ({"connections": "many"}, "from 1 to 256"),
        ({"connections": "257"}, "from 1 to 256"), ({"connections": "²"}, "from 1 to 256"), ({"connections": "4"}, None),
        ({"user": "x"}, "did you mean 'username'"),
    ],
)  # fmt: skip
def test_which_fields_are_taken(fields: dict[str, Any], said: str | None) -> None:
    made = Credential("acme", "erp", "ntlm", "https://h", {"username": "D\\u", "password": PASSWORD, **fields})
    if said is None:
        assert scheme_of(made).NAME == "ntlm"
        return
    with pytest.raises(ConfigError, match=said) as refused:
        scheme_of(made)
    assert PASSWORD not in str(refused.value)


def test_the_page_s_example_works() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "sign-in" / "ntlm.md").read_text()
    text = page.split("AIRFLOW_CONN_ACME__NAV='", 1)[1].split("'", 1)[0]
    made = from_environment({"AIRFLOW_CONN_ACME__NAV": text}, "acme", "nav")
    assert made is not None
    assert scheme_of(made).username == "CORP\\svc-integrator"  # type: ignore[attr-defined]


def test_shows_nothing() -> None:
    made = Credential("acme", "erp", "ntlm", "https://h", {"username": "D\\u", "password": PASSWORD})
    scheme = scheme_of(made)
    assert PASSWORD not in repr(scheme) + repr(made)
    assert secrets_of(made, scheme) == [PASSWORD]
    assert b64encode(PASSWORD.encode()).decode() not in repr(scheme)
