"""Links to console logs that lie in a folder: signed, for one object, once, and dead after 300 seconds. Source: PRODUCT.md P4.

A link is kept nowhere; what is kept, until it would have died, is a hash of each one that was used.
"""

from __future__ import annotations

import hmac
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b, sha256
from typing import Any

from sqlalchemy import Engine, delete
from sqlalchemy.dialects import postgresql, sqlite

from integrator.errors import LinkRefusedError
from integrator.store.database import writing
from integrator.store.tables import spent_links

LINK_S = 300
_LONGEST = 4000  # characters


class FolderLinks:
    """Makes links and takes them. Raises as `store.database.ours`.

    Args:
        key: of the installation's keyed hashes; links are signed with one of their own that is made of it.
    """

    def __init__(self, engine: Engine, key: bytes, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._engine, self._now = engine, now
        self._key = blake2b(b"links to console logs", key=key, digest_size=32).digest()

    def make(self, name: str) -> str:
        """Return what a link to one object ends with."""
        until = int((self._now() + timedelta(seconds=LINK_S)).timestamp())
        said = json.dumps([name, until, secrets.token_urlsafe(16)]).encode()
        return f"{_text(said)}.{_text(self._signed(said))}"

    def take(self, token: str) -> str:
        """Return the object's name, once.

        Raises:
            LinkRefusedError: it was not made here, is over, or was used.
        """
        if len(token) > _LONGEST:
            raise LinkRefusedError("this is no link of ours")
        said, _, signature = token.partition(".")
        try:
            content, given = urlsafe_b64decode(_padded(said)), urlsafe_b64decode(_padded(signature))
        except ValueError:
            raise LinkRefusedError("this is no link of ours") from None
        # A text that is written in another way reads the same, and would be another link: only the one way counts.
        if not hmac.compare_digest(given, self._signed(content)) or token != f"{_text(content)}.{_text(given)}":
            raise LinkRefusedError("this is no link of ours")
        name, until, _nonce = json.loads(content)
        now = self._now()
        if now.timestamp() >= until:
            raise LinkRefusedError(f"the link is over: it held for {LINK_S} seconds", over=True)
        self._spend(token, datetime.fromtimestamp(until, UTC), now)
        return str(name)

    def _spend(self, token: str, until: datetime, now: datetime) -> None:
        with writing(self._engine) as c:
            made: Any = (postgresql if c.dialect.name == "postgresql" else sqlite).insert(spent_links)
            row = {"digest": sha256(token.encode()).hexdigest(), "until_at": until}
            mine = c.execute(made.values(row).on_conflict_do_nothing().returning(spent_links.c.digest)).first()
            c.execute(delete(spent_links).where(spent_links.c.until_at < now))
        if mine is None:
            raise LinkRefusedError("the link was used already; it holds once", over=True)

    def _signed(self, said: bytes) -> bytes:
        return hmac.new(self._key, said, sha256).digest()


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)
