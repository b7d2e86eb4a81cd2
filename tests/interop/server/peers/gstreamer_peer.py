"""GStreamer's webrtcbin as a WHIP or WHEP client; for the system's own Python.

``publish URL FILE`` sends a file of H.264 and Opus in real time to its end;
``play URL COUNT`` takes so many pictures. ``watch URL SECONDS`` decodes, and tells when
dark pictures become bright and tones begin. Prints one JSON object at the end.
"""

from __future__ import annotations

import array
import hashlib
import json
import re
import sys
import urllib.request
from collections.abc import Callable
from urllib.parse import urljoin

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402 # versions come first

DEADLINE_S = 25
UNSEEN = (6, 7, 8, 9)
PUBLISH = """
    webrtcbin name=peer bundle-policy=max-bundle
    filesrc location={} ! matroskademux name=file
    file.video_0 ! queue ! identity sync=true ! h264parse
      ! rtph264pay config-interval=-1 aggregate-mode=zero-latency mtu=1200
      ! application/x-rtp,media=video,encoding-name=H264,payload=96 ! peer.
    file.audio_0 ! queue ! identity sync=true ! opusparse ! rtpopuspay
      ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! peer.
"""
CAPS = {
    "video": "encoding-name=H264,payload=96,clock-rate=90000,"
    "packetization-mode=(string)1,profile-level-id=(string)42e01f,rtcp-fb-nack=true,rtcp-fb-nack-pli=true",
    "audio": "encoding-name=OPUS,payload=97,clock-rate=48000",
}


def hash_of(annexb: bytes) -> str:
    units = re.split(b"\0?\0\0\1", annexb)[1:]
    seen = b"".join(unit for unit in units if unit[0] & 0x1F not in UNSEEN)
    return hashlib.md5(seen).hexdigest()


class Client:
    """One webrtcbin and its session."""

    def __init__(self, description: str, url: str) -> None:
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.parse_launch(f"pipeline.( {description} )")
        self.peer = self.pipeline.get_by_name("peer")
        self.url = url
        self.session = ""
        self.state = ""
        self.deleted = 0
        self.error = ""
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self.heard)
        self.peer.connect("notify::ice-gathering-state", self.gathered)
        self.peer.connect("notify::connection-state", self.changed)
        GLib.timeout_add_seconds(DEADLINE_S, self.give_up)

    def heard(self, _bus: Gst.Bus, message: Gst.Message) -> None:
        if message.type == Gst.MessageType.ERROR:
            self.fail(" ".join(map(str, message.parse_error())))

    def give_up(self) -> None:
        self.fail(f"not over within {DEADLINE_S} s")

    def fail(self, error: str) -> None:
        self.error = self.error or error
        self.loop.quit()

    def changed(self, peer: Gst.Element, _: object) -> None:
        self.state = peer.get_property("connection-state").value_nick

    def offer(self, *_: object) -> bool:
        promise = Gst.Promise.new_with_change_func(self.offered)
        self.peer.emit("create-offer", None, promise)
        return False

    def offered(self, promise: Gst.Promise) -> None:
        promise.wait()
        reply = promise.get_reply()  # the offer lives no longer than this
        offer = reply.get_value("offer")
        self.peer.emit("set-local-description", offer, Gst.Promise.new())

    def gathered(self, peer: Gst.Element, _: object) -> None:
        state = peer.get_property("ice-gathering-state")
        if state == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self.post)

    def post(self) -> bool:
        offer = self.peer.get_property("local-description").sdp.as_text()
        request = urllib.request.Request(
            self.url, offer.encode(), {"Content-Type": "application/sdp"}
        )
        with urllib.request.urlopen(request) as response:
            assert response.status == 201
            self.session = urljoin(self.url, response.headers["Location"])
            text = response.read().decode()
        _, sdp = GstSdp.SDPMessage.new_from_text(text)
        answer = GstWebRTC.WebRTCSessionDescription.new(
            GstWebRTC.WebRTCSDPType.ANSWER, sdp
        )
        self.peer.emit("set-remote-description", answer, Gst.Promise.new())
        return False

    def leave(self) -> bool:
        request = urllib.request.Request(self.session, method="DELETE")
        with urllib.request.urlopen(request) as response:
            self.deleted = response.status
        self.loop.quit()
        return False

    def run(self, **more: object) -> None:
        self.pipeline.set_state(Gst.State.PLAYING)
        try:
            self.loop.run()
        finally:
            state = self.state
            self.pipeline.set_state(Gst.State.NULL)
        assert not self.error, self.error
        print(json.dumps({"state": state, "deleted": self.deleted, **more}), flush=True)


