"""What two sides agree on, from what each wants: pure functions.

An initiator asks (`make_request`) and reads what it is told (`judge_response`); a
responder reads what is asked and answers it (`judge_request`). Source: SRT draft-01
§4.3, libsrt handshake.md §HSREQ and HSRSP.
"""

from __future__ import annotations

from typing import Final, Protocol

import attrs

from sansmedia.sansio import ProtocolError, UsageError

from .constants import SRT_VERSION, Role, TransmissionType
from .extensions_wire import Extensions, GroupMembership, SrtFlag, SrtMessage
from .handshake_wire import ExtensionField, Handshake
from .negotiated import Negotiated
from .options import SrtOptions
from .rejections import Refusal, RejectionCode
from .stream_id import MAX_STREAM_ID_SIZE

__all__ = [
    "MAX_MSS",
    "Link",
    "NegotiateFilter",
    "Terms",
    "check_options",
    "judge_request",
    "judge_response",
    "make_request",
    "require_version",
    "terms_of",
]

MAX_MSS: Final = 1500
"""Octets of the largest IP datagram that libsrt knows."""
_MIN_MSS: Final = 76
_MIN_FLOW_WINDOW: Final = 2
_MAX_FLOW_WINDOW: Final = 1 << 25
_FIRST_VERSION_5: Final = 0x010300
_GROUP_TYPES: Final = {"broadcast": 1, "backup": 2}
_MAX_LATENCY_MS: Final = 0xFFFF


class NegotiateFilter(Protocol):
    """Gives the packet filter that holds, as `packet_filter.negotiate` does."""

    def __call__(
        self, ours: str, theirs: str, *, initiator: bool, rendezvous: bool
    ) -> str:
        """Return it from both sides' configurations, empty for none.

        Raises:
            ProtocolError: They do not suit each other.
        """
        ...


@attrs.frozen(kw_only=True)
class Link:
    """What only the one connection knows, from both handshakes."""

    role: Role
    """Ours."""
    socket_id: int
    """Ours."""
    initial_sequence: int
    """Ours."""
    start_time: float
    """When our timestamps began."""
    timestamp: int
    """Of the peer's handshake, in microseconds."""
    timestamp_at: float
    """When it came."""
    stream_id: str
    """What the caller sent."""


@attrs.frozen(kw_only=True)
class Terms:
    """Options with what follows from the type of transmission filled in."""

    tsbpd: bool
    tlpkt_drop: bool
    nak_report: bool
    message_api: bool
    congestion: str
    receive_latency_ms: int
    peer_latency_ms: int
    packet_filter: str
    mss: int
    flow_window: int


def _milliseconds(latency: float) -> int:
    return min(max(0, round(latency * 1000)), _MAX_LATENCY_MS)


def terms_of(options: SrtOptions) -> Terms:
    """Fill in what the options leave open.

    Source: libsrt API-socket-options.md §List of options.
    """
    live = options.transmission_type is TransmissionType.LIVE
    tsbpd = live if options.tsbpd_mode is None else options.tsbpd_mode
    drop = live if options.tlpkt_drop is None else options.tlpkt_drop
    return Terms(
        tsbpd=tsbpd,
        tlpkt_drop=tsbpd and drop,
        nak_report=live if options.nak_report is None else options.nak_report,
        message_api=options.message_api,
        congestion=options.congestion or ("live" if live else "file"),
        receive_latency_ms=_milliseconds(options.rcv_latency),
        peer_latency_ms=_milliseconds(options.peer_latency),
        packet_filter=options.packet_filter,
        mss=options.mss,
        flow_window=min(options.flow_window, options.receive_buffer),
    )


def check_options(options: SrtOptions) -> None:
    """Refuse options that no handshake could carry.

    Raises:
        UsageError: One of them is out of its range.
    """
    terms = terms_of(options)
    if len(options.stream_id.encode()) > MAX_STREAM_ID_SIZE:
        raise UsageError(f"a stream id has at most {MAX_STREAM_ID_SIZE} octets")
    if "\0" in options.stream_id:
        raise UsageError("a stream id has no NUL")
    if terms.congestion not in ("live", "file"):
        raise UsageError("the congestion controller is live or file")
    if not _MIN_MSS <= options.mss <= MAX_MSS:
        raise UsageError(f"the MSS is {_MIN_MSS} to {MAX_MSS} octets")
    if not 32 <= options.flow_window <= _MAX_FLOW_WINDOW:
        raise UsageError(f"the flow window is 32 to {_MAX_FLOW_WINDOW} packets")
    if options.group and options.group not in _GROUP_TYPES:
        raise UsageError("a group is broadcast or backup")


def require_version(handshake: Handshake) -> None:
    """Refuse a handshake of version 4 and of the future. Source: SRT draft-01 §4.3.

    Raises:
        Refusal: Code ``version``.
    """
    if handshake.version != 5:
        raise Refusal(
            RejectionCode.VERSION, f"the peer speaks handshake {handshake.version}"
        )


