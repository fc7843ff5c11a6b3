"""S3 from the environment: one set of variables serves both GDAL and the object store client.

  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN    who asks; AWS_NO_SIGN_REQUEST=YES: nobody
  AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL                        another server than AWS, as AWS's tools say
  AWS_S3_ENDPOINT with AWS_HTTPS, AWS_VIRTUAL_HOSTING            the same, as GDAL says
  AWS_REGION or AWS_DEFAULT_REGION                               us-east-1 where none is set

Every process reads its own environment, and nothing is handed on: credentials are in no configuration, no
task, no log and no file of a run. The workers of a cluster need the variables too.
"""

from __future__ import annotations

import os
from typing import Any, Final

CREDENTIALS: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Variables that tell of credentials; without one, clients would wait for a service of Amazon's hosts."""

GDAL_TRANSFER: Final[dict[str, Any]] = {
    # A GeoTIFF's header in one request.
    "GDAL_INGESTED_BYTES_AT_OPEN": 32_768,
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": True,
    # Nothing outlives its file: a process that goes on must not mix a new image with blocks of the old one.
    "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/",
    # Seconds, bytes a second. A request is for a few blocks; one that brings next to nothing is given up.
    "GDAL_HTTP_CONNECTTIMEOUT": 10,
    "GDAL_HTTP_TIMEOUT": 120,
    "GDAL_HTTP_LOW_SPEED_TIME": 30,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 1024,
    # Of a server that is overloaded or stumbles (429, 5xx); seconds between, growing.
    "GDAL_HTTP_MAX_RETRY": 3,
    "GDAL_HTTP_RETRY_DELAY": 1,
}
"""How GDAL reads from any server, those of the web too."""

_YES: Final = frozenset({"YES", "TRUE", "ON", "1"})
_NO: Final = frozenset({"NO", "FALSE", "OFF", "0"})


def endpoint() -> str | None:
    """Return the URL of the server, None for AWS itself."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if url := os.environ.get(name):
            return url.rstrip("/")
    host = os.environ.get("AWS_S3_ENDPOINT", "").rstrip("/")
    if not host or "://" in host:
        return host or None
    return f"{'http' if _is('AWS_HTTPS', _NO) else 'https'}://{host}"


def region() -> str:
    """Return the region to sign for."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def unsigned() -> bool:
    """Tell whether requests go out without a signature, as public buckets allow."""
    return _is("AWS_NO_SIGN_REQUEST", _YES) or _is("AWS_SKIP_SIGNATURE", _YES)


def has_credentials() -> bool:
    """Tell whether the environment says who asks, or that nobody does."""
    return unsigned() or any(os.environ.get(name) for name in CREDENTIALS)


def gdal_options() -> dict[str, Any]:
    """Return what GDAL must be told so that /vsis3/ reaches the same server; credentials it reads itself."""
    # Of two that differ GDAL would take the second, and the client takes the first.
    options = GDAL_TRANSFER | dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), region())
    # Profiles, or a machine's role, would sign with keys that nobody gave this job.
    options |= dict.fromkeys(("AWS_CONFIG_FILE", "CPL_AWS_CREDENTIALS_FILE"), os.devnull)
    options["CPL_AWS_EC2_API_ROOT_URL"] = "disabled"
    # Said either way: rasterio keeps what it found in the environment once, in a process that goes on.
    options["AWS_NO_SIGN_REQUEST"] = "YES" if unsigned() else "NO"
    if url := endpoint():
        scheme, _, host = url.partition("://")
        options |= {"AWS_S3_ENDPOINT": host, "AWS_HTTPS": "NO" if scheme == "http" else "YES"}
        # Servers other than AWS seldom have a name for each bucket.
        options["AWS_VIRTUAL_HOSTING"] = os.environ.get("AWS_VIRTUAL_HOSTING", "FALSE")
    return options


def _is(name: str, words: frozenset[str]) -> bool:
    return os.environ.get(name, "").upper() in words
