// How likely a text is, token by token, and what could stand at a place.

import { ask, Asking, examples, fixed, node, percent, roving, shown } from "./ask.js";

const SURPRISING = 12, FEW = 10; // nats that fill a bar; effective samples

export function prepare(section, about) {
  const find = (css) => section.querySelector(css);
  const list = find(".bars"), settle = roving(list);
  let question, tokens, given, control;
  const asking = new Asking(section, "likely", hear);
  examples(section, about.examples.map(({ prefix, continuation }) => ({ prefix, continuation })));

  function hear(event) {
    if (event.event === "start") {
      question = event.question;
      control?.abort();
      find(".found").hidden = find(".next").hidden = true;
      find(".note").textContent = "";
      asking.warn([]);
    } else if (event.event === "tokens") {
      [tokens, given] = [event.tokens, event.prefix_tokens];
      find(".found").hidden = false;
      asking.warn(event.warnings);
      rows([["language model", fixed(event.base_ppl, 2), "exact"], ["joint model", "…", ""]]);
      list.replaceChildren(...tokens.map((token, i) => node("li", {}, node("button", {
        type: "button", class: i < given ? "given" : null, tabindex: -1, onclick: () => look(i),
        title: `P = ${percent(Math.exp(token.log_p), 2)}`,
        "aria-label": `${shown(token.text)}, probability ${percent(Math.exp(token.log_p), 2)}`,
      }, node("i", { "--part": Math.min(1, -token.log_p / SURPRISING) }), shown(token.text)))));
      settle();
    } else if (event.event === "bounds") {
      asking.progress(event.done / event.samples);
      asking.count(`${event.done.toLocaleString("en")} of ${event.samples.toLocaleString("en")} samples`);
      figures(event);
    } else if (event.event === "end") {
      figures(event);
      const better = event.joint_ppl < event.base_ppl, gain = Math.abs(event.joint_ppl / event.base_ppl - 1);
      const sure = event.joint_ppl_ci95 && (better ? event.joint_ppl_ci95[1] < event.base_ppl : event.joint_ppl_ci95[0] > event.base_ppl);
      asking.say((gain < 1e-4 ? "To both models it is as likely."
        : `To the joint model it is ${better ? "likelier" : "less likely"}${sure ? "" : ", if the samples do not mislead"}.`)
        + (event.ess < FEW ? " They are worth few of equal weight: take more." : ""));
    }
  }

  function figures(found) {
    const interval = found.joint_ppl_ci95;
    rows([["language model", fixed(found.base_ppl, 2), "exact"],
      ["joint model", fixed(found.joint_ppl, 2), interval ? `${fixed(interval[0], 2)} to ${fixed(interval[1], 2)}` : "?"]]);
    find(".note").textContent = `Energy ${fixed(found.energy, 3)}; log Z ${fixed(found.log_z, 3)} ± ${fixed(found.log_z_error, 3)} `
      + `(bounds ${fixed(found.log_z_lower, 3)} to ${fixed(found.log_z_upper, 3)}); samples worth ${fixed(found.ess, 1)} of equal weight.`;
  }

  function rows(some) {
    find(".figures tbody").replaceChildren(...some.map(([head, ...cells]) =>
      node("tr", {}, node("th", { scope: "row" }, head), ...cells.map((cell) => node("td", {}, cell)))));
  }

  async function look(position) {
    control?.abort();
    const mine = control = new AbortController();
    const next = find(".next"), bar = next.querySelector("progress"), stop = next.querySelector(".stop");
    next.hidden = false;
    for (const [i, button] of list.querySelectorAll("button").entries()) button.classList.toggle("next-at", i === position);
    next.querySelector(".alert").textContent = "";
    next.querySelector("tbody").replaceChildren();
    next.querySelector(".beside").textContent = "";
    next.querySelector(".where").textContent = `After “${tokens.slice(Math.max(0, position - 12), position).map((each) => each.text).join("")}”`;
    [bar.value, bar.hidden, stop.disabled] = [0, false, false];
    stop.onclick = () => mine.abort();
    find("#next-head").focus();
    try {
      const { prefix, continuation, seed } = question;
      await ask("next", { prefix, continuation, seed, position }, mine.signal, (event) => {
        if (control !== mine) return;
        if (event.event === "candidates") bar.value = event.done / event.candidates;
        else if (event.event === "end") {
          const most = Math.max(...event.rows.map((row) => Math.max(row.lm, row.joint)));
          next.querySelector("tbody").replaceChildren(...event.rows.map((row) => candidate(row, most)));
          const missing = event.actual !== null && !event.rows.some((row) => row.is_actual);
          next.querySelector(".beside").textContent = [
            `Of the ${event.rows.length} tokens that the language model finds likeliest here, which share what is shown of each model.`,
            ...(missing ? [`“${shown(event.actual)}”, which stands there, is not among them.`] : []), ...event.warnings].join(" ");
        }
      });
    } catch (error) {
      if (control === mine && error.name !== "AbortError") next.querySelector(".alert").textContent = error.message;
    }
    if (control === mine) [bar.hidden, stop.disabled] = [true, true];
  }

  function candidate(row, most) {
    const bar = (part) => node("td", {}, node("span", { class: "share", "--part": part / most, "aria-hidden": true }), percent(part));
    const [low, high] = row.joint_ci95;
    return node("tr", { class: row.is_actual ? "chosen" : null },
      node("th", { scope: "row", class: "piece" }, `${shown(row.text)}${row.is_actual ? " (stands there)" : ""}`),
      node("td", {}, percent(row.p, 2)), bar(row.lm), bar(row.joint), node("td", {}, `${percent(low)} to ${percent(high)}`));
  }
}
