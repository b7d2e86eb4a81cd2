"""Packet filters: what a configuration means and what two sides agree on.

The one filter is ``fec``, as in ``fec,cols:10,rows:5,layout:even,arq:onreq``.

Source: libsrt packet-filtering-and-fec.md §Configuration.
"""

from __future__ import annotations

import re
from typing import Final, Literal, Protocol, cast

import attrs

from sansmedia.sansio import ProtocolError

from .fec_matrix import FecMatrix
from .fec_receiver import FecReceiver, FecReceiverStatistics, FilterOutput
from .fec_sender import FecSender, FecSenderStatistics
from .fec_wire import FEC_HEADER_SIZE
from .limits import Limits
from .packet_wire import DataPacket

__all__ = [
    "FILTER_CONFIG_SIZE",
    "FILTER_OVERHEAD",
    "FilterConfig",
    "FilterOutput",
    "FilterReceiver",
    "FilterSender",
    "make_filter_receiver",
    "make_filter_sender",
    "negotiate",
    "parse_filter",
]

FILTER_CONFIG_SIZE: Final = 64
"""Octets of the longest configuration that libsrt takes from a peer."""
FILTER_OVERHEAD: Final = FEC_HEADER_SIZE
"""Octets by which the largest payload of a connection with a filter is smaller."""

ArqLevel = Literal["always", "onreq", "never"]

# DEVIATION(libsrt-1.5.1): the text says ``layout:even``; libsrt takes the staircase and
# says so in its answers (tests/data/srt/fec-default).
_DEFAULTS: Final = {"rows": "1", "layout": "staircase", "arq": "onreq"}
_KEYS: Final = frozenset({"cols", *_DEFAULTS})
_ARQ_LEVELS: Final = ("always", "onreq", "never")
_LAYOUTS: Final = ("even", "staircase")

# An FEC packet names its column in eight bits, and 255 means a row.
_MAX_COLUMNS: Final = 255

# Numbers are read as C's atoi does, because libsrt does: what follows is ignored.
_NUMBER: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]{1,9})")


class FilterSender(Protocol):
    """The sending half of a filter."""

    def feed(self, packet: DataPacket) -> list[DataPacket]:
        """Take a new data packet as it goes out; return what to send after it."""

    def statistics(self) -> FecSenderStatistics:
        """Return the counters so far."""


class FilterReceiver(Protocol):
    """The receiving half of a filter."""

    arq: ArqLevel
    """Which losses the connection reports: all, those from `feed`, none."""

    def feed(self, packet: DataPacket) -> FilterOutput:
        """Take a packet that came; return packets and losses."""

    @property
    def pending_bytes(self) -> int:
        """Octets of payload held."""

    def statistics(self) -> FecReceiverStatistics:
        """Return the counters so far."""


@attrs.frozen
class FilterConfig:
    """A configuration, taken apart; its values are valid, though some may be missing.

    ``str()`` of it is the form that libsrt writes: the keys in order.
    """

    type: str
    """The filter: ``fec``."""
    parameters: dict[str, str]
    """What was set."""

    def __str__(self) -> str:
        return ",".join(
            (self.type, *(f"{key}:{self.parameters[key]}" for key in self._keys()))
        )

    def _keys(self) -> list[str]:
        return sorted(self.parameters)

    def complete(self) -> FilterConfig:
        """Return it with the defaults filled in, ``cols`` excepted: it has none."""
        return FilterConfig(self.type, _DEFAULTS | self.parameters)


def parse_filter(text: str) -> FilterConfig:
    """Read a configuration; ``cols`` may be missing, for the peer may know it.

    Raises:
        ProtocolError: ``filter`` if libsrt refuses it: an unknown filter, a malformed,
            unknown or impossible parameter.
    """
    name, *pieces = text.split(",")
    if name != "fec":
        raise _refusal("there is no such packet filter")
    parameters: dict[str, str] = {}
    for piece in pieces:
        key, colon, value = piece.partition(":")
        if not colon or ":" in value:
            raise _refusal("parameters are written as key:value")
        if value:
            parameters[key] = value
    if not parameters.keys() <= _KEYS:
        raise _refusal("the parameters are cols, rows, layout, arq")
    if "cols" in parameters and _number(parameters["cols"]) < 2:
        raise _refusal("cols is at least 2")
    if "rows" in parameters and -1 <= _number(parameters["rows"]) <= 0:
        raise _refusal("rows is at least 1, or at most -2")
    if parameters.get("layout", "even") not in _LAYOUTS:
        raise _refusal("layout is even or staircase")
    if parameters.get("arq", "never") not in _ARQ_LEVELS:
        raise _refusal("arq is always, onreq or never")
    return FilterConfig(name, parameters)


