"""Link header fields of any text."""

from __future__ import annotations

from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.whip import (
    decode_ice_servers,
    decode_links,
    encode_link,
    ice_server_link,
)


def one_input(data: bytes) -> None:
    # Decoding raises ProtocolError and nothing else; every link that can be written is
    # read again as the same, also in company; ICE servers are among the links.
    try:
        links = decode_links(data.decode("utf-8", "replace"))
    except ProtocolError as error:
        assert error.reason
        return
    written = []
    for link in links:
        try:
            written.append((link, encode_link(link)))
        except UsageError:
            continue
    joined = ", ".join(text for _, text in written)
    assert decode_links(joined) == [link for link, _ in written]
    for server in decode_ice_servers([link for link, _ in written]):
        again = decode_links(encode_link(ice_server_link(server)))
        assert decode_ice_servers(again) == [server]
