"""Apache with mod_auth_gssapi and gss-ntlmssp: an NTLM server that neither we nor the library that signs us in have written.

A private copy on free loopback ports, http and https, with a configuration of its own; ended by its pid.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest

from tests.services.authority import Certificates, make_certificates
from tests.services.demo import free_port
from tests.services.ntlm_server import DOMAIN, PASSWORD, USER

APACHE = "/usr/sbin/apache2"
MODULES = Path("/usr/lib/apache2/modules")
NEEDED = (Path(APACHE), MODULES / "mod_auth_gssapi.so", Path("/etc/gss/mech.d/mech.ntlmssp.conf"))
CONFIGURATION = """\
ServerRoot {folder}
ServerName 127.0.0.1
PidFile {folder}/pid
ErrorLog {folder}/errors
LogLevel warn
DefaultRuntimeDir {folder}
Listen 127.0.0.1:{port}
Listen 127.0.0.1:{tls_port}
{modules}
{account}
DocumentRoot {folder}/files
ScriptSock {folder}/cgi
ScriptAlias /orders {folder}/files/store.sh
Alias /items {folder}/files/items.json
StartServers 1
ThreadsPerChild 25
ServerLimit 2
MaxRequestWorkers 50
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 30
CustomLog {folder}/calls "%u %m %U %I %{{c}}L"
PassEnv KEPT
<Location />
  AuthType GSSAPI
  AuthName integrator
  GssapiAllowedMech ntlmssp
  GssapiConnectionBound On
  GssapiSSLonly Off
  Require valid-user
</Location>
<VirtualHost 127.0.0.1:{tls_port}>
  SSLEngine on
  SSLCertificateFile {certificate}
  SSLCertificateKeyFile {key}
</VirtualHost>
"""
STORE = """\
#!/bin/sh
# Stores a posted body as a file of its own.
[ "$REQUEST_METHOD" = POST ] || { printf 'Status: 405 Method Not Allowed\\r\\n\\r\\n'; exit; }
file=$(mktemp "$KEPT/XXXXXXXX")
cat >"$file"
printf 'Status: 201 Created\\r\\nContent-Type: application/json\\r\\n\\r\\n{"number": 1, "ok": true}'
"""
LOADED = ("mpm_event", "authn_core", "authz_core", "authz_user", "alias", "cgid", "env", "ssl", "socache_shmcb", "auth_gssapi")


class ApacheNtlm:
    """One Apache; `items` are what it lists."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="apache-ntlm-"))
        self.port, self.tls_port = free_port(), free_port()
        self.items = items
        self.certificates: Certificates

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"https://127.0.0.1:{self.tls_port}"

    def start(self) -> Self:
        missing = [str(one) for one in NEEDED if not one.exists()]
        if missing:
            raise RuntimeError(
                f"these tests need the Debian packages apache2-bin, libapache2-mod-auth-gssapi and gss-ntlmssp ({missing}); scripts/test installs them"
            )
        self.certificates = make_certificates(self.folder / "tls")
        for name in ("files", "kept"):
            (self.folder / name).mkdir()
        (self.folder / "files" / "items.json").write_text(json.dumps({"items": self.items}))
        script = self.folder / "files" / "store.sh"
        script.write_text(STORE)
        script.chmod(0o755)
        accounts = self.folder / "accounts"
        accounts.write_text(f"{DOMAIN}:{USER}:{PASSWORD}\n")
        as_root = os.getuid() == 0
        modules = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in LOADED)
        account = "User nobody\nGroup nogroup" if as_root else ""
        (self.folder / "httpd.conf").write_text(CONFIGURATION.format(
            folder=self.folder, port=self.port, tls_port=self.tls_port, modules=modules, account=account,
            certificate=self.certificates.certificate, key=self.certificates.key,
        ))  # fmt: skip
        if as_root:
            self.folder.chmod(0o755)
            for one in (accounts, self.folder / "kept"):
                shutil.chown(one, "nobody", "nogroup")
        environ = {"PATH": os.environ["PATH"], "NTLM_USER_FILE": str(accounts), "KEPT": str(self.folder / "kept")}
        subprocess.run([APACHE, "-f", str(self.folder / "httpd.conf"), "-k", "start"], env=environ, check=True, timeout=20)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            time.sleep(0.02)
        errors = (self.folder / "errors").read_text()
        self.stop()
        raise RuntimeError(f"Apache did not start: {errors}")

    def stop(self) -> None:
        pid = self.folder / "pid"
        if pid.exists():
            number = int(pid.read_text())
            os.kill(number, signal.SIGTERM)
            until = time.monotonic() + 10
            while pid.exists() and time.monotonic() < until:
                time.sleep(0.02)
        shutil.rmtree(self.folder)

    def stored(self) -> list[dict[str, Any]]:
        return [json.loads(one.read_text()) for one in (self.folder / "kept").iterdir()]

    def forget(self) -> None:
        """Forget what is stored."""
        for one in (self.folder / "kept").iterdir():
            one.unlink()

    def calls(self) -> list[str]:
        """Return account, method and path of each call, in Apache's own words."""
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture(scope="module")
def apache_ntlm() -> Iterator[ApacheNtlm]:
    """Apache behind NTLM with 40 items, for the tests of one file."""
    from tests.services.system import record

    made = ApacheNtlm([record(n) for n in range(40)]).start()
    try:
        yield made
    finally:
        made.stop()
