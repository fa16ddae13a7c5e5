"""Secrets are made once, for this user only; a lost Fernet key stops the start; one launcher a home."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from integrator.errors import ConfigError
from integrator.launching.home import Home
from integrator.launching.made_once import ERP, FERNET_KEY, SHOP, demo_connections, make_secrets


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_only_this_user_can_read_them(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    make_secrets(home, {})
    first = home.variables()
    home.database.touch()
    make_secrets(home, {})
    assert home.variables() == first
    assert (_mode(home.path), _mode(home.env_file)) == (0o700, 0o600)
    assert len(first[FERNET_KEY]) == 44


def test_what_a_person_wrote_into_the_env_file_stays(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.env_file.write_text("# mine\nMY=1\nAIRFLOW__API__PORT=1\n")
    home.keep({"AIRFLOW__API__PORT": "2", "NEW": "3", "MY_OTHER": None})
    assert home.env_file.read_text() == "# mine\nMY=1\nAIRFLOW__API__PORT=2\nNEW=3\n"
    home.keep({"NEW": None})
    assert "NEW" not in home.variables()
    assert _mode(home.env_file) == 0o600


@pytest.mark.parametrize("key", ["", "short", "x" * 44])
def test_an_unusable_fernet_key_is_refused_with_a_cure(tmp_path: Path, key: str) -> None:
    home = Home(tmp_path)
    with pytest.raises(ConfigError, match="Put the key back") as refused:
        make_secrets(home, {FERNET_KEY: key})
    assert not key or key not in str(refused.value)


def test_a_lost_fernet_key_is_not_replaced_where_credentials_may_be_stored(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.database.touch()
    with pytest.raises(ConfigError, match="no Fernet key"):
        make_secrets(home, {})


def test_the_demo_keeps_its_secrets_when_its_ports_change() -> None:
    before = demo_connections({}, 1, 2)
    after = demo_connections(before, 3, 2)
    assert after[SHOP] == before[SHOP].replace("127.0.0.1:1", "127.0.0.1:3")
    assert after[ERP] == before[ERP]


def test_a_second_launcher_on_the_same_home_is_refused_and_a_dead_ones_lock_is_free(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from integrator.launching.home import Home\n"
        "Home(Path(sys.argv[1])).lock(); print('taken', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"taken\n"
        with pytest.raises(ConfigError, match=f"already runs .*process {other.pid}"):
            Home(tmp_path).lock()
        other.kill()
        other.wait()
    os.close(Home(tmp_path).lock())


def test_a_home_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be used"):
        Home(tmp_path / "file" / "home")
