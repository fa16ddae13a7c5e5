"""The workloads of PERFORMANCE: what is moved, by which pipe, and what we aim at."""

from __future__ import annotations

from dataclasses import dataclass

from bench.records import BULK, PAGE, order

SOURCE = f"""\
    source:
      connector: rest
      credential: shop
      path: /records
      records: data
      entity_id: id
      pages: {{by: page_number, per_page: {PAGE}, total: total}}
"""
MOVED = "    map:\n" + "".join(f"      {name}: {name}\n" for name in order(0))
MAPPED = """\
    map:
      external_no: id
      order_no: text(number)
      state: upper(status)
      currency: currency
      ordered_at: datetime(created_at)
      email: lower(strip(customer.email))
      name: "join([customer.first, customer.last], ' ')"
      gross: decimal(totals.gross, 2)
      tax: decimal(totals.tax, 2)
      discount: default(totals.discount, 0)
      carrier: table("carriers", shipping.method, "OTHER")
      zip: shipping.postcode
      country: default(billing.country, "US")
      street: join(shipping.street, ", ")
      paid: 1 if paid else 0
"""
AS_USUAL = "    destination: {connector: rest, credential: erp, path: /records}\n"
FOUND = "".join(f"      {name}_id: look_up.{name}\n" for name in ("customer", "carrier", "order"))
ONE_BY_ONE = "    destination: {connector: rest, credential: erp, path: /records, in_flight: 256}\n"
IN_FLIGHT = 64  # in W6, as is usual
LOOKED_UP = """\
    look_up:
      customer: {credential: erp, path: /look-up/customers, params: {email: "{lower(customer.email)}"}, records: data, take: id}
      carrier: {credential: erp, path: /look-up/carriers, params: {code: "{shipping.method}"}, records: data, take: id}
      order: {credential: erp, path: /look-up/orders, params: {number: "{id}"}, records: data, take: id}
"""
IN_BULK = f"""\
    destination:
      connector: rest
      credential: erp
      path: /records
      batch: {{path: /bulk, size: {BULK}, body: {{records: records}}, answer: {{records: results, by: index, success: ok, code: code}}}}
"""
TABLES = "tables: {carriers: {ups_ground: UPS, fedex: FDX}}\n"


@dataclass(frozen=True, slots=True)
class Workload:
    """One thing to measure."""

    name: str
    meaning: str
    map: str
    destination: str
    records: int
    latency_ms: int = 0
    refuses: bool = False
    large: int = 0
    """Records of a second run that shows whether memory stays flat; 0 for none."""
    cpu_us_max: float | None = None
    per_second_min: float | None = None
    look_ups: str = ""
    ntlm_slots: int = 0
    """Connections that are signed in by NTLM at the destination; 0 for a token instead."""
    console: str = ""
    """Where a console log of everything is written: `folder`, or `away`, a bucket that never answers; empty: no log."""
    smoke: int = 300
    """Records of a run that only shows whether the bench works."""

    @property
    def bulk(self) -> bool:
        """Whether many records go in one call."""
        return self.destination is IN_BULK

    @property
    def mapped(self) -> bool:
        """Whether fields are mapped, and not just moved."""
        return self.map is MAPPED

    def pipe(self) -> str:
        """Return the pipe's YAML."""
        flow = "flows:\n  orders:\n    tolerate: 5%\n" + SOURCE + self.look_ups + self.map + self.destination
        return flow + (TABLES if self.mapped else "")


WORKLOADS = (
    Workload("W1", "REST to bulk REST", MOVED, IN_BULK, 100_000, large=1_000_000, cpu_us_max=15),
    Workload("W2", "one POST each, 0 ms", MOVED, ONE_BY_ONE, 20_000, cpu_us_max=150),
    Workload("W2/50", "one POST each, 50 ms, 256 in flight", MOVED, ONE_BY_ONE, 20_000, latency_ms=50, per_second_min=2400),
    Workload("W4", "W1 with a mapping of 15 fields", MAPPED, IN_BULK, 100_000, large=1_000_000, cpu_us_max=22),
    Workload("W6", "three look-ups each, one POST, 50 ms", MOVED + FOUND, AS_USUAL, 10_000, latency_ms=50, look_ups=LOOKED_UP),
    Workload("W5", "W1 with 1 % refused", MOVED, IN_BULK, 100_000, refuses=True),
    Workload("L/off", "W2/50 once more, to hold the next two against", MOVED, ONE_BY_ONE, 20_000, latency_ms=50),
    Workload("L/on", "W2/50 with a console log of everything", MOVED, ONE_BY_ONE, 20_000, latency_ms=50, console="folder"),
    Workload("L/away", "the same, into a bucket that never answers", MOVED, ONE_BY_ONE, 20_000, latency_ms=50, console="away"),
    Workload("W7/1", "one POST each, 50 ms, NTLM with one slot", MOVED, AS_USUAL, 200, latency_ms=50, ntlm_slots=1, smoke=20),
    Workload("W7/16", "one POST each, 50 ms, NTLM with 16 slots", MOVED, AS_USUAL, 4_000, latency_ms=50, ntlm_slots=16),
)
SMALL = 10_000
"""Records of the run whose peak memory the large one is held against."""
GROWTH_MB_MAX = 80
W5_FACTOR_MAX = 1.15
W7_FACTOR_MIN = 10
"""How many times as fast 16 slots are as one."""
W6_FACTOR_MAX = 1.3
"""Times the time that the bound on calls in flight allows."""
