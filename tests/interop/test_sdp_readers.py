"""GStreamer and aiortc read what we write, and we what they make of it."""

from __future__ import annotations

import asyncio
import ctypes
import ctypes.util
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sansmedia.sdp import (
    Capabilities,
    Direction,
    Fingerprint,
    OfferedCodec,
    OfferedMedia,
    SendSource,
    SessionDescription,
    Setup,
    Transport,
    apply_answer,
    decode_session,
    encode_session,
    make_answer,
    make_offer,
)

pytestmark = pytest.mark.interop

DATA = Path(__file__).parents[1] / "data" / "sdp"
VECTORS = sorted(path.stem for path in DATA.glob("*.bin"))
SOURCES = (
    SendSource(kind="audio", ssrc=10, cname="c", stream="s", track="a"),
    SendSource(kind="video", ssrc=20, rtx_ssrc=21, cname="c", stream="s", track="v"),
)
TRANSPORT = Transport(
    ice_ufrag="us/+",
    ice_pwd="lkjihgfedcba9876543210",
    fingerprints=(Fingerprint("sha-256", ":".join(["CD"] * 32)),),
    candidates=("1 1 udp 2130706431 127.0.0.1 9 typ host",),
    end_of_candidates=True,
)


def _known(kind: str, encoding: str, rate: int, channels: int, fmtp: str) -> bool:
    return encoding.lower() in ("opus", "vp8", "h264", "vp9", "av1")


def _answer(offer: SessionDescription) -> SessionDescription:
    sends = offer.direction_of(offer.media[0]).sends
    direction = Direction.RECVONLY if sends else Direction.SENDONLY
    return make_answer(
        offer,
        capabilities=Capabilities(direction=direction, match=_known),
        transport=TRANSPORT,
        session_id=1,
        sources=SOURCES,
    ).answer


def _offer(direction: Direction) -> SessionDescription:
    sends = direction is Direction.SENDONLY
    return make_offer(
        [
            OfferedMedia(
                kind="audio",
                codecs=(OfferedCodec(encoding="opus", clock_rate=48000, channels=2),),
                source=SOURCES[0] if sends else None,
            ),
            OfferedMedia(
                kind="video",
                codecs=(
                    OfferedCodec(
                        encoding="VP8",
                        clock_rate=90000,
                        rtx=True,
                        feedback=("nack", "nack pli"),
                    ),
                ),
                source=SOURCES[1] if sends else None,
            ),
        ],
        direction=direction,
        transport=TRANSPORT,
        session_id=2,
    )


def _missing(what: str) -> None:
    if os.environ.get("TEST_REQUIRE_PEERS") == "1":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="module")
def gst_rewrite() -> Callable[[str], str]:
    """Let GStreamer read a description and write it again."""
    name = ctypes.util.find_library("gstsdp-1.0")
    glib_name = ctypes.util.find_library("glib-2.0")
    if name is None or glib_name is None:
        _missing("GStreamer's SDP library")
    library, glib = ctypes.CDLL(name), ctypes.CDLL(glib_name)
    library.gst_sdp_message_as_text.restype = ctypes.c_void_p
    library.gst_sdp_message_as_text.argtypes = [ctypes.c_void_p]
    library.gst_sdp_message_free.argtypes = [ctypes.c_void_p]
    glib.g_free.argtypes = [ctypes.c_void_p]

    def rewrite(text: str) -> str:
        message = ctypes.c_void_p()
        result = library.gst_sdp_message_new_from_text(
            text.encode(), ctypes.byref(message)
        )
        assert result == 0
        written = library.gst_sdp_message_as_text(message)
        again = ctypes.string_at(written).decode()
        glib.g_free(written)
        library.gst_sdp_message_free(message)
        return again

    return rewrite


@pytest.mark.parametrize("name", VECTORS)
def test_gstreamer_reads_our_answers(
    gst_rewrite: Callable[[str], str], name: str
) -> None:
    answer = _answer(decode_session((DATA / f"{name}.bin").read_bytes()))
    assert decode_session(gst_rewrite(encode_session(answer))) == answer


@pytest.mark.parametrize("name", VECTORS)
def test_gstreamer_reads_descriptions_as_we_do(
    gst_rewrite: Callable[[str], str], name: str
) -> None:
    text = (DATA / f"{name}.bin").read_bytes().decode()
    assert decode_session(gst_rewrite(text)) == decode_session(text)


@pytest.mark.parametrize("direction", [Direction.SENDONLY, Direction.RECVONLY])
def test_gstreamer_reads_our_offers(
    gst_rewrite: Callable[[str], str], direction: Direction
) -> None:
    offer = _offer(direction)
    assert decode_session(gst_rewrite(encode_session(offer))) == offer


@pytest.fixture(scope="module")
def aiortc() -> Any:
    """An independent endpoint in Python."""
    try:
        return importlib.import_module("aiortc")
    except ImportError:
        return _missing("aiortc")


def test_aiortc_reads_our_answers(aiortc: Any) -> None:
    parse = importlib.import_module("aiortc.sdp").SessionDescription.parse
    for name in VECTORS:
        answer = _answer(decode_session((DATA / f"{name}.bin").read_bytes()))
        parsed = parse(encode_session(answer))
        assert [one.kind for one in parsed.media] == [m.kind for m in answer.media]
        for theirs, ours in zip(parsed.media, answer.media, strict=True):
            assert theirs.port == ours.port
            assert theirs.rtp.muxId == (ours.mid or "")
            if ours.port:
                assert theirs.direction == ours.direction.value  # type: ignore[union-attr]
                assert theirs.ice.usernameFragment == "us/+"
                assert len(theirs.dtls.fingerprints) == 1
                assert [one.payloadType for one in theirs.rtp.codecs] == [
                    one.payload_type for one in ours.payloads
                ]


def test_aiortc_offers_and_takes_our_answer(aiortc: Any) -> None:
    async def talk(direction: str) -> list[str]:
        connection = aiortc.RTCPeerConnection()
        connection.addTransceiver("audio", direction=direction)
        connection.addTransceiver("video", direction=direction)
        await connection.setLocalDescription(await connection.createOffer())
        answer = _answer(decode_session(connection.localDescription.sdp))
        await connection.setRemoteDescription(
            aiortc.RTCSessionDescription(encode_session(answer), "answer")
        )
        found = [one.currentDirection for one in connection.getTransceivers()]
        await connection.close()
        return found

    for direction in ("sendonly", "recvonly"):
        assert asyncio.run(talk(direction)) == [direction, direction]


def test_aiortc_answers_our_offer(aiortc: Any) -> None:
    async def talk(offer: SessionDescription) -> str:
        connection = aiortc.RTCPeerConnection()
        await connection.setRemoteDescription(
            aiortc.RTCSessionDescription(encode_session(offer), "offer")
        )
        await connection.setLocalDescription(await connection.createAnswer())
        text: str = connection.localDescription.sdp
        await connection.close()
        return text

    offer = _offer(Direction.SENDONLY)
    session = apply_answer(offer, decode_session(asyncio.run(talk(offer))))
    assert [media.direction for media in session.media] == [Direction.SENDONLY] * 2
    assert [media.codecs[0].encoding for media in session.media] == ["opus", "VP8"]
    assert session.remote.setup is Setup.ACTIVE
    assert len(session.remote.fingerprints) == 3
