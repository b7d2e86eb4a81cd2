"""Everything of H.264 that a publisher's bytes reach."""

from __future__ import annotations

import attrs
from sansmedia.codecs import h264
from sansmedia.codecs.parameters import MAX_DIMENSION, MAX_FRAME_RATE
from sansmedia.sansio import ProtocolError


def _slices(units: list[bytes], sps: h264.Sps, pps: h264.Pps) -> None:
    for unit in units:
        try:
            wanted = h264.slice_parameter_set_id(unit)
            own = attrs.evolve(pps, pps_id=wanted)
            header = h264.decode_slice_header(unit, sps, own)
        except ProtocolError:
            continue
        assert 0 <= header.frame_num < 1 << sps.log2_max_frame_num
        lsb = header.pic_order_cnt_lsb
        assert (lsb is not None) == (sps.pic_order_cnt_type == 0)
        assert lsb is None or lsb < 1 << sps.log2_max_pic_order_cnt_lsb


def one_input(data: bytes) -> None:
    # A record that decodes comes back from its encoding; sizes and rates are bounded.
    h264.recovery_point([data])
    h264.is_random_access([data, b""])
    units = [data]
    try:
        record = h264.decode_avcc(data)
    except ProtocolError:
        pass
    else:
        assert h264.decode_avcc(h264.encode_avcc(record)) == record
        units += [*record.sps, *record.pps]
    for unit in units:
        try:
            sps = h264.decode_sps(unit)
            pps = h264.decode_pps(units[-1])
        except ProtocolError:
            continue
        assert 0 < sps.width <= sps.coded_width <= MAX_DIMENSION
        assert 0 < sps.height <= sps.coded_height <= MAX_DIMENSION
        assert sps.frame_rate is None or 0 < sps.frame_rate <= MAX_FRAME_RATE
        found = h264.parameters_from_sps(sps)
        rebuilt = h264.avcc_from_parameter_sets([unit], [units[-1]])
        assert h264.parameters(rebuilt) == found
        _slices([b"\x65" + data, b"\x41" + data], sps, pps)