# --- asking -----------------------------------------------------------------------


def _message(terms: Terms) -> SrtMessage:
    flags = SrtFlag.CRYPT | SrtFlag.REXMITFLG | SrtFlag.PACKET_FILTER
    latencies = (0, 0)
    if terms.tsbpd:
        flags |= SrtFlag.TSBPDSND | SrtFlag.TSBPDRCV
        latencies = (terms.receive_latency_ms, terms.peer_latency_ms)
    if terms.tlpkt_drop:
        flags |= SrtFlag.TLPKTDROP
    if terms.nak_report:
        flags |= SrtFlag.PERIODICNAK
    if not terms.message_api:
        flags |= SrtFlag.STREAM
    return SrtMessage(SRT_VERSION, flags, *latencies)


def make_request(
    options: SrtOptions,
    key_request: bytes | None,
    group: GroupMembership | None,
    *,
    with_stream_id: bool = True,
) -> Extensions:
    """Return the extensions of an initiator's conclusion.

    Args:
        options: Of this side.
        key_request: The KMREQ, if there is a passphrase.
        group: The membership, if the connection is one of a group.
        with_stream_id: Whether the other side is a listener.
    """
    terms = terms_of(options)
    return Extensions(
        request=_message(terms),
        key_request=key_request,
        stream_id=(options.stream_id or None) if with_stream_id else None,
        congestion=None if terms.congestion == "live" else terms.congestion,
        packet_filter=terms.packet_filter or None,
        group=group,
    )


# --- judging ----------------------------------------------------------------------


def _judge_handshake(terms: Terms, theirs: Handshake) -> tuple[int, int]:
    """Return the MSS and the flow window."""
    if theirs.mss < _MIN_MSS or theirs.flow_window < _MIN_FLOW_WINDOW:
        raise Refusal(RejectionCode.ROGUE, "no packet would fit")
    return min(terms.mss, theirs.mss), min(theirs.flow_window, _MAX_FLOW_WINDOW)


def _judge_message(options: SrtOptions, message: SrtMessage) -> None:
    if message.version < _FIRST_VERSION_5:
        raise Refusal(RejectionCode.ROGUE, "such a version has no handshake 5")
    if message.version < options.min_version:
        raise Refusal(
            RejectionCode.VERSION, f"the peer's version is {message.version:#08x}"
        )


def _judge_congestion(terms: Terms, theirs: str | None) -> None:
    if (theirs or "live") != terms.congestion:
        raise Refusal(RejectionCode.CONGESTION)


def _judge_filter(
    ours: str,
    theirs: str | None,
    negotiate_filter: NegotiateFilter,
    *,
    initiator: bool,
    role: Role,
) -> str:
    rendezvous = role is Role.RENDEZVOUS
    try:
        return negotiate_filter(
            ours, theirs or "", initiator=initiator, rendezvous=rendezvous
        )
    except ProtocolError as error:
        raise Refusal(RejectionCode.FILTER, error.reason) from None


def _require_announced(theirs: Handshake, extensions: Extensions) -> None:
    keys = extensions.key_request or extensions.key_response
    if theirs.extension & ExtensionField.KMREQ and keys is None:
        raise Refusal(RejectionCode.ROGUE, "the key material is missing")


def judge_request(
    options: SrtOptions,
    theirs: Handshake,
    extensions: Extensions,
    link: Link,
    *,
    group: GroupMembership | None,
    negotiate_filter: NegotiateFilter,
) -> tuple[Negotiated, Extensions]:
    """Agree to what an initiator asks; return it and the answer's extensions.

    The answer lacks its KMRSP.

    Args:
        options: Of this side.
        theirs: The conclusion.
        extensions: What it carries.
        link: The rest of what is known.
        group: What a member of a group is answered.
        negotiate_filter: Judges packet filters.

    Raises:
        Refusal: It cannot be met.
    """
    terms = terms_of(options)
    message = extensions.request
    if message is None:
        raise Refusal(RejectionCode.ROGUE, "the handshake extension is missing")
    mss, flow_window = _judge_handshake(terms, theirs)
    _judge_message(options, message)
    _require_announced(theirs, extensions)
    flags = message.flags
    if bool(flags & SrtFlag.STREAM) == terms.message_api:
        raise Refusal(RejectionCode.MESSAGEAPI)
    _judge_congestion(terms, extensions.congestion)
    packet_filter = _judge_filter(
        terms.packet_filter,
        extensions.packet_filter,
        negotiate_filter,
        initiator=False,
        role=link.role,
    )
    if extensions.group is not None and (
        group is None or extensions.group.type not in _GROUP_TYPES.values()
    ):
        raise Refusal(RejectionCode.GROUP)

    receive_ms = terms.receive_latency_ms
    if terms.tsbpd and flags & SrtFlag.TSBPDSND:
        receive_ms = max(receive_ms, message.send_delay_ms)
    send_ms = max(terms.peer_latency_ms, message.receive_delay_ms)
    answer = SrtFlag.CRYPT | SrtFlag.PACKET_FILTER | (flags & SrtFlag.REXMITFLG)
    if terms.tsbpd:
        answer |= SrtFlag.TSBPDRCV
    if flags & SrtFlag.TSBPDRCV:
        answer |= SrtFlag.TSBPDSND
    if terms.tlpkt_drop:
        answer |= SrtFlag.TLPKTDROP
    if terms.nak_report:
        answer |= SrtFlag.PERIODICNAK
    negotiated = _negotiated(
        theirs,
        message,
        link,
        mss=mss,
        flow_window=flow_window,
        live=terms.congestion == "live",
        message_api=terms.message_api,
        tsbpd_receive=terms.tsbpd and bool(flags & SrtFlag.TSBPDSND),
        tlpkt_drop=terms.tlpkt_drop and bool(flags & SrtFlag.TLPKTDROP),
        receive_latency=receive_ms / 1000,
        send_latency=send_ms / 1000,
        packet_filter=packet_filter,
        group=extensions.group,
    )
    response = Extensions(
        response=SrtMessage(
            SRT_VERSION,
            answer,
            receive_ms if answer & SrtFlag.TSBPDRCV else 0,
            send_ms if answer & SrtFlag.TSBPDSND else 0,
        ),
        congestion=None if terms.congestion == "live" else terms.congestion,
        packet_filter=packet_filter or None,
        group=None if extensions.group is None else group,
    )
    return negotiated, response


