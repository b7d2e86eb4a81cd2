// Plays a stream by WHEP in a <video> element.

import { Link } from "./link.js";
import { Meter } from "./meter.js";

const STILL_S = 6;

/** Whether this browser can play this codec by WebRTC at all. */
export function canReceive(kind, name) {
  if (!globalThis.RTCPeerConnection || !RTCRtpReceiver.getCapabilities) return false;
  const wanted = `${kind}/${name.replace(/[.-]/g, "")}`.toLowerCase();
  const codecs = RTCRtpReceiver.getCapabilities(kind)?.codecs || [];
  return codecs.some((codec) => codec.mimeType.toLowerCase() === wanted);
}

export class WhepPlayer {
  /**
   * - `report(state, text)`: as the other player's.
   * - `measured(figures)`: once a second.
   * - `unfit(text)`: this stream cannot be had in this way.
   */
  constructor(video, { report, measured, unfit }) {
    this.video = video;
    this.report = report;
    this.measured = measured;
    this.unfit = unfit;
    this.wantsSound = false;
    this.expects = { live: false, video: false, audio: false };
    this.url = null;
    this.link = new Link({
      prepare: (peer) => this.#prepare(peer),
      report: (state, text, error) => this.#reported(state, text, error),
      tick: (peer) => this.#tick(peer),
      // A viewer waits: for a publisher, for a token, for a server that comes back.
      insists: (error) => [401, 403, 409].includes(error.status),
    });
    video.addEventListener("playing", () => {
      if (this.url && this.link.state === "live") this.report("live", "Live");
    });
    video.addEventListener("pause", () => {
      if (this.url && video.srcObject && !document.hidden) this.#run();
    });
  }

  play(url, token) {
    if (url === this.url && token === this.token) return;
    this.url = url;
    this.token = token;
    this.everLive = false;
    this.link.start(url, token);
  }

  stop() {
    if (!this.url) return;
    this.url = null;
    this.link.stop();
    this.video.srcObject = null;
  }

  async sound(on) {
    this.wantsSound = on;
    this.video.muted = !on;
    await this.#run();
    return !this.video.muted;
  }

  #prepare(peer) {
    this.meter = new Meter();
    this.still = 0;
    const stream = new MediaStream();
    for (const kind of ["video", "audio"]) peer.addTransceiver(kind, { direction: "recvonly" });
    peer.addEventListener("track", ({ track }) => stream.addTrack(track));
    this.video.srcObject = stream;
    this.#run();
  }

  async #run() {
    const { video } = this;
    video.muted = !this.wantsSound;
    try {
      await video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError") return;
      if (!video.muted) {
        // Sound needs a gesture; the picture does not.
        this.wantsSound = false;
        video.muted = true;
        video.play().catch(() => this.report("blocked", "Press a key or click to play"));
      } else {
        this.report("blocked", "Press a key or click to play");
      }
    }
  }

  #reported(state, text, error) {
    if (!this.url) return;
    if (state === "refused") {
      this.unfit(text);
      return;
    }
    if (state === "waiting") {
      // Where WebRTC has never come through, it is the network that forbids it.
      if (!error && !this.everLive) {
        this.unfit(text.replace(". Trying again…", ""));
        return;
      }
    }
    if (state === "live") {
      this.everLive = true;
      text = "Waiting for the picture…";
    }
    this.report("waiting", text);
  }

  /** What the server's answer has left out though the stream has it. */
  #missing() {
    for (const { receiver, currentDirection } of this.link.peer.getTransceivers()) {
      const { kind } = receiver.track;
      if (this.expects[kind] && currentDirection !== "recvonly") return kind;
    }
    return "";
  }

  async #tick(peer) {
    const figures = await this.meter.read(peer);
    if (!figures || peer !== this.link.peer) return "";
    if (!this.expects.live) {
      this.still = 0;
      this.report("waiting", "Waiting for a publisher…");
      return "";
    }
    this.still = figures.packets ? 0 : this.still + 1;
    if (this.still >= STILL_S) return "Nothing comes from the server";
    const missing = this.#missing();
    if (missing) {
      this.unfit(`WebRTC brings no ${missing} of this stream`);
      return "";
    }
    this.measured(figures);
    const { video } = this;
    const shown = video.videoWidth > 0 || !this.expects.video;
    if (shown && !video.paused) {
      const late = this.still > 1;
      this.report(late ? "late" : "live", late ? "Waiting…" : delay(figures));
    }
    return "";
  }
}

function delay({ delay: buffered, trip }) {
  const whole = (buffered || 0) + (trip || 0) / 2;
  return `Live · ${Math.round(whole * 1000)} ms`;
}
