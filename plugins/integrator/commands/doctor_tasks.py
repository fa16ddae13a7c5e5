"""Whether tasks are asked of which project they are: the Execution API is asked, as a task that is in no project."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

URL = "http://localhost:8080/execution/"
AUDIENCE = "urn:airflow.apache.org:task"
PROBE = "doctor__probe"
"""A connection that nobody has, of a project that the asker is not in."""
WAIT_S = 5


def look(environ: Mapping[str, str], get: Any) -> Iterator[tuple[str, str, str]]:
    """Yield level, finding and cure."""
    import jwt
    import requests

    secret = environ.get("AIRFLOW__API_AUTH__JWT_SECRET") or get("api_auth", "jwt_secret")
    url = (get("core", "execution_api_server_url") or URL).rstrip("/")
    if not secret:
        yield "warning", "the key of tokens is not known here, so the API server was not asked whether tasks keep to their project", (
            "run this where AIRFLOW__API_AUTH__JWT_SECRET is set"
        )  # fmt: skip
        return
    now = int(time.time())
    claims = {
        "sub": str(uuid4()),
        "aud": get("execution_api", "jwt_audience") or AUDIENCE,
        "iat": now,
        "nbf": now,
        "exp": now + 60,
    }
    if issuer := get("api_auth", "jwt_issuer"):
        claims["iss"] = issuer
    token = jwt.encode(claims, secret, algorithm="HS512")
    with requests.Session() as session:
        session.trust_env = False
        try:
            headers = {"Authorization": f"Bearer {token}"}
            answer = session.get(f"{url}/connections/{PROBE}", headers=headers, timeout=WAIT_S, allow_redirects=False)
        except requests.RequestException:
            yield "warning", f"nobody answers at {url}, so it was not asked whether tasks keep to their project", (
                "start the API server, or set [core] execution_api_server_url"
            )  # fmt: skip
            return
    if answer.status_code == 403 and "access_denied" in answer.text:
        yield "ok", "tasks open connections of their own project only", ""
    elif answer.status_code in (401, 403):
        yield "warning", f"{url} did not believe this command's token, so it was not asked whether tasks keep to their project", (
            "run this with the platform's own AIRFLOW__API_AUTH__JWT_SECRET"
        )  # fmt: skip
    else:
        yield "grave", "a task may ask the API server for the connections of every project", (
            "run one API server that serves pages and tasks alike (airflow api-server without --apps), with our auth manager"
        )  # fmt: skip
