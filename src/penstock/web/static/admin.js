// Signing in, and the table of sessions.

import { reason, send } from "./ask.js";
import { bytes, span } from "./format.js";
import { Quality } from "./quality.js";
import { sure } from "./sure.js";

const by = (id) => document.getElementById(id);
const SHOWN = 200;

/** Wire the sign-in button and the session table; `changed()` runs after sign in or out. */
export function createAdmin({ toast, changed }) {
  const rows = new Map();

  by("sign").addEventListener("click", async () => {
    if (by("sign").dataset.state === "in") {
      await fetch("/penstock/v1/logout", { method: "POST" });
      changed();
      return;
    }
    by("sign-error").textContent = "";
    by("password").value = "";
    by("sign-dialog").showModal();
  });
  by("sign-cancel").addEventListener("click", () => by("sign-dialog").close());
  by("sign-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await send("/penstock/v1/login", { password: by("password").value });
    if (answer.ok) {
      by("sign-dialog").close();
      changed();
    } else {
      by("sign-error").textContent = await reason(answer);
      by("password").select();
    }
  });

  async function kick(id) {
    const answer = await send(`/penstock/v1/sessions/${id}/kick`, {});
    toast(answer.ok ? "Session ended" : await reason(answer));
  }

  function row(session) {
    const tr = document.createElement("tr");
    const cells = Array.from({ length: 11 }, () => tr.insertCell());
    for (const at of [5, 6, 7, 8]) cells[at].className = "r";
    const quality = new Quality(cells[9]);
    cells[1].className = "name";
    cells[4].className = "client";
    const role = document.createElement("span");
    cells[0].append(role);
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "End";
    sure(button, () => kick(session.id));
    cells[10].append(button);
    return { tr, cells, role, button, quality };
  }

  function show(answer) {
    const sessions = answer.sessions;
    const total = answer.total;
    by("sessions-count").textContent =
      total > sessions.length ? `first ${sessions.length} of ${total}` : String(total);
    by("no-sessions").hidden = total > 0;
    by("session-rows").closest(".scroll").hidden = total === 0;
    const alive = new Set(sessions.map((s) => s.id));
    for (const [id, entry] of rows) {
      if (!alive.has(id)) {
        entry.tr.remove();
        rows.delete(id);
      }
    }
    for (const session of sessions) {
      let entry = rows.get(session.id);
      if (!entry) {
        entry = row(session);
        rows.set(session.id, entry);
        by("session-rows").append(entry.tr);
      }
      fill(entry, session);
    }
  }

  return {
    /** Read the sessions and show them; answers whether that was allowed. */
    async refresh() {
      const answer = await fetch(`/penstock/v1/sessions?count=${SHOWN}`, { cache: "no-store" });
      if (answer.ok) show(await answer.json());
      return answer.ok;
    },
  };
}

function fill({ cells, role, button, quality }, s) {
  const stream = s.name ? `${s.app}/${s.name}` : s.app || "–";
  const address = s.address.includes(":") ? `[${s.address}]:${s.port}` : `${s.address}:${s.port}`;
  role.textContent = s.role;
  role.className = `role ${s.role}`;
  button.setAttribute("aria-label", `End ${s.role} of ${stream} from ${address}`);
  const texts = [
    null, stream, s.protocol, address, s.user_agent || "–", span(s.age_s),
    bytes(s.bytes_received), bytes(s.bytes_sent), String(s.dropped_frames),
  ];
  texts.forEach((text, at) => {
    if (text !== null && cells[at].textContent !== text) cells[at].textContent = text;
  });
  cells[1].title = stream;
  cells[4].title = s.user_agent;
  quality.update(s.link);
}
