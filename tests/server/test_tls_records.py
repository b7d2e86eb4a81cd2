"""Many small TLS records are read in few goes, and what follows them is not lost."""

from __future__ import annotations

import socket
import ssl

import trio
import trustme

from penstock.net.tls import TlsWire


async def secured_pair() -> tuple[TlsWire, TlsWire]:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("server.example").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    ours, theirs = socket.socketpair()
    # Each small send costs the kernel far more than its octets.
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    near = TlsWire(ours, server)
    far = TlsWire(theirs, client, server_hostname="server.example")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.handshake)
        nursery.start_soon(far.handshake)
    return near, far


async def test_small_records_are_read_together() -> None:
    near, far = await secured_pair()
    for number in range(200):
        assert far.offer(b"%03d" % number)
    data = await near.receive_some()
    assert data == b"".join(b"%03d" % number for number in range(200))
    near.close()
    far.close()


async def test_no_read_takes_more_than_256_records() -> None:
    near, far = await secured_pair()
    for _ in range(260):
        assert far.offer(b"x")
    assert await near.receive_some() == 256 * b"x"
    assert await near.receive_some() == 4 * b"x"
    near.close()
    far.close()


async def test_the_end_comes_after_the_data_before_it() -> None:
    near, far = await secured_pair()
    far.offer(b"last words")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(far.finish)
        assert await near.receive_some() == b"last words"
        assert await near.receive_some() == b""
        assert await near.receive_some() == b""
        near.close()


async def test_a_broken_record_is_told_after_the_data_before_it() -> None:
    near, far = await secured_pair()
    far.offer(b"last words")
    far.sock.send(b"\x17\x03\x03\x00\x20" + bytes(32))
    assert await near.receive_some() == b"last words"
    for _ in range(2):
        try:
            await near.receive_some()
        except ssl.SSLError:
            continue
        raise AssertionError("a record that nobody encrypted was taken")
    near.close()
    far.close()
