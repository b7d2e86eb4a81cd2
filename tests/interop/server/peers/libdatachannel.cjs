// libdatachannel as OBS uses it: the offer goes before any candidate is gathered, there
// is no PATCH, the answer has to come with 201 and the end with 200.
"use strict";

const rtc = require("node-datachannel");
const common = require("./common.cjs");

const AUDIO_SSRC = 5001;
const VIDEO_SSRC = 6001;
const AUDIO_TYPE = 111;
const VIDEO_TYPE = 96;
const PROFILE = "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1";
const RIDS = ["0", "1"];
const MID_ID = 1;
const RID_ID = 2;

function open() {
  const peer = new rtc.PeerConnection("peer", {
    iceServers: [],
    disableAutoNegotiation: true,
    forceMediaTransport: true,
  });
  const seen = { state: "" };
  peer.onStateChange((state) => (seen.state = state));
  return { peer, seen };
}

async function connect({ peer, seen }) {
  const offer = await new Promise((resolve) => {
    peer.onLocalDescription((sdp) => resolve(sdp));
    peer.setLocalDescription("offer");
  });
  if (/a=candidate/.test(offer)) throw new Error("candidates before gathering");
  const { answer, session } = await common.post(offer);
  peer.setRemoteDescription(answer, "answer");
  await common.until(() => seen.state === "connected", "the connection");
  return { answer, session, offer };
}

function chain(track, packetizer, config) {
  const reporter = new rtc.RtcpSrReporter(config);
  packetizer.addToChain(reporter);
  packetizer.addToChain(new rtc.RtcpNackResponder());
  track.setMediaHandler(packetizer);
}

function addAudio(peer) {
  const audio = new rtc.Audio("0", "SendOnly");
  audio.addOpusCodec(AUDIO_TYPE);
  audio.addSSRC(AUDIO_SSRC, "obs", "stream", "audio");
  const track = peer.addTrack(audio);
  const config = new rtc.RtpPacketizationConfig(AUDIO_SSRC, "obs", AUDIO_TYPE, 48000);
  chain(track, new rtc.RtpPacketizer(config), config);
  return { track, config };
}

async function publish() {
  const side = open();
  const audio = addAudio(side.peer);
  const media = new rtc.Video("1", "SendOnly");
  media.addH264Codec(VIDEO_TYPE, PROFILE);
  media.addSSRC(VIDEO_SSRC, "obs", "stream", "video");
  const track = side.peer.addTrack(media);
  const config = new rtc.RtpPacketizationConfig(VIDEO_SSRC, "obs", VIDEO_TYPE, 90000);
  chain(track, new rtc.H264RtpPacketizer("StartSequence", config, 1200), config);
  const { session } = await connect(side);
  const begin = { video: config.timestamp, audio: audio.config.timestamp };
  await common.until(() => track.isOpen() && audio.track.isOpen(), "the tracks");
  await common.play(({ kind, ms, data }) => {
    const [way, clock] = kind === "video" ? [track, config] : [audio.track, audio.config];
    clock.timestamp = (begin[kind] + Math.round((ms * clock.clockRate) / 1000)) >>> 0;
    way.sendMessageBinary(data);
  });
  await common.pause(200);
  return { state: side.seen.state, deleted: await common.leave(session) };
}

// Two layers of one picture; the packets are our own, with mid and rid in each.
async function simulcast() {
  const side = open();
  const media = new rtc.Video("1", "SendOnly");
  media.addH264Codec(VIDEO_TYPE, PROFILE);
  media.parseSdpLine(`a=extmap:${MID_ID} urn:ietf:params:rtp-hdrext:sdes:mid`);
  media.parseSdpLine(`a=extmap:${RID_ID} urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id`);
  for (const rid of RIDS) media.parseSdpLine(`a=rid:${rid} send`);
  media.parseSdpLine(`a=simulcast:send ${RIDS.join(";")}`);
  const track = side.peer.addTrack(media);
  const { answer, session, offer } = await connect(side);
  await common.until(() => track.isOpen(), "the track");
  const sequences = RIDS.map(() => 1000);
  await common.play(({ kind, ms, data }) => {
    if (kind !== "video") return;
    RIDS.forEach((rid, layer) => {
      const payloads = common.packetise(data);
      payloads.forEach((payload, i) => {
        const head = Buffer.alloc(20);
        head[0] = 0x90;
        head[1] = VIDEO_TYPE | (i === payloads.length - 1 ? 0x80 : 0);
        head.writeUInt16BE(sequences[layer]++ & 0xffff, 2);
        head.writeUInt32BE(ms * 90, 4);
        head.writeUInt32BE(VIDEO_SSRC + layer, 8);
        head.writeUInt32BE(0xbede0001, 12);
        head.set([MID_ID << 4, "1".charCodeAt(0), RID_ID << 4, rid.charCodeAt(0)], 16);
        track.sendMessageBinary(Buffer.concat([head, payload]));
      });
    });
  });
  await common.pause(200);
  return {
    state: side.seen.state,
    offered: /a=simulcast:send (.*?)\r\n/.exec(offer)?.[1],
    accepted: /a=simulcast:recv (.*?)\r\n/.exec(answer)?.[1],
    deleted: await common.leave(session),
  };
}

async function play() {
  const side = open();
  const video = new rtc.Video("0", "RecvOnly");
  video.addH264Codec(VIDEO_TYPE, PROFILE);
  const audio = new rtc.Audio("1", "RecvOnly");
  audio.addOpusCodec(AUDIO_TYPE);
  const collector = new common.Collector();
  let sound = 0;
  const tracks = [side.peer.addTrack(video), side.peer.addTrack(audio)];
  for (const track of tracks) track.setMediaHandler(new rtc.RtcpReceivingSession());
  tracks[0].onMessage((packet) => {
    if ((packet[1] & 0x7f) !== VIDEO_TYPE) return;
    const head = 12 + 4 * (packet[0] & 15);
    const more = packet[0] & 0x10 ? 4 + 4 * packet.readUInt16BE(head + 2) : 0;
    collector.add(
      packet.readUInt16BE(2),
      packet.readUInt32BE(4),
      Boolean(packet[1] & 0x80),
      packet.subarray(head + more),
    );
  });
  tracks[1].onMessage((packet) => (sound += (packet[1] & 0x7f) === AUDIO_TYPE ? 1 : 0));
  const { session } = await connect(side);
  const wanted = Number(common.options.frames);
  await common.until(() => collector.markers >= wanted && sound, "the pictures");
  const state = side.seen.state;
  const deleted = await common.leave(session);
  return { state, deleted, sound, ...collector.finish() };
}

common.run({ publish, simulcast, play });
