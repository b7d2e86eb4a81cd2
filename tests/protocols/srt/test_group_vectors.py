"""What libsrt writes for a member of a group (SRT draft-01 §3.2.1.4)."""

from __future__ import annotations

import tomllib
from pathlib import Path

from sansmedia.srt import GroupMembership, GroupType
from sansmedia.srt.constants import HEADER_SIZE
from sansmedia.srt.extensions_wire import decode_extensions, encode_extensions
from sansmedia.srt.group import GROUP_BIT
from sansmedia.srt.handshake_wire import decode_handshake

_FOLDER = Path(__file__).parents[2] / "data" / "srt"


def test_the_membership_of_libsrts_link_is_read_and_written_alike() -> None:
    data = (_FOLDER / "libsrt-1.5.5-group-backup.bin").read_bytes()
    toml = (_FOLDER / "libsrt-1.5.5-group-backup.toml").read_text()
    expected = tomllib.loads(toml)["expected"]
    handshake = decode_handshake(data[HEADER_SIZE:])
    assert handshake.initial_sequence == expected["initial_sequence"]
    extensions = decode_extensions(handshake.extensions, handshake.extension)
    assert extensions.group == GroupMembership(
        expected["group_id"], expected["type"], expected["flags"], expected["weight"]
    )
    assert extensions.group.type == GroupType.BACKUP
    assert extensions.group.id & GROUP_BIT
    assert encode_extensions(extensions) == (handshake.extension, handshake.extensions)