def publish(url: str, file: str) -> None:
    client = Client(PUBLISH.format(file), url)
    client.peer.connect("on-negotiation-needed", client.offer)
    ended: list[Gst.Pad] = []

    def ends(pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        # webrtcbin tells nobody that all was sent.
        if info.get_event().type == Gst.EventType.EOS:
            ended.append(pad)
            if len(ended) == len(client.peer.sinkpads):
                GLib.timeout_add(2_000, client.leave)
        return Gst.PadProbeReturn.OK

    for pad in client.peer.sinkpads:
        pad.add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, ends)
    client.run()


def receive(
    client: Client, parts: dict[str, str], take: Callable[[str, Gst.Buffer], bool]
) -> None:
    """Hand buffers of both kinds to ``take`` until it says that it has enough."""

    def came(sink: Gst.Element, kind: str) -> Gst.FlowReturn:
        if take(kind, sink.emit("pull-sample").get_buffer()):
            GLib.idle_add(client.leave)
        return Gst.FlowReturn.OK

    def added(_: Gst.Element, pad: Gst.Pad) -> None:
        kind = pad.get_current_caps().get_structure(0).get_string("media")
        chain = Gst.parse_bin_from_description(
            f"queue ! {parts[kind]} ! appsink name=sink emit-signals=true sync=false",
            True,
        )
        chain.get_by_name("sink").connect("new-sample", came, kind)
        client.pipeline.add(chain)
        chain.sync_state_with_parent()
        pad.link(chain.get_static_pad("sink"))

    client.peer.connect("pad-added", added)
    for kind, caps in CAPS.items():
        client.peer.emit(
            "add-transceiver",
            GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY,
            Gst.Caps.from_string(f"application/x-rtp,media={kind},{caps}"),
        )
    client.peer.connect("on-negotiation-needed", client.offer)


def play(url: str, count: str) -> None:
    client = Client("webrtcbin name=peer bundle-policy=max-bundle", url)
    pictures: list[str] = []
    sound: list[int] = []

    def take(kind: str, data: Gst.Buffer) -> bool:
        octets = data.extract_dup(0, data.get_size())
        if kind == "video":
            pictures.append(hash_of(octets))
        else:
            sound.append(len(octets))
        return len(pictures) == int(count) and bool(sound)

    form = "video/x-h264,stream-format=byte-stream,alignment=au"
    video = f"rtph264depay ! h264parse ! {form}"
    receive(client, {"video": video, "audio": "rtpopusdepay"}, take)
    client.run(pictures=pictures, sound=sound)


def watch(url: str, seconds: str) -> None:
    # FFmpeg puts up to 0.3 s of sound into one piece of MPEG-TS.
    client = Client("webrtcbin name=peer bundle-policy=max-bundle latency=800", url)
    flashes: list[float] = []
    beeps: list[float] = []
    dark, loud_until, ends_at = False, 0.0, 0.0

    def take(kind: str, data: Gst.Buffer) -> bool:
        nonlocal dark, loud_until, ends_at
        at = data.pts / Gst.SECOND
        octets = data.extract_dup(0, data.get_size())
        ends_at = ends_at or at + float(seconds)
        if kind == "video":
            brightness = sum(octets) / len(octets)
            if dark and brightness > 128:
                flashes.append(1000 * at)
            dark = brightness < 64
        else:
            for number, sample in enumerate(array.array("f", octets)):
                if abs(sample) > 0.1:
                    now = at + number / 48_000
                    if now - loud_until > 0.1:
                        beeps.append(1000 * now)
                    loud_until = now
        return bool(at > ends_at)

    small = "video/x-raw,format=GRAY8,width=16,height=16"
    video = f"rtph264depay ! avdec_h264 ! videoconvert ! videoscale ! {small}"
    form = "audio/x-raw,format=F32LE,channels=1,rate=48000"
    audio = f"rtpopusdepay ! opusdec ! audioconvert ! {form}"
    receive(client, {"video": video, "audio": audio}, take)
    client.run(flashes=flashes, beeps=beeps)


Gst.init(None)
{"publish": publish, "play": play, "watch": watch}[sys.argv[1]](*sys.argv[2:])
