from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from sansmedia.codecs import Codec, ac3
from sansmedia.codecs.bits import BitWriter
from sansmedia.mp4 import (
    BitRate,
    Box,
    Colour,
    InitSegment,
    Limits,
    MediaSample,
    Mp4Demuxer,
    Mp4Track,
    decode_boxes,
    decode_init_segment,
    encode_box,
    encode_full_box,
    encode_init_segment,
    mime_type,
)
from sansmedia.sansio import ProtocolError, UsageError

Load = Callable[[str], Any]


def tracks_of(vector: Any) -> tuple[Mp4Track, ...]:
    init = Mp4Demuxer().feed(vector.data)[0]
    assert isinstance(init, InitSegment)
    return init.tracks


def again(*tracks: Mp4Track) -> tuple[Mp4Track, ...]:
    return decode_init_segment(encode_init_segment(tracks)).tracks


MIME_TYPES = {
    "h264_aac": 'video/mp4; codecs="avc1.64000A, mp4a.40.2"',
    "h264_avc3": 'video/mp4; codecs="avc3.64000A"',
    "h265": 'video/mp4; codecs="hvc1.1.6.L30.90"',
    "h265_hev1": 'video/mp4; codecs="hev1.1.6.L30.90"',
    "av1_opus": 'video/mp4; codecs="av01.0.00M.08, opus"',
    "vp9_opus": 'video/mp4; codecs="vp09.00.10.08, opus"',
    "mp3": 'audio/mp4; codecs="mp4a.6B"',
    "mp3_low": 'audio/mp4; codecs="mp4a.69"',
    "flac": 'audio/mp4; codecs="flac"',
    "ac3": 'audio/mp4; codecs="ac-3"',
    "eac3": 'audio/mp4; codecs="ec-3"',
}


@pytest.mark.parametrize("name", sorted(MIME_TYPES))
def test_the_mime_type_names_every_codec(named_vector: Load, name: str) -> None:
    """RFC 6381 §3.3, RFC 4337 §3; ISO 14496-1 §7.2.6.6 for the numbers of MP3."""
    assert mime_type(tracks_of(named_vector(name))) == MIME_TYPES[name]


def test_vp8_and_bare_opus_have_a_mime_type() -> None:
    tracks = [Mp4Track(1, Codec.VP8, 1000), Mp4Track(2, Codec.OPUS, 48_000)]
    assert mime_type(tracks) == 'video/mp4; codecs="vp08.00.00.08, opus"'


@pytest.mark.parametrize(
    "tracks", [[], [Mp4Track(1, Codec.H264, 90_000)], [Mp4Track(1, Codec.SPEEX, 1)]]
)
def test_no_mime_type_without_a_configuration(tracks: list[Mp4Track]) -> None:
    with pytest.raises(UsageError):
        mime_type(tracks)


@pytest.mark.parametrize("name", ["h264_aac", "h265", "aac", "opus", "flac", "ac3"])
def test_size_rate_and_channels_come_from_the_configuration(
    named_vector: Load, name: str
) -> None:
    tracks = tracks_of(named_vector(name))
    bare = [
        attrs.evolve(track, width=0, height=0, sample_rate=0, channels=0)
        for track in tracks
    ]
    assert again(*bare) == tracks


@pytest.mark.parametrize("name", ["ac3", "eac3"])
def test_the_first_packet_of_dolby_stands_for_its_configuration(
    named_vector: Load, name: str
) -> None:
    vector = named_vector(name)
    init, first, *_ = Mp4Demuxer().feed(vector.data)
    assert isinstance(init, InitSegment)
    assert isinstance(first, MediaSample)
    track = attrs.evolve(
        init.tracks[0], configuration=first.payload, sample_rate=0, channels=0
    )
    assert again(track) == init.tracks


def test_a_packet_of_the_other_dolby_codec_is_a_protocol_error(
    named_vector: Load,
) -> None:
    first = Mp4Demuxer().feed(named_vector("eac3").data)[1]
    assert isinstance(first, MediaSample)
    track = Mp4Track(1, Codec.AC3, 48_000, first.payload)
    with pytest.raises(ProtocolError):
        encode_init_segment([track])


