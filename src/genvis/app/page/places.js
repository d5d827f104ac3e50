// Doubtful places and likely merges, gone through one after the other.

import { post } from "./api.js";
import { count, el, fill, toast } from "./dom.js";
import { shortcuts } from "./shortcuts.js";

export class Places {
  /**
   * @param {HTMLElement} holder
   * @param {{id: string, tracks: () => object[], onGo: (place: object) => void, onEdit: (edit: object) => Promise<object|null>,
   *   onMarks: () => void}} how
   */
  constructor(holder, how) {
    Object.assign(this, how);
    this.holder = holder;
    this.places = null;
    this.at = -1;
    this.job = null;
    this.#draw();
  }

  marks() {
    return (this.places ?? []).filter((place) => !place.isDone);
  }

  onState() {
    if (!this.places) return;
    // What names a track that is gone has been dealt with.
    const tracks = new Map(this.tracks().map((track) => [track.id, track]));
    for (const place of this.places) {
      const own = place.track_ids.map((id) => tracks.get(id));
      const isVisible = own.some((track) => track?.runs.some(([first, stop]) => first <= place.frame && place.frame < stop));
      if (own.includes(undefined) || !isVisible) place.isDone = true;
    }
    this.#draw();
  }

  /** After an edit, the places that are left are those of the tracks that their objects have now. */
  follow(edit) {
    const renamed = {
      split: (id, frame) => (id === edit.track_id && frame >= edit.frame ? edit.new_id : id),
      merge: (id) => (edit.track_ids.includes(id) ? edit.track_ids[0] : id),
      swap: (id, frame) => (frame < edit.frame ? id : { [edit.first_id]: edit.second_id, [edit.second_id]: edit.first_id }[id] ?? id),
    }[edit.edit];
    if (!renamed || !this.places) return;
    for (const place of this.places) {
      place.track_ids = [...new Set(place.track_ids.map((id) => renamed(id, place.frame)))];
      if (place.edit?.track_id !== undefined) place.edit.track_id = renamed(place.edit.track_id, place.frame);
      if (place.edit?.track_ids) place.edit.track_ids = [...new Set(place.edit.track_ids.map((id, k) => renamed(id, k ? place.frame : place.frame - 1)))];
      if (place.edit?.track_ids?.length === 1) place.isDone = true;
    }
  }

  onJob(job) {
    if (job.id !== this.job?.id) return;
    this.job = job;
    if (job.state === "done") {
      this.places = job.answer.places.map((place) => ({ ...place, isDone: false }));
      this.at = -1;
      this.job = null;
      this.onMarks();
      if (this.places.length) this.step(1);
    } else if (job.state === "failed") {
      toast(job.error ?? "The places could not be looked for.", "error");
      this.job = null;
    }
    this.#draw();
  }

  async look() {
    if (this.job) return;
    try {
      this.job = (await post(`/api/results/${this.id}/review`)).job;
      if (this.job.state === "done") this.onJob(this.job);
    } catch (error) {
      toast(error.message, "error");
    }
    this.#draw();
  }

  /** Go to the next place that is not done, or the one before. */
  step(way) {
    if (!this.places) return this.look();
    for (let at = this.at + way; at >= 0 && at < this.places.length; at += way) {
      if (this.places[at].isDone) continue;
      this.at = at;
      this.onGo(this.places[at]);
      this.#draw();
      return undefined;
    }
    return toast(way > 0 ? "That was the last one." : "That is the first one.");
  }

  /** Do what is suggested, and go on. */
  async accept() {
    const place = this.places?.[this.at];
    if (!place || place.isDone) return;
    if (!place.edit) { this.dismiss(); return; }
    await this.onEdit(place.edit); // What is refused, and said to be, was put right before.
    place.isDone = true;
    this.onMarks();
    this.step(1);
  }

  /** It is right as it is; go on. */
  dismiss() {
    const place = this.places?.[this.at];
    if (!place) return;
    place.isDone = true;
    this.onMarks();
    this.step(1);
    this.#draw();
  }

  keys() {
    return shortcuts("Doubtful places", [
      ["N", "The next one", () => this.step(1)],
      ["P", "The one before", () => this.step(-1)],
      ["A", "Do what is suggested, and go on", () => this.accept()],
      ["R", "It is fine: go on", () => this.dismiss()],
    ]);
  }

  #draw() {
    const { places } = this;
    const button = (id, text, keys, isPossible, run) =>
      el("button", { id, type: "button", disabled: !isPossible, "aria-keyshortcuts": keys, on: { click: run } }, el("span", {}, text), el("kbd", {}, keys));
    if (!places) {
      fill(this.holder, el("div.row.tight", {}, el("h2", {}, "Doubtful places"), el("span.grow"),
        this.job ? el("span.quiet", {}, "looking …") : button("look", "Look for them", "N", true, () => this.look())));
      return;
    }
    const left = places.filter((place) => !place.isDone).length;
    const place = places[this.at];
    fill(this.holder,
      el("div.row.tight", {}, el("h2", {}, "Doubtful places"), el("span.quiet.grow", {}, places.length ? `${count(left, "left", "left")} of ${places.length}` : "none found"),
        el("button", { type: "button", id: "look", title: "Look anew, at the tracks as they are now", on: { click: () => this.look() } }, this.job ? "looking …" : "Look anew")),
      place && el("p.place", { "aria-live": "polite" }, el("b", {}, place.title), ` ${place.words}`),
      places.length > 0 && el("div.grid.four", {},
        button("place-before", "Back", "P", this.at > 0, () => this.step(-1)),
        button("place-next", "Next", "N", left > 0, () => this.step(1)),
        button("place-right", "Fine", "R", place && !place.isDone, () => this.dismiss()),
        button("place-accept", place?.edit ? place.edit.edit[0].toUpperCase() + place.edit.edit.slice(1) : "Suggested", "A", place?.edit && !place.isDone, () => this.accept())));
  }
}
