// One WebRTC connection to the server, kept up: it mends itself by an ICE restart
// first, by a new session then, with growing pauses.

import { Refused, leave, offer, restart } from "./signal.js";

const CONNECT_S = 8;
const GRACE_S = 2; // a path that breaks often comes back by itself
const MEND_S = 8;
const LONGEST_PAUSE_S = 15;
const TICK_MS = 1000;
// A name in use may become free if it was ours before: 409 is final only at first.
const FINAL = [400, 401, 403, 404, 405, 413, 415, 422];

export class Link {
  /**
   * - `prepare(peer)`: gives the new peer its tracks or transceivers.
   * - `report(state, text, error)`: state is "connecting", "live", "mending", "waiting"
   *   (until the next attempt), "refused" (for good) or "off".
   * - `tick(peer)`: once a second while live; returns a reason to connect again, or "".
   * - `insists(error)`: whether to try again in spite of a refusal.
   */
  constructor({ prepare, report, tick = () => "", insists = () => false }) {
    this.prepare = prepare;
    this.report = report;
    this.tick = tick;
    this.insists = insists;
    this.endpoint = null;
    this.peer = null;
    this.session = null;
    this.failures = 0; // attempts in a row that never got through
    this.wasLive = false;
    this.reason = "";
    this.timer = 0;
    this.farewell = null;
    this.run = 0; // an attempt of an earlier number has nothing to say any more
    addEventListener("pagehide", () => this.#drop());
    addEventListener("pageshow", (event) => {
      if (event.persisted && this.endpoint) this.#connect();
    });
    addEventListener("online", () => {
      if (this.state === "waiting") this.#connect();
    });
    setInterval(() => this.#watch(), TICK_MS);
  }

  start(endpoint, token) {
    this.stop();
    this.endpoint = endpoint;
    this.token = token;
    this.failures = 0;
    this.wasLive = false;
    this.#connect();
  }

  stop() {
    this.#drop();
    this.endpoint = null;
    this.#say("off", "");
  }

  /** Give the session up and begin a new one, after a pause. */
  again(text, error = null) {
    if (!this.endpoint) return;
    this.#drop();
    this.failures += 1;
    const grown = Math.min(LONGEST_PAUSE_S, 0.5 * 2 ** Math.min(6, this.failures - 1));
    const pause = Math.max(grown * (0.75 + Math.random() / 2), error?.retryAfter || 0);
    // The reason stays to be read until the connection stands.
    this.reason = `${text}. Trying again…`;
    // Whoever hears of it may stop us: so the timer comes first.
    this.timer = setTimeout(() => this.#connect(), pause * 1000);
    this.#say("waiting", this.reason, error);
  }

  #say(state, text, error = null) {
    this.state = state;
    this.since = performance.now();
    this.report(state, text, error);
  }

  #drop() {
    this.run += 1;
    clearTimeout(this.timer);
    const { peer, session } = this;
    this.session = this.peer = null;
    if (session) {
      // Goodbye comes first: a closed peer would end the session under it.
      this.farewell = leave(session.url).then(() => peer.close());
    } else if (peer) {
      peer.close();
    }
  }

  async #connect() {
    this.#drop();
    const run = this.run;
    this.#say("connecting", this.failures ? this.reason : "Connecting…");
    // The name that a session holds is free only after it.
    await this.farewell;
    if (run !== this.run) return;
    const peer = (this.peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" }));
    peer.addEventListener("connectionstatechange", () => {
      if (run === this.run) this.#changed(peer.connectionState);
    });
    try {
      await this.prepare(peer);
      const session = await offer(peer, this.endpoint, this.token);
      if (run !== this.run) {
        leave(session.url);
        return;
      }
      this.session = session;
      for (const { transport } of [...peer.getSenders(), ...peer.getReceivers()]) {
        transport?.addEventListener("statechange", () => {
          if (run === this.run && transport.state === "closed") this.#ended();
        });
      }
    } catch (error) {
      if (run === this.run) this.#failed(error);
    }
  }

  #failed(error) {
    const refused = error instanceof Refused;
    let text = refused ? error.message || `status ${error.status}` : String(error);
    if (refused && [401, 403].includes(error.status)) text = `Refused: ${text}`;
    const final = refused ? FINAL.includes(error.status) || (error.status === 409 && !this.wasLive) : true;
    if (final && !this.insists(error)) {
      this.#drop();
      this.endpoint = null;
      this.#say("refused", text, error);
    } else {
      this.again(text, error);
    }
  }

  #changed(state) {
    if (state === "connected") {
      this.failures = 0;
      this.wasLive = true;
      this.#say("live", "Live");
    } else if (state === "failed") {
      if (this.state === "live") this.#mend();
      else if (this.state === "connecting") this.again("No way to the server was found");
    } else if (state === "closed") {
      this.#ended();
    }
  }

  #ended() {
    this.session = null; // the server has ended it: there is nothing to say goodbye to
    this.again("The server has ended the session");
  }

  async #mend() {
    const { run, peer, session } = this;
    this.#say("mending", "The connection is lost. Mending…");
    try {
      await restart(peer, session);
    } catch {
      if (run === this.run) this.again("The connection is lost");
    }
  }

  #watch() {
    const { peer } = this;
    if (!peer || !this.endpoint) return;
    const waited = (performance.now() - this.since) / 1000;
    if (this.state === "connecting" && waited > CONNECT_S) {
      this.again("No way to the server was found");
    } else if (this.state === "mending" && waited > MEND_S) {
      this.again("The connection is lost");
    } else if (this.state === "live") {
      const broken = ["disconnected", "failed"].includes(peer.connectionState);
      this.broken = broken ? (this.broken || 0) + TICK_MS / 1000 : 0;
      if (this.broken > GRACE_S) {
        this.broken = 0;
        this.#mend();
        return;
      }
      const { run } = this;
      Promise.resolve(this.tick(peer)).then((reason) => {
        if (reason && run === this.run && this.state === "live") this.again(reason);
      }, () => {});
    }
  }
}
