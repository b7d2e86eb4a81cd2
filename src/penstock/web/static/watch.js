// Plays the chosen stream: by WebRTC where that fits, as fragmented MP4 otherwise.

import { codec } from "./format.js";
import { Tiles } from "./meter.js";
import { Player } from "./player.js";
import { keep, recall } from "./store.js";
import { WhepPlayer, canReceive } from "./whep.js";

const KEPT = "penstock-way";
const FIGURES = {
  webrtc: ["rate", "delay", "trip", "loss", "fps", "frozen"],
  mp4: ["buffered", "fps", "dropped"],
};
const PAUSE_MS = 10_000; // after WebRTC has failed where nothing else is wanted
const by = (id) => document.getElementById(id);

export class Watch {
  /** `report(state, text)` as the players'. */
  constructor(video, report) {
    this.video = video;
    this.report = report;
    this.chosen = recall(KEPT) || "auto";
    this.way = null; // "webrtc" or "mp4", while playing
    this.target = null;
    this.pause = 0;
    this.unfit = new Map(); // stream and codecs -> why it does not play by WebRTC
    this.mp4 = new Player(video, (state, text) => {
      if (this.way !== "mp4") return;
      this.report(state, text);
      if (state === "live" || state === "late") this.#count();
    });
    this.whep = new WhepPlayer(video, {
      report: (state, text) => this.way === "webrtc" && this.report(state, text),
      measured: (figures) => this.way === "webrtc" && this.#measured(figures),
      unfit: (why) => this.#gaveUp(why),
    });
    this.tiles = {};
    for (const [way, names] of Object.entries(FIGURES)) {
      this.tiles[way] = new Tiles(by(`tiles-${way}`), names);
    }
    const select = by("way");
    select.value = this.chosen;
    if (select.selectedIndex < 0) select.value = this.chosen = "auto";
    select.addEventListener("change", () => {
      this.chosen = select.value;
      keep(KEPT, this.chosen);
      this.unfit.clear();
      this.pause = 0;
      if (this.target) this.play(this.target);
    });
  }

  /**
   * `target`: `path`, `query`, `token`, `video` and `audio` (tracks of the API, or
   * undefined), `webrtc` (whether the server speaks it), `live`.
   */
  play(target) {
    if (target.token !== this.target?.token) this.unfit.clear();
    this.target = target;
    this.#start();
  }

  stop() {
    this.target = null;
    this.#use(null);
  }

  /** Turn sound on or off; returns whether it is on now. */
  async sound(on) {
    this.mp4.wantsSound = this.whep.wantsSound = on;
    const player = this.way === "webrtc" ? this.whep : this.mp4;
    const is = await player.sound(on);
    this.mp4.wantsSound = this.whep.wantsSound = is;
    return is;
  }

  #start() {
    const { target } = this;
    const { path, query, token, video, audio } = target;
    const why = this.#objection();
    const way = this.chosen === "webrtc" || (this.chosen === "auto" && !why) ? "webrtc" : "mp4";
    by("way-note").textContent = way === "mp4" && this.chosen === "auto" ? why : "";
    if (way !== this.way || path + query !== this.playing) {
      this.pause = 0;
      for (const tiles of Object.values(this.tiles)) tiles.clear();
      by("connection").textContent = "";
    }
    this.playing = path + query;
    this.#use(way);
    if (way === "webrtc") {
      this.whep.expects = { live: target.live, video: Boolean(video), audio: Boolean(audio) };
      if (performance.now() >= this.pause) this.whep.play(`${path}/whep${query}`, token);
    } else {
      this.mp4.picture = video ? codec(video) : "";
      const tail = token ? `${query ? "&" : "?"}token=${encodeURIComponent(token)}` : "";
      this.mp4.play(`${path}.mp4${query}${tail}`);
    }
  }

  #use(way) {
    if (way === this.way) return;
    this.way = way;
    if (way !== "webrtc") this.whep.stop();
    if (way !== "mp4") this.mp4.stop();
    by("tiles-webrtc").hidden = way !== "webrtc";
    by("tiles-mp4").hidden = way !== "mp4";
    if (!way) this.report("off", "");
  }

  /** Why the stream plays as MP4, in words; "" if nothing speaks against WebRTC. */
  #objection() {
    const { video, webrtc } = this.target;
    if (!globalThis.RTCPeerConnection) return "This browser has no WebRTC.";
    if (!webrtc) return "WebRTC is off on this server.";
    if (video && !canReceive("video", codec(video))) {
      return `This browser takes no ${codec(video)} by WebRTC.`;
    }
    return this.unfit.get(this.#name()) || "";
  }

  #gaveUp(why) {
    if (!this.target) return;
    if (this.chosen === "webrtc") {
      this.whep.stop();
      this.pause = performance.now() + PAUSE_MS;
      this.report("waiting", `${why}. Another way may play it.`);
      return;
    }
    this.unfit.set(this.#name(), `${why}.`);
    this.#start();
  }

  #name() {
    const { path, query, video, audio } = this.target;
    return [path, query, video?.codec, audio?.codec].join(" ");
  }

  #measured(figures) {
    this.tiles.webrtc.show(figures);
    const words = [figures.codec, figures.width ? `${figures.width}×${figures.height}` : ""];
    if (figures.frozenFor >= 0.1) words.push(`stood still for ${figures.frozenFor.toFixed(1)} s in all`);
    if (figures.relayed === "tcp") words.push("over TCP");
    by("connection").textContent = words.filter(Boolean).join(" · ");
  }

  #count() {
    const now = performance.now();
    if (this.counted && now - this.counted.at < 900) return;
    const quality = this.video.getVideoPlaybackQuality();
    const frames = quality.totalVideoFrames;
    const { buffered, currentTime } = this.video;
    const past = this.counted && frames >= this.counted.frames ? this.counted : null;
    this.counted = { at: now, frames };
    if (!past) return;
    this.tiles.mp4.show({
      buffered: buffered.length ? Math.max(0, buffered.end(buffered.length - 1) - currentTime) : 0,
      fps: ((frames - past.frames) * 1000) / (now - past.at),
      dropped: quality.droppedVideoFrames,
    });
    const { videoWidth, videoHeight } = this.video;
    by("connection").textContent = videoWidth ? `${videoWidth}×${videoHeight}` : "";
  }
}