def test_configurations_may_come_with_or_without_their_wrapping(
    named_vector: Load,
) -> None:
    (opus,) = tracks_of(named_vector("opus"))
    assert opus.configuration.startswith(b"OpusHead")
    bare = attrs.evolve(opus, configuration=opus.configuration[8:])
    assert again(bare) == (opus,)

    (flac,) = tracks_of(named_vector("flac"))
    assert len(flac.configuration) == 34
    blocks = b"\x80\0\0\x22" + flac.configuration
    for form in (blocks, b"fLaC" + blocks):
        assert again(attrs.evolve(flac, configuration=form)) == (flac,)

    (vp9,) = tracks_of(named_vector("vp9_10"))
    boxed = attrs.evolve(vp9, configuration=b"\x01\0\0\0" + vp9.configuration)
    assert again(boxed) == (vp9,)


def test_flac_keeps_all_its_metadata_blocks(named_vector: Load) -> None:
    (flac,) = tracks_of(named_vector("flac"))
    blocks = b"\0\0\0\x22" + flac.configuration + b"\x84\0\0\x03tag"
    (read,) = again(attrs.evolve(flac, configuration=b"fLaC" + blocks))
    assert read.configuration == blocks


def test_mp3_may_use_its_own_sample_entry() -> None:
    track = Mp4Track(
        1, Codec.MP3, 44_100, sample_rate=44_100, channels=2, sample_entry=".mp3"
    )
    assert again(track) == (track,)
    assert b"esds" not in encode_init_segment([track])


def test_colour_pixel_aspect_bit_rate_and_language_come_back(
    named_vector: Load,
) -> None:
    (track,) = tracks_of(named_vector("h265"))
    track = attrs.evolve(
        track,
        colour=Colour(9, 16, 9, full_range=True),
        pixel_aspect=(4, 3),
        bit_rate=BitRate(800_000, 500_000, 1000),
        language="fra",
    )
    assert again(track) == (track,)


def test_colour_and_pixel_aspect_have_boxes_of_their_own(named_vector: Load) -> None:
    """ISO 14496-12 §12.1.4, §12.1.5."""
    (track,) = tracks_of(named_vector("h265"))
    track = attrs.evolve(
        track, colour=Colour(9, 16, 9, full_range=True), pixel_aspect=(4, 3)
    )
    data = encode_init_segment([track])
    assert b"\0\0\0\x13colrnclx\0\x09\0\x10\0\x09\x80" in data
    assert b"\0\0\0\x10pasp\0\0\0\x04\0\0\0\x03" in data


def test_the_colour_may_stand_behind_a_profile(named_vector: Load) -> None:
    """ISO 14496-12 §12.1.5: an entry may have several of these boxes."""
    (track,) = tracks_of(named_vector("h265"))
    track = attrs.evolve(track, colour=Colour(9, 16, 9))
    data = encode_init_segment([track])
    stsd = data[data.index(b"stsd") + 4 :]
    entry = stsd[16 : 8 + int.from_bytes(stsd[8:12], "big")]
    profile = encode_box(b"colr", b"prof", bytes(20))
    fields, inner = entry[:78], entry[78:]
    both = stsd[:8] + encode_box(stsd[12:16], fields, profile, inner)
    assert decode_init_segment(_with(data, stsd=both)).tracks == (track,)
    one = stsd[:8] + encode_box(
        stsd[12:16], fields, profile, inner.replace(b"nclx", b"rICC")
    )
    (read,) = decode_init_segment(_with(data, stsd=one)).tracks
    assert read.colour is None


def test_a_language_is_three_letters_of_five_bits() -> None:
    """ISO 14496-12 §8.4.2.3."""
    for language, packed in (("und", b"\x55\xc4"), ("fra", b"\x1a\x41")):
        data = encode_init_segment([Mp4Track(1, Codec.VP8, 1000, language=language)])
        media_header = data.index(b"mdhd")
        assert data[media_header + 24 : media_header + 26] == packed


