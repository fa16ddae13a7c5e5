"""A process that renews a credential's token again and again: `python -m tests.services.refresh_process SPEC.json`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from integrator.auth.presenting import Around, make_ready
from integrator.model.credential import Credential
from integrator.model.project import Wants
from integrator.store.database import open_engine
from integrator.store.owner import new_owner
from integrator.store.sealing import Sealer
from integrator.store.tokens import SqlTokens
from integrator.wire.message import Answer, Request
from tests.services import warm
from tests.services.demo import ROOT
from tests.services.moving import QUICK

FERNET = "x" * 43 + "="


async def renew(spec: dict[str, Any]) -> list[str]:
    tokens = SqlTokens(open_engine(spec["journal"]), Sealer(FERNET))
    there = Credential("acme", "there", "oauth2", spec["base_url"], spec["fields"])
    ready = make_ready(there, Around(QUICK, tokens, lambda: b"k", new_owner(), lambda _project: Wants()))
    request, made = Request("GET", f"{spec['base_url']}/x", {}), []
    for _times in range(spec["times"]):
        signed = await ready.signer.sign(request)
        await ready.signer.again(signed, Answer(401, {}, b""))
        made.append((await ready.signer.sign(request)).token.value)  # type: ignore[attr-defined]
    await ready.signer.close()
    return made


def start(folder: Path, spec: dict[str, Any]) -> warm.Forked:
    file = folder / f"spec-{uuid.uuid4().hex}.json"
    file.write_text(json.dumps(spec))
    return warm.start("tests.services.refresh_process", str(file), cwd=ROOT, env=os.environ)


def told(process: warm.Forked) -> list[str]:
    out, err = process.communicate(timeout=60)
    assert out, err[-3000:]
    return list(json.loads(out.splitlines()[-1]))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(renew(json.loads(Path(sys.argv[1]).read_text())))))
