"""What stands between records and values may be megabytes, and is passed over in steps."""

from __future__ import annotations

import pytest

from waybill.core.steps import STEP_BYTES, trimmed_end
from waybill.wire.json import scan

MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("filling", [b" ", b"\n", b"\x00", b"\r\n", MARK])
@pytest.mark.parametrize("before", range(4))
def test_no_step_ends_what_stands_between_records(filling: bytes, before: int) -> None:
    between = b" " * before + filling * (2 * STEP_BYTES // len(filling) + 1)
    assert scan.skip_between(between + b"{}", 0) == len(between)
    assert scan.skip_between(between, 0) == len(between)
    if filling.isspace():
        assert scan.skip_space(between + b"{}", 0) == len(between)


@pytest.mark.parametrize("cut", [1, 2])
def test_a_mark_that_is_cut_off_belongs_to_a_record(cut: int) -> None:
    between = b" " * (STEP_BYTES - cut)
    assert scan.skip_between(between + MARK[:cut] + b"{}", 0) == len(between)
    assert scan.skip_between(between + MARK + b"{}", 0) == len(between) + len(MARK)


@pytest.mark.parametrize("blanks", [0, 1, STEP_BYTES - 1, STEP_BYTES, 2 * STEP_BYTES])
def test_white_space_at_an_end_is_left_out_however_long_it_is(blanks: int) -> None:
    data = b"ab c" + b" " * blanks + b"|"
    assert trimmed_end(data, 1, len(data) - 1, scan.SPACE) == 4
    assert trimmed_end(data, 4, len(data) - 1, scan.SPACE) == 4
