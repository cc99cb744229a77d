"""The command ``waybill`` in shells of the tests: has the server fork, and waits for the end.

python -I -S command.py SOCKET WORD...
"""

import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path


def main(path: str, words: list[str]) -> int:
    """The exit code of ``waybill``."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    request = [words, str(Path.cwd()), dict(os.environ), *limits]
    socket.send_fds(connection, [json.dumps(request).encode() + b"\n"], [0, 1, 2])
    answers = connection.makefile("rb")
    pid = int(answers.readline())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    code = int(answers.readline())
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
