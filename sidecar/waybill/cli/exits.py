"""Exit codes of the command line, and which error ends with which."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from enum import IntEnum

from waybill.cli.terminal import tell
from waybill.core.errors import ConfigError, WaybillError

__all__ = ["ExitCode", "guarded"]


class ExitCode(IntEnum):
    """What the shell gets. 130 is what shells themselves give for an interrupt."""

    FINE = 0
    FAILED = 1
    CONFIGURATION = 2
    INTERRUPTED = 130


def guarded(run: Callable[[], int]) -> int:
    """The exit code of ``run``; its errors end as a sentence on stderr, never as a traceback."""
    try:
        code = run()
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # waybill rules list | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except ConfigError as error:
        for problem in error.problems:
            tell(f"waybill: {problem}")
        return ExitCode.CONFIGURATION
    except OSError as error:
        # As people write it: without a number, and the file first.
        is_file = error.filename is not None and error.strerror is not None
        said = f"{error.filename}: {error.strerror}" if is_file else str(error)
        tell(f"waybill: {said}")
        return ExitCode.FAILED
    except WaybillError as error:
        tell(f"waybill: {error}")
        return ExitCode.FAILED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