def test_a_rate_beyond_sixteen_bits_is_left_to_the_configuration() -> None:
    track = Mp4Track(1, Codec.MP3, 96_000, sample_rate=96_000, channels=2)
    assert again(track)[0].sample_rate == 0


def _with(data: bytes, **payloads: bytes) -> bytes:
    """Return an initialisation segment whose boxes have other payloads.

    ``elst`` gives every track an edit list that it did not have.
    """

    def replaced(box: Box) -> Box:
        payload = payloads.get(box.kind.decode())
        if payload is not None:
            return Box(box.kind, payload)
        children = tuple(map(replaced, box.children))
        if box.kind == b"trak" and "elst" in payloads:
            children += (Box(b"edts", children=(Box(b"elst", payloads["elst"]),)),)
        return attrs.evolve(box, children=children)

    return b"".join(replaced(box).encode() for box in decode_boxes(data))


VP8 = encode_init_segment([Mp4Track(1, Codec.VP8, 90_000)])


def test_headers_of_the_wide_version_are_read() -> None:
    """ISO 14496-12 §8.2.2, §8.3.2, §8.4.2, §8.6.6: version 1 has 64-bit times."""
    times = b"\x01\0\0\0" + bytes(16)
    edits = b"\x01\0\0\0\0\0\0\x02" + struct.pack(
        ">QqIQqI", 1 << 32, -1, 1 << 16, 0, 1 << 33, 1 << 16
    )
    movie = decode_init_segment(
        _with(
            VP8,
            mvhd=times + struct.pack(">IQ80x", 600, 0),
            tkhd=times + struct.pack(">IIQ60x", 7, 0, 0),
            mdhd=times + struct.pack(">IQHH", 1800, 0, 0x1A41, 0),
            elst=edits,
        )
    )
    (track,) = movie.tracks
    assert (track.track_id, track.timescale, track.language) == (7, 1800, "fra")
    # The empty edit lasts 2**32 ticks of the movie, three of the track each.
    assert movie.extends[7].shift == 3 * (1 << 32) - (1 << 33)


def test_an_empty_edit_delays_its_track() -> None:
    """ISO 14496-12 §8.6.6: durations in ticks of the movie, times in the media's."""
    empty = struct.pack(">IiI", 500, -1, 1 << 16)
    first = struct.pack(">IiI", 0, 3000, 1 << 16)
    for edits, shift in (
        (empty + first, 42_000),
        (empty, 45_000),
        (first + empty, -3000),
    ):
        count = len(edits) // 12
        data = _with(VP8, elst=struct.pack(">II", 0, count) + edits)
        assert decode_init_segment(data).extends[1].shift == shift


def test_track_ids_are_not_zero_and_not_equal() -> None:
    """ISO 14496-12 §8.3.2."""
    zero = _with(VP8, tkhd=bytes(84))
    two = encode_init_segment(
        [Mp4Track(1, Codec.VP8, 1000), Mp4Track(2, Codec.VP8, 1000)]
    )
    equal = _with(two, tkhd=struct.pack(">12xI68x", 1))
    for data in (zero, equal):
        with pytest.raises(ProtocolError) as caught:
            decode_init_segment(data)
        assert caught.value.code == "malformed"


def test_a_timescale_of_zero_is_refused() -> None:
    """ISO 14496-12 §8.4.2."""
    with pytest.raises(ProtocolError) as caught:
        decode_init_segment(_with(VP8, mdhd=bytes(24)))
    assert caught.value.code == "malformed"


