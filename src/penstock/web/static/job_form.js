// The form that makes a job: its fields come from the server, which judges them too.

import { reason, send } from "./ask.js";

const by = (id) => document.getElementById(id);
const PAUSE_MS = 250;

/** Wire the form; `created(job)` is told what it has made. */
export function createJobForm({ streams, created }) {
  const form = by("job-form");
  const kept = new Map(); // what was typed goes over to the field of the same name
  let templates = [];
  let fields = [];
  let timer = 0;
  let asked = 0;

  by("job-new").addEventListener("click", () => open(form.hidden));
  by("job-cancel").addEventListener("click", () => close());
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  by("job-template").addEventListener("change", build);
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(judge, PAUSE_MS);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    by("job-create").disabled = true;
    await create();
    by("job-create").disabled = false;
  });

  async function open(wanted) {
    if (wanted && !templates.length && !(await load())) return;
    form.hidden = !wanted;
    by("job-new").setAttribute("aria-expanded", String(wanted));
    if (!wanted) return;
    suggest();
    by("job-template").focus();
    form.scrollIntoView({ block: "nearest" });
  }

  function close() {
    open(false);
    by("job-new").focus();
  }

  async function load() {
    const answer = await fetch("/penstock/v1/job-templates", { cache: "no-store" });
    if (!answer.ok) return false;
    templates = (await answer.json()).templates;
    by("job-template").replaceChildren(...templates.map(({ name, label }) => new Option(label, name)));
    build();
    return true;
  }

  function build() {
    const template = templates.find(({ name }) => name === by("job-template").value);
    by("job-text").textContent = template.text;
    for (const field of fields) kept.set(field.name, field.read());
    fields = template.fields.map((field) => {
      const made = makeField(field);
      if (kept.has(field.name) && field.kind === "text") made.write(kept.get(field.name));
      return made;
    });
    by("job-fields").replaceChildren(...fields.flatMap(({ nodes }) => nodes));
    by("job-error").textContent = "";
    judge();
  }

  /** Ask the server what it thinks; only what was touched is complained about. */
  async function judge() {
    const mine = (asked += 1);
    const answer = await send("/penstock/v1/job-templates", filled());
    if (!answer.ok || mine !== asked) return;
    const told = await answer.json();
    by("job-command").textContent = told.command_line;
    for (const field of fields) field.complain(field.touched ? told.fields[field.name] : undefined);
  }

  async function create() {
    by("job-error").textContent = "";
    const answer = await send("/penstock/v1/jobs", filled());
    if (answer.ok) {
      kept.clear();
      fields = [];
      close();
      created(await answer.json());
      build();
      return;
    }
    const told = await answer.clone().json().catch(() => ({}));
    const wrong = fields.filter((field) => told.fields?.[field.name]);
    for (const field of fields) field.complain(told.fields?.[field.name]);
    if (wrong.length) wrong[0].focus();
    else by("job-error").textContent = await reason(answer);
  }

  function filled() {
    return {
      template: by("job-template").value,
      fields: Object.fromEntries(fields.map((field) => [field.name, field.read()])),
    };
  }

  function suggest() {
    const live = streams().filter(({ app, vhost, name }) => app === "live" && vhost === "default" && name);
    by("job-streams").replaceChildren(...live.map(({ name }) => new Option(name)));
  }
}

/** Make the nodes of one field: a label, what is filled in, errors, and a hint. */
function makeField(field) {
  const id = `job-field-${field.name}`;
  const { control, read, write, label = labelFor(id, field.label), node = control } = CONTROLS[field.kind](field, id);
  const hint = note(`${id}-hint`, "soft", field.hint);
  const error = note(`${id}-error`, "wrong", "");
  error.setAttribute("aria-live", "polite");
  control.setAttribute("aria-describedby", `${error.id} ${hint.id}`);
  if (field.streams) control.setAttribute("list", "job-streams");
  const body = document.createElement("span");
  body.append(node, error, hint);
  const made = {
    name: field.name, read, write, nodes: [label, body], touched: false,
    focus: () => control.focus(),
    complain(sentence = "") {
      if (error.textContent !== sentence) error.textContent = sentence;
      control.setAttribute("aria-invalid", String(sentence !== ""));
    },
  };
  body.addEventListener("input", () => {
    made.touched = true;
  });
  return made;
}

function labelFor(id, text) {
  const label = document.createElement("label");
  label.htmlFor = id;
  label.textContent = text;
  return label;
}

function note(id, className, text) {
  const small = document.createElement("small");
  small.id = id;
  small.className = className;
  small.textContent = text;
  return small;
}

function checkbox(checked, text) {
  const label = document.createElement("label");
  label.className = "check";
  const input = document.createElement("input");
  input.type = "checkbox";
  input.checked = checked;
  label.append(input, text);
  return { label, input };
}

/** Kind -> the control of a field, how it is read, and how it is filled in. */
const CONTROLS = {
  text(field, id) {
    const control = document.createElement("input");
    Object.assign(control, { id, value: field.default, spellcheck: false, autocapitalize: "off" });
    return { control, read: () => control.value, write: (value) => (control.value = value) };
  },
  choice(field, id) {
    const control = document.createElement("select");
    control.id = id;
    control.append(...field.choices.map(({ value, label }) => new Option(label, value)));
    control.value = field.default;
    return { control, read: () => control.value, write: (value) => (control.value = value) };
  },
  choices(field, id) {
    const control = document.createElement("span");
    const label = document.createElement("span");
    label.className = "label";
    label.id = `${id}-label`;
    label.textContent = field.label;
    Object.assign(control, { id, className: "choices", tabIndex: -1, role: "group" });
    control.setAttribute("aria-labelledby", label.id);
    const boxes = field.choices.map(({ value, label: text }) => {
      const box = checkbox(field.default.includes(value), text);
      box.input.value = value;
      control.append(box.label);
      return box.input;
    });
    const read = () => boxes.filter((box) => box.checked).map((box) => box.value);
    return { control, label, read, write: () => {} };
  },
  flag(field, id) {
    const { label: node, input: control } = checkbox(field.default, field.label);
    control.id = id;
    const label = document.createElement("span"); // the box has one of its own
    return { control, node, label, read: () => control.checked, write: (value) => (control.checked = value) };
  },
};
