"""A private S3 and IAM that check signatures, from the ministack wheel, on a loopback port."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.services.programs import free_port, stop, wait_until_it_listens

REGION = "eu-central-1"


@dataclass(frozen=True, slots=True)
class Ministack:
    """A server that is up, and the key of an IAM user: it does not check what its root key signs."""

    url: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


def _iam_user(url: str) -> tuple[str, str]:
    from botocore.session import get_session

    session = get_session()
    session.set_credentials("test", "test")
    iam = session.create_client("iam", region_name=REGION, endpoint_url=url)
    iam.create_user(UserName="integrator")
    policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
    iam.put_user_policy(UserName="integrator", PolicyName="all", PolicyDocument=policy)
    key = iam.create_access_key(UserName="integrator")["AccessKey"]
    iam.close()
    return key["AccessKeyId"], key["SecretAccessKey"]


@pytest.fixture(scope="session")
def ministack() -> Iterator[Ministack]:
    """A private S3 with an IAM user who may do everything."""
    folder, port = Path(tempfile.mkdtemp(prefix="integrator-s3-")), free_port()
    log = folder / "log"
    environ = {
        "PATH": os.environ.get("PATH", ""), "HOME": str(folder), "TMPDIR": str(folder), "AUTH": "true", "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port), "SERVICES": "s3,iam,sts", "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"], env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        wait_until_it_listens(port, process, log)
        yield Ministack(f"http://127.0.0.1:{port}", *_iam_user(f"http://127.0.0.1:{port}"))
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)
