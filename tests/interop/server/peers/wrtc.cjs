// @roamhq/wrtc: libwebrtc in Node. It encodes and decodes by itself, so what is sent is
// grey pictures, each a step brighter than the last, and a tone.
"use strict";

const rtc = require("@roamhq/wrtc");
const common = require("./common.cjs");

const WIDTH = 320;
const HEIGHT = 240;
const RATE = 48000;
const { RTCVideoSource, RTCAudioSource, RTCVideoSink, RTCAudioSink } = rtc.nonstandard;

function prefer(peer) {
  const wanted = (common.options.codec ?? "VP8").toLowerCase();
  return (sdp) =>
    sdp.replace(/m=video (\d+) (\S+) (.*)/, (line, port, proto, list) => {
      const types = list.trim().split(" ");
      const is = (type) =>
        new RegExp(`a=rtpmap:${type} ${wanted}/`, "i").test(sdp) ? 0 : 1;
      types.sort((a, b) => is(a) - is(b));
      return `m=video ${port} ${proto} ${types.join(" ")}`;
    });
}

async function connect(peer) {
  const offer = await peer.createOffer();
  await peer.setLocalDescription({ type: "offer", sdp: prefer(peer)(offer.sdp) });
  await common.until(() => peer.iceGatheringState === "complete", "candidates");
  const { answer, session } = await common.post(peer.localDescription.sdp);
  await peer.setRemoteDescription({ type: "answer", sdp: answer });
  await common.until(() => peer.connectionState === "connected", "the connection");
  return session;
}

async function end(peer, session) {
  const state = peer.connectionState;
  const deleted = await common.leave(session);
  peer.close();
  return { state, deleted };
}

async function publish() {
  const peer = new rtc.RTCPeerConnection({ sdpSemantics: "unified-plan" });
  const pictures = new RTCVideoSource();
  const sound = new RTCAudioSource();
  const stream = new rtc.MediaStream();
  for (const source of [pictures, sound])
    peer.addTransceiver(source.createTrack(), {
      direction: "sendonly",
      streams: [stream],
    });
  const session = await connect(peer);
  const start = performance.now();
  const seconds = Number(common.options.seconds);
  let shown = 0;
  let heard = 0;
  while (performance.now() - start < 1000 * seconds) {
    const passed = (performance.now() - start) / 1000;
    for (; heard < passed * 100; heard++) {
      const samples = new Int16Array(RATE / 100);
      for (let i = 0; i < samples.length; i++)
        samples[i] = 8000 * Math.sin((2 * Math.PI * 440 * (heard * 480 + i)) / RATE);
      sound.onData({
        ...{ samples, sampleRate: RATE, bitsPerSample: 16, channelCount: 1 },
        numberOfFrames: samples.length,
      });
    }
    for (; shown < passed * 25; shown++) {
      const data = new Uint8ClampedArray((WIDTH * HEIGHT * 3) / 2).fill(128);
      data.fill(16 + ((shown * 4) % 200), 0, WIDTH * HEIGHT);
      pictures.onFrame({ width: WIDTH, height: HEIGHT, data });
    }
    await common.pause(5);
  }
  return { ...(await end(peer, session)), shown };
}

async function play() {
  const peer = new rtc.RTCPeerConnection({ sdpSemantics: "unified-plan" });
  const seen = { pictures: 0, sizes: [], bright: [], sound: 0, loudest: 0 };
  const sinks = [];
  peer.ontrack = ({ track }) => {
    if (track.kind === "video") {
      const sink = new RTCVideoSink(track);
      sink.onframe = ({ frame }) => {
        seen.pictures += 1;
        seen.sizes = [frame.width, frame.height];
        seen.bright.push(frame.data[frame.width * (frame.height >> 1)]);
      };
      sinks.push(sink);
    } else {
      const sink = new RTCAudioSink(track);
      sink.ondata = ({ samples }) => {
        seen.sound += 1;
        for (const sample of samples) seen.loudest = Math.max(seen.loudest, sample);
      };
      sinks.push(sink);
    }
  };
  for (const kind of ["video", "audio"])
    peer.addTransceiver(kind, { direction: "recvonly" });
  const session = await connect(peer);
  const wanted = Number(common.options.frames);
  await common.until(() => seen.pictures >= wanted && seen.loudest, "the pictures");
  for (const sink of sinks) sink.stop();
  return { ...(await end(peer, session)), ...seen };
}

common.run({ publish, play });
