"""Certificates made by openssl: an authority, servers, clients, and some that nobody should accept."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


class Authority:
    """An authority of its own, and what it issues. Files are in `folder`."""

    def __init__(self, folder: Path, name: str = "Test authority") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.key, self.certificate = folder / "ca.key", folder / "ca.pem"
        self._openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out", self.certificate, "-days", "30",
            "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip

    def _openssl(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    def issue(self, name: str, *hosts: str, days: int = 10, password: str = "", digest: str = "sha256") -> tuple[Path, Path]:
        """Return certificate and key, for a server of these hosts or, without any, for a client; `digest` is what it is signed with."""
        key, request, certificate, more = (self.folder / f"{name}.{end}" for end in ("key", "csr", "pem", "ext"))
        self._openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={hosts[0] if hosts else name}"
        )
        names = ",".join(f"{'IP' if host[0].isdigit() else 'DNS'}:{host}" for host in hosts)
        more.write_text(
            (f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n" if hosts else "extendedKeyUsage=clientAuth\n")
            + "basicConstraints=CA:FALSE\n"
        )
        if days > 0:
            self._openssl(
                "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-out", certificate,
                "-days", str(days), f"-{digest}", "-extfile", more,
            )  # fmt: skip
        else:
            self._expired(request, certificate, more)
        if password:
            locked = self.folder / f"{name}.locked.key"
            self._openssl("pkcs8", "-topk8", "-in", key, "-out", locked, "-passout", f"pass:{password}", "-v2", "aes-256-cbc")
            key = locked
        return certificate, key

    def _expired(self, request: Path, certificate: Path, more: Path) -> None:
        (self.folder / "index.txt").write_text("")
        (self.folder / "serial").write_text("1000\n")
        config = self.folder / "ca.cnf"
        config.write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndir={self.folder}\ndatabase={self.folder}/index.txt\nserial={self.folder}/serial\nnew_certs_dir={self.folder}\n"
            "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
        )
        self._openssl(
            "ca", "-batch", "-config", config, "-cert", self.certificate, "-keyfile", self.key, "-in", request, "-out", certificate, "-notext",
            "-startdate", "20200101000000Z", "-enddate", "20200102000000Z", "-extfile", more,
        )  # fmt: skip

    def server_context(self, certificate: Path, key: Path, *, asks: bool) -> ssl.SSLContext:
        """Return a server's context; one that asks lets only clients with a certificate of this authority in."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.certificate)
        return context


@dataclass(frozen=True)
class Certificates:
    """An authority, and the certificate of a server on this machine."""

    issuer: Authority
    certificate: Path
    key: Path

    @property
    def ca(self) -> str:
        return self.issuer.certificate.read_text()


def make_certificates(folder: Path, digest: str = "sha256") -> Certificates:
    """Make them; `digest` is what the server's certificate is signed with."""
    issuer = Authority(folder)
    return Certificates(issuer, *issuer.issue("server", "127.0.0.1", "localhost", "ntlm.test", digest=digest))
