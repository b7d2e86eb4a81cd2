"""Format parameters: what is read comes back when written and read again."""

from __future__ import annotations

from sansmedia.rtp.payloads import FORMATS, H264Fmtp, H265Fmtp
from sansmedia.sansio import ProtocolError


def one_input(data: bytes) -> None:
    # Only ProtocolError leaves; parameters come back; a format matches itself; an
    # answer matches its offer.
    text = data.decode("utf-8", "replace")
    for entry in FORMATS:
        try:
            fmtp = entry.decode_fmtp(text)
        except ProtocolError:
            continue
        assert entry.decode_fmtp(fmtp.encode()) == fmtp
        assert fmtp.matches(fmtp) or entry.encoding_name == "MPEG4-GENERIC"
        if isinstance(fmtp, H264Fmtp):
            assert fmtp.can_decode(fmtp)
            ours = H264Fmtp(fmtp.profile_level_id & ~0xFF | 0x28)
            if fmtp.level_asymmetry_allowed or ours.profile is not fmtp.profile:
                continue
            assert ours.answer(fmtp).level <= max(fmtp.level, 0)
        elif isinstance(fmtp, H265Fmtp):
            assert fmtp.can_decode(fmtp)
