"""Airflow's REST API as the launcher needs it, signed in with a token."""

from __future__ import annotations

import time
from typing import Any

import requests

TOKEN_LIFE_S = 600.0


class AirflowApi:
    """Calls to one API server; a token is fetched anew before it is too old."""

    def __init__(self, url: str, user: str, password: str) -> None:
        """Remember where and as whom; nothing is sent yet."""
        self.url = url
        self._sign_in = {"username": user, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False  # loopback never goes through a proxy
        self._token_until = 0.0

    def health(self) -> dict[str, str]:
        """Return part -> status, as `{"scheduler": "healthy", ...}`; empty while the server does not answer."""
        try:
            answer = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=5)
            parts = answer.json()
        except (requests.RequestException, ValueError):
            return {}
        return {name: str((part or {}).get("status")) for name, part in parts.items()} if answer.ok else {}

    def call(self, method: str, path: str, json: Any = None, root: str = "/api/v2") -> tuple[int, Any]:
        """Return status and JSON of one call of API version 2; `path` begins after the root.

        Raises:
            requests.RequestException: no answer, or signing in was refused.
        """
        if time.monotonic() > self._token_until:
            answer = self._session.post(f"{self.url}/auth/token", json=self._sign_in, timeout=30)
            answer.raise_for_status()
            self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            self._token_until = time.monotonic() + TOKEN_LIFE_S
        answer = self._session.request(method, f"{self.url}{root}{path}", json=json, timeout=30)
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, None