TWO = encode_init_segment(
    [Mp4Track(1, Codec.VP8, 90_000), Mp4Track(2, Codec.MP3, 44_100, sample_rate=44_100)]
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"mdhd", b"mdhx"),
        (b"stsd\0\0\0\0\0\0\0\1\0", b"stsd\0\0\0\0\0\0\0\1\1"),
        # A box that ends before its header does, and one that reaches too far.
        (b"\x00\x00\x00\x14vmhd", b"\x00\x00\x00\x07vmhd"),
        (b"\x00\x00\x00\x24dinf", b"\x00\x00\xff\x24dinf"),
        (b"tkhd", b"tkhx"),
    ],
)
def test_a_damaged_track_is_left_out(old: bytes, new: bytes) -> None:
    assert old in TWO
    movie = decode_init_segment(TWO.replace(old, new, 1))
    assert [track.track_id for track in movie.tracks] == [2]
    assert (movie.damaged_tracks, movie.unknown_tracks) == (1, 0)
    # Its fragments come all the same: what they leave out is known.
    assert set(movie.extends) == {1, 2}


def test_a_moov_with_nothing_but_damaged_tracks_is_refused() -> None:
    with pytest.raises(ProtocolError, match="no mdhd"):
        decode_init_segment(TWO.replace(b"mdhd", b"mdhx"))


def test_too_many_boxes_in_a_track_are_more_than_damage() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_init_segment(TWO, Limits(max_depth=4))
    assert caught.value.code == "limit"


def test_what_a_fragment_does_not_say_stands_in_the_moov() -> None:
    """ISO 14496-12 §8.8.3: duration, size and flags of track extends."""
    init = _with(VP8, trex=struct.pack(">6I", 0, 1, 1, 40, 3, 0x01010000))
    header = encode_full_box(b"tfhd", 0, 0x020000, struct.pack(">I", 1))
    # Two samples, and where their octets begin.
    size = 8 + 8 + len(header) + 20
    run = encode_full_box(b"trun", 0, 1, struct.pack(">Ii", 2, size + 8))
    fragment = encode_box(b"moof", encode_box(b"traf", header, run))
    assert len(fragment) == size
    events = Mp4Demuxer().feed(init + fragment + encode_box(b"mdat", b"onetwo"))
    assert events[1:] == [
        MediaSample(1, 0, 0, 40, False, b"one"),
        MediaSample(1, 40, 40, 40, False, b"two"),
    ]


def test_a_descriptor_may_be_longer_than_it_needs() -> None:
    """ISO 14496-1 §7.2.6, §7.2.6.5: optional fields, and sizes of up to 28 bits."""

    def descriptor(tag: int, body: bytes) -> bytes:
        return bytes([tag, 0x80, 0x80, 0x80, len(body)]) + body

    configuration = b"\x11\x90"
    decoder = b"\x40\x15" + bytes(11) + descriptor(0x05, configuration)
    # streamDependenceFlag, URL_Flag and OCRstreamFlag, each with its field.
    fields = b"\0\1\xe0" + b"\0\2" + b"\3url" + b"\0\3"
    stream = descriptor(0x03, fields + descriptor(0x04, decoder))
    plain = Mp4Track(1, Codec.AAC, 48_000, b"\x12\x10", sample_rate=48_000, channels=2)
    entry = struct.pack(">6xH8xHH4xI", 1, 2, 16, 48_000 << 16)
    esds = encode_full_box(b"esds", 0, 0, stream)
    stsd = b"\0\0\0\0\0\0\0\1" + encode_box(b"mp4a", entry, esds)
    movie = decode_init_segment(_with(encode_init_segment([plain]), stsd=stsd))
    assert movie.tracks == (
        attrs.evolve(plain, configuration=configuration, sample_entry="mp4a"),
    )


def _audio_entry(version: int, stsd_version: int, *parts: bytes) -> Mp4Track:
    """Read back the track of an MP3 sample entry that was written by hand."""
    entry = struct.pack(">6xHH6xHH4xI", 1, version, 2, 16, 44_100 << 16)
    stsd = struct.pack(">B3xI", stsd_version, 1) + encode_box(b".mp3", entry, *parts)
    plain = Mp4Track(1, Codec.MP3, 44_100, channels=2, sample_entry=".mp3")
    data = _with(encode_init_segment([plain]), stsd=stsd)
    (track,) = decode_init_segment(data).tracks
    return track


