// Proposals as they come, and what is drawn of them.

import { Asking, counted, examples, fixed, node, percent, shown } from "./ask.js";
import { scatter } from "./pictures.js";

const FEW = 10, ROWS = 100, REST = 250; // milliseconds between two drawings

export function prepare(section, about) {
  const find = (css) => section.querySelector(css);
  let proposals, draws, prompt, all, total, sort = { key: "share", down: true }, drawn = 0, waiting;
  const length = find("[name=length]");
  [length.max, length.value] = [about.window - 1, Math.min(20, Math.max(1, about.window >> 1))];
  const asking = new Asking(section, "write", hear);
  examples(section, about.examples.map(({ prefix }) => ({ prompt: prefix })));

  function hear(event) {
    if (event.event === "start") {
      clearTimeout(waiting);
      [proposals, draws, prompt, all, waiting] = [[], [], event.question.prompt, false, null];
      total = event.question.proposals;
      for (const css of ["figure", ".proposals", ".two", ".shell", ".all"]) find(css).hidden = true;
      asking.warn([]);
    } else if (event.event === "begin") {
      find(".shell").hidden = false;
      find(".shell pre").textContent = event.command
        ?? "fairseq-interactive reads a line as a prompt, without the spaces around it: this prompt cannot be given to it.";
      find(".copy").hidden = !event.command;
      const seen = event.prompt_tokens - event.context_tokens;
      asking.warn([...(seen ? [`Of the prompt only the last ${event.context_tokens} tokens are seen.`] : []), ...event.warnings]);
    } else if (event.event === "base") {
      find(".two").hidden = false;
      find(".draws").replaceChildren(node("li", {}, node("small", {}, "…")));
      find(".base").replaceChildren(...event.texts.map((text) => item(text)));
    } else if (event.event === "proposals") {
      for (const each of event.proposals) proposals.push({ index: proposals.length, ...each });
      shares();
      asking.progress(proposals.length / total);
      asking.count(`${counted(proposals.length, "proposal")} of ${total.toLocaleString("en")}`);
      soon();
    } else if (event.event === "end") {
      proposals.forEach((each, i) => { each.share = event.shares[i]; });
      draws = event.draws;
      const texts = draws.map((each) => item(proposals[each.index].text, proposals[each.index]));
      find(".draws").replaceChildren(...texts.length ? texts : [node("li", {}, "nothing: every energy is infinite")]);
      asking.say(summary(event.ess));
      now();
    } else if (event.event === "stop" && proposals?.length) {
      find(".draws").replaceChildren(node("li", {}, node("small", {}, "Stopped before anything was drawn.")));
      now();
    }
  }

  function summary(ess) {
    if (ess === null) return "";
    const count = counted(proposals.length, "proposal");
    const said = `${count}, as good as ${fixed(ess, 1)} of equal weight.`;
    return ess >= FEW ? said : `${said} That is few: what is drawn is a rough picture of the joint model. More proposals help.`;
  }

  function item(text, of) {
    const letters = [...prompt], tail = letters.length > 60 ? `…${letters.slice(-60).join("")}` : prompt;
    const more = of ? [node("small", {}, `energy ${fixed(of.energy, 2)} · log P ${fixed(of.log_p, 2)} · share ${percent(of.share)}`)] : [];
    return node("li", { dir: "auto" }, node("span", { class: "given" }, tail), text, ...more);
  }

  function shares() {
    const known = proposals.filter((each) => each.energy !== null);
    const least = Math.min(...known.map((each) => each.energy));
    const sum = known.reduce((so, each) => so + Math.exp(least - each.energy), 0);
    for (const each of proposals) each.share = each.energy === null ? 0 : Math.exp(least - each.energy) / sum;
  }

  function soon() {
    if (waiting) return;
    waiting = setTimeout(now, Math.max(0, drawn + REST - Date.now()));
  }

  function now() {
    clearTimeout(waiting);
    [waiting, drawn] = [null, Date.now()];
    const chosen = new Set(draws.map((each) => each.index));
    find("figure").hidden = find(".proposals").hidden = false;
    scatter(find(".scatter"), proposals, chosen);
    const best = proposals.reduce((so, each) => each.share > so.share ? each : so);
    find(".scatter").setAttribute("aria-label",
      `${counted(proposals.length, "proposal")}; the one with the largest share, ${percent(best.share)}: ${best.text}`);
    table(chosen);
  }

  function table(chosen) {
    const sign = sort.down ? -1 : 1, worth = (each) => each[sort.key] ?? Infinity;
    const order = [...proposals].sort((a, b) => sign * (worth(a) > worth(b) ? 1 : worth(a) < worth(b) ? -1 : 0));
    find("tbody").replaceChildren(...order.slice(0, all ? undefined : ROWS).map((each) => node("tr", {
      class: chosen.has(each.index) ? "chosen" : null, "data-index": each.index,
      onmouseenter: () => light(each.index, true), onmouseleave: () => light(each.index, false),
    }, node("th", { scope: "row" }, `${chosen.has(each.index) ? "◆ " : ""}${shown(each.text)}`),
      node("td", {}, percent(each.share)), node("td", {}, fixed(each.energy, 2)), node("td", {}, fixed(each.log_p, 2)))));
    find(".all").hidden = all || order.length <= ROWS;
    find(".all").textContent = `Show all ${order.length.toLocaleString("en")}`;
    for (const button of section.querySelectorAll("thead button")) {
      const is = button.dataset.key === sort.key;
      button.parentElement.setAttribute("aria-sort", is ? (sort.down ? "descending" : "ascending") : "none");
    }
  }

  const light = (index, is) => find(`.scatter [data-index="${index}"]`)?.classList.toggle("lit", is);

  section.querySelector("thead").addEventListener("click", (event) => {
    const key = event.target.closest("button")?.dataset.key;
    if (!key) return;
    sort = { key, down: key === sort.key ? !sort.down : key !== "energy" && key !== "text" };
    now();
  });
  find(".all").addEventListener("click", () => { all = true; now(); });
  find(".copy").addEventListener("click", async () => {
    const shell = find(".shell pre");
    try {
      await navigator.clipboard.writeText(shell.textContent);
      asking.say("Copied.");
    } catch {
      getSelection().selectAllChildren(shell);
      asking.say("This browser lets the page copy nothing: it is selected, press Ctrl-C.");
    }
  });
}
