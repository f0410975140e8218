// Whether a text looks generated, which tokens say so, and what changes the verdict.

import { Asking, chance, examples, fixed, node, percent, roving, shown } from "./ask.js";
import { histogram } from "./pictures.js";

const RANKS = [[10, "among the 10 likeliest", 0.1], [100, "among the 100 likeliest", 0.35], [1000, "among the 1,000 likeliest", 0.65], [Infinity, "beyond", 1]];

export function prepare(section, about) {
  const find = (css) => section.querySelector(css);
  const list = find(".colours"), settle = roving(list);
  let tokens, energy, verdict;
  const asking = new Asking(section, "judge", hear);
  examples(section, about.examples.flatMap(({ texts }) => texts.map((text) => ({ text }))));
  find("select").addEventListener("change", colour);

  function hear(event) {
    if (event.event === "start") {
      find(".found").hidden = true;
      verdict = null;
      for (const css of [".edits tbody", ".attacks tbody"]) find(css).replaceChildren();
      find(".verdict").textContent = find(".edits-note").textContent = "";
      find("figure").hidden = true;
      find(".detail").textContent = "Choose a token to see its figures.";
    } else if (event.event === "begin") {
      ({ tokens, energy } = event);
      find(".found").hidden = false;
      find(".rest").textContent = event.rest;
      list.replaceChildren(...tokens.map((token, i) => node("li", {}, node("button", {
        type: "button", tabindex: -1, onclick: (click) => detail(i, click.currentTarget), "aria-pressed": false,
      }, shown(token.text)))));
      settle();
      colour();
      asking.say("");
    } else if (event.event === "calibrating") {
      asking.progress(0.3 * event.done / event.of);
      asking.say("Looking at real and generated text of this length…");
    } else if (event.event === "verdict") {
      verdict = event;
      asking.warn(event.warnings);
      say();
    } else if (event.event === "changes") {
      event.changes.forEach((change, i) => Object.assign(tokens[event.first + i], { change, other: event.others[i] }));
      asking.progress(0.3 + 0.4 * (event.first + event.changes.length) / tokens.length);
      asking.say("Which tokens say so…");
      colour();
    } else if (event.event === "edits") {
      find(".edits-note").textContent = event.why_not ? `Not to be had: ${event.why_not}.`
        : `Which tokens, changed, push it towards ${event.towards}: the best one, then the best after that, and so on.`;
      find(".edits").hidden = Boolean(event.why_not);
      find(".edits tbody").replaceChildren(...(event.rows ?? []).map((row) => node("tr", {},
        node("th", { scope: "row", class: "piece" }, `${row.position}: ${shown(row.before)}`), node("td", { class: "piece" }, shown(row.after)), ...seen(row))));
      asking.progress(0.8);
    } else if (event.event === "attack") {
      find(".attacks tbody").append(node("tr", {}, node("th", { scope: "row" }, event.name),
        ...(event.is_same ? [node("td", { colspan: 3 }, "changes nothing here")] : [...seen(event), node("td", {}, event.looks ?? "–")])));
    } else if (event.event === "end") {
      asking.say("");
    }
  }

  const seen = (row) => [node("td", {}, fixed(row.energy, 2)),
    node("td", {}, row.probability === null ? "–" : chance(row.probability))];

  function say() {
    const line = find(".verdict");
    if (verdict.looks === undefined) {
      line.textContent = `Energy ${fixed(energy, 3)}`;
      return;
    }
    const { looks, false_alarms: alarms } = verdict;
    const turns = looks === null ? "" : ", the dashed one where the verdict turns";
    line.replaceChildren(looks === null ? "The energy cannot tell: at this length generated text has no higher energies than real text."
      : `It looks ${looks}: a probability of ${chance(verdict.probability)} that it is generated, if half of all texts are.`,
      node("small", {}, `Energy ${fixed(energy, 3)}. Of ${verdict.num_real} real windows, ${alarms} (${percent(alarms / verdict.num_real, 0)}) `
        + `look at least as generated; of as many generated ones, ${verdict.missed} look more real.`
        + (looks === null ? "" : ` The energy is right about ${percent(verdict.accuracy, 0)} of them.`)));
    const caption = `Energies of ${verdict.num_real} real windows (filled) and as many generated ones (outlined) of ${about.calibration.subset}; `
      + `the solid line is this text${turns}.`;
    find("figure figcaption").textContent = caption;
    find("figure").hidden = false;
    histogram(find(".histogram"), verdict, energy);
    find(".histogram").setAttribute("aria-label", `${caption} This text: ${fixed(energy, 2)}` + (looks === null ? "." : `; the verdict turns at ${fixed(verdict.threshold, 2)}.`));
  }

  function colour() {
    if (!tokens) return;
    const by = find("select").value, most = Math.max(...tokens.map((token) => Math.abs(token.change ?? 0)), 1e-6);
    find(".legend").textContent = by === "rank"
      ? "The stronger the colour, the lower the language model ranks the token. A person writes more of these than the model does."
      : "Solid underline: with another token here, the text would look more generated. Dotted: it would look more real. The stronger the colour, the more.";
    for (const [i, button] of list.querySelectorAll("button").entries()) {
      const token = tokens[i];
      const part = by === "rank" ? RANKS.find(([most]) => token.rank <= most)[2]
        : token.change === undefined || token.change === null ? 0 : Math.abs(token.change) / most;
      button.className = by === "rank" || part < 0.02 ? "" : token.change > 0 ? "real" : "generated";
      if (by === "rank") button.className = "real";
      button.style.setProperty("--part", part);
    }
  }

  function moved(change) {
    if (Math.abs(change) < 0.005) return "stays as it is";
    const [how, looks] = change > 0 ? ["rises", "real"] : ["falls", "generated"];
    return `${how} by ${fixed(Math.abs(change), 2)}: as it is, it makes the text look more ${looks}`;
  }

  function detail(i, button) {
    const token = tokens[i];
    for (const each of list.querySelectorAll("button")) each.setAttribute("aria-pressed", each === button);
    const rank = RANKS.find(([most]) => token.rank <= most)[1];
    find(".detail").textContent = `“${shown(token.text)}”: number ${token.rank.toLocaleString("en")} of the language model's list (${rank}), `
      + `probability ${percent(Math.exp(token.log_p), 2)}.`
      + (token.other === undefined ? "" : ` With “${shown(token.other)}” in its place the energy ${moved(token.change)}.`);
  }
}
