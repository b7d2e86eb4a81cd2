"""FFmpeg's options that open something, and those that take no value.

An option of neither table takes a value that is no address; if it looks like one all
the same, it is judged as an output. So a new option of FFmpeg opens no door.
"""

from __future__ import annotations

import enum

__all__ = ["FLAGS", "OPENS", "Kind"]


class Kind(enum.Enum):
    """What an option does with its value."""

    PLAIN = "plain"
    """Nothing that is judged, though it may look like an address."""
    WRITES = "writes"
    """Opens it for writing."""
    BESIDE = "beside"
    """Puts it behind the folder of the output's address."""
    READS = "reads"
    """Opens it for reading."""
    GRAPH = "graph"
    """Reads it as a filter graph."""
    PAIRS = "pairs"
    """Reads it as options of its own: ``key=value:key=value``."""
    MUXER = "muxer"
    """Names the muxer within a muxer."""
    PROTOCOLS = "protocols"
    """Names protocols, with commas."""
    REFUSED = "refused"
    """Loads what cannot be judged here."""


_Rows = tuple[tuple[str, Kind, str], ...]

_ROWS: _Rows = (
    # Inputs and whole files of the program itself.
    ("i", Kind.READS, "one more input"),
    ("attach", Kind.READS, "the file becomes an attachment"),
    ("dump_attachment", Kind.WRITES, "an attachment becomes a file"),
    ("passlogfile", Kind.WRITES, "prefix of the two-pass log"),
    ("vstats_file", Kind.WRITES, "statistics of each frame"),
    ("sdp_file", Kind.WRITES, "description of the RTP outputs"),
    ("progress", Kind.WRITES, "figures go to a URL"),
    ("stats_enc_pre stats_enc_post stats_mux_pre", Kind.WRITES, "figures of frames"),
    ("print_graphs_file", Kind.WRITES, "description of the filter graphs"),
    # Options that hide other options in a file.
    ("filter_script filter_complex_script graph_file", Kind.REFUSED, "a hidden graph"),
    ("pre apre vpre spre fpre", Kind.REFUSED, "a file of options"),
    # Some versions take what follows as their value and some do not.
    ("autorotate autoscale", Kind.REFUSED, "only with no in front: versions differ"),
    # Filter graphs: movie= reads, metadata=file= writes, ladspa= loads code.
    ("vf af filter filter_complex lavfi graph", Kind.GRAPH, "filters open files"),
    # Muxers.
    ("hls_segment_filename", Kind.WRITES, "names of the segments"),
    ("segment_list", Kind.WRITES, "list of the segments"),
    ("hls_subtitle_path", Kind.WRITES, "names of the subtitle segments"),
    ("hls_fmp4_init_filename master_pl_name", Kind.BESIDE, "beside the playlist"),
    ("init_seg_name media_seg_name", Kind.BESIDE, "beside the manifest"),
    ("hls_master_name single_file_name", Kind.BESIDE, "beside the manifest"),
    ("segment_header_filename", Kind.BESIDE, "beside the segments"),
    ("var_stream_map", Kind.BESIDE, "name:x becomes part of a path, by %v"),
    ("hls_key_info_file", Kind.READS, "names the key's file"),
    ("fifo_format segment_format", Kind.MUXER, "tee there would hide addresses"),
    (
        "format_opts segment_format_options fifo_options",
        Kind.PAIRS,
        "options of the inner muxer",
    ),
    ("hls_segment_options hls_ts_options", Kind.PAIRS, "options of the inner muxer"),
    ("protocol_opts http_opts format_options", Kind.PAIRS, "options of the protocol"),
    ("use_localtime_mkdir strftime_mkdir", Kind.PLAIN, "folders below a judged one"),
    ("mpegts_muxer_options rtp_muxer_options", Kind.PAIRS, "options of inner muxers"),
    ("seg_format_options hls_vtt_options", Kind.PAIRS, "options of inner ones"),
    ("header log_path", Kind.WRITES, "files beside the output's own"),
    ("sub_name assetmaps private_key", Kind.READS, "files beside the input's own"),
    # Encoders: stats=, csv= and log-file= among their own parameters write files.
    ("x264-params x264opts x264_params", Kind.PAIRS, "stats= writes"),
    ("x265-params svtav1-params aom-params", Kind.PAIRS, "stats= and csv= write"),
    ("rav1e-params xavs2-params vvenc-params", Kind.PAIRS, "some parameters write"),
    ("oapv-params qsv_params ts-parameters", Kind.PAIRS, "parameters like the others"),
    ("kvazaar-params", Kind.PAIRS, "parameters like the others"),
    ("stats x265-stats", Kind.WRITES, "the two-pass log"),
    ("omx_libname omx_libprefix", Kind.REFUSED, "a shared library"),
    # Protocols.
    ("protocol_whitelist", Kind.PROTOCOLS, "what an input may open in its turn"),
    ("ca_file cafile cert cert_file key key_file", Kind.READS, "TLS files"),
    ("cache_dir", Kind.WRITES, "folder of a cache"),
    # They look like addresses and open nothing, or only devices.
    ("init_hw_device hwaccel_device vaapi_device", Kind.PLAIN, "a graphics device"),
    ("qsv_device device filter_hw_device", Kind.PLAIN, "a device"),
    ("headers user_agent referer cookies http_proxy", Kind.PLAIN, "HTTP headers"),
    ("hls_base_url segment_list_entry_prefix baseurl", Kind.PLAIN, "text in a list"),
    ("hls_enc_key_url utc_timing_url ice_url", Kind.PLAIN, "text in a list"),
    ("rtmp_app rtmp_pageurl rtmp_playpath", Kind.PLAIN, "fields of RTMP's connect"),
    ("rtmp_tcurl rtmp_swfurl rtmp_swfverify", Kind.PLAIN, "fields of RTMP's connect"),
    ("metadata program streamid srt_streamid", Kind.PLAIN, "text in a stream"),
)

OPENS: dict[str, tuple[Kind, str]] = {
    name: (kind, reason) for names, kind, reason in _ROWS for name in names.split()
}
"""By name, without dash and stream specifier: what it opens, and why it is listed."""

# ``-report`` is one: its log goes to the working folder, which is the root.
_FLAG_NAMES = (
    "y n re nostdin stdin hide_banner stats report vn an sn dn shortest copyts"
    " start_at_zero copy_unknown ignore_unknown recast_media benchmark benchmark_all"
    " dump hex debug_ts vstats bitexact accurate_seek copyinkf noautorotate"
    " noautoscale find_stream_info fix_sub_duration fix_sub_duration_heartbeat"
    " force_fps auto_conversion_filters xerror psnr qphist display_hflip display_vflip"
    " print_graphs L license version buildconf formats muxers demuxers devices codecs"
    " decoders encoders bsfs protocols filters pix_fmts layouts sample_fmts"
    " dispositions colors hwaccels"
    " jsonstats"  # of a patched build: see json_lines
)
FLAGS = frozenset(_FLAG_NAMES.split())
"""Options that take no value, of FFmpeg 5 to 9; each also with "no" before it."""
