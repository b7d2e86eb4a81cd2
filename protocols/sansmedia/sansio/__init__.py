"""What every library of sansmedia shares: the contract, errors, cursors, timers.

The contract in one breath: inputs and commands do all the work, polls only dequeue.
Peer bytes never raise out of a machine; they end in one last `Terminated` event.
Time comes in as ``now`` (float seconds, any monotonic clock), randomness as a
constructor argument. See ``docs/reuse/contract`` for the whole text.
"""

from .contract import (
    Datagram,
    DatagramMachine,
    Dice,
    Lane,
    StreamMachine,
    Terminated,
    TerminationCause,
)
from .errors import ProtocolError, UsageError
from .reader import Reader
from .serial import serial_add, serial_distance, serial_less, unwrap
from .timers import TimerTable
from .writer import Writer

__all__ = [
    "Datagram",
    "DatagramMachine",
    "Dice",
    "Lane",
    "ProtocolError",
    "Reader",
    "StreamMachine",
    "Terminated",
    "TerminationCause",
    "TimerTable",
    "UsageError",
    "Writer",
    "serial_add",
    "serial_distance",
    "serial_less",
    "unwrap",
]
