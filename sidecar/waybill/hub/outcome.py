"""The outcome of a pull, as people and the service that follows a source read it.

The service runs a pull in a child process and imports nothing of it but this module: the client
library of a model repository costs memory that a service on every node must not pay.
"""

from __future__ import annotations

import errno
from typing import Literal, NamedTuple, get_args

import msgspec

from waybill.core.causes import without_keys
from waybill.core.errors import CodedError
from waybill.core.foreign import read_json
from waybill.core.reasons import BundleCode, HubCode, PullReason

__all__ = [
    "CURRENT",
    "FAILED",
    "MOST_BYTES",
    "NO_ROOM",
    "PULL_CODES",
    "HubError",
    "Pulled",
    "Refusal",
]

#: The link in a folder of versions that leads to the one in force.
CURRENT = "current"
#: The code of a child that ended without a word that can be read.
FAILED: Literal["failed"] = "failed"

#: All files of a version; the largest encoders have 2.2 GB.
MOST_BYTES = 4 << 30
#: What the system says where a folder cannot be written.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})

#: Every reason of a pull that failed or refused a version; the closed set of its metric.
PULL_CODES: frozenset[HubCode | BundleCode] = frozenset((*get_args(HubCode), *get_args(BundleCode)))

#: Of a message that a child wrote, as much as goes into the log.
_MOST_DETAIL = 500


class HubError(CodedError[HubCode]):
    """A source that cannot be read or written.

    ``not_found`` may also mean hidden from us, ``conflict`` that someone else was faster, ``busy``
    that another pull is at work in the folder.
    """

    code: HubCode


class Refusal(NamedTuple):
    """Why a version was refused, or nothing pulled: a bounded code, and a sentence."""

    code: PullReason
    detail: str


class Pulled(msgspec.Struct, frozen=True):
    """What a pull did: the accepted version and its folder, whether it is new here, what was
    refused.
    """

    version: str
    folder: str
    is_new: bool
    refused: dict[str, Refusal]


class Failure(msgspec.Struct, frozen=True):
    """What a pull that failed writes to stderr, as one line of JSON."""

    reason: str
    detail: str


def read_failure(last_line: str) -> Refusal:
    """The code and the detail in the last line that a child wrote to stderr."""
    try:
        told = read_json(last_line, Failure)
    except msgspec.DecodeError:
        return Refusal(FAILED, without_keys(last_line)[:_MOST_DETAIL])
    for code in PULL_CODES:
        if told.reason == code:
            return Refusal(code, told.detail[:_MOST_DETAIL])
    return Refusal(FAILED, told.detail[:_MOST_DETAIL])
