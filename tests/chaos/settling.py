"""Waits until a sidecar has worked off what was sent to it."""

from __future__ import annotations

import contextlib
import ssl
import time
from http.client import HTTPException
from urllib.request import urlopen

__all__ = ["SETTLE_SECS", "trusting", "wait_for_work"]

#: Memory is given back soon after the work that took it.
SETTLE_SECS = 5.0
Address = tuple[str, int]


def _is_at_work(address: Address) -> bool:
    """Whether bodies are worked on whose peers are gone; the workbench does not tell."""
    for scheme in ("http", "https"):
        with contextlib.suppress(OSError, HTTPException):
            url = f"{scheme}://{address[0]}:{address[1]}/metrics"
            with urlopen(url, timeout=60, context=trusting()) as answer:
                return b"\nwaybill_inflight_bytes 0.0" not in answer.read()
    return True


def trusting() -> ssl.SSLContext:
    """For servers whose certificate nobody knows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def wait_for_work(address: Address | None) -> None:
    """Until it says at ``address`` that there is none."""
    patience = time.monotonic() + 600
    while address and _is_at_work(address) and time.monotonic() < patience:
        time.sleep(1)
