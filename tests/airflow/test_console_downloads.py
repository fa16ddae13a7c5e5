"""Console logs downloaded from Airflow's own API server: by a link that holds once, and by who is signed in."""

from __future__ import annotations

import gzip
import json
import urllib.error
import urllib.request

from tests.services.people import ADMINISTRATOR, NEIGHBOUR, NOBODY, OWNER, PLATFORM, STANDARD, people_of
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


def test_standard_users_see_what_records_hold_by_their_project_s_policy(embedded_platform: Platform) -> None:
    made = embedded_platform
    with people_of(made) as people:
        made.integrator("console", "enable", "demo/orders", "--all")
        made.integrator("project", "configure", "demo", "--downloads", "signed_in")
        try:
            run = json.loads(made.integrator("run", "demo/orders", "--json"))
            address = json.loads(made.integrator("console", "link", "demo/orders", "--run", run["run_id"], "--json"))["links"][0]

            def seen() -> dict[str, int]:
                asked = (PLATFORM, OWNER, ADMINISTRATOR, STANDARD, NEIGHBOUR, NOBODY)
                return {who: fetched(address, people.token(who))[0] for who in asked}

            usual = {PLATFORM: 200, OWNER: 200, ADMINISTRATOR: 200, STANDARD: 200, NEIGHBOUR: 404, NOBODY: 404}
            assert seen() == usual
            made.integrator("project", "configure", "demo", "--no-records-for-standard")
            assert seen() == {**usual, STANDARD: 404}
            assert people.ask(STANDARD, "GET", "/api/v2/dags/demo.orders")[0] == 200
            made.integrator("project", "configure", "demo", "--records-for-standard")
            assert seen() == usual
        finally:
            made.integrator("project", "configure", "demo", "--downloads", "links", "--records-for-standard")
            made.integrator("console", "disable", "demo/orders")
            made.integrator("console", "delete", "demo", "--yes")
