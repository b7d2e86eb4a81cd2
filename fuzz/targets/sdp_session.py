"""Session descriptions of any octets."""

from __future__ import annotations

from sansmedia.sansio import ProtocolError
from sansmedia.sdp import Limits, decode_session, encode_session

_LIMITS = Limits(lines=400, candidates=20, section_attributes=300)


def one_input(data: bytes) -> None:
    # Decoding raises ProtocolError and nothing else; what was read is written and read
    # again as the same, and every section has a transport or is refused for it.
    try:
        session = decode_session(data, _LIMITS)
    except ProtocolError as error:
        assert error.reason
        return
    text = encode_session(session)
    assert decode_session(text) == session
    assert encode_session(decode_session(text)) == text
    for media in session.media:
        try:
            assert session.transport_of(media).fingerprints
        except ProtocolError as error:
            assert error.code == "incomplete"
