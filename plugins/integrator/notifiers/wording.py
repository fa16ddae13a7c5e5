"""An alert in words: for e-mail, for Slack, for a webhook. Every value is escaped for its place, since an entity ID is somebody else's text."""

from __future__ import annotations

from html import escape
from typing import Any

from integrator.model.alerts import Told

_SHOWN = 120
"""Characters of an entity ID that an alert shows."""


def subject(told: Told) -> str:
    """Return one line."""
    if told.event == "expiring":
        return f"{told.project}/{told.pipe}: {told.more + len(told.entity_ids):,} open failures go soon"
    return f"{told.project}/{told.pipe}: {told.flow} {told.status}{_share(told)}"


def _share(told: Told) -> str:
    lost = told.counts.get("failed", 0) + told.counts.get("unknown", 0)
    return f", {lost:,} of {told.counts.get('read', 0):,} records" if lost else ""


def lines(told: Told) -> list[str]:
    """Return it line by line, as plain text."""
    made = [subject(told)]
    if told.event == "expiring":
        made.append(f"{told.flow}: from {told.goes_at} on, unless they are rerun or ignored")
    if told.counts:
        made.append(", ".join(f"{count:,} {name}" for name, count in told.counts.items()))
    if told.errors:
        made.append(", ".join(f"{name}: {count:,}" for name, count in told.errors.items()))
    if told.entity_ids:
        more = f" and {told.more:,} more" if told.more else ""
        made.append(f"IDs: {', '.join(_plain(one) for one in told.entity_ids)}{more}")
    if told.run_id:
        made.append(f"run {told.run_id}")
    return [*made, *([told.url] if told.url else [])]


def _plain(text: str) -> str:
    """Return an ID that cannot play with whoever shows it: no control characters, and no longer than need be."""
    shown = "".join(sign if sign.isprintable() else "?" for sign in text)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def html(told: Told) -> str:
    """Return it for an e-mail."""
    return "".join(f"<p>{escape(line)}</p>" for line in lines(told))


def slack(told: Told) -> dict[str, Any]:
    """Return it for Slack, where `<`, `>` and `&` would make links and mentions."""
    text = "\n".join(lines(told)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": text, "unfurl_links": False, "mrkdwn": False}