def test_a_second_version_of_the_audio_entry_tells_rates_beyond_sixteen_bits() -> None:
    """ISO 14496-12 §8.5.2, §12.2.3: AudioSampleEntryV1 has the first one's size."""
    rate = encode_full_box(b"srat", 0, 0, struct.pack(">I", 96_000))
    bit_rate = encode_box(b"btrt", struct.pack(">III", 1, 2, 3))
    track = _audio_entry(1, 1, rate, bit_rate)
    assert (track.sample_rate, track.channels) == (96_000, 2)
    assert track.bit_rate == BitRate(2, 3, 1)
    assert _audio_entry(1, 1, bit_rate).sample_rate == 44_100


def test_the_longer_audio_entries_of_quicktime_are_read() -> None:
    bit_rate = encode_box(b"btrt", struct.pack(">III", 1, 2, 3))
    track = _audio_entry(1, 0, bytes(16), bit_rate)
    assert (track.sample_rate, track.channels) == (44_100, 2)
    assert track.bit_rate == BitRate(2, 3, 1)
    longest = struct.pack(">IdI20x", 72, 96_000.0, 6)
    track = _audio_entry(2, 0, longest, bit_rate)
    assert (track.sample_rate, track.channels) == (96_000, 6)
    assert track.bit_rate == BitRate(2, 3, 1)


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -1.0, 2.0**32])
def test_what_no_track_can_bear_is_left_to_the_configuration(rate: float) -> None:
    track = _audio_entry(2, 0, struct.pack(">IdI20x", 72, rate, 1 << 16))
    assert (track.sample_rate, track.channels) == (0, 0)


def _sync_frame(stream_type: int, substream_id: int) -> bytes:
    """Return a frame of 20 octets; a dependent one (1) bears Lrs and Rrs."""
    bits = BitWriter().u(16, 0x0B77).u(2, stream_type).u(3, substream_id).u(11, 9)
    bits.u(2, 0).u(2, 3).u(3, 2).flag(False).u(5, 16).u(5, 0).flag(False)
    if stream_type == 1:
        bits.flag(True).u(16, 1 << 9)
    return bits.getvalue().ljust(20, b"\0")


@pytest.mark.parametrize(
    "order",
    [
        [(0, 0), (1, 0), (0, 1), (1, 0), (1, 1)],
        [(0, 0), (1, 0), (0, 0), (1, 0), (0, 1), (1, 0), (1, 1)],
    ],
    ids=["one frame each", "two blocks' worth of the first programme"],
)
def test_each_programme_has_dependent_substreams_of_its_own(
    order: list[tuple[int, int]],
) -> None:
    """ETSI TS 102 366 §F.6: their numbers begin at 0 again behind each."""
    packet = b"".join(_sync_frame(*numbers) for numbers in order)
    track = Mp4Track(1, Codec.EAC3, 48_000, packet)
    movie = decode_init_segment(encode_init_segment([track]))
    found = ac3.decode_dec3(movie.tracks[0].configuration)
    assert [s.dependent.count for s in found.substreams] == [1, 2]


def test_brands_of_cmaf_belong_to_files_of_one_track() -> None:
    """ISO 23000-19 §7.2."""
    tracks = [Mp4Track(1, Codec.VP8, 1000), Mp4Track(2, Codec.OPUS, 48_000)]
    both = decode_boxes(encode_init_segment(tracks))[0]
    one = decode_boxes(encode_init_segment(tracks[:1]))[0]
    assert both.payload == b"iso6\0\0\0\0iso6mp41"
    assert one.payload == b"iso6\0\0\0\0iso6mp41cmfccmf2"


