"""What `helm test` runs: is Waybill ready, and does it label a message? Touches no record on its
way.
"""

import json
import os
import pathlib
import ssl
import urllib.request

ADDRESS, TOKENS = os.environ["ADDRESS"], pathlib.Path("/etc/waybill/tokens/tokens")


def ask(path: str, body: bytes | None = None) -> dict:
    """The JSON answer of one call; any status but 200 ends the test."""
    request = urllib.request.Request(ADDRESS + path, body)
    if TOKENS.exists():
        token = next(
            line
            for line in TOKENS.read_text().splitlines()
            if line.strip() and not line.startswith("#")
        )
        request.add_header("Authorization", f"Bearer {token.strip()}")
    # The certificate is for those who send records; here it is asked whether anything answers.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return json.load(answer)


ready = ask("/readyz")
print(json.dumps(ready))
refused = [fault for part in (ready["rules"], ready["model"]) if part for fault in part["refused"]]
verdict = ask("/v1/explain", b'{"source": "helm-test", "message": "User User1 logged in."}')
cause = verdict["rule"] or verdict["reason"]
print(f"{verdict['message']!r} is {verdict['label']!r} by {verdict['tier']} {cause}")
if refused:
    raise SystemExit(f"refused: {refused}")
