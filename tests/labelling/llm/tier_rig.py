"""What these tests share."""

from __future__ import annotations

WORDS = [
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "foxtrot",
    "golf",
    "hotel",
    "india",
    "juliett",
    "kilo",
    "lima",
    "mike",
    "november",
    "oscar",
    "papa",
    "quebec",
    "romeo",
    "sierra",
    "tango",
]
TEMPLATES = [
    f"{verb} of {word} {{n}} failed" for word in WORDS for verb in ("Approval", "Shipment")
]
SEED = [
    (
        "Case escalation for ticket ID 7324 failed because the assigned support agent is no longer active.",
        "Workflow Error",
    ),
    (
        "Invoice generation process aborted for order ID 8910 due to invalid tax calculation module.",
        "Workflow Error",
    ),
    (
        "The 'BulkEmailSender' feature is no longer supported. Use 'EmailCampaignManager' for improved functionality.",
        "Deprecation Warning",
    ),
    (
        "The 'ReportGenerator' module will be retired in version 4.0. Please migrate to the 'AdvancedAnalyticsSuite' by Dec 2025",
        "Deprecation Warning",
    ),
]
