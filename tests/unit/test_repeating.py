"""One file, several pipes: which names it makes, what stands in each, and that a fault is told once and where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from integrator.authoring.library import check_all, check_file, faults_of, find_pipe, names_in
from integrator.errors import ConfigError, PipeFaultsError

TEXT = """\
with: {shop: [us, eu], kind: [web, 2]}
description: Orders of {with.shop}
schedule: {after: ["stock_{with.shop}"]}
flows:
  items:
    source: {connector: rest, credential: "shop_{with.shop}", path: "/{with.shop}/items", params: {kind: "{with.kind}"}, entity_id: id}
    where: region == "{with.shop}"
    map: {id: id, price: "prices.{with.shop}", channel: {text: "{with.shop} {{braces}} {id}"}}
    destination: {connector: rest, credential: erp, path: /orders}
"""
STOCK = TEXT.replace(", kind: [web, 2]", "").replace('schedule: {after: ["stock_{with.shop}"]}\n', "").replace("{with.kind}", "k")


def write(dags: Path, place: str, text: str) -> Path:
    (dags / place).parent.mkdir(parents=True, exist_ok=True)
    (dags / place).write_text(text)
    return dags / place


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    write(tmp_path, "acme/orders.yaml", TEXT)
    write(tmp_path, "acme/stock.yaml", STOCK)
    return tmp_path


def test_a_file_makes_a_pipe_of_each_combination(dags: Path) -> None:
    pipes = check_all(dags)
    assert [str(fault) for fault in faults_of(pipes)] == []
    assert [one.dag_id for one in pipes] == [
        "acme.orders_us_web", "acme.orders_us_2", "acme.orders_eu_web", "acme.orders_eu_2", "acme.stock_us", "acme.stock_eu",
    ]  # fmt: skip
    pipe = find_pipe(dags, "acme", "orders_eu_2").pipe
    assert pipe is not None
    assert pipe.description == "Orders of eu"
    flow = pipe.flows["items"]
    assert (flow.source.credential, flow.source.path, flow.source.params) == ("shop_eu", "/eu/items", {"kind": "2"})
    assert flow.where == 'region == "eu"'
    assert find_pipe(dags, "acme", "orders_eu_2").plans["items"].mapping({"id": 7, "prices": {"eu": 3}}) == {
        "id": 7, "price": 3, "channel": "eu {braces} 7",
    }  # fmt: skip


def test_a_repeated_files_own_name_is_no_pipe(dags: Path) -> None:
    with pytest.raises(ConfigError, match="its file makes stock_us, stock_eu"):
        find_pipe(dags, "acme", "stock")
    with pytest.raises(ConfigError, match="did you mean 'stock_us'"):
        find_pipe(dags, "acme", "stock_uk")
    assert list(names_in("acme", dags))[-2:] == ["stock_us", "stock_eu"]


def test_only_the_pipe_that_is_asked_for_is_compiled(dags: Path) -> None:
    assert [one.name for one in check_file(dags / "acme/orders.yaml", dags, {"orders_us_2"})] == ["orders_us_2"]
    assert check_file(dags / "acme/orders.yaml", dags, {"orders"}) == []


def test_names_are_unique_whoever_makes_them(dags: Path) -> None:
    write(dags, "acme/sub/stock_us.yaml", STOCK.split("\n", 1)[1].replace("{with.shop}", "us"))
    said = [str(fault) for fault in faults_of(check_all(dags))]
    assert len(said) == 2
    assert all("'stock_us' is taken" in one for one in said)
    with pytest.raises(PipeFaultsError, match="is taken"):
        find_pipe(dags, "acme", "stock_us")
    assert find_pipe(dags, "acme", "stock_eu").faults == []


def test_a_fault_is_told_once_with_its_line(dags: Path) -> None:
    write(dags, "acme/orders.yaml", TEXT.replace("id: id, price", "id: loer(id), price"))
    pipes = check_all(dags)
    [fault] = faults_of(pipes)
    assert (fault.line, fault.path) == (8, "flows.items.map.id")
    assert sum(bool(one.faults) for one in pipes) == 4


def test_one_value_may_be_wrong_and_the_others_right(dags: Path) -> None:
    write(dags, "acme/orders.yaml", TEXT.replace("[us, eu], kind", "[us, eu, uk], kind"))
    pipes = check_all(dags)
    [fault] = faults_of(pipes)
    assert (fault.line, fault.message) == (3, "no pipe 'stock_uk' in project acme")
    assert {one.name for one in pipes if one.faults} == {"orders_uk_web", "orders_uk_2"}


@pytest.mark.parametrize(
    ("given", "line", "said"),
    [
        ("with: {shop: [us, EU]}", 1, "'EU' cannot be part of a pipe's name"),
        ("with:\n  shop:\n    - us\n    - eu-west", 4, "'eu-west' cannot be part"),
        ("with: {shop: [us, us]}", 1, "stands twice"),
        ("with: {shop: us}", 1, "a list of values"),
        ("with: {shop: [true]}", 1, "a value is a text"),
        ("with: {Shop: [us]}", 1, "is no name"),
        ("with: [us]", 1, "with: has 1 to 5 names"),
        ("with: {}", 1, "with: has 1 to 5 names"),
        (f"with: {{shop: [us], n: {list(range(201))}}}", 1, "201 pipes; a file makes at most 200"),
        ("with: {shop: [a, a_b], kind: [b_c, c]}", 1, "'orders_a_b_c'"),
        (f"with: {{shop: [{'x' * 60}]}}", 1, "too long for a pipe's name"),
    ],
)
def test_a_faulty_with_is_told_and_leaves_one_faulty_pipe(dags: Path, given: str, line: int, said: str) -> None:
    (dags / "acme/stock.yaml").unlink()
    write(dags, "acme/orders.yaml", TEXT.split("\n", 1)[1].replace('schedule: {after: ["stock_{with.shop}"]}\n', "").join([given + "\n", ""]).replace("{with.kind}", "k"))  # fmt: skip
    [pipe] = check_all(dags)
    assert pipe.name.startswith("orders")
    [fault] = pipe.faults
    assert fault.line == line
    assert said in fault.message


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("/{with.shop}/items", "/{with.shp}/items", 6, "no 'shp' in with:; did you mean 'shop'?"),
        ('channel: {text: "{with.shop} {{braces}} {id}"}', 'channel: "{with.shop}"', 8, "alone, {with.shop} would read a member"),
        ("price: ", '"{with.shop}": id, price: ', 8, "a key is not filled in"),
        ('region == "{with.shop}"', "region == with.shop", 7, "with.<name> is no expression"),
    ],
)
def test_a_misplaced_value_is_a_fault(dags: Path, old: str, new: str, line: int, said: str) -> None:
    write(dags, "acme/orders.yaml", TEXT.replace(old, new))
    [fault] = faults_of(check_all(dags))
    assert fault.line == line
    assert said in f"{fault.message}; {fault.cure}"


def test_a_file_that_only_mentions_with_is_one_pipe(tmp_path: Path) -> None:
    text = STOCK.split("\n", 1)[1].replace("{with.shop}", "us").replace("map: {id: id", "map: {with: id")
    write(tmp_path, "acme/with.yaml", text)
    assert [(one.name, one.faults) for one in check_all(tmp_path)] == [("with", [])]
