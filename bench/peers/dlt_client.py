"""dlt: its REST client as the source, a custom destination that posts. Its own defaults otherwise."""

from __future__ import annotations

import json
import os
from pathlib import Path

import dlt
import requests
from dlt.common.json import json as dlt_json
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator
from mapping import mapped

asked = json.loads(os.environ["BENCH"])
session = requests.Session()


@dlt.resource(name="orders", max_table_nesting=0)
def orders():
    pages = PageNumberPaginator(base_page=1, page_param="page", total_path=None, stop_after_empty_page=True)
    client = RESTClient(base_url=asked["source"], paginator=pages, data_selector="data")
    for page in client.paginate("/records", params={"per_page": 500}):
        yield [mapped(one) for one in page] if asked["mapped"] else list(page)


@dlt.destination(batch_size=100 if asked["bulk"] else 1, skip_dlt_columns_and_tables=True, naming_convention="direct")
def post(items, table):
    if asked["bulk"]:
        answer = session.post(asked["destination"] + "/bulk", data=dlt_json.dumpb({"records": items}), timeout=60)
        answer.raise_for_status()
        if not all(one["ok"] for one in answer.json()["results"]):
            raise ValueError("the destination refuses a record")
    else:
        record = items[0] if isinstance(items, list) else items
        session.post(asked["destination"] + "/records", data=dlt_json.dumpb(record), timeout=60).raise_for_status()


dlt.pipeline("bench", destination=post, pipelines_dir=str(Path.cwd())).run(orders())
print(json.dumps({"failed": []}))
