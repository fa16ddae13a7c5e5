"""An owner is dead only when that is certain."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from integrator.store.owner import is_dead, new_owner

PRINT = "from integrator.store.owner import new_owner; print(new_owner(), flush=True)"


def test_every_owner_is_another_one():
    assert new_owner() != new_owner()


def test_a_living_process_is_not_dead():
    with subprocess.Popen(
        [sys.executable, "-c", f"{PRINT}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        owner = child.stdout.readline().strip()
        assert not is_dead(owner)
        assert not is_dead(new_owner())
        child.kill()
        until = time.monotonic() + 10
        while not is_dead(owner) and time.monotonic() < until:
            time.sleep(0.01)  # not reaped yet, and dead all the same
        assert is_dead(owner)
    assert is_dead(owner)


def test_a_process_number_that_was_given_again_is_another_process():
    host, pid, started, name = new_owner().rsplit(":", 3)
    assert is_dead(f"{host}:{pid}:{int(started) + 1}:{name}")


@pytest.mark.parametrize(
    "owner", ["", "x", "a:b:c:d", "::::", "host:1", f"another/host:{2**22 + 5}:1:x", "h:99999999999999999999:1:x"]
)
def test_who_cannot_be_judged_from_here_is_not_dead(owner):
    assert not is_dead(owner)


def test_an_owner_names_its_process():
    assert new_owner().rsplit(":", 3)[1] == str(os.getpid())
