"""``waybill``, and ``python -m waybill``: the command line."""

from __future__ import annotations

import signal
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; gives the exit code.

    Who interrupts it while its modules are loaded ends it at once, without a traceback.
    """
    may_be_interrupted = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if may_be_interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from waybill.cli.main import main as run

    if may_be_interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()


if __name__ == "__main__":
    sys.exit(main())
