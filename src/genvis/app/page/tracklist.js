// The list of tracks: sorted, filtered, and only the rows in view are elements.

import { $, count, el, fill } from "./dom.js";

const ROW = 26;
const COLUMNS = [
  { key: "id", name: "Id", of: (track) => track.id },
  { key: "label", name: "Class", of: (track) => track.label },
  { key: "score", name: "Score", of: (track) => track.score },
  { key: "seen", name: "Frames", of: (track) => track.seen },
  { key: "first", name: "From", of: (track) => track.first },
];

export class TrackList {
  /**
   * @param {HTMLElement} holder
   * @param {{onPick: (track: object, event: Event) => void, onJump: (track: object) => void, onOrder: () => void}} how
   */
  constructor(holder, how) {
    Object.assign(this, how);
    this.tracks = [];
    this.shown = [];
    this.selected = new Set();
    this.key = "first";
    this.isDown = false;
    this.cursor = -1;
    this.filter = el("input", {
      type: "search", placeholder: "Filter: class, id, > 0.8, < 20 frames", "aria-label": "Filter tracks",
      on: { input: () => this.#order() },
    });
    this.summary = el("span.quiet.small");
    this.head = el("div.track.head", { role: "row" }, COLUMNS.map((column) =>
      el("button", { type: "button", data: { key: column.key }, on: { click: () => this.#sort(column.key) } }, column.name)));
    this.space = el("div.space");
    this.rows = el("div.rows", {
      role: "listbox", tabIndex: 0, "aria-multiselectable": "true", "aria-label": "Tracks",
      on: { scroll: () => this.#draw(), keydown: (event) => this.#key(event) },
    }, this.space);
    fill(holder, el("div.row.tight", {}, this.filter, this.summary), this.head, this.rows);
    this.observer = new ResizeObserver(() => this.#draw());
    this.observer.observe(this.rows);
  }

  close() {
    this.observer.disconnect();
  }

  set({ tracks, selected }) {
    this.selected = selected;
    if (tracks !== this.tracks) {
      this.tracks = tracks;
      this.#order();
    } else this.#draw();
  }

  reveal(id) {
    const row = this.shown.findIndex((track) => track.id === id);
    if (row < 0) return;
    const { scrollTop, clientHeight } = this.rows;
    if (row * ROW < scrollTop) this.rows.scrollTop = row * ROW;
    if ((row + 1) * ROW > scrollTop + clientHeight) this.rows.scrollTop = (row + 1) * ROW - clientHeight;
  }

  #sort(key) {
    this.isDown = this.key === key ? !this.isDown : key === "score" || key === "seen";
    this.key = key;
    this.#order();
  }

  #order() {
    const words = this.filter.value.trim().toLowerCase();
    const [, sign, number, unit] = words.match(/^([<>])\s*([\d.]+)\s*(f\w*)?$/) ?? [];
    const test = sign
      ? (track) => { const value = unit ? track.seen : track.score; return sign === "<" ? value < number : value > number; }
      : (track) => !words || track.label.toLowerCase().includes(words) || String(track.id) === words;
    const { of } = COLUMNS.find((column) => column.key === this.key);
    const way = this.isDown ? -1 : 1;
    this.shown = this.tracks.filter(test).sort((a, b) => {
      const [x, y] = [of(a), of(b)];
      return way * (typeof x === "string" ? x.localeCompare(y) : x - y) || a.id - b.id;
    });
    for (const button of this.head.children) {
      const isKey = button.dataset.key === this.key;
      button.setAttribute("aria-pressed", String(isKey));
      button.dataset.way = isKey ? (this.isDown ? "down" : "up") : "";
    }
    this.summary.textContent = this.shown.length === this.tracks.length ? count(this.tracks.length, "track") : `${this.shown.length} of ${this.tracks.length}`;
    this.space.style.height = `${this.shown.length * ROW}px`;
    this.onOrder();
    this.#draw();
  }

  #draw() {
    const first = Math.max(0, Math.floor(this.rows.scrollTop / ROW) - 2);
    const last = Math.min(this.shown.length, Math.ceil((this.rows.scrollTop + this.rows.clientHeight) / ROW) + 2);
    const nodes = [];
    for (let row = first; row < last; row++) {
      const track = this.shown[row];
      const isSelected = this.selected.has(track.id);
      nodes.push(el("div.track", {
        id: `track-${track.id}`, role: "option", "aria-selected": String(isSelected), "aria-posinset": row + 1, "aria-setsize": this.shown.length,
        className: `track${isSelected ? " selected" : ""}${row === this.cursor ? " cursor" : ""}`,
        style: { top: `${row * ROW}px` },
        on: {
          click: (event) => { this.cursor = row; this.onPick(track, event); },
          dblclick: () => this.onJump(track),
        },
      },
      el("span.id", {}, el("i.swatch", { style: { background: track.css } }), track.id),
      el("span.label", { title: track.label }, track.label),
      el("span.number", {}, track.score.toFixed(2)),
      el("span.number", {}, track.seen),
      el("span.number", {}, track.first)));
    }
    this.space.replaceChildren(...nodes);
    const active = this.shown[this.cursor];
    if (active && $(`#track-${active.id}`, this.space)) this.rows.setAttribute("aria-activedescendant", `track-${active.id}`);
    else this.rows.removeAttribute("aria-activedescendant");
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (step && this.shown.length) {
      event.preventDefault();
      event.stopPropagation();
      this.cursor = Math.min(this.shown.length - 1, Math.max(0, this.cursor + step));
      this.onPick(this.shown[this.cursor], event);
      this.reveal(this.shown[this.cursor].id);
    } else if (event.key === "Enter" && this.shown[this.cursor]) {
      event.preventDefault();
      event.stopPropagation();
      this.onJump(this.shown[this.cursor]);
    }
  }
}