def test_a_header_of_cmaf_announces_fragments_and_no_samples() -> None:
    """ISO 23000-19 §7.3."""
    data = encode_init_segment([Mp4Track(7, Codec.VP8, 1000)])
    kind, movie = (box for box in decode_boxes(data))
    assert (kind.kind, movie.kind) == (b"ftyp", b"moov")
    track = movie.first(b"trak")
    trex = movie.first(b"mvex", b"trex")
    assert track is not None
    assert trex is not None
    assert int.from_bytes(trex.payload[4:8], "big") == 7
    assert track.first(b"edts") is None
    tables = {}
    for name in (b"stts", b"stsc", b"stsz", b"stco"):
        table = track.first(b"mdia", b"minf", b"stbl", name)
        assert table is not None
        tables[name] = table.payload
    # Version, flags, (one size for all), and how many entries follow: none.
    assert tables == {
        b"stts": bytes(8),
        b"stsc": bytes(8),
        b"stsz": bytes(12),
        b"stco": bytes(8),
    }


@pytest.mark.parametrize(
    "tracks",
    [
        [],
        [Mp4Track(1, Codec.VP8, 1000), Mp4Track(1, Codec.OPUS, 48_000)],
        [Mp4Track(1, Codec.PCM_ALAW, 8000)],
        [Mp4Track(1, Codec.VP8, 1000, sample_entry="avc1")],
    ],
)
def test_tracks_that_mp4_cannot_have_are_a_usage_error(tracks: list[Mp4Track]) -> None:
    with pytest.raises(UsageError):
        encode_init_segment(tracks)


@pytest.mark.parametrize(
    "arguments",
    [
        {"track_id": 0},
        {"track_id": 1 << 32},
        {"timescale": 0},
        {"width": 1 << 16},
        {"height": -1},
        {"channels": 1 << 16},
        {"sample_rate": 1 << 32},
        {"pixel_aspect": (1, 1 << 32)},
        {"language": "en"},
        {"language": "EN1"},
    ],
)
def test_a_track_that_does_not_fit_its_fields_is_a_usage_error(
    arguments: dict[str, Any],
) -> None:
    fitting: dict[str, Any] = {"track_id": 1, "codec": Codec.VP8, "timescale": 1}
    with pytest.raises(UsageError):
        Mp4Track(**{**fitting, **arguments})


def test_colours_and_bit_rates_that_do_not_fit_are_a_usage_error() -> None:
    with pytest.raises(UsageError):
        Colour(1 << 16, 0, 0)
    with pytest.raises(UsageError):
        BitRate(1, -1)


def test_opus_of_more_than_two_channels_needs_its_head() -> None:
    with pytest.raises(UsageError):
        encode_init_segment([Mp4Track(1, Codec.OPUS, 48_000, channels=6)])


@pytest.mark.parametrize(
    "configuration", [b"OpusHead", b"\x01\x02\x38", b"OpusHead\x01\0" + bytes(9)]
)
def test_a_damaged_opus_head_is_a_protocol_error(configuration: bytes) -> None:
    with pytest.raises(ProtocolError):
        encode_init_segment([Mp4Track(1, Codec.OPUS, 48_000, configuration)])


def test_every_cut_of_an_init_segment_is_a_protocol_error(vector: Any) -> None:
    data = encode_init_segment(tracks_of(vector))
    for end in range(len(data)):
        with pytest.raises(ProtocolError):
            decode_init_segment(data[:end])


def test_more_tracks_than_the_limit_are_a_protocol_error() -> None:
    data = encode_init_segment(
        [Mp4Track(number, Codec.OPUS, 48_000) for number in (1, 2, 3)]
    )
    with pytest.raises(ProtocolError) as caught:
        decode_init_segment(data, Limits(max_tracks=2))
    assert caught.value.code == "limit"


def test_an_edit_list_moves_the_times_of_its_track(named_vector: Load) -> None:
    data = named_vector("h264_delay_moov").data
    movie = decode_init_segment(data)
    assert [extends.shift for extends in movie.extends.values()] == [-2048]
    assert movie.is_fragmented


def test_a_file_without_moov_is_a_protocol_error() -> None:
    """ISO 14496-12 §8.2."""
    with pytest.raises(ProtocolError):
        decode_init_segment(encode_box(b"ftyp", b"isom"))
