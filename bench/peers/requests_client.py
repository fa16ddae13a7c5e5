"""A plain loop with requests, as one writes it in an afternoon: read a page, write it, go on. Looks at each result."""

from __future__ import annotations

import json
import os

import requests
from mapping import mapped

asked = json.loads(os.environ["BENCH"])
session, page, read, failed = requests.Session(), 1, 0, []
while True:
    answer = session.get(asked["source"] + "/records", params={"page": page, "per_page": 500}, timeout=60)
    answer.raise_for_status()
    made = answer.json()
    records = [mapped(one) for one in made["data"]] if asked["mapped"] else made["data"]
    name = "external_no" if asked["mapped"] else "id"
    size = 100 if asked["bulk"] else 1
    for at in range(0, len(records), size):
        part = records[at : at + size]
        if asked["bulk"]:
            written = session.post(asked["destination"] + "/bulk", json={"records": part}, timeout=60)
            written.raise_for_status()
            failed += [one[name] for one, told in zip(part, written.json()["results"], strict=True) if not told["ok"]]
        else:
            session.post(asked["destination"] + "/records", json=part[0], timeout=60).raise_for_status()
    read += len(records)
    if not records or read >= made["total"]:
        break
    page += 1
print(json.dumps({"failed": failed}))
