// Which part is shown, and what is explored.

import { knowing, node } from "./ask.js";
import * as judge from "./judge.js";
import * as likely from "./likely.js";
import * as write from "./write.js";

const PARTS = { write, likely, judge };
const byId = (id) => document.getElementById(id);

async function begin() {
  const response = await fetch("api/about");
  if (!response.ok) throw new Error(await response.text());
  const about = await response.json();
  for (const item of document.querySelectorAll("nav li")) item.hidden = !about[item.dataset.needs];
  if (about.models) {
    const { language_model, others, window, device, calibration } = about.models;
    const known = calibration ? `; compared with ${calibration.windows} windows of ${calibration.subset}` : "";
    byId("about").append(node("br"), `${language_model} with ${others.join(", ")}; ${window} tokens at once, on ${device}${known}`);
    knowing(about.models);
    for (const [id, part] of Object.entries(PARTS)) part.prepare(byId(id), about.models);
  }
  const first = document.querySelector("nav li:not([hidden]) a").hash;
  const show = () => {
    if (location.hash === "#main") return; // by the link that skips what stands before it
    const wanted = [...document.querySelectorAll("nav li:not([hidden]) a")].find((link) => link.hash === location.hash);
    turnTo((wanted?.hash ?? first).slice(1), Boolean(wanted));
  };
  addEventListener("hashchange", show);
  show();
}

function turnTo(id, isAsked) {
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== id;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${id}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${byId(id).dataset.title} – Explore a joint model`;
  if (id === "results") report();
  if (isAsked) scrollTo(0, 0);
}

function report() {
  const frame = document.querySelector("#results iframe"), status = document.querySelector("#results .status");
  if (frame.getAttribute("src")) return;
  frame.addEventListener("load", () => {
    status.textContent = "";
    frame.style.height = `${frame.contentDocument.documentElement.scrollHeight + 20}px`;
  });
  frame.src = "results";
}

begin().catch((error) => byId("main").prepend(node("p", { class: "alert", role: "alert" }, error.message)));
