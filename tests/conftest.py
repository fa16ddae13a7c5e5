"""What every test may ask for, and in which order the tests come."""

from __future__ import annotations

from typing import Any

import pytest

pytest_plugins = [
    "tests.services.postgres",
    "tests.services.platform",
    "tests.services.deployment",
    "tests.services.system",
    "tests.services.office",
    "tests.services.ntlm_server",
    "tests.services.apache_ntlm",
    "tests.services.apache",
    "tests.services.ministack",
    "tests.services.airflow_schema",
    "tests.services.installation",
]
LANE = "tests/airflow/"
"""One worker has all that starts an Airflow, so that never two of them start at once, and each is started once."""
IN_LANE = {"tests/browser/test_rerun_in_ui.py"}
FIRST = (
    LANE, "tests/scenarios/test_examples.py", "tests/scenarios/test_p6_sigkill.py", "tests/scenarios/test_p6_anything_may_happen.py",
    "tests/scenarios/test_p1_steps.py", "tests/scenarios/test_p1_no_copy_is_kept.py", "tests/scenarios/test_manners.py",
    "tests/scenarios/test_cli.py", "tests/scenarios/test_prove_no_copy.py", "tests/scenarios/test_upkeep.py",
    "tests/scenarios/test_steps_attacks.py", "tests/browser/test_authorize.py", "tests/unit/test_bench.py",
    "tests/unit/test_operators.py", "tests/unit/store/test_twins.py",
)  # fmt: skip
"""What takes longest begins first, so that no worker is left alone with it at the end."""


def _lane(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    return LANE if file.startswith(LANE) or file in IN_LANE else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest come first."""
    items.sort(key=lambda item: FIRST.index(name) if (name := _lane(item.nodeid)) in FIRST else len(FIRST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out whole files, as `--dist loadfile` does, but those with an Airflow to one worker, and in our order.

    Not by marks and `--dist loadgroup`: what xdist 3.8 writes into the tests' names for it, pytest 9.2 does not read.
    """
    from xdist.scheduler import LoadFileScheduling

    class Lanes(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _lane(nodeid)

    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Lanes(config, log)
