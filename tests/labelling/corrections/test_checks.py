"""Whatever a sidecar makes of a message can be corrected by that."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.labelling.corrections.checks import mask_fault
from waybill.labelling.masking import mask

TEXTS = st.text('ab0 \n\r\t\x00\x1b[{}"\\=,.:<>é\u00a0\u3000\u2028\u200b', max_size=30)
KEYS = st.sampled_from(["msg", "log", "level", "message", "error.stack", "time", "x"])


@given(text=TEXTS)
def test_every_mask_of_a_text_is_one(text: str) -> None:
    masked = mask(text)
    assert not masked or mask_fault(masked) == ""


@given(members=st.dictionaries(KEYS, TEXTS | st.dictionaries(KEYS, TEXTS, max_size=2), max_size=4))
def test_every_mask_of_a_structured_line_is_one(members: dict[str, object]) -> None:
    for line in (json.dumps(members), " ".join(f"{k}={json.dumps(v)}" for k, v in members.items())):
        masked = mask(line)
        assert not masked or mask_fault(masked) == "", line


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "a\x00b", " a", "a ", "", "disk 17"])
def test_what_is_no_mask_is_refused(text: str) -> None:
    assert mask_fault(text)
