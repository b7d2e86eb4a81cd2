"""AudioSpecificConfig and ADTS."""

from __future__ import annotations

from sansmedia.codecs import aac
from sansmedia.sansio import ProtocolError, UsageError


def _configuration(data: bytes) -> None:
    try:
        config = aac.decode_asc(data)
    except ProtocolError:
        return
    try:
        encoded = aac.encode_asc(config)
    except UsageError:
        assert config.object_type not in (1, 2, 3, 4, 17, 19, 23)
        return
    assert aac.decode_asc(encoded) == config
    assert aac.encode_asc(aac.decode_asc(encoded)) == encoded
    try:
        found = aac.parameters(data)
    except ProtocolError:
        return
    assert found.sample_rate > 0
    assert found.channels > 0
    assert found.frame_samples in (480, 512, 960, 1024, 1920, 2048)


def one_input(data: bytes) -> None:
    # What decodes comes back from its encoding; ADTS frames fill the input exactly.
    _configuration(data)
    try:
        header = aac.decode_adts_header(data)
    except ProtocolError:
        pass
    else:
        assert aac.decode_adts_header(aac.encode_adts_header(header)) == header
    try:
        frames = aac.split_adts(data)
    except ProtocolError:
        return
    total = sum(header.header_size + len(raw) for header, raw in frames)
    assert total == len(data)
