"""Deployed functions join the language; a faulty file harms only the pipes that call its functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from integrator.authoring.library import check_all, transform_faults
from integrator.errors import MappingError
from integrator.mapping.compile import compile_expression
from integrator.mapping.functions import BUILT_IN, FUNCTIONS
from tests.services.moving import flow


@pytest.fixture
def place(tmp_path: Path) -> Any:
    (tmp_path / "include" / "transforms").mkdir(parents=True)
    (tmp_path / "dags" / "acme").mkdir(parents=True)
    yield tmp_path
    for name in set(FUNCTIONS) - BUILT_IN:
        del FUNCTIONS[name]


def write(place: Path, name: str, text: str) -> None:
    (place / "include" / "transforms" / name).write_text(text)


def test_a_deployed_function_is_called_by_its_name(place: Path) -> None:
    write(
        place,
        "sku.py",
        'import re\ndef house_sku(code, length=8):\n    """Our number."""\n    return code.rjust(length, "0")\ndef _hidden(x): return x\n',
    )
    (place / "dags" / "acme" / "a.yaml").write_text(yaml.safe_dump({"flows": {"items": flow(map={"ext": "house_sku(id)"})}}))
    (place / "dags" / "acme" / "b.yaml").write_text(
        yaml.safe_dump({"flows": {"items": flow(map={"ext": "_hidden(id)", "x": "house_sku(1, 2, 3)"})}})
    )
    good, bad = check_all(place / "dags")
    assert good.faults == []
    assert good.plans["items"].mapping({"id": "x1"}) == {"ext": "000000x1"}
    assert {"no function '_hidden'", "house_sku() takes 1 to 2 arguments"} <= {
        f.message.split(";")[0].split(" and was")[0] for f in bad.faults
    }


def test_what_it_raises_is_a_misfit_without_its_text(place: Path) -> None:
    write(place, "bad.py", "def boom(value):\n    raise RuntimeError(f'secret {value}')\n")
    assert transform_faults(place / "dags") == []
    made = compile_expression("boom(a)", ["_r"], members="_r", named={})
    with pytest.raises(MappingError, match="RuntimeError") as caught:
        made({"a": "CANARY"})
    assert "CANARY" not in str(caught.value)


def test_a_faulty_file_is_told_and_harms_no_other_pipe(place: Path) -> None:
    write(place, "broken.py", "def f(:\n")
    write(place, "taken.py", "def lower(x): return x\n")
    (place / "dags" / "acme" / "a.yaml").write_text(yaml.safe_dump({"flows": {"items": flow()}}))
    (place / "dags" / "acme" / "b.yaml").write_text(yaml.safe_dump({"flows": {"items": flow(map={"ext": "f(id)"})}}))
    said = [str(fault) for fault in transform_faults(place / "dags")]
    assert len(said) == 2
    assert any("broken.py" in one and "SyntaxError" in one for one in said)
    assert any("taken.py" in one and "lower()" in one for one in said)
    good, bad = check_all(place / "dags")
    assert good.faults == []
    assert any("broken.py" in str(fault) for fault in bad.faults)
