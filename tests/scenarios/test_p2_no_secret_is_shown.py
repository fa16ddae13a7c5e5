"""P2: whatever goes wrong, no secret is shown: with every logger at DEBUG, at every stage, for every scheme, in output, tables and files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import yaml
from aiohttp import web

from integrator.registry import SCHEMES
from tests.services.demo import ROOT
from tests.services.moving import HASH_KEY, flow
from tests.services.system import System, record

SECRET = "canary-Sécret+&=%/0"
USER = "canary-user"
EARNED = {"access": "canary-earned-access", "refresh": "canary-earned-refresh", "cookie": "canary-earned-cookie"}
CHAIN = [{"path": "/token", "json": {"u": "{username}", "p": "{password}"}, "take": {"token": "access_token"}}]
FIELDS: dict[str, dict[str, Any]] = {
    "none": {},
    "basic": {"username": USER, "password": SECRET},
    "bearer": {"token": SECRET.replace("é", "e")},
    "api_key": {"api_key_secret": SECRET.replace("é", "e"), "place": "query"},
    "oauth1": {"consumer_key": USER, "consumer_secret": SECRET, "token": "canary-token-1", "token_secret": "canary-token-secret"},
    "oauth2": {"token_url": "/token", "client_id": USER, "client_secret": SECRET},
    "ntlm": {"username": f"DOMAIN\\{USER}", "password": SECRET},
    "session_login": {"username": USER, "password": SECRET, "login": '{"path": "/token", "json": {"p": "{password}"}}', "logout": '{"path": "/out"}'},
    "token_chain": {"username": USER, "password": SECRET, "steps": json.dumps(CHAIN)},
    "digest": {"username": USER, "password": SECRET},
    "aws_sigv4": {"access_key_id": USER, "secret_access_key": SECRET, "session_token": "canary-session-token", "region": "eu-1", "service": "s3"},
    "hmac_signature": {"key_id": USER, "key_secret": SECRET, "message": "{timestamp}{method}{path}{body}", "headers": "X-Key: {key_id}\nX-Signature: {signature}"},
}  # fmt: skip
EVERYWHERE = {"headers_secret": "X-Tenant: canary-tenant"}
STAGES = ["works", "sign-in refused", "sign-in broken", "list refused", "list broken", "write refused", "write lost"]


def forms(secret: str) -> set[str]:
    """Return what a secret may look like somewhere."""
    raw = secret.encode()
    return {
        secret, quote(secret, safe=""), quote_plus(secret), b64encode(raw).decode(), urlsafe_b64encode(raw).decode().rstrip("="),
        json.dumps(secret).strip('"'), raw.hex(), b64encode(f"{USER}:{secret}".encode()).decode(), repr(secret).strip("'"),
        b64encode(f"{quote_plus(USER)}:{quote_plus(secret)}".encode()).decode(), raw.decode("latin-1"), secret.encode("utf-16-le").hex(),
    }  # fmt: skip


class Echo(System):
    """Gives tokens and cookies, and repeats whatever it was sent in every answer that goes wrong."""

    stage = "works"

    def application(self) -> web.Application:
        app = super().application()
        app.middlewares.append(self._at)
        return app

    @web.middleware
    async def _at(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path == "/stage":
            self.stage = await request.text()
            self.on_write = lambda _one, lost=self.stage == "write lost": "drop_after" if lost else "ok"  # type: ignore[misc]
            return web.Response()
        stage = self.stage
        if request.path in ("/token", "/out"):
            return await self._signs_in(request)
        if request.headers.get("Authorization", "").startswith("NTLM") or (
            stage == "sign-in refused" and "WWW-Authenticate" not in request.headers
        ):
            return await self._echo(request, 401)
        if stage == "list refused" and request.method == "GET":
            return await self._echo(request, 403)
        if stage == "list broken" and request.method == "GET":
            return await self._echo(request, 200)
        if stage == "write refused" and request.method == "POST":
            return await self._echo(request, 422)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _signs_in(self, request: web.Request) -> web.Response:
        if self.stage == "sign-in refused":
            return await self._echo(request, 400)
        if self.stage == "sign-in broken":
            return await self._echo(request, 200)
        answer = web.json_response({"access_token": EARNED["access"], "refresh_token": EARNED["refresh"], "expires_in": 3600})
        answer.headers.add("Set-Cookie", f"session={EARNED['cookie']}; Path=/")
        return answer

    async def _echo(self, request: web.Request, status: int) -> web.Response:
        said = {"error": "x", "error_description": f"{dict(request.headers)} {await request.text()} {request.url}"}
        challenge = 'Digest realm="r", nonce="n", qop="auth", NTLM, Basic realm="x"'
        return web.json_response(said, status=status, headers={"WWW-Authenticate": challenge})


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    made.start()
    made.records = [record(n) for n in range(2)]
    yield made
    made.stop()


CODE = """
import json, logging, sys, urllib.request
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
for name in ("aiohttp", "urllib3", "oauthlib", "botocore", "spnego", "asyncio", "requests", "sqlalchemy"):
    logging.getLogger(name).setLevel(logging.DEBUG)
