"""Console logs in a bucket: encrypted by the store, over TLS, deleted with all versions and unfinished uploads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from integrator.auth import quiet_loggers as _quiet  # noqa: F401 - imported for what it does
from integrator.errors import ConfigError, StopRunError
from integrator.settings import Settings
from integrator.wire.addresses import LOOPBACK, literal, within

LINK_S = 300
"""Seconds for which a link works. Source: PRODUCT.md P4."""


class BucketObjects:
    """A prefix of an S3 bucket.

    Args:
        url: `s3://bucket/prefix`.
        settings: `console_endpoint`, `console_kms_key` and `console_region`; credentials come as AWS's own tools find them.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        parts = urlsplit(url)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/") + "/" if parts.path.strip("/") else ""
        if not self._bucket:
            raise ConfigError("[integrator] console_store is s3://bucket/prefix, or a folder")
        self._kms = settings.console_kms_key
        self._client = _client(settings)

    def put(self, key: str, data: bytes) -> None:
        """Keep an object, encrypted by the store. At most a few MB, so in one call: there is no upload that could stay unfinished."""
        sealed = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self._kms} if self._kms else {"ServerSideEncryption": "AES256"}
        )
        with _ours(self._bucket):
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                Body=data,
                ContentType="application/gzip",
                CacheControl="no-store",
                **sealed,
            )

    def get(self, key: str) -> bytes:
        """Return an object."""
        try:
            with _ours(self._bucket):
                return bytes(self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read())
        except StopRunError as error:
            if "NoSuchKey" in str(error) or "404" in str(error):
                raise KeyError(key) from None
            raise

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names that begin so, versions, delete markers and unfinished uploads among them."""
        whole = self._prefix + prefix
        with _ours(self._bucket):
            for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=whole):
                for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                    yield one["Key"].removeprefix(self._prefix)
            for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=whole):
                for one in page.get("Uploads", []):
                    yield one["Key"].removeprefix(self._prefix)

    def delete(self, prefix: str) -> int:
        """Delete whatever begins so: every version, delete markers too, and unfinished uploads."""
        whole, count = self._prefix + prefix, 0
        with _ours(self._bucket):
            for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=whole):
                found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                named = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
                count += len(named)
                for at in range(0, len(named), 1000):
                    told = self._client.delete_objects(
                        Bucket=self._bucket, Delete={"Objects": named[at : at + 1000], "Quiet": True}
                    )
                    if told.get("Errors"):
                        raise StopRunError(
                            f"the bucket {self._bucket} keeps {len(told['Errors'])} objects that were to be deleted; is it locked?"
                        )
            for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=whole):
                for one in page.get("Uploads", []):
                    self._client.abort_multipart_upload(Bucket=self._bucket, Key=one["Key"], UploadId=one["UploadId"])
                    count += 1
        return count

    def look(self) -> Iterator[tuple[str, str, str]]:
        """Yield what there is to say of the bucket: level, finding, cure."""
        with _ours(self._bucket):
            self._client.head_bucket(Bucket=self._bucket)
        if self._asked("get_bucket_encryption") is None:
            yield (
                "warning",
                f"the bucket {self._bucket} does not encrypt by default; console logs ask for it themselves",
                "set its default encryption",
            )
        block = (self._asked("get_public_access_block") or {}).get("PublicAccessBlockConfiguration", {})
        if not block or not all(block.values()):
            yield (
                "grave",
                f"the bucket {self._bucket} does not block public access",
                "switch on all four parts of its public access block",
            )
        policy = str((self._asked("get_bucket_policy") or {}).get("Policy", ""))
        if "aws:SecureTransport" not in policy or "Deny" not in policy:
            yield (
                "warning",
                f"the bucket {self._bucket} can be reached without TLS",
                "deny what has aws:SecureTransport false in its policy",
            )
        if (self._asked("get_object_lock_configuration") or {}).get("ObjectLockConfiguration"):
            yield (
                "grave",
                f"the bucket {self._bucket} locks objects, so console logs could not be deleted",
                "use a bucket without Object Lock",
            )

    def _asked(self, what: str) -> dict[str, Any] | None:
        """Return an answer about the bucket; None where there is no such setting, or we may not ask."""
        try:
            found: dict[str, Any] = getattr(self._client, what)(Bucket=self._bucket)
        except ClientError:
            return None
        except BotoCoreError as error:
            raise StopRunError(f"the bucket {self._bucket} cannot be reached or used ({type(error).__name__})") from None
        return found

    def link(self, key: str, file_name: str) -> str:
        """Return a link to one object that works for exactly 300 seconds, as a download that nobody caches. Source: PRODUCT.md P4."""
        asked = {
            "Bucket": self._bucket, "Key": self._prefix + key, "ResponseContentDisposition": f'attachment; filename="{file_name}"',
            "ResponseCacheControl": "no-store", "ResponseContentType": "application/gzip",
        }  # fmt: skip
        with _ours(self._bucket):
            return str(self._client.generate_presigned_url("get_object", Params=asked, ExpiresIn=LINK_S))


def _client(settings: Settings) -> Any:
    endpoint = settings.console_endpoint or None
    if endpoint is not None and not endpoint.startswith("https://"):
        host = urlsplit(endpoint).hostname or ""
        address = literal(host)
        if not endpoint.startswith("http://") or not (host == "localhost" or (address is not None and within(address, LOOPBACK))):
            raise ConfigError("[integrator] console_endpoint is an https URL; http is for loopback only")
    bounds = Config(
        signature_version="s3v4", connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 2},
        s3={"addressing_style": "path" if endpoint else "auto"},
    )  # fmt: skip
    session = botocore.session.get_session()
    return session.create_client("s3", region_name=settings.console_region or None, endpoint_url=endpoint, config=bounds)


@contextmanager
def _ours(bucket: str) -> Iterator[None]:
    """Let botocore's errors leave as ours, by their code alone."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))[:64]
        raise StopRunError(
            f"the bucket {bucket} refuses ({code}): check its policy, the region and the AWS credentials"
        ) from None
    except BotoCoreError as error:
        raise StopRunError(f"the bucket {bucket} cannot be reached or used ({type(error).__name__})") from None