def negotiate(
    ours: str,
    theirs: str,
    *,
    initiator: bool = False,
    rendezvous: bool = False,
    limits: Limits | None = None,
) -> str:
    """Return the configuration that holds once the peer's is known; empty: no filter.

    A listener (or a rendezvous responder) answers with what this returns; a caller
    (or initiator) calls it with that answer.

    Args:
        ours: What we set; empty: whatever the peer wants.
        theirs: What the peer sent; empty: it sent none.
        initiator: Whether we are the caller, or the initiator of a rendezvous.
        rendezvous: Both must mean the same then, if both set one.
        limits: ``filter_matrix`` is judged.

    Raises:
        ProtocolError: ``filter`` if no filter comes of it: the handshake is refused
            with the reason of that name (SRT_REJ_FILTER).

    Source: libsrt API-socket-options.md §List of options.
    """
    limits = limits or Limits()
    if not theirs:
        # A listener's filter is an offer that nobody took; a caller's is a demand.
        if ours and initiator:
            raise _refusal("the peer does not answer to the packet filter")
        return ""
    if len(theirs) > FILTER_CONFIG_SIZE:
        raise _refusal(f"more than {FILTER_CONFIG_SIZE} octets of configuration")
    peer = parse_filter(theirs)
    if not ours:
        _matrix(peer, limits)
        return theirs
    own = parse_filter(ours)
    if rendezvous:
        # libsrt compares the strings. Its responder answers in another form than the
        # initiator's, so we look at what they mean, and answer in the peer's words.
        if own.complete() != peer.complete():
            raise _refusal("in rendezvous both sides set the same packet filter")
        _matrix(peer, limits)
        return theirs
    if initiator:
        agreed = FilterConfig(peer.type, own.parameters | peer.parameters)
    else:
        for key in own.parameters.keys() & peer.parameters.keys():
            if own.parameters[key] != peer.parameters[key]:
                raise _refusal(f"both sides set {key}, to different values")
        agreed = FilterConfig(peer.type, own.parameters | peer.parameters).complete()
    _matrix(agreed, limits)
    return str(agreed)


def make_filter_sender(
    config: str,
    *,
    initial_sequence: int,
    payload_size: int,
    limits: Limits | None = None,
) -> FilterSender:
    """Make the sending half of an agreed filter.

    Args:
        config: What `negotiate` returned.
        initial_sequence: Of our first data packet.
        payload_size: Octets of our largest payload on the wire: what the application
            may send in one packet, and 16 more with AES-GCM.
        limits: ``filter_matrix`` is judged.

    Raises:
        ProtocolError: ``filter`` if the configuration makes no filter.
    """
    return FecSender(
        _matrix(parse_filter(config), limits or Limits()),
        initial_sequence=initial_sequence,
        payload_size=payload_size,
    )


def make_filter_receiver(
    config: str, *, initial_sequence: int, limits: Limits | None = None
) -> FilterReceiver:
    """Make the receiving half of an agreed filter.

    Args:
        config: What `negotiate` returned.
        initial_sequence: Of the peer's first data packet.
        limits: ``filter_matrix`` is judged.

    Raises:
        ProtocolError: ``filter`` if the configuration makes no filter.
    """
    parsed = parse_filter(config).complete()
    return FecReceiver(
        _matrix(parsed, limits or Limits()),
        initial_sequence=initial_sequence,
        arq=cast(ArqLevel, parsed.parameters["arq"]),
    )


def _matrix(config: FilterConfig, limits: Limits) -> FecMatrix:
    """Return the shape that a configuration describes."""
    parameters = config.complete().parameters
    if "cols" not in parameters:
        raise _refusal("neither side sets cols")
    columns, rows = _number(parameters["cols"]), _number(parameters["rows"])
    if rows != 1 and columns > _MAX_COLUMNS:
        raise _refusal(f"more than {_MAX_COLUMNS} columns")
    if columns * abs(rows) > limits.filter_matrix:
        raise _refusal(f"more than {limits.filter_matrix} packets in a matrix")
    return FecMatrix(
        columns=columns,
        rows=abs(rows),
        protects_rows=rows > 0,
        staircase=parameters["layout"] == "staircase",
    )


def _number(value: str) -> int:
    match = _NUMBER.match(value)
    return int(match[1]) if match else 0


def _refusal(reason: str) -> ProtocolError:
    return ProtocolError(
        f"packet filter: {reason}",
        code="filter",
        source="libsrt packet-filtering-and-fec.md §Configuring the FEC filter",
    )
