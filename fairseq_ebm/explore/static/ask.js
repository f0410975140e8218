// Asking the server, whose answers come in lines of JSON; and small things that all parts need.

export async function ask(name, question, signal, hear) {
  for (const [field, value] of Object.entries(question)) {
    if (typeof value !== "string" || value.length <= mostCharacters) continue;
    const [given, most] = [value.length, mostCharacters].map((count) => count.toLocaleString("en"));
    throw new Error(`${namesOf(field)}: ${given} characters; ${most} are the most`);
  }
  const response = await reached(fetch(`api/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(question),
    signal,
  }));
  if (!response.ok) throw new Error(await refusalOf(response));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", ended = false;
  for (;;) {
    const { value, done } = await reached(reader.read());
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const event = JSON.parse(line);
      if (event.event === "error") throw new Error(event.message);
      ended ||= event.event === "end";
      hear(event);
    }
  }
  if (!ended) throw new Error("The server has ended before its answer did.");
}

let mostCharacters = Infinity;
export const knowing = (about) => { mostCharacters = about.most_characters; };
const namesOf = (field) => document.querySelector(`label[for=${field}]`)?.textContent ?? field;

// What the browser says of a connection that is not there, in words.
async function reached(promise) {
  try { return await promise; } catch (error) {
    throw error.name === "AbortError" ? error : new Error("The server does not answer. Is it still running?");
  }
}

async function refusalOf(response) {
  const text = await response.text();
  try { return JSON.parse(text).message; } catch { return text || `error ${response.status}`; }
}

export const fixed = (value, digits) => value === null || value === undefined ? "∞"
  : value.toFixed(digits).replace("-", "−");
export const percent = (value, digits = 1) => `${fixed(100 * value, digits)}%`;
// Of what is estimated, which is never certain.
export const chance = (value) => value < 0.005 ? "less than 1%" : value > 0.995 ? "more than 99%" : percent(value, 0);
export const counted = (count, one, many = `${one}s`) =>
  `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
export const shown = (text) => /^ +$/.test(text) ? "␣".repeat(text.length) : text.replace(/\n/g, "⏎").replace(/\t/g, "⇥") || "∅";

// A node with attributes, what it does on events, and what is in it: nodes, or text as text.
export function node(tag, attributes = {}, ...content) {
  const svg = ["svg", "circle", "path", "line", "rect", "text", "title", "g"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("aria-")) made.setAttribute(name, value);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) made.style.setProperty(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...content);
  return made;
}

const OFTEN = 400; // milliseconds

// A form that asks one question at a time: with knobs, Stop, progress, and what went wrong.
export class Asking {
  constructor(section, name, hear) {
    this.section = section;
    this.find = (css) => section.querySelector(css);
    this.form = this.find("form");
    [this.name, this.hear] = [name, hear];
    for (const knob of this.form.querySelectorAll("input[type=range]")) turnable(knob);
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.start(); });
    this.find(".stop").addEventListener("click", () => this.stop());
  }

  question() {
    const given = {};
    for (const field of this.form.elements) {
      if (!field.name) continue;
      const value = field.tagName === "TEXTAREA" ? field.value : valueOf(field);
      if (value !== null) given[field.name] = value;
    }
    return given;
  }

  async start() {
    this.stop();
    const mine = this.control = new AbortController();
    this.busy(true);
    this.say("…");
    this.find(".alert").textContent = "";
    this.hear({ event: "start", question: this.question() });
    try {
      await ask(this.name, this.question(), mine.signal, (event) => {
        if (this.control === mine) this.hear(event);
      });
    } catch (error) {
      if (this.control !== mine) return;
      const stopped = error.name === "AbortError";
      this.say(stopped ? "Stopped." : "");
      if (!stopped) this.find(".alert").textContent = error.message;
      this.hear({ event: "stop" });
    }
    if (this.control === mine) this.busy(false);
  }

  stop() { this.control?.abort(); }

  busy(is) {
    this.section.setAttribute("aria-busy", is);
    this.find(".stop").disabled = !is;
    this.find("form progress").hidden = !is;
    if (is) this.progress(0);
  }

  progress(part) { this.find("form progress").value = part; }

  say(text) { [this.find(".status").textContent, this.said] = [text, Date.now()]; }

  // What changes all the time is said now and then: it is read aloud.
  count(text) { if (Date.now() - this.said > OFTEN) this.say(text); }

  warn(sentences) {
    const list = this.find(".warnings");
    list.replaceChildren(...sentences.map((each) => node("li", {}, each)));
  }
}

function valueOf(field) {
  const values = field.dataset.values?.split(" ");
  const value = values ? values[field.value] : field.value;
  return value === "off" || value === "" ? null : Number(value);
}

function turnable(knob) {
  const values = knob.dataset.values?.split(" ");
  if (values) [knob.min, knob.max] = [0, values.length - 1];
  const show = () => {
    const now = values ? values[knob.value] : knob.value;
    knob.parentElement.querySelector("output").textContent = Number(now) ? Number(now).toLocaleString("en") : now;
    knob.setAttribute("aria-valuetext", now);
  };
  knob.addEventListener("input", show);
  show();
}

// Fields are filled in with the first example, if nothing is in them; a button has the others.
export function examples(section, texts) {
  const button = section.querySelector(".example");
  let next = 0;
  const fill = () => {
    for (const [name, text] of Object.entries(texts[next])) section.querySelector(`[name=${name}]`).value = text;
    next = (next + 1) % texts.length;
  };
  button.hidden = texts.length < 2;
  button.addEventListener("click", fill);
  if (texts.length && [...section.querySelectorAll("textarea")].every((field) => !field.value)) fill();
}

// One of many buttons has the focus; arrows move it.
export function roving(list) {
  const buttons = () => [...list.querySelectorAll("button")];
  const take = (chosen) => buttons().forEach((each) => { each.tabIndex = each === chosen ? 0 : -1; });
  list.addEventListener("focusin", (event) => take(event.target));
  list.addEventListener("keydown", (event) => {
    const all = buttons(), now = all.indexOf(document.activeElement);
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -now, End: all.length - 1 - now };
    if (now < 0 || !(event.key in by)) return;
    event.preventDefault();
    all[Math.min(all.length - 1, Math.max(0, now + by[event.key]))].focus();
  });
  return () => take(buttons()[0]);
}
