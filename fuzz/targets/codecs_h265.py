"""Everything of H.265 that a publisher's bytes reach."""

from __future__ import annotations

import attrs
from sansmedia.codecs import h265
from sansmedia.codecs.parameters import MAX_DIMENSION, MAX_FRAME_RATE
from sansmedia.sansio import ProtocolError


def _slices(units: list[bytes], sps: h265.Sps, pps: h265.Pps) -> None:
    for unit in units:
        try:
            wanted = h265.slice_parameter_set_id(unit)
            own = attrs.evolve(pps, pps_id=wanted)
            header = h265.decode_slice_header(unit, sps, own)
        except ProtocolError:
            continue
        assert header.pic_order_cnt_lsb < 1 << sps.log2_max_pic_order_cnt_lsb
        assert 0 <= header.temporal_id <= 6


def _sets(units: list[bytes]) -> tuple[list[bytes], list[bytes], list[bytes]]:
    kinds = [[u for u in units if h265.unit_type(u) == kind] for kind in (32, 33, 34)]
    return kinds[0], kinds[1], kinds[2]


def one_input(data: bytes) -> None:
    # A record that decodes comes back from its encoding; sizes and rates are bounded.
    h265.recovery_point([data])
    h265.is_random_access([data, b""])
    units = [data]
    try:
        record = h265.decode_hvcc(data)
    except ProtocolError:
        pass
    else:
        assert h265.decode_hvcc(h265.encode_hvcc(record)) == record
        units = [unit for array in record.arrays for unit in array.units]
    videos, sequences, pictures = _sets(units)
    for unit in sequences:
        try:
            sps = h265.decode_sps(unit)
            rebuilt = h265.hvcc_from_parameter_sets([], [unit], pictures)
        except ProtocolError:
            continue
        assert 0 < sps.width <= sps.coded_width <= MAX_DIMENSION
        assert 0 < sps.height <= sps.coded_height <= MAX_DIMENSION
        assert sps.frame_rate is None or 0 < sps.frame_rate <= MAX_FRAME_RATE
        assert h265.parameters(rebuilt) == h265.parameters_from_sps(sps)
        for picture in pictures:
            try:
                pps = h265.decode_pps(picture)
            except ProtocolError:
                continue
            _slices([b"\x26\1" + data, b"\x02\1" + data, data], sps, pps)
    for unit in videos:
        try:
            vps = h265.decode_vps(unit)
        except ProtocolError:
            continue
        assert vps.frame_rate is None or 0 < vps.frame_rate <= MAX_FRAME_RATE
