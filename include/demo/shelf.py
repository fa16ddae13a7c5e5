"""What the demo ERP has stored, in memory, with a log in the home folder that outlives a restart or a crash."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from demo.serving import decode, encode


class Shelf:
    """Orders by id and by external number. Nothing keeps an external number from being stored twice: that is to be seen."""

    def __init__(self, file: Path | None) -> None:
        """Read the log again, if there is one; None keeps everything in memory only."""
        self.file = file
        self.log: int | None = None
        self.clear()
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            for line in file.read_bytes().splitlines() if file.is_file() else ():
                self._replay(line)
            self.log = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def clear(self) -> None:
        """Forget everything in memory."""
        self.orders: dict[int, dict[str, Any]] = {}
        self.by_number: dict[str, list[int]] = {}
        self.creates = self.updates = self.refused = 0
        self.repaired = False

    def reset(self) -> None:
        """Forget everything, the log too."""
        self.clear()
        if self.log is not None:
            os.ftruncate(self.log, 0)

    def create(self, order: dict[str, Any]) -> dict[str, Any]:
        """Store an order and return it with its id and number."""
        self._write({"create": order})
        return self._create(order)

    def update(self, id_: int, order: dict[str, Any]) -> dict[str, Any]:
        """Change members of a stored order and return it."""
        self._write({"update": id_, "order": order})
        return self._update(id_, order)

    def refuse(self) -> None:
        """Count an order that was not stored."""
        self._write({"refused": 1})
        self.refused += 1

    def repair(self, repaired: bool) -> None:
        """Keep whether the ERP's checks are repaired."""
        self._write({"repaired": repaired})
        self.repaired = repaired

    def counts(self) -> dict[str, Any]:
        """Return what loss and duplicates can be seen from."""
        twice = sorted(number for number, ids in self.by_number.items() if len(ids) > 1)
        return {
            "orders": len(self.orders),
            "distinct": len(self.by_number),
            "creates": self.creates,
            "updates": self.updates,
            "refused": self.refused,
            "duplicates": twice[:10],
            "repaired": self.repaired,
        }

    def _create(self, order: dict[str, Any]) -> dict[str, Any]:
        id_ = len(self.orders) + 1
        self.orders[id_] = stored = {**order, "id": id_, "number": f"SO-{id_:06}"}
        self.by_number.setdefault(str(order.get("external_no")), []).append(id_)
        self.creates += 1
        return stored

    def _update(self, id_: int, order: dict[str, Any]) -> dict[str, Any]:
        stored = self.orders[id_]
        stored.update(order, id=id_, number=stored["number"])
        self.updates += 1
        return stored

    def _write(self, event: dict[str, Any]) -> None:
        """Hand one line to the kernel before the answer goes out, so that a killed ERP has not lost what it confirmed."""
        if self.log is not None:
            os.write(self.log, encode(event) + b"\n")

    def _replay(self, line: bytes) -> None:
        try:
            event = decode(line)
        except msgspec.DecodeError:  # the last line of a full disk
            return
        if "create" in event:
            self._create(event["create"])
        elif "update" in event:
            self._update(event["update"], event["order"])
        elif "refused" in event:
            self.refused += 1
        else:
            self.repaired = bool(event["repaired"])
