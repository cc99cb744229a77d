"""How threads of one process share the Python interpreter.

Only one thread runs Python at a time, and one that wants to go on waits for its turn; by default
Python has the other give way after 5 ms. The scan of a message by the rules lets go of the
interpreter for a microsecond, so a batch of messages that nobody has seen waits once a message
for as long as another thread is busy: while 100,000 corrections were read again, a batch of 90
held the event loop up for 470 ms, and with turns of 0.1 ms for 44 ms (`make stalls`, two cores).
Where no two threads have work at once nothing changes; where they do, taking turns so often costs
four hundredths of their time.
"""

from __future__ import annotations

import sys

__all__ = ["take_short_turns"]

#: The least time that a thread goes on for while another waits.
_TURN_SECS = 0.0001


def take_short_turns() -> None:
    """Have threads that wait for the interpreter get it soon, in the whole process."""
    sys.setswitchinterval(_TURN_SECS)
