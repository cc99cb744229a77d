"""What `helm test` runs: is Waybill ready, and does it label a message? Touches no record on its
way.
"""

import json
import os
import pathlib
import ssl
import urllib.request

ADDRESS = os.environ["ADDRESS"]
TOKENS = pathlib.Path(os.environ.get("TOKENS", "/etc/waybill/tokens/tokens"))


def ask(path: str, body: bytes | None = None, token: str = "") -> dict:
    """The JSON answer of one call; any status but 200 ends the test."""
    request = urllib.request.Request(ADDRESS + path, body)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    # The certificate is for those who send records; here it is asked whether anything answers.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return json.load(answer)


ready = ask("/readyz")
print(json.dumps(ready))
refused = [fault for part in (ready["rules"], ready["model"]) if part for fault in part["refused"]]
lines = TOKENS.read_text("utf-8-sig").splitlines() if TOKENS.exists() else []
tokens = [line.split() for line in lines if line.strip() and not line.strip().startswith("#")]
# A line that begins with `ship` is a token for batches alone.
whole = [words[-1] for words in tokens if words[0] != "ship"]
if tokens and not whole:
    print("no token of the secret opens /v1/explain: no message is labelled")
else:
    message = b'{"source": "helm-test", "message": "User User1 logged in."}'
    verdict = ask("/v1/explain", message, whole[0] if whole else "")
    cause = verdict["rule"] or verdict["reason"]
    print(f"{verdict['message']!r} is {verdict['label']!r} by {verdict['tier']} {cause}")
if refused:
    raise SystemExit(f"refused: {refused}")
