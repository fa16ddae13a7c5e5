"""Takes secrets out of what a user chose to log: by the names they stand under, and by their values in whatever encoding.

What cannot be taken apart is searched as text; where a secret shows in a piece, the whole piece goes. Source: PRODUCT.md P3.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from functools import lru_cache
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, unquote_plus, urlencode, urlsplit, urlunsplit

HIDDEN = "***"
DEEP = 4
"""How many encodings on top of each other are taken off to look for a secret."""
SHORTEST = 4
"""Characters below which a secret's value would be found by chance everywhere; it is hidden by its name alone."""
NESTED_MAX = 60
NAMES = re.compile(
    r"authori[sz]ation|cookie|password|passwd|passphrase|pwd\b|secret|token|api[-_]?key|apikey|access[-_]?key|private[-_]?key|signature|"
    r"credential|session[-_]?id|sessionid|\bsid\b|\bpin\b|\bcvv\b|nonce|csrf|xsrf|bearer|\bjwt\b|assertion|client[-_]?key|x-auth|\bauth\b|\botp\b",
    re.IGNORECASE,
)
"""Names of headers, parameters and members whose values are never shown."""
_PIECE = re.compile(r"[^\s\"'<>,;{}\[\]()]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){4,}")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Redactor:
    """Hides secrets in the parts of an exchange.

    Args:
        secrets: values that must not be shown, whatever they stand under.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: tuple[str, ...] = ()
        self.know(secrets)

    def know(self, secrets: Iterable[str]) -> None:
        """Hide these values too, from now on."""
        found = {one for one in secrets if len(one) >= SHORTEST}
        self._secrets = tuple(sorted({*self._secrets, *found}, key=len, reverse=True))
        self._shortest = min(map(len, self._secrets), default=0)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return headers that may be shown."""
        return {
            self.text(str(name)): HIDDEN if is_secret_name(str(name)) else self.text(str(value))
            for name, value in headers.items()
        }

    def params(self, query: str) -> dict[str, list[str]]:
        """Return a query's parameters that may be shown."""
        made: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=None):
            made.setdefault(self.text(name), []).append(HIDDEN if is_secret_name(name) else self.text(value))
        return made

    def url(self, url: str) -> str:
        """Return a URL that may be shown: without a user in it, a query or a fragment; each segment of its path is looked at."""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        path = "/".join(self.text(segment) for segment in parts.path.split("/"))
        return urlunsplit((parts.scheme, self.text(host), path, "", ""))

    def body(self, body: bytes, content_type: str = "") -> str:
        """Return a body that may be shown, as text."""
        if not body:
            return ""
        text = body.decode("utf-8", "replace")
        if "\x00" in text or text.count("\ufffd") > len(text) // 20:
            return f"({len(body):,} bytes that are no text)"
        made = self._json(text, clean=not self.hides(text, DEEP + 2))  # one look at the whole costs less than one at each value
        if made is not None:
            return made
        if "form-urlencoded" in content_type:
            pairs = parse_qsl(text, keep_blank_values=True)
            return urlencode(
                [(self.text(name), HIDDEN if is_secret_name(name) else self.text(value)) for name, value in pairs], safe="*"
            )
        return self.text(_assignments(text))

    def _json(self, text: str, *, clean: bool) -> str | None:
        """Return JSON with its secrets hidden, or None where it is no JSON object or list."""
        if text.lstrip()[:1] not in ("{", "["):
            return None
        try:
            made = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return json.dumps(self._value(made, 0, clean=clean), ensure_ascii=False, separators=(",", ":"))

    def _value(self, value: Any, depth: int, *, clean: bool) -> Any:
        """Return a value that may be shown; where the whole is clean, only what stands under a secret's name is hidden."""
        if depth > NESTED_MAX:
            return HIDDEN
        if isinstance(value, dict):
            return {
                name if clean else self.text(name): HIDDEN if is_secret_name(name) else self._value(one, depth + 1, clean=clean)
                for name, one in value.items()
            }
        if isinstance(value, list):
            return [self._value(one, depth + 1, clean=clean) for one in value]
        if isinstance(value, str):
            return self._json(value, clean=clean) or (value if clean else self.text(value))
        return HIDDEN if not clean and self.hides(str(value)) else value

    def text(self, text: str) -> str:
        """Return text in which every piece that holds a secret is hidden."""
        for secret in self._secrets:
            for form in _forms(secret):
                if form in text:
                    text = text.replace(form, HIDDEN)
        if not self.hides(text):
            return text
        made = _PIECE.sub(lambda piece: HIDDEN if self.hides(piece[0]) else piece[0], text)
        return HIDDEN if self.hides(made) else made

    def hides(self, text: str, deep: int = DEEP) -> bool:
        """Tell whether a secret shows in a text once its encodings are taken off.

        Args:
            deep: how many of them on top of each other.
        """
        if not self._secrets or len(text) < self._shortest:
            return False
        seen, views = {text}, [text]
        for _layer in range(deep + 1):
            if any(secret in view for view in views for secret in self._secrets):
                return True
            views = [one for view in views for one in _views(view, self._shortest) if one not in seen]
            seen.update(views)
            if not views:
                return False
        return False


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Tell whether what stands under a name is never shown."""
    return NAMES.search(name) is not None or NAMES.search(_CAMEL.sub("_", name).replace(" ", "_")) is not None


def _assignments(text: str) -> str:
    """Hide what stands behind a secret name in text that is neither JSON nor a form: `password=...`, `<token>...</token>`."""
    text = re.sub(
        r"(<([\w:.-]+)(?:\s[^<>]*)?>)([^<]*)(?=</\2>)",
        lambda found: found[1] + (HIDDEN if is_secret_name(found[2]) else found[3]),
        text,
    )
    return re.sub(
        r"([\w.-]+)(\"?\s*[=:]\s*\"?)([^\s\"&,;<>]+)",
        lambda found: found[1] + found[2] + (HIDDEN if is_secret_name(found[1]) else found[3]),
        text,
    )


def _forms(secret: str) -> list[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    escaped = json.dumps(secret)[1:-1]
    return [secret, escaped, quote(secret, safe="", errors="replace"), b64encode(raw).decode(), raw.hex()]


def _views(text: str, shortest: int) -> set[str]:
    """Return what a text says once one encoding is taken off: percent, JSON, HTML, base64 in every alignment, hexadecimal.

    What many pieces of it say comes as one text, a line each, so that a long text has few views.

    Args:
        shortest: characters of the shortest secret; pieces that could not hold it are passed over.
    """
    made: set[str] = set()
    if "%" in text or "+" in text:
        made |= {unquote_plus(text, errors="replace"), unquote(text, errors="replace")}
    if "\\" in text:
        made.update(_unescaped(text))
    if "&" in text:
        made.add(unescape(text))
    pieces = [piece for piece in _BASE64.findall(text) if len(piece) * 3 >= shortest * 4 - 8]
    if pieces:
        made.update("\n".join(_from_base64(piece, skip) for piece in pieces) for skip in range(4))
    pieces = [piece for piece in _HEX.findall(text) if len(piece) >= 2 * shortest]
    if pieces:
        made.add("\n".join(binascii.unhexlify(piece).decode("utf-8", "replace") for piece in pieces))
    made.discard("")
    return made


def _unescaped(text: str) -> list[str]:
    found = re.sub(r"\\u([0-9a-fA-F]{4})", lambda one: chr(int(one[1], 16)), text)
    return [re.sub(r"\\(.)", r"\1", found), text.replace("\\\\", "\\").replace('\\"', '"').replace("\\/", "/")]


def _from_base64(piece: str, skip: int) -> str:
    plain = piece.rstrip("=").replace("-", "+").replace("_", "/")[skip:]  # what stands before it may have run into it
    plain = plain[: len(plain) - (len(plain) % 4 == 1)]
    return b64decode(plain + "=" * (-len(plain) % 4)).decode("utf-8", "replace")
