// Small helpers for elements. Text is always set as text: names of files and classes never become markup.

/**
 * Make an element.
 * @param {string} tag "div", or "div.row.quiet" with classes
 * @param {object} [props] properties; "on" holds listeners, names with "-" and "role" are attributes
 * @param {...(Node|string|number|null|undefined|false)} children
 */
export function el(tag, props = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const node = document.createElement(name);
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null) continue;
    if (key === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (key === "style") Object.assign(node.style, value);
    else if (key === "data") Object.assign(node.dataset, value);
    else if (key.includes("-") || key === "role" || key === "list") node.setAttribute(key, value);
    else node[key] = value;
  }
  add(node, children);
  return node;
}

function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
}

/** Replace what an element holds. */
export function fill(node, ...children) {
  node.replaceChildren();
  add(node, children);
  return node;
}

export const $ = (selector, within = document) => within.querySelector(selector);

const ICONS = {
  start: "M2 2h2v12H2zM14 2v12L5 8z", end: "M12 2h2v12h-2zM2 2v12l9-6z", back: "M11 2v12L3 8z", on: "M5 2v12l8-6z",
  copy: "M2 2h8v2H4v7H2zM6 5h8v9H6z",
  play: "M3 1.5v13L14 8z", pause: "M3 2h3.5v12H3zM9.5 2H13v12H9.5z",
};

/** A small picture for a button, whose name is its label. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** 1536000 -> "1.5 MB" */
export function bytes(number) {
  if (number === null || number === undefined) return "";
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (number >= size) return `${(number / size).toFixed(number < 10 * size ? 1 : 0)} ${unit}`;
  }
  return `${number} bytes`;
}

/** 3723.4 -> "1:02:03" */
export function clock(seconds, digits = 0) {
  const whole = Math.floor(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  const rest = digits ? (seconds - whole).toFixed(digits).slice(1) : "";
  return (h ? `${h}:${two(m)}` : `${m}`) + `:${two(s)}${rest}`;
}

/** 75 -> "1 min 15 s" */
export function duration(seconds) {
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
}

export const count = (number, noun, plural = `${noun}s`) => `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;

/** Tell something that needs no answer. */
export function toast(sentence, kind = "") {
  const node = el("div.toast", { className: `toast ${kind}` }, sentence);
  const holder = $("#toasts");
  holder.append(node);
  while (holder.children.length > 4) holder.firstChild.remove();
  setTimeout(() => node.remove(), kind === "error" ? 9000 : 3500);
}

/** Ask before something is lost. Resolves to whether it was confirmed. */
export function confirmed(sentence, action) {
  return new Promise((resolve) => {
    const dialog = el("dialog.ask", { on: { close: () => { dialog.remove(); resolve(dialog.returnValue === "yes"); } } },
      el("p", {}, sentence),
      el("div.row.end", {},
        el("button", { type: "button", autofocus: true, on: { click: () => dialog.close("no") } }, "Keep"),
        el("button.danger", { type: "button", on: { click: () => dialog.close("yes") } }, action)));
    document.body.append(dialog);
    dialog.showModal();
  });
}
