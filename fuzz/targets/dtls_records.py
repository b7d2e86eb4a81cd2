"""Records on the wire, and the record layer with keys of both forms."""

from __future__ import annotations

from sansmedia.dtls import CipherSuite, Limits
from sansmedia.dtls.protection import make_protection
from sansmedia.dtls.record_wire import decode_record, encode_record
from sansmedia.dtls.records import RecordLayer
from sansmedia.sansio import ProtocolError, Reader

_GCM = CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
_CHACHA = CipherSuite.ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
_LIMITS = Limits()


def one_input(data: bytes) -> None:
    # Records come out as they went in, and whatever they say, the layer raises nothing,
    # holds no more than its limit, and opens what was sealed, and that once.
    layer = RecordLayer(_LIMITS)
    gcm = make_protection(_GCM, bytes(16), bytes(4))
    chacha = make_protection(_CHACHA, bytes(32), bytes(12))
    reader = Reader(data)
    opened = set()
    while reader.remaining:
        start = reader.position
        try:
            record = decode_record(reader)
        except ProtocolError:
            break
        assert encode_record(record) == data[start : reader.position]
        if record.sequence & 7 == 7 and layer.read_epoch < 2:
            layer.install_read(layer.read_epoch + 1, gcm)
        content = layer.open(record)
        if content is not None and record.epoch:
            assert (record.epoch, record.sequence) not in opened
            opened.add((record.epoch, record.sequence))
            record.fragment = content
            sealed = gcm.seal(record)
            record.fragment = sealed
            assert gcm.open(record) == content
        layer.take_early()
        assert 0 <= layer.pending_bytes <= _LIMITS.early_bytes
        try:
            chacha.open(record)
        except ProtocolError as error:
            assert error.code == "bad_record_mac"
