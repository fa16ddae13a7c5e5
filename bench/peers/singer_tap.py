"""The tap: a REST stream with page numbers."""

from __future__ import annotations

import json
import os

from mapping import mapped
from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.pagination import BasePageNumberPaginator

asked = json.loads(os.environ["BENCH"])
TEXT = th.StringType()
ADDRESS = th.ObjectType(th.Property("city", TEXT), th.Property("postcode", TEXT), additional_properties=True)
MOVED = th.PropertiesList(
    th.Property("id", TEXT, required=True), th.Property("number", th.IntegerType), th.Property("status", TEXT), th.Property("currency", TEXT),
    th.Property("created_at", TEXT), th.Property("updated_at", TEXT), th.Property("customer", th.ObjectType(additional_properties=True)),
    th.Property("billing", ADDRESS), th.Property("shipping", ADDRESS), th.Property("totals", th.ObjectType(additional_properties=True)),
    th.Property("items", th.ArrayType(th.ObjectType(additional_properties=True))), th.Property("paid", th.BooleanType), th.Property("note", TEXT),
)  # fmt: skip
MAPPED = th.PropertiesList(
    th.Property("external_no", TEXT, required=True),
    *[
        th.Property(n, TEXT)
        for n in ("order_no", "state", "currency", "ordered_at", "email", "name", "carrier", "zip", "country", "street")
    ],
    *[th.Property(n, th.NumberType) for n in ("gross", "tax", "discount", "paid")],
)


class Pages(BasePageNumberPaginator):
    def has_more(self, response):
        made = response.json()
        return self.current_value * 500 < made["total"]


class Orders(RESTStream):
    name = "orders"
    url_base = asked["source"]
    path = "/records"
    records_jsonpath = "$.data[*]"
    primary_keys = ("external_no",) if asked["mapped"] else ("id",)
    schema = (MAPPED if asked["mapped"] else MOVED).to_dict()

    def get_new_paginator(self):
        return Pages(start_value=1)

    def get_url_params(self, context, next_page_token):
        return {"page": next_page_token or 1, "per_page": 500}

    def post_process(self, row, context=None):
        return mapped(row) if asked["mapped"] else row


class BenchTap(Tap):
    name = "tap-bench"
    config_jsonschema = th.PropertiesList().to_dict()

    def discover_streams(self):
        return [Orders(self)]


BenchTap.cli([])
