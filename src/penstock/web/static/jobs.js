// FFmpeg jobs: a list that follows what they do, and the buttons that tell them.

import { reason, send } from "./ask.js";
import { bits, bytes, span } from "./format.js";
import { draw, push } from "./graph.js";
import { createJobForm } from "./job_form.js";
import { sure } from "./sure.js";

const by = (id) => document.getElementById(id);
const SHOWN = 200;
const SAMPLES = 60; // two minutes: the page asks every other second
const ON = ["starting", "running", "finishing"];
const STATES = {
  starting: "Starting", running: "Running", finishing: "Ending",
  finished: "Finished", failed: "Failed", killed: "Killed",
};
const DONE = { start: "Started", stop: "Stopped", restart: "Restarted" };

/** Wire the section; `streams()` gives the streams that the page knows. */
export function createJobs({ toast, streams }) {
  const rows = new Map(); // id -> what the page keeps of a job
  let quietUntil = 0;
  let count = 0;

  createJobForm({
    streams,
    created(job) {
      toast(`${job.id} starts`);
      again();
    },
  });
  by("jobs-filter").addEventListener("input", again);

  const watcher = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) {
      const row = rows.get(target.dataset.id);
      if (!row) continue;
      row.visible = isIntersecting;
      if (isIntersecting) show(row);
    }
  });

  /** Read the jobs and show them; one that holds the browser up is done less often. */
  async function refresh(now = false) {
    const begun = performance.now();
    if (!now && begun < quietUntil) return;
    const mine = (count += 1);
    const filter = encodeURIComponent(by("jobs-filter").value.trim());
    const answer = await fetch(`/penstock/v1/jobs?count=${SHOWN}&filter=${filter}`, {
      cache: "no-store", signal: AbortSignal.timeout(8000),
    });
    if (!answer.ok || mine !== count) return;
    const told = await answer.json();
    place(told);
    await Promise.all([...rows.values()].filter((row) => row.parts.more.open).map(showMore));
    quietUntil = begun + 8 * (performance.now() - begun);
  }

  /** Read them out of turn; if that fails, the next turn tells. */
  function again() {
    return refresh(true).catch(() => {});
  }

  function place({ all, total, jobs }) {
    set(by("jobs-count"),
      total > jobs.length ? `first ${jobs.length} of ${total}` : total < all ? `${total} of ${all}` : String(total));
    by("jobs-filter").hidden = all < 8 && by("jobs-filter").value === "";
    by("no-jobs").hidden = total > 0;
    set(by("no-jobs"), all ? "No job matches." : "FFmpeg can publish files and other servers' streams here, or make other sizes of yours.");
    const alive = new Set(jobs.map((job) => job.id));
    for (const [id, row] of rows) {
      if (alive.has(id)) continue;
      watcher.unobserve(row.item);
      row.item.remove();
      rows.delete(id);
    }
    const list = by("job-list");
    let at = list.firstElementChild;
    for (const job of jobs) {
      const row = rows.get(job.id) || create(job);
      row.job = job;
      push(row.series, measure(job), SAMPLES);
      if (row.item === at) at = at.nextElementSibling;
      else list.insertBefore(row.item, at);
      if (row.visible) show(row);
    }
  }

  function create(job) {
    const item = by("job-row").content.firstElementChild.cloneNode(true);
    const parts = {};
    for (const node of item.querySelectorAll("[data-part]")) parts[node.dataset.part] = node;
    const row = { item, parts, job, series: [], visible: true };
    item.dataset.id = job.id;
    set(parts.name, job.id);
    parts.name.title = job.id;
    for (const name of ["start", "stop", "restart", "delete"]) {
      parts[name].setAttribute("aria-label", `${parts[name].textContent} ${job.id}`);
    }
    for (const name of ["start", "stop", "restart"]) {
      parts[name].addEventListener("click", () => tell(row, name));
    }
    sure(parts.delete, () => remove(row), () => toast(`Press again to delete ${job.id}`));
    parts.command.id = `job-command-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
    parts.copy.dataset.copy = parts.command.id;
    parts.copy.setAttribute("aria-label", `Copy the command line of ${job.id}`);
    parts.log.setAttribute("aria-label", `Last lines of ${job.id}`);
    parts.bar.setAttribute("aria-label", `Progress of ${job.id}`);
    parts.more.addEventListener("toggle", () => parts.more.open && showMore(row));
    rows.set(job.id, row);
    watcher.observe(item);
    return row;
  }

  async function tell(row, command) {
    const { start, stop, [command]: button } = row.parts;
    const focused = document.activeElement === button;
    button.disabled = true;
    const answer = await send(of(row.job, "/command"), { command });
    toast(answer.ok ? `${DONE[command]}: ${row.job.id}` : await reason(answer));
    button.disabled = false;
    await again();
    // The button may have gone; whoever uses the keyboard goes on at its successor.
    if (focused) (button.hidden ? (start.hidden ? stop : start) : button).focus();
  }

  async function remove(row) {
    const answer = await send(of(row.job), undefined, "DELETE");
    toast(answer.ok ? `Deleted: ${row.job.id}` : await reason(answer));
    const next = row.item.nextElementSibling;
    await again();
    if (answer.ok && document.activeElement === document.body) {
      (next?.querySelector("[data-part=delete]") || by("job-new")).focus({ preventScroll: true });
    }
  }

  return { refresh };
}

const of = (job, what = "") => `/penstock/v1/job${what}?id=${encodeURIComponent(job.id)}`;

/** What the graph shows: frames a second, or how fast it is where there are none. */
function measure({ state, progress }) {
  if (!ON.includes(state)) return 0;
  return progress.frames ? progress.fps : progress.speed;
}

function show({ item, parts, job, series }) {
  const { progress } = job;
  const on = ON.includes(job.state);
  set(parts.reference, job.reference);
  set(parts.state, described(job));
  parts.state.className = `chip flat ${colour(job)}`;
  const lines = on ? [rated(progress), paced(progress)].filter(Boolean) : [];
  set(parts.rate, lines[0] || "");
  set(parts.pace, lines[1] || "");
  set(parts.load, on ? `${percent(job.cpu)} CPU · ${bytes(job.memory_bytes)}` : "");
  parts.load.title = "Share of all processors, and memory";
  parts.bar.hidden = !on || !progress.duration_s;
  if (!parts.bar.hidden) parts.bar.value = progress.time_s / progress.duration_s;
  const idle = job.order === "stop" || (!on && job.reconnect_s === null);
  parts.start.hidden = !idle;
  parts.stop.hidden = idle;
  parts.restart.hidden = idle;
  set(parts.last, job.problem || job.last_line || "It has printed nothing yet.");
  item.classList.toggle("idle", !on && !series.some(Boolean));
  draw(parts.graph, series, { most: SAMPLES });
}

function described(job) {
  const { state, order, reconnect_s: wait } = job;
  if (job.problem) return "Cannot run";
  if (state === "running") return `Running · ${span(job.seconds)}`;
  if (ON.includes(state)) return STATES[state];
  if (wait !== null) return `${STATES[state]} · again in ${Math.ceil(wait)} s`;
  return order === "stop" && state !== "failed" ? "Stopped" : STATES[state];
}

function colour(job) {
  if (job.problem) return "bad";
  if (job.state === "running") return "on";
  if (ON.includes(job.state) || job.reconnect_s !== null) return "late";
  return job.state === "failed" && job.order === "start" ? "bad" : "";
}

function rated({ frames, fps, bitrate_bps: rate }) {
  const words = [];
  if (frames) words.push(`${fps.toFixed(1)} fps`);
  if (rate) words.push(bits(rate));
  return words.join(" · ");
}

function paced({ speed, time_s: time, duration_s: duration, dropped_frames: dropped }) {
  const words = [];
  if (speed) words.push(`${speed.toFixed(2)}×`);
  if (time) words.push(duration ? `${span(time)} of ${span(duration)}` : span(time));
  if (dropped) words.push(`${dropped} dropped`);
  return words.join(" · ");
}

const percent = (share) => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;

async function showMore({ parts, job }) {
  const answer = await fetch(of(job), { cache: "no-store" });
  if (!answer.ok) return;
  const { log, command_line: command } = await answer.json();
  set(parts.command, command);
  const atEnd = parts.log.scrollTop + parts.log.clientHeight >= parts.log.scrollHeight - 4;
  const text = log.map(({ at, text }) => `${clock(at)}  ${text}`).join("\n");
  set(parts.log, text || "It has printed nothing yet.");
  // Whoever scrolls back to read is left there.
  if (atEnd) parts.log.scrollTop = parts.log.scrollHeight;
}

const clock = (at) => new Date(at * 1000).toTimeString().slice(0, 8);

function set(node, value) {
  if (node.textContent !== value) node.textContent = value;
}
