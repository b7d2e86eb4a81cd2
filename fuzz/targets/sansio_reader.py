"""Operations on `Reader`, drawn from the input, against plain slicing."""

from __future__ import annotations

from sansmedia.sansio import ProtocolError, Reader

_INTEGERS = (
    ("u8", 1, "big", False),
    ("u16", 2, "big", False),
    ("u24", 3, "big", False),
    ("i24", 3, "big", True),
    ("u32", 4, "big", False),
    ("u64", 8, "big", False),
    ("u16_le", 2, "little", False),
    ("u32_le", 4, "little", False),
    ("u64_le", 8, "little", False),
)


def one_input(data: bytes) -> None:
    # Every read equals the same slice of the input, or raises and moves nothing.
    program, body = data[:32], data[32:]
    reader = Reader(body)
    expected = 0
    for operation in program:
        name, size, order, signed = _INTEGERS[operation % len(_INTEGERS)]
        kind = operation // len(_INTEGERS) % 3
        if kind:
            size = operation
        part = body[expected : expected + size]
        value: object = None
        try:
            if kind == 0:
                value = getattr(reader, name)()
                little = order == "little"
                wanted: object = int.from_bytes(
                    part, "little" if little else "big", signed=signed
                )
            elif kind == 1:
                value, wanted = reader.take(size), part
            else:
                wanted = None
                reader.skip(size)
        except ProtocolError as error:
            assert len(part) < size, f"{name} raised with enough octets"
            assert error.code == "truncated"
        else:
            assert len(part) == size, f"{name} read past the end"
            assert value == wanted
            expected += size
        assert reader.position == expected
        assert reader.remaining == len(body) - expected
    assert reader.rest() == body[expected:]
