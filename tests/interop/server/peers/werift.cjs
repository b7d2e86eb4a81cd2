// werift: WebRTC in TypeScript alone. It sends RTP that is made here.
"use strict";

const rtc = require("werift");
const common = require("./common.cjs");

const H264 = "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1";

function open() {
  const rtcpFeedback = [{ type: "nack" }, { type: "nack", parameter: "pli" }];
  return new rtc.RTCPeerConnection({
    iceServers: [],
    codecs: {
      video: [
        new rtc.RTCRtpCodecParameters({
          ...{ mimeType: "video/H264", clockRate: 90000, parameters: H264, rtcpFeedback },
        }),
      ],
      audio: [
        new rtc.RTCRtpCodecParameters({
          ...{ mimeType: "audio/opus", clockRate: 48000, channels: 2 },
        }),
      ],
    },
  });
}

async function connect(peer) {
  await peer.setLocalDescription(await peer.createOffer());
  const { answer, session } = await common.post(peer.localDescription.sdp);
  await peer.setRemoteDescription({ type: "answer", sdp: answer });
  await common.until(() => peer.connectionState === "connected", "the connection");
  return session;
}

async function end(peer, session) {
  const state = peer.connectionState;
  const deleted = await common.leave(session);
  await peer.close();
  return { state, deleted };
}

async function publish() {
  const peer = open();
  const tracks = {};
  for (const kind of ["audio", "video"]) {
    tracks[kind] = new rtc.MediaStreamTrack({ kind });
    peer.addTransceiver(tracks[kind], { direction: "sendonly" });
  }
  const session = await connect(peer);
  const sequences = { video: 65530, audio: 100 };
  await common.play(({ kind, ms, data }) => {
    const isVideo = kind === "video";
    const payloads = isVideo ? common.packetise(data) : [data];
    const rate = isVideo ? common.VIDEO_RATE : common.AUDIO_RATE;
    payloads.forEach((payload, i) => {
      const header = new rtc.RtpHeader({
        sequenceNumber: sequences[kind]++ & 0xffff,
        timestamp: (1e6 + Math.round((ms * rate) / 1000)) >>> 0,
        marker: isVideo && i === payloads.length - 1,
        payloadType: 96,
      });
      tracks[kind].writeRtp(new rtc.RtpPacket(header, payload));
    });
  });
  await common.pause(200);
  return end(peer, session);
}

async function play() {
  const peer = open();
  const collector = new common.Collector();
  let sound = 0;
  for (const kind of ["video", "audio"]) {
    const transceiver = peer.addTransceiver(kind, { direction: "recvonly" });
    transceiver.onTrack.subscribe((track) => {
      track.onReceiveRtp.subscribe(({ header, payload }) => {
        const { sequenceNumber, timestamp, marker } = header;
        if (kind === "audio") sound += 1;
        else collector.add(sequenceNumber, timestamp, marker, payload);
      });
    });
  }
  const session = await connect(peer);
  const wanted = Number(common.options.frames);
  await common.until(() => collector.markers >= wanted && sound, "the pictures");
  return { ...(await end(peer, session)), sound, ...collector.finish() };
}

common.run({ publish, play });
