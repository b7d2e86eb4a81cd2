// Plays one endless fragmented MP4 in a <video> element and keeps it at the live edge.
//
// The browser itself reads the stream; all that is done here is to look how far behind
// the picture is, play a little faster to catch up, and connect again when it stands.

const TICK_MS = 500;
const NEAR_S = 0.8; // what is kept buffered where the network is even
const FAR_S = 3; // at most this where it is not
const SLACK_S = 0.7; // beyond that much more, catch up
const LOST_S = 12; // beyond this, connecting again is quicker
const STALL_S = 5;
const FIRST_PICTURE_S = 15; // a viewer may wait for a publisher

export class Player {
  /**
   * `report(state, text)`: state is "live", "late", "blind" (sound without the picture),
   * "waiting", "blocked" or "off".
   */
  constructor(video, report) {
    this.video = video;
    this.report = report;
    this.url = null;
    this.picture = ""; // the name of the codec that a picture is expected of
    this.failures = 0;
    this.why = "";
    this.retry = 0;
    this.wantsSound = false;
    this.target = NEAR_S;
    video.addEventListener("playing", () => this.#moved());
    video.addEventListener("waiting", () => this.#ranDry());
    video.addEventListener("ended", () => this.#again("The stream has paused"));
    video.addEventListener("error", () => this.#failed());
    document.addEventListener("visibilitychange", () => this.#tick());
    setInterval(() => this.#tick(), TICK_MS);
  }

  play(url) {
    if (url === this.url) return;
    this.stop();
    this.url = url;
    this.failures = 0;
    this.why = "";
    this.target = NEAR_S;
    this.#start("Starting…");
  }

  stop() {
    clearTimeout(this.retry);
    this.retry = 0;
    this.url = null;
    this.video.removeAttribute("src");
    this.video.load();
    this.report("off", "");
  }

  /** Turn sound on or off; returns whether it is on now. */
  async sound(on) {
    this.wantsSound = on;
    this.video.muted = !on;
    if (this.url && !this.retry) await this.#run();
    return !this.video.muted;
  }

  #start(text) {
    clearTimeout(this.retry);
    this.retry = 0;
    this.started = performance.now();
    this.lastMove = this.started;
    this.lastTime = -1;
    this.seen = false;
    this.report("waiting", text);
    // A fresh address: what the browser kept of the last connection is the past.
    const mark = this.url.includes("?") ? "&" : "?";
    this.video.playbackRate = 1;
    this.video.src = `${this.url}${mark}_=${Date.now().toString(36)}`;
    this.#run();
  }

  async #run() {
    this.video.muted = !this.wantsSound;
    try {
      await this.video.play();
    } catch (error) {
      if (error.name === "NotAllowedError" && !this.video.muted) {
        // Sound needs a gesture; the picture does not.
        this.wantsSound = false;
        this.video.muted = true;
        this.video.play().catch(() => this.report("blocked", "Press a key or click to play"));
      }
    }
  }

  #again(text) {
    if (!this.url || this.retry) return;
    this.failures += 1;
    const wait = Math.min(5000, 400 * 2 ** Math.min(4, this.failures - 1));
    const said = `${text}. Trying again…`;
    this.report("waiting", said);
    // The reason stays to be read until there is a picture.
    this.retry = setTimeout(() => this.#start(said), wait);
  }

  /** A <video> does not tell why it failed: ask now and then, for a person to act. */
  async #failed() {
    const url = this.url;
    if (!url || this.retry) return;
    if (this.failures % 5 === 0) {
      const why = await reason(url, this.picture);
      if (url !== this.url) return;
      this.why = why;
    }
    this.#again(this.why);
  }

  #ranDry() {
    if (this.seen && !document.hidden) this.target = Math.min(FAR_S, this.target + 0.5);
  }

  #moved() {
    this.lastMove = performance.now();
  }

  #tick() {
    const video = this.video;
    if (!this.url || this.retry) return;
    if (document.hidden) {
      // Browsers rest hidden pictures; judging them would connect in vain.
      this.#moved();
      return;
    }
    const now = performance.now();
    if (video.currentTime !== this.lastTime) {
      if (this.lastTime >= 0 && video.currentTime > 0) {
        this.seen = true;
        this.failures = 0;
        this.why = "";
      }
      this.lastTime = video.currentTime;
      this.lastMove = now;
    }
    const still = (now - this.lastMove) / 1000;
    if (!this.seen) {
      if (still > FIRST_PICTURE_S) this.#again("No picture");
      return;
    }
    if (still > STALL_S) {
      this.#again("The picture stands");
      return;
    }
    const behind = this.#behind();
    if (behind > LOST_S) {
      this.#again("Too far behind");
      return;
    }
    const over = behind - this.target;
    if (over > SLACK_S) video.playbackRate = over > 3 ? 1.25 : over > 1.2 ? 1.1 : 1.05;
    else if (over < 0) video.playbackRate = 1;
    if (video.paused) this.#run();
    if (this.picture && !video.videoWidth) {
      this.report("blind", `This browser cannot show ${this.picture}`);
      return;
    }
    const late = over > 2 || still > 1;
    this.report(late ? "late" : "live", `Live · ${behind.toFixed(1)} s buffered`);
  }

  #behind() {
    const { buffered, currentTime } = this.video;
    return buffered.length ? Math.max(0, buffered.end(buffered.length - 1) - currentTime) : 0;
  }
}

async function reason(url, picture) {
  const abort = new AbortController();
  try {
    const answer = await fetch(url, { signal: abort.signal, cache: "no-store" });
    if (answer.status === 404) return "Nobody publishes this stream";
    if (answer.ok) return `This browser cannot play ${picture || "the stream"}`;
    return `Refused: ${(await answer.text()).trim().slice(0, 200)}`;
  } catch {
    return "The server does not answer";
  } finally {
    abort.abort();
  }
}
