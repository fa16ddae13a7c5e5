"""Console logs in a bucket that checks signatures: encrypted, deleted with every version, and links that die after 300 seconds. Source: PRODUCT.md P3, P4."""

from __future__ import annotations

import gzip
import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.auth
import pytest
from botocore.session import get_session

from integrator.errors import ConfigError, StopRunError
from integrator.store.console_bucket import BucketObjects
from integrator.store.console_deleting import delete_logs, left_over
from tests.scenarios.test_p3_console_logs import EVERYTHING
from tests.services.console import Desk
from tests.services.ministack import REGION, Ministack
from tests.services.moving import QUICK
from tests.services.system import System, record

KEY = "acme/sync/run/items-1-00000.jsonl.gz"


@pytest.fixture
def bucket(ministack: Ministack, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of its own that keeps versions; AWS's own variables name the key, as in a deployment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ministack.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ministack.secret_access_key)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    name = f"logs-{uuid.uuid4().hex[:12]}"
    client = raw(ministack)
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    yield name
    client.close()


def raw(ministack: Ministack) -> Any:
    session = get_session()
    session.set_credentials(ministack.access_key_id, ministack.secret_access_key)
    return session.create_client("s3", region_name=REGION, endpoint_url=ministack.url)


def objects_in(ministack: Ministack, bucket: str, **more: Any) -> BucketObjects:
    settings = replace(QUICK, console_endpoint=ministack.url, console_region=REGION, **more)
    return BucketObjects(f"s3://{bucket}/console", settings)


def fetched(url: str, method: str = "GET") -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), {}


async def test_a_run_logs_into_the_bucket_and_everything_of_it_goes(
    tmp_path: Path, system: System, ministack: Ministack, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.records = [record(n) for n in range(3)]
    objects, client = objects_in(ministack, bucket), raw(ministack)
    desk = Desk(tmp_path, system, objects)
    monkeypatch.setattr("integrator.wiring.objects_of", lambda _settings: objects)
    desk.enable(*EVERYTHING)
    report = await desk.run()
    [log] = desk.console.logs()
    assert (log.objects >= 1, log.fault) == (True, None)
    assert len(desk.lines()) == 5
    [found] = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert found["Key"] == f"console/acme/sync/{report.run_id}/items-1-00000.jsonl.gz"
    head = client.head_object(Bucket=bucket, Key=found["Key"])
    assert head["ServerSideEncryption"] == "AES256"
    objects.put(log.key(0), b"another version")
    client.delete_object(Bucket=bucket, Key=found["Key"])  # leaves a delete marker
    client.create_multipart_upload(Bucket=bucket, Key=found["Key"])
    assert delete_logs(desk.console, objects, [log])["objects"] == 4
    assert left_over(desk.console, objects, None, None) == []
    versions = client.list_object_versions(Bucket=bucket)
    assert not versions.get("Versions")
    assert not versions.get("DeleteMarkers")
    assert not client.list_multipart_uploads(Bucket=bucket).get("Uploads")
    desk.engine.dispose()


def test_what_nobody_knows_of_is_told(tmp_path: Path, system: System, ministack: Ministack, bucket: str) -> None:
    objects = objects_in(ministack, bucket)
    desk = Desk(tmp_path, system, objects)
    objects.put(KEY, b"x")
    assert left_over(desk.console, objects, "acme", None) == [KEY]
    assert left_over(desk.console, objects, "other", None) == []
    desk.engine.dispose()


def test_a_link_is_for_one_object_and_300_seconds(ministack: Ministack, bucket: str) -> None:
    objects = objects_in(ministack, bucket)
    data = gzip.compress(json.dumps({"a": 1}).encode())
    objects.put(KEY, data)
    objects.put("acme/sync/run/items-1-00001.jsonl.gz", b"another")
    link = objects.link(KEY, "items-1-00000.jsonl.gz")
    asked = parse_qs(urlsplit(link).query)
    assert (asked["X-Amz-Expires"], asked["X-Amz-Algorithm"]) == (["300"], ["AWS4-HMAC-SHA256"])
    status, body, headers = fetched(link)
    assert (status, body) == (200, data)
    assert headers["Content-Disposition"] == 'attachment; filename="items-1-00000.jsonl.gz"'
    assert headers["Cache-Control"] == "no-store"
    assert fetched(link.replace("00000", "00001", 1))[0] == 403  # re-targeted
    assert fetched(link.replace("X-Amz-Expires=300", "X-Amz-Expires=3000"))[0] == 403
    signature = asked["X-Amz-Signature"][0]
    assert fetched(link.replace(signature, signature[:-1] + ("0" if signature[-1] != "0" else "1")))[0] == 403
    for method in ("PUT", "DELETE"):
        assert fetched(link, method)[0] in (403, 405)
    assert fetched(link.partition("?")[0])[0] == 403
    objects.delete("acme/sync/run/")
    assert fetched(link)[0] == 404  # deletion wins


def test_a_link_is_dead_a_second_after_its_time(ministack: Ministack, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = objects_in(ministack, bucket)
    objects.put(KEY, b"x")
    real = botocore.auth.get_current_datetime

    def ago(seconds: int) -> Any:
        return lambda *arguments, **more: real(*arguments, **more) - timedelta(seconds=seconds)

    monkeypatch.setattr(botocore.auth, "get_current_datetime", ago(290))
    assert fetched(objects.link(KEY, "x"))[0] == 200
    monkeypatch.setattr(botocore.auth, "get_current_datetime", ago(302))
    assert fetched(objects.link(KEY, "x"))[0] == 403
    assert datetime.now(UTC)


def test_a_store_that_refuses_is_told_in_words(ministack: Ministack, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError):
        objects_in(ministack, bucket).get("acme/none")
    with pytest.raises(StopRunError, match="NoSuchBucket"):
        objects_in(ministack, "no-such-bucket-here").put(KEY, b"x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-canary-key")
    with pytest.raises(StopRunError, match="refuses") as refused:
        objects_in(ministack, bucket).put(KEY, b"x")
    assert "wrong-canary-key" not in str(refused.value)
    for endpoint in ("http://s3.example.com", "ftp://x", "http://10.0.0.1:9000"):
        with pytest.raises(ConfigError, match="https"):
            BucketObjects("s3://b", replace(QUICK, console_endpoint=endpoint, console_region=REGION))
    with pytest.raises(ConfigError, match="s3://bucket"):
        BucketObjects("s3://", replace(QUICK, console_region=REGION))
