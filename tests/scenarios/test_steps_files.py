"""Files: from one host into a form at another, in memory only."""

from __future__ import annotations

from typing import Any

from tests.services.moving import failures, move, parts, plan
from tests.services.office import Served


def image_flow(**look: Any) -> dict[str, Any]:
    return {
        "source": {"connector": "rest", "credential": "shop", "path": "/images", "records": "data", "entity_id": "id",
                   "by_id": {"path": "/images/{entity_id}"}},
        "look_up": {
            "picture": {"credential": "cdn", "file": True, **(look or {"url": "url"})},
            "item": {"credential": "erp", "path": "/items", "params": {"sku": "{sku}"}, "records": "data", "take": "id"},
        },
        "map": {"sku": "sku"},
        "destination": {"connector": "rest", "credential": "erp", "path": "/items",
                        "create": {"method": "PUT", "path": "/items/{look_up.item}"}, "form": {"file": "look_up.picture", "alt": "source.alt"}},
    }  # fmt: skip


async def test_a_file_goes_from_one_host_to_another_without_a_disk(shop: Served, erp: Served) -> None:
    erp.office.put("items", *({"id": f"i{n}", "sku": f"s{n}"} for n in range(20)))
    content = {f"p{n}.png": bytes([137, 80, n, 0, 255]) * 1000 for n in range(20)}
    shop.office.files["pictures"] = content
    shop.office.put(
        "images",
        *({"id": f"p{n}", "sku": f"s{n}", "alt": f"ü {n}", "url": f"{shop.url}/files/pictures/p{n}.png"} for n in range(20)),
    )
    made = parts(shop.credential(), erp.credential(), shop.credential("cdn"))
    report = await move(made, plan(image_flow()))
    assert (report.counts.updated, report.counts.failed) == (20, 0)
    assert erp.office.files["items/i7"] == {"file:p7.png": content["p7.png"], "alt:": "ü 7".encode()}


async def test_a_picture_that_is_elsewhere_gone_or_put_into_json_fails_its_record_only(shop: Served, erp: Served) -> None:
    erp.office.put("items", {"id": "i", "sku": "s"})
    shop.office.files["pictures"] = {"p.png": b"x"}
    where = {"good": f"{shop.url}/files/pictures/p.png", "relative": "/files/pictures/p.png", "gone": "/files/pictures/q.png",
             "away": "http://169.254.169.254/latest", "inside": "http://u:p@127.0.0.1:1/x", "none": None}  # fmt: skip
    shop.office.put("images", *({"id": name, "sku": "s", "alt": "a", "url": url} for name, url in where.items()))
    made = parts(shop.credential(), erp.credential(), shop.credential("cdn"))
    report = await move(made, plan(image_flow(url="url") | {"tolerate": 9}))
    assert (report.counts.updated, report.counts.failed) == (2, 4)
    codes = {name: row.code for name, row in failures(made).items()}
    assert codes == {"gone": "look_up_missing", "away": "url_elsewhere", "inside": "url_elsewhere", "none": "look_up_key_empty"}
    wrong = image_flow(url="url") | {"map": {"picture": "look_up.picture"}, "tolerate": 9}
    report = await move(parts(shop.credential(), erp.credential(), shop.credential("cdn")), plan(wrong))
    assert report.counts.failed == 6
