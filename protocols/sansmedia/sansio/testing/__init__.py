"""Test tools for machines of the sans-IO contract: for us and for reusers.

`Conditions`, `DatagramLink` and `StreamPipe` are a simulated network, `StreamPair` and
`DatagramPair` let two machines talk over it in simulated time, and the ``check_*``
functions are the contract suite: register a `MachineCase`, `DatagramCase` or
`TransformCase` and run `MACHINE_CHECKS` or `TRANSFORM_CHECKS` over it.
"""

from .case import AnyCase, DatagramCase, MachineCase, Run, cut_at_random
from .dice import SeededDice
from .mutation import mutate, mutate_bytes
from .netem import Conditions, DatagramLink, LinkStatistics, StreamPipe
from .pair import DatagramPair, StreamPair
from .suite import (
    MACHINE_CHECKS,
    check_any_input,
    check_determinism,
    check_leaves_no_cycles,
    check_linear_time,
    check_linear_work,
    check_mutations,
    check_pending_bytes,
    check_polls_are_pure,
    check_segmentation,
    check_termination,
    check_timeouts_advance,
)
from .transforms import (
    TRANSFORM_CHECKS,
    TransformCase,
    check_feed_any_input,
    check_feed_linear_time,
    check_feed_linear_work,
    check_feed_mutations,
    check_feed_pending_bytes,
    check_feed_segmentation,
)

__all__ = [
    "MACHINE_CHECKS",
    "TRANSFORM_CHECKS",
    "AnyCase",
    "Conditions",
    "DatagramCase",
    "DatagramLink",
    "DatagramPair",
    "LinkStatistics",
    "MachineCase",
    "Run",
    "SeededDice",
    "StreamPair",
    "StreamPipe",
    "TransformCase",
    "check_any_input",
    "check_determinism",
    "check_feed_any_input",
    "check_feed_linear_time",
    "check_feed_linear_work",
    "check_feed_mutations",
    "check_feed_pending_bytes",
    "check_feed_segmentation",
    "check_leaves_no_cycles",
    "check_linear_time",
    "check_linear_work",
    "check_mutations",
    "check_pending_bytes",
    "check_polls_are_pure",
    "check_segmentation",
    "check_termination",
    "check_timeouts_advance",
    "cut_at_random",
    "mutate",
    "mutate_bytes",
]
