"""A private Apache on a loopback port, as a plain user where we are root; no service of the machine is used."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path

import pytest

from tests.services.programs import free_port, needed, stop, wait_until_it_listens

MODULES = Path("/usr/lib/apache2/modules")
_NEEDED = ("mpm_event", "authn_core", "authz_core", "authz_user", "authz_host", "dir", "mime")


@dataclass(frozen=True, slots=True)
class Apache:
    """A server that is up. `root` is what it serves, `log` what it wrote."""

    port: int
    root: Path
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running_apache(modules: Sequence[str], config: str, files: dict[str, bytes]) -> Iterator[Apache]:
    """Run an Apache for a while.

    Args:
        modules: those it needs beside the usual ones, such as `auth_digest`.
        config: directives; `{root}` is the folder of what it serves, `{home}` the one of its own files.
        files: path -> content: below `root`, or below `home` where the path begins with `home/`.
    """
    program = needed("apache2", "apache2-bin")
    home = Path(tempfile.mkdtemp(prefix="integrator-apache-"))
    root, log, port = home / "root", home / "error.log", free_port()
    root.mkdir()
    log.touch()
    for path, content in files.items():
        file = home / path.removeprefix("home/") if path.startswith("home/") else root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    lines = [f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in (*_NEEDED, *modules)]
    lines += [
        f"ServerRoot {home}", "ServerName 127.0.0.1", f"Listen 127.0.0.1:{port}", f"PidFile {home}/pid", f"ErrorLog {log}",
        f"DocumentRoot {root}", f"DefaultRuntimeDir {home}", f"Mutex file:{home}", "LogLevel info", "StartServers 1", "TypesConfig /dev/null", "AddType application/json json",
        config.replace("{root}", str(root)).replace("{home}", str(home)),
    ]  # fmt: skip
    (home / "conf").write_text("\n".join(lines) + "\n", "utf-8")
    user: dict[str, int | list[int]] = {}
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        for path in (home, *home.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    process = subprocess.Popen(
        [program, "-D", "FOREGROUND", "-f", str(home / "conf")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=log.open("ab"), cwd=home, **user,  # type: ignore[call-overload]
    )  # fmt: skip
    try:
        wait_until_it_listens(port, process, log)
        yield Apache(port, root, log)
    finally:
        stop(process)
        shutil.rmtree(home, ignore_errors=True)


def digest_users(realm: str, users: dict[str, str]) -> bytes:
    """Return a file of users for mod_auth_digest."""
    return "".join(
        f"{user}:{realm}:{md5(f'{user}:{realm}:{password}'.encode()).hexdigest()}\n" for user, password in users.items()
    ).encode()


REALM = "Geschützter Bereich"  # Apache compares a realm with quotes in it with its own escaped form, which no client can meet
USERS = {"ürsula": "s3cret-ü+&=% :x", 'qu"o\\te': "plain enough"}
DIGEST = r"""
<Location />
AuthType Digest
AuthName "Geschützter Bereich"
AuthDigestProvider file
AuthUserFile {home}/users
AuthDigestNonceLifetime 2
AuthDigestDomain /
Require valid-user
</Location>
"""


@pytest.fixture(scope="session")
def digest_apache() -> Iterator[Apache]:
    """An Apache that asks for Digest everywhere; its nonces hold for two seconds."""
    items = b'{"items": [{"id": "r0", "name": "n", "amount": 1}, {"id": "r1", "name": "n", "amount": 2}]}'
    files = {"items.json": items, "home/users": digest_users(REALM, USERS)}
    with running_apache(["authn_file", "auth_digest"], DIGEST, files) as made:
        yield made
