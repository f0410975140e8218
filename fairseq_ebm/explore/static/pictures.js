// Drawn as SVG: points of proposals, and histograms of energies.

import { fixed, node } from "./ask.js";

const EDGE = { left: 56, right: 12, top: 10, bottom: 42 };

function scale(low, high, from, to) {
  const span = high - low || 1;
  return (value) => from + (value - low) / span * (to - from);
}

function ticks(low, high, count = 5) {
  const raw = (high - low || 1) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((times) => times * power).find((each) => each >= raw);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9 * step; value += step) found.push(value);
  return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

function frame(svg, xs, ys, names) {
  const width = Math.max(300, svg.clientWidth || 640), { height } = svg.viewBox.baseVal;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`); // letters are as large as elsewhere
  const x = scale(...xs, EDGE.left, width - EDGE.right);
  const y = scale(...ys, height - EDGE.bottom, EDGE.top);
  const across = ticks(...xs, Math.round(width / 110)), up = ticks(...ys, 4), parts = [];
  for (const value of across.found) {
    parts.push(node("line", { class: "grid", x1: x(value), x2: x(value), y1: EDGE.top, y2: height - EDGE.bottom }));
    parts.push(node("text", { x: x(value), y: height - EDGE.bottom + 17, "text-anchor": "middle" }, fixed(value, across.digits)));
  }
  for (const value of up.found) {
    parts.push(node("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) }));
    parts.push(node("text", { x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end" }, fixed(value, up.digits)));
  }
  parts.push(node("text", { x: (EDGE.left + width) / 2, y: height - 6, "text-anchor": "middle" }, names[0]));
  parts.push(node("text", { transform: `translate(13 ${(height - EDGE.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, names[1]));
  svg.replaceChildren(...parts);
  return { x, y, width, height };
}

const around = (values) => {
  const low = Math.min(...values), high = Math.max(...values), room = 0.04 * (high - low) || 0.5;
  return [low - room, high + room];
};

export function scatter(svg, proposals, chosen) {
  const known = proposals.filter((each) => each.energy !== null);
  if (!known.length) return;
  const { x, y } = frame(svg, around(known.map((each) => each.log_p)), around(known.map((each) => -each.energy)),
    ["log P of the language model", "− energy"]);
  for (const each of known) {
    const [at, up, size] = [x(each.log_p), y(-each.energy), 3 + 26 * Math.sqrt(each.share || 0)];
    const is = chosen.has(each.index);
    const shape = is
      ? node("path", { d: `M${at} ${up - size - 2}l${size + 2} ${size + 2}l${-size - 2} ${size + 2}l${-size - 2} ${-size - 2}z` })
      : node("circle", { cx: at, cy: up, r: size });
    shape.setAttribute("class", is ? "proposal chosen" : "proposal");
    shape.dataset.index = each.index;
    shape.append(node("title", {}, each.text));
    svg.append(shape);
  }
  for (const shape of svg.querySelectorAll(".chosen")) svg.append(shape); // on top
}

export function histogram(svg, { edges, real, generated, threshold }, energy) {
  const bounds = [Math.min(edges[0], energy), Math.max(edges.at(-1), energy)];
  const most = Math.max(...real, ...generated);
  const { x, y, height } = frame(svg, bounds, [0, most], ["energy", "windows"]);
  let path = `M${x(edges[0])} ${y(0)}`;
  real.forEach((count, i) => {
    const [from, to] = [x(edges[i]), x(edges[i + 1])];
    svg.append(node("rect", { class: "bar-real", x: from, width: to - from, y: y(count), height: y(0) - y(count) }));
    path += `V${y(generated[i])}H${to}`;
  });
  svg.append(node("path", { class: "bar-generated", d: `${path}V${y(0)}` }));
  for (const [name, value] of [...(threshold === null ? [] : [["line", threshold]]), ["mark", energy]]) {
    svg.append(node("line", { class: name, x1: x(value), x2: x(value), y1: EDGE.top, y2: height - EDGE.bottom }));
  }
  const left = energy > (bounds[0] + bounds[1]) / 2;
  svg.append(node("text", { x: x(energy) + (left ? -6 : 6), y: EDGE.top + 12, "text-anchor": left ? "end" : "start" }, "this text"));
}
