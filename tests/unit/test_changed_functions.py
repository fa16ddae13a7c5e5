"""Which deployed functions a change touches, and which pipes call them."""

from __future__ import annotations

from integrator.authoring.changed_functions import called, changed_functions
from integrator.model.pipe import Pipe
from tests.services.moving import flow


def test_functions_are_told_apart_without_being_run() -> None:
    old = {"m.py": b"def f(x):\n    return x\n\ndef g(x):\n    return x\n", "gone.py": b"def h(): ...\n", "odd.py": b"def k( :"}
    assert changed_functions(old, old) == {}
    assert changed_functions(old, {**old, "m.py": b"# remark\n" + old["m.py"]}) == {}
    assert changed_functions(old, {**old, "m.py": old["m.py"].replace(b"g(x):\n    return x", b"g(x):\n    return 1")}) == {
        "g": "m.py"
    }
    assert changed_functions(old, {**old, "m.py": b"RATE = 2\n" + old["m.py"]}) == {"f": "m.py", "g": "m.py"}
    assert changed_functions(old, {"m.py": old["m.py"], "odd.py": b"def k(): raise SystemExit"}) == {
        "h": "gone.py",
        "k": "odd.py",
    }
    pipe = Pipe.model_validate({"flows": {"items": flow(map={"a": "f(x)", "b": {"text": "{g (x)}"}}, where="h(x) == 1")}})
    assert called(pipe) >= {"f", "g", "h"}
