"""Bodies of multipart forms. Source: RFC 7578."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from aiohttp import MultipartWriter

from integrator.model.record import File


async def encode_form(fields: Sequence[tuple[str, str | File]]) -> tuple[str, bytes]:
    """Return a form's content type and body; the same fields make the same bytes, so that a repeated request is the same."""
    digest = blake2b(digest_size=16)
    for name, value in fields:
        for part in (name.encode(), value.content if isinstance(value, File) else value.encode()):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    form = MultipartWriter("form-data", boundary=f"integrator-{digest.hexdigest()}")
    for name, value in fields:
        if isinstance(value, File):
            body = form.append(value.content, {"Content-Type": value.content_type})
            body.set_content_disposition("form-data", name=name, filename=value.name)
        else:
            form.append(value).set_content_disposition("form-data", name=name)
    return form.content_type, await form.as_bytes()
