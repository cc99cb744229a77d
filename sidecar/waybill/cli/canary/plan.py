"""What a canary's run is asked for."""

from __future__ import annotations

from pathlib import Path

import msgspec

__all__ = ["DEFAULT_MESSAGE", "CanaryPlan"]

DEFAULT_MESSAGE = "User User{number} logged in."


class CanaryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One run. At most one of ``listen``, ``loki``, ``elasticsearch`` says where records come out.

    Every one of ``label_field`` must stand on each record: there is one for each labelling.
    ``rate`` is in records a second; the times are in seconds (see ``waybill canary --help``).
    """

    to: str = "http://127.0.0.1:9880/v1/label"
    listen: str | None = None
    loki: str | None = None
    elasticsearch: str | None = None
    selector: str = '{target_label=~".+"}'
    records: int = 1000
    rate: float = 100.0
    batch: int = 50
    tag: str = "canary"
    message: str = DEFAULT_MESSAGE
    label_field: tuple[str, ...] = ("target_label",)
    token_file: Path | None = None
    ca_file: Path | None = None
    connect_secs: float = 60.0
    late_secs: float = 60.0
    wait_secs: float = 300.0
    settle_secs: float = 2.0
