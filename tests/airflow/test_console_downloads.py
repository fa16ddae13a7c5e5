"""Console logs downloaded from Airflow's own API server: by a link that holds once, and by who is signed in."""

from __future__ import annotations

import gzip
import json
import urllib.error
import urllib.request

from tests.services.platform import Platform


def fetched(url: str, token: str | None = None) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_log_of_a_real_run_is_downloaded(embedded_platform: Platform) -> None:
    made = embedded_platform
    made.integrator("console", "enable", "demo/orders", "--all")
    try:
        run = json.loads(made.integrator("run", "demo/orders", "--json"))
        asked = ("console", "link", "demo/orders", "--run", run["run_id"], "--json")
        link = json.loads(made.integrator(*asked))["links"][0]
        assert link.startswith(f"{made.url}/integrator/console/links/")
        status, data = fetched(link)
        assert status == 200
        assert json.loads(gzip.decompress(data).splitlines()[0])["system"].startswith("demo__")
        assert fetched(link)[0] == 410
        assert fetched(link[:-1] + ("A" if link[-1] != "A" else "B"))[0] == 404
        made.integrator("project", "configure", "demo", "--downloads", "signed_in")
        address = json.loads(made.integrator(*asked))["links"][0]
        assert fetched(address)[0] == 401
        assert fetched(address, "no-token")[0] in (401, 403)
        status, data = fetched(address, made.token())
        assert status == 200
        assert gzip.decompress(data)
        told = json.loads(made.integrator("audit", "list", "demo", "--action", "console.fetch", "--json"))
        assert [one["actor"] for one in told][-1] == "link"
        assert told[0]["actor"] not in ("link", "")
    finally:
        made.integrator("project", "configure", "demo", "--downloads", "links")
        made.integrator("console", "disable", "demo/orders")
        made.integrator("console", "delete", "demo", "--yes")
