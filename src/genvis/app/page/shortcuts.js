// Everything by keyboard: one table, from which the help is made.

import { el } from "./dom.js";

const groups = [];

/**
 * Name shortcuts.
 * @param {string} name of the group in the help
 * @param {Array<[string, string, (event: KeyboardEvent) => void]>} entries keys ("Shift+ArrowLeft", several with " / "),
 *   words, and what is done
 * @returns {() => void} takes them back
 */
export function shortcuts(name, entries) {
  const group = { name, entries };
  groups.push(group);
  return () => groups.splice(groups.indexOf(group), 1);
}

const SHOWN = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space", Delete: "Del", Escape: "Esc", Ctrl: "Ctrl" };

function matches(keys, event) {
  return keys.split(" / ").some((key) => {
    const parts = key === "+" ? ["+"] : key.split("+");
    const last = parts.pop();
    const wants = (name) => parts.includes(name);
    if (wants("Ctrl") !== (event.ctrlKey || event.metaKey) || event.altKey) return false;
    // What stands on a key with Shift is named by the sign itself.
    const isLetter = /^[a-z]$/i.test(last);
    if ((isLetter || last.length > 1) && wants("Shift") !== event.shiftKey) return false;
    return isLetter ? event.key.toLowerCase() === last.toLowerCase() : event.key === (last === "Space" ? " " : last);
  });
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
  const target = event.target;
  const isTyping = target.matches?.("input:not([type=checkbox]):not([type=range]), select, textarea");
  const isPressed = target.matches?.("button, a, summary, input[type=checkbox]") && (event.key === " " || event.key === "Enter");
  if (isPressed || (isTyping && !event.ctrlKey && !event.metaKey && event.key !== "Escape")) return;
  for (const { entries } of [...groups].reverse()) {
    const entry = entries.find(([keys]) => matches(keys, event));
    if (entry) {
      if (isTyping && event.key === "Escape") target.blur();
      else if (isTyping && /^[acvxyz]$/i.test(event.key)) return; // The field's own copy, paste and undo.
      else {
        event.preventDefault();
        entry[2](event);
      }
      return;
    }
  }
});

/** The help: all shortcuts that work now. */
export function showHelp() {
  const key = (keys) => keys.split(" / ").map((one, place) => [place ? " or " : "",
    ...(one === "+" ? ["+"] : one.split("+")).map((part) => el("kbd", {}, SHOWN[part] ?? part))]);
  const dialog = el("dialog.help", { "aria-label": "Keyboard shortcuts", on: { close: () => dialog.remove(), click: (event) => event.target === dialog && dialog.close() } },
    el("div.row", {}, el("h2", {}, "Keyboard"), el("span.grow"), el("button.icon", { type: "button", "aria-label": "Close", on: { click: () => dialog.close() } }, "×")),
    el("div.columns", {}, groups.map((group) => el("section", {}, el("h3", {}, group.name),
      el("dl", {}, group.entries.map(([keys, words]) => [el("dt", {}, key(keys)), el("dd", {}, words)]))))));
  document.body.append(dialog);
  dialog.showModal();
}
