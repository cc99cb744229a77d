"""What these tests share."""

from __future__ import annotations

import json


def refusal(answer: bytes) -> str:
    """The reason of a refusal; every one has a sentence as well, and nothing else."""
    said = json.loads(answer)
    assert said.keys() == {"reason", "detail"}
    assert len(said["detail"]) > 10
    return str(said["reason"])


CSV = 'source,log_message\nModernCRM,User User1 logged in.\nLegacyCRM,"two\nlines, ""quoted"""\n'
LABELLED_CSV = (
    "source,log_message,target_label,confidence,tier,reason,rule\n"
    "ModernCRM,User User1 logged in.,User Action,1,rule,,user-login-logout\n"
    'LegacyCRM,"two\nlines, ""quoted""",Unclassified,,none,llm_disabled,\n'
)
