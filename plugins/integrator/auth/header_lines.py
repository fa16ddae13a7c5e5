"""Headers as a user writes them: one `Name: value` a line, or a JSON object."""

from __future__ import annotations

import json
from typing import Any

from integrator.auth.scheme import header_safe


def read_headers(name: str, given: Any) -> dict[str, str]:
    """Read headers: a JSON object, or one `Name: value` a line.

    Raises:
        ValueError: it is neither, or one of them cannot stand in a request.
    """
    pairs: dict[str, Any]
    if isinstance(given, dict):
        pairs = given
    elif str(given).lstrip().startswith("{"):
        try:
            pairs = dict(json.loads(str(given)))
        except ValueError:
            raise ValueError(f"{name} is not a JSON object") from None
    else:
        lines = [line for line in str(given).replace("\\n", "\n").splitlines() if line.strip()]
        if any(":" not in line for line in lines):
            raise ValueError(f"{name} holds one `Name: value` a line")
        pairs = {line.partition(":")[0]: line.partition(":")[2] for line in lines}
    made = {}
    for header, value in pairs.items():
        label = header.strip()
        if not label or not all(sign.isascii() and (sign.isalnum() or sign in "!#$%&'*+.^_`|~-") for sign in label):
            raise ValueError(f"{name}: {label[:40]!r} is not a header's name")
        if label.lower() in ("host", "content-length", "transfer-encoding", "connection"):
            raise ValueError(f"{name}: {label} is the connection's own business")
        made[label] = header_safe(f"{name}: {label}", str(value).strip())
    return made