from integrator.cli import main
for stage, command in json.loads(sys.argv[2]):
    urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/stage", stage.encode())).close()
    argv, sys.argv = sys.argv, ["integrator", *command]
    try:
        main()
    except SystemExit as end:
        print("ended", stage, command, end.code, file=sys.stderr)
    sys.argv = argv
"""


def test_every_scheme_is_tried() -> None:
    assert set(FIELDS) == set(SCHEMES)


@pytest.mark.parametrize("scheme", FIELDS)
def test_no_secret_is_shown_at_any_stage(tmp_path: Path, echo: Echo, scheme: str) -> None:
    given = {**FIELDS[scheme], **EVERYWHERE, "plain_http": True}
    connection = {"conn_type": f"integrator_{scheme}", "host": echo.url, "extra": given}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "INTEGRATOR_"))}
    environ = {
        **kept, "AIRFLOW_CONN_ACME__THERE": json.dumps(connection), "PYTHONPATH": str(ROOT / "plugins"), "PYTHONFAULTHANDLER": "1",
        "AIRFLOW__CORE__FERNET_KEY": "x" * 43 + "=", "AIRFLOW__INTEGRATOR__HASH_KEY": HASH_KEY, "INTEGRATOR_HOME": str(tmp_path / "home"),
        "AIRFLOW__INTEGRATOR__BACK_OFF_S": "0.01", "AIRFLOW__INTEGRATOR__ATTEMPTS": "2", "PYTHONASYNCIODEBUG": "1",
    }  # fmt: skip
    (tmp_path / "dags" / "acme").mkdir(parents=True)
    (tmp_path / "dags" / "acme" / "sync.yaml").write_text(yaml.safe_dump({"flows": {"items": flow(tolerate=100)}}))
    commands = [(stage, ["run", "acme/sync"]) for stage in STAGES]
    commands += [("works", ["credential", "test", "acme/there"]), ("sign-in refused", ["credential", "test", "acme/there"])]
    commands += [("works", ["credential", "list"]), ("works", ["preview", "acme/sync"]), ("works", ["failures", "acme/sync"])]
    arguments = [sys.executable, "-c", CODE, echo.url, json.dumps(commands)]
    done = subprocess.run(arguments, cwd=tmp_path, env=environ, capture_output=True, timeout=120)
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert said.count("ended") >= len(commands) - 3, said[-3000:]  # those that succeed just return
    assert "DEBUG:" in said  # the loggers were on
    assert "2 created" in said or scheme == "ntlm"  # and records moved
    secrets = [str(value) for name, value in given.items() if isinstance(value, str) and "canary" in value and name not in ("username", "client_id", "consumer_key", "access_key_id", "key_id")]  # fmt: skip
    secrets = [one.partition(": ")[2] or one for one in secrets] + list(EARNED.values())
    files = b"".join(file.read_bytes() for file in sorted((tmp_path / "home").rglob("*")) if file.is_file())
    for secret in secrets:
        for form in forms(secret):
            assert form not in said, (scheme, form)
            assert form.encode() not in files, (scheme, form)
