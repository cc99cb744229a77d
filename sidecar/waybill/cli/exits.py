"""Exit codes of the command line, and which error ends with which."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from collections.abc import Callable
from enum import IntEnum

from waybill.cli.terminal import tell
from waybill.core.errors import ConfigError, WaybillError
from waybill.core.files import folder_advice

__all__ = ["ExitCode", "guarded"]

#: What only writing ends with, here without a name: a pipe, a device, a disk that fills up.
_OF_WRITING = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))

#: Problems that are told; what is wrong with hundreds of rules is mostly one thing.
_MOST_TOLD = 20


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
        for problem in error.problems[:_MOST_TOLD]:
            tell(f"waybill: {problem}")
        if len(error.problems) > _MOST_TOLD:
            tell(f"waybill: and {len(error.problems) - _MOST_TOLD:,} more")
        return ExitCode.CONFIGURATION
    except OSError as error:
        tell(f"waybill: {_cause_of(error)}")
        return ExitCode.FAILED
    except WaybillError as error:
        tell(f"waybill: {error}")
        return ExitCode.FAILED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except ImportError as error:
        if not _is_of_interrupt(error):
            raise
        return ExitCode.INTERRUPTED


def _is_of_interrupt(error: BaseException | None) -> bool:
    """Whether an interrupt made a module fail: one in C says only that it could not be loaded."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _cause_of(error: OSError) -> str:
    """As people write it: without a number, and the file first."""
    if isinstance(error, IsADirectoryError) and error.filename is not None:
        return folder_advice(error.filename)
    if error.filename is not None and error.strerror is not None:
        return f"{error.filename}: {error.strerror}"
    if error.errno not in _OF_WRITING:
        return re.sub(r"^\[Errno \d+\] ", "", str(error))
    with contextlib.suppress(OSError):  # what stdout still holds would fail once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"what comes out cannot be written: {error.strerror}"
