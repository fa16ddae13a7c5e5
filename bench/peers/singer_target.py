"""The target: a batch sink, or a record sink."""

from __future__ import annotations

import json
import os

import requests
from singer_sdk import Target
from singer_sdk import typing as th
from singer_sdk.sinks import BatchSink, RecordSink

asked = json.loads(os.environ["BENCH"])
session = requests.Session()


class Bulk(BatchSink):
    max_size = 100

    def process_batch(self, context):
        records = [{name: value for name, value in one.items() if not name.startswith("_sdc")} for one in context["records"]]
        answer = session.post(asked["destination"] + "/bulk", data=json.dumps({"records": records}, default=float), timeout=60)
        answer.raise_for_status()
        if not all(one["ok"] for one in answer.json()["results"]):
            raise ValueError("the destination refuses a record")


class One(RecordSink):
    def process_record(self, record, context):
        session.post(asked["destination"] + "/records", data=json.dumps(record, default=float), timeout=60).raise_for_status()


class BenchTarget(Target):
    name = "target-bench"
    config_jsonschema = th.PropertiesList().to_dict()
    default_sink_class = Bulk if asked["bulk"] else One


BenchTarget.cli([])