def judge_response(
    options: SrtOptions,
    theirs: Handshake,
    extensions: Extensions,
    link: Link,
    *,
    group: GroupMembership | None,
    negotiate_filter: NegotiateFilter,
) -> Negotiated:
    """Return what a responder's answer leaves agreed.

    Args:
        options: Of this side.
        theirs: The conclusion that answers ours.
        extensions: What it carries.
        link: The rest of what is known.
        group: What we asked for.
        negotiate_filter: Judges packet filters.

    Raises:
        Refusal: It is not what we asked for.
    """
    terms = terms_of(options)
    message = extensions.response
    if message is None:
        raise Refusal(RejectionCode.ROGUE, "the handshake extension is missing")
    mss, flow_window = _judge_handshake(terms, theirs)
    _judge_message(options, message)
    _require_announced(theirs, extensions)
    _judge_congestion(terms, extensions.congestion)
    packet_filter = _judge_filter(
        terms.packet_filter,
        extensions.packet_filter,
        negotiate_filter,
        initiator=True,
        role=link.role,
    )
    if group is not None and (
        extensions.group is None or extensions.group.type != group.type
    ):
        raise Refusal(RejectionCode.GROUP)
    flags = message.flags
    tsbpd_receive = terms.tsbpd and bool(flags & SrtFlag.TSBPDSND)
    receive_ms = terms.receive_latency_ms
    if tsbpd_receive:
        receive_ms = max(receive_ms, message.send_delay_ms)
    return _negotiated(
        theirs,
        message,
        link,
        mss=mss,
        flow_window=flow_window,
        live=terms.congestion == "live",
        message_api=terms.message_api,
        tsbpd_receive=tsbpd_receive,
        tlpkt_drop=terms.tlpkt_drop and bool(flags & SrtFlag.TLPKTDROP),
        receive_latency=receive_ms / 1000,
        send_latency=message.receive_delay_ms / 1000,
        packet_filter=packet_filter,
        group=None if group is None else extensions.group,
    )


def _negotiated(
    theirs: Handshake,
    message: SrtMessage,
    link: Link,
    *,
    mss: int,
    flow_window: int,
    live: bool,
    message_api: bool,
    tsbpd_receive: bool,
    tlpkt_drop: bool,
    receive_latency: float,
    send_latency: float,
    packet_filter: str,
    group: GroupMembership | None,
) -> Negotiated:
    return Negotiated(
        role=link.role,
        socket_id=link.socket_id,
        peer_socket_id=theirs.socket_id,
        initial_sequence=link.initial_sequence,
        peer_initial_sequence=theirs.initial_sequence,
        start_time=link.start_time,
        peer_timestamp=link.timestamp,
        peer_timestamp_at=link.timestamp_at,
        peer_version=message.version,
        mss=mss,
        flow_window=flow_window,
        live=live,
        message_api=message_api,
        tsbpd_receive=tsbpd_receive,
        tsbpd_send=bool(message.flags & SrtFlag.TSBPDRCV),
        tlpkt_drop=tlpkt_drop,
        nak_report=bool(message.flags & SrtFlag.PERIODICNAK),
        rexmit_flag=bool(message.flags & SrtFlag.REXMITFLG),
        receive_latency=receive_latency,
        send_latency=send_latency,
        packet_filter=packet_filter,
        group_id=group.id if group else 0,
        group_type=group.type if group else 0,
        group_weight=group.weight if group else 0,
        stream_id=link.stream_id,
    )
