// The view Review: picture, timeline, list of tracks, corrections, doubtful places.

import { get, post } from "./api.js";
import { Corrections, ownerOf, ownersOf, tracksOf } from "./corrections.js";
import { $, clock, count, el, fill, icon, toast } from "./dom.js";
import { MaskPainter, MaskStore } from "./masks.js";
import { Places } from "./places.js";
import { FrameStore, Player, Series } from "./player.js";
import { shortcuts } from "./shortcuts.js";
import { Stage } from "./stage.js";
import { Timeline } from "./timeline.js";
import { TrackList } from "./tracklist.js";

const AHEAD = 14;

const stored = (name, value) => {
  try { return JSON.parse(localStorage.getItem(`genvis.${name}`)) ?? value; } catch { return value; }
};
const store = (name, value) => {
  try { localStorage.setItem(`genvis.${name}`, JSON.stringify(value)); } catch { /* a private window */ }
};

export class Review {
  /**
   * @param {HTMLElement} holder
   * @param {object} app what the views share
   * @param {string} id of the result
   * @param {number} [position] frame to begin with
   */
  constructor(holder, app, id, position = 0) {
    this.holder = holder;
    this.app = app;
    this.id = id;
    this.position = position;
    this.way = 1;
    this.selected = new Set();
    this.stretch = null;
    this.saving = 0;
    this.how = { opacity: 0.45, masks: true, outlines: true, labels: true, ...stored("how", {}) };
    this.cleanups = [];
    this.#open();
  }

  close() {
    this.isClosed = true;
    this.player?.stop();
    for (const cleanup of this.cleanups.splice(0)) cleanup();
    this.app.saved(null);
  }

  /** Called with every change of a job: opening, and what is looked for, are jobs. */
  onJob(job) {
    if (this.preparing && job.id === this.preparing) {
      if (job.state === "done") { this.preparing = null; this.#open(); }
      else if (job.state === "failed") fill(this.holder, this.#empty(job.error ?? "The result cannot be read."));
      else this.#waiting(job);
    }
    this.places?.onJob(job);
  }

  /** Another page has edited this result. */
  onEdited({ id, edits, undone }) {
    if (id !== this.id || this.saving || !this.state) return;
    if (edits !== this.state.edits.length || undone !== this.state.undone.length) this.#reload();
  }

  // -- opening --------------------------------------------------------------------------------------------------------

  async #open() {
    try {
      const answer = await get(`/api/results/${this.id}`);
      if (this.isClosed) return;
      if (answer.preparing) {
        this.preparing = answer.preparing.id;
        this.#waiting(answer.preparing);
        return;
      }
      this.result = answer;
      this.#build();
    } catch (error) {
      if (!this.isClosed) fill(this.holder, this.#empty(error.message));
    }
  }

  async #reload() {
    const answer = await get(`/api/results/${this.id}`).catch(() => null);
    if (answer?.state && !this.isClosed) this.#setState(answer.state);
  }

  #waiting(job) {
    fill(this.holder, this.#empty(`Preparing '${job.title}' once, so that it opens at once from then on${job.phase ? `: ${job.phase}` : ""} …`));
  }

  #empty(sentence) {
    return el("div.empty", {}, el("p", {}, sentence));
  }

  #build() {
    const { result } = this;
    this.times = new Series(result.times);
    this.indices = new Series(result.indices);
    this.position = Math.min(this.position, result.frames - 1);
    this.store = new MaskStore(result);
    this.painter = new MaskPainter(result.width, result.height);
    const canvas = el("canvas", { id: "stage", tabIndex: 0, role: "img", "aria-label": "Frame with masks" });
    const lines = el("div.timeline", { id: "timeline" });
    const list = el("section.tracks", { "aria-label": "Tracks" });
    const places = el("section.places", { "aria-label": "Doubtful places" });
    this.tools = el("section.tools", { "aria-label": "Corrections" });
    this.history = el("section.history", { "aria-label": "Edits" });
    fill(this.holder,
      el("div.review", {},
        el("div.left", {},
          this.#notice(),
          el("div.stage", {}, canvas),
          this.#transport(),
          lines),
        el("aside.right", {}, list, this.tools, places, this.history)));
    this.stage = new Stage(canvas, { width: result.width, height: result.height, onPick: (x, y, event) => this.#pickAt(x, y, event) });
    let width = this.stage.wantedWidth;
    this.frames = new FrameStore(result, () => width);
    this.stage.onResize = () => {
      if (this.stage.wantedWidth > width) {
        width = this.stage.wantedWidth;
        this.frames.clear();
        this.#show();
      }
    };
    this.timeline = new Timeline(lines, {
      length: result.frames, onSeek: (position) => this.seek(position), onPick: (track, event) => this.#pick(track, event),
    });
    this.list = new TrackList(list, {
      onPick: (track, event) => this.#pick(track, event),
      onJump: (track) => this.seek(track.first),
      onOrder: () => this.#refresh(),
    });
    this.places = new Places(places, {
      id: this.id, tracks: () => this.tracks,
      onGo: (place) => { this.#select(place.track_ids.filter((id) => this.byId.has(id))); this.seek(place.frame); },
      onEdit: (edit) => this.#edit(edit),
      onMarks: () => this.#refresh(),
    });
    this.corrections = new Corrections(this.id, {
      onState: (state) => this.#setState(state),
      onRefused: () => this.#reload(),
      onSaving: (isSaving) => { this.saving += isSaving ? 1 : -1; this.app.saved(this.saving ? "saving" : "saved"); },
    });
    this.player = new Player({
      times: this.times, length: result.frames, position: () => this.position,
      show: (position) => this.#go(position),
      isReady: (position) => (this.frames.have(position) !== undefined || !result.video) && !(this.store.frame(position) instanceof Promise),
      onChange: () => this.#buttons(),
    });
    this.player.setSpeed(stored("speed", 1));
    this.cleanups.push(() => this.stage.close(), () => this.timeline.close(), () => this.list.close(), () => this.frames.close(), this.#keys(), this.places.keys());
    this.app.saved("saved");
    this.#setState(result.state);
    this.seek(this.position);
    canvas.focus({ preventScroll: true });
  }

  #notice() {
    const { result } = this;
    const notes = [];
    if (!result.video) {
      const choice = el("select", { "aria-label": "Video of this result" }, el("option", { value: "" }, "choose its video"),
        this.app.state.videos.map((video) => el("option", { value: video.id }, video.name)));
      choice.addEventListener("change", async () => {
        try {
          await post(`/api/results/${this.id}/video`, { video: choice.value });
          this.app.review(this.id, this.position);
        } catch (error) { toast(error.message, "error"); }
      });
      notes.push(el("div.notice", {}, `The video of this result, '${result.video_name}', is not in the folder: start genvis app in one that holds both, or `, choice));
    }
    if (result.problem) notes.push(el("div.notice", {}, `Incomplete: ${result.problem}`));
    return notes;
  }

  #transport() {
    const button = (id, text, title, keys, run) =>
      el("button.icon", { id, type: "button", title: `${title} (${keys})`, "aria-label": title, on: { click: run } }, text);
    this.where = el("input.where", { type: "text", inputMode: "numeric", "aria-label": "Frame", on: {
      change: () => { const n = parseInt(this.where.value, 10); this.seek(Number.isFinite(n) ? n : this.position); this.where.blur(); },
    } });
    this.time = el("span.quiet.time");
    const speeds = [0.25, 0.5, 1, 2, 4];
    const speed = el("select", { "aria-label": "Speed", on: { change: () => { this.player.setSpeed(+speed.value); store("speed", +speed.value); } } },
      speeds.map((value) => el("option", { value, selected: value === stored("speed", 1) }, `${value}×`)));
    const toggle = (name, text, keys) => el("label.toggle", { title: keys }, el("input", { type: "checkbox", id: `show-${name}`, checked: this.how[name], on: { change: (event) => this.#set(name, event.target.checked) } }), text);
    const opacity = el("input", { id: "opacity", type: "range", min: 0, max: 1, step: 0.05, value: this.how.opacity, "aria-label": "Opacity of masks", on: { input: () => this.#set("opacity", +opacity.value) } });
    return el("div.transport", { role: "toolbar", "aria-label": "Playing and display" },
      button("to-start", icon("start"), "First frame", "Home", () => this.seek(0)),
      button("back-10", "−10", "Ten back", "Shift ←", () => this.step(-10)),
      button("back", icon("back"), "One back", "←", () => this.step(-1)),
      this.playButton = button("play", icon("play"), "Play", "Space", () => this.player.toggle()),
      button("on", icon("on"), "One on", "→", () => this.step(1)),
      button("on-10", "+10", "Ten on", "Shift →", () => this.step(10)),
      button("to-end", icon("end"), "Last frame", "End", () => this.seek(Infinity)),
      this.where, el("span.quiet", {}, `/ ${this.result.frames - 1}`), this.time, speed,
      el("span.grow"),
      toggle("masks", "Masks", "H"), toggle("outlines", "Outlines", "O"), toggle("labels", "Names", "L"), opacity);
  }

  // -- where we are ---------------------------------------------------------------------------------------------------

  seek(position) {
    this.player.stop();
    this.#go(Math.min(this.result.frames - 1, Math.max(0, position)));
  }

  step(frames) {
    this.seek(this.position + frames);
  }

  #go(position) {
    this.way = position >= this.position ? 1 : -1;
    this.position = position;
    this.where.value = String(position);
    const seconds = this.times.at(position);
    this.time.textContent = `${clock(seconds, 2)}${this.indices.at(position) === position ? "" : ` · ${this.indices.at(position)} in the video`}`;
    this.timeline.show(position);
    this.app.remember(this.id, position);
    this.#show();
  }

  async #show() {
    const { position } = this;
    const next = Array.from({ length: this.player?.isPlaying ? AHEAD : 3 }, (_, k) => position + this.way * (k + 1));
    if (this.result.video) this.frames.want([position, ...next, position - this.way]);
    for (const ahead of [position + 24, position - 24]) {
      if (ahead >= 0 && ahead < this.result.frames) Promise.resolve(this.store.frame(ahead)).catch(() => {});
    }
    const began = performance.now();
    try {
      const masks = this.store.frame(position);
      const picture = this.result.video ? this.frames.have(position) ?? this.frames.frame(position) : null;
      const [shownMasks, shownPicture] = masks instanceof Promise || picture instanceof Promise ? await Promise.all([masks, picture]) : [masks, picture];
      if (position !== this.position || this.isClosed) return;
      this.current = shownMasks;
      this.stage.picture = shownPicture;
      this.stage.message = "";
    } catch (error) {
      if (position !== this.position || this.isClosed || error.name === "AbortError") return;
      this.stage.picture = null;
      this.current = await Promise.resolve(this.store.frame(position)).catch(() => []);
      this.stage.message = error.message;
    }
    this.#paint();
    // For the tests and the measurements: the frame that stands on the screen, and how long it took.
    this.stage.canvas.dataset.frame = position;
    this.stage.canvas.dataset.took = (performance.now() - began).toFixed(1);
  }

  #paint() {
    if (!this.current) return;
    const objects = new Map();
    for (const [row, counts] of this.current) {
      const track = ownerOf(this.owners, row, this.position);
      if (!track) continue;
      if (!objects.has(track.id)) objects.set(track.id, { id: track.id, track, color: track.color, masks: [], isSelected: this.selected.has(track.id) });
      objects.get(track.id).masks.push(counts);
    }
    const shown = [...objects.values()].sort((a, b) => a.track.score - b.track.score || b.id - a.id);
    const { masks, outlines, labels, opacity } = this.how;
    this.painter.paint(shown, { opacity: masks ? opacity : 0, outlines: masks && outlines });
    this.stage.overlay = masks || this.selected.size ? this.painter.canvas : null;
    this.stage.labels = labels ? shown.filter((object) => object.center).map((object) => ({
      text: `${object.id} ${object.track.label}`, x: object.center[0], y: object.box[1], color: object.track.css, isSelected: object.isSelected,
    })) : [];
    this.stage.canvas.setAttribute("aria-label", `Frame ${this.position}: ${shown.map((object) => `${object.id} ${object.track.label}`).join(", ") || "no objects"}`);
    this.stage.draw();
  }

  #set(name, value) {
    this.how[name] = value;
    store("how", this.how);
    const box = $(`#show-${name}`, this.holder);
    if (box) box.checked = value;
    if (name === "opacity") $("#opacity", this.holder).value = value;
    this.#paint();
  }

  // -- tracks ---------------------------------------------------------------------------------------------------------

  #setState(state) {
    if (this.isClosed) return;
    this.state = state;
    this.tracks = tracksOf(state, this.result.colors);
    this.byId = new Map(this.tracks.map((track) => [track.id, track]));
    this.owners = ownersOf(this.tracks);
    for (const id of this.selected) if (!this.byId.has(id)) this.selected.delete(id);
    const isNew = state.made !== this.store.made;
    this.store.setMade(state.made);
    this.#refresh();
    if (isNew) this.#show();
  }

  #refresh() {
    if (!this.tracks || !this.list) return;
    const { selected } = this;
    if (this.list.tracks !== this.tracks) {
      this.list.set({ tracks: this.tracks, selected }); // Calls this again, with the order.
      return;
    }
    this.list.set({ tracks: this.tracks, selected });
    this.timeline.set({ tracks: this.list.shown, selected, marks: this.places.marks(), stretch: this.stretch });
    this.#buildTools();
    this.#buildHistory();
    this.#buttons();
    this.#paint();
  }

  #pickAt(x, y, event) {
    const object = this.painter.at(x, y);
    if (object) this.#pick(object.track, event);
    else if (!event.shiftKey && !event.ctrlKey && !event.metaKey) this.#select([]);
  }

  #pick(track, event) {
    const ids = new Set(this.selected);
    if (event.ctrlKey || event.metaKey || (event.shiftKey && event.type !== "keydown")) {
      if (ids.has(track.id)) ids.delete(track.id);
      else ids.add(track.id);
      this.#select([...ids]);
    } else this.#select([track.id]);
  }

  #select(ids) {
    this.selected = new Set(ids);
    const last = ids.at(-1);
    if (last !== undefined) {
      this.list.reveal(last);
      this.timeline.reveal(last);
    }
    this.#refresh();
  }

  /** Select what is visible here, one after the other. */
  #cycle(way) {
    const ids = this.painter.objects.map((object) => object.id).sort((a, b) => a - b);
    if (!ids.length) return;
    const at = ids.indexOf([...this.selected].at(-1));
    this.#select([ids[(at + way + ids.length) % ids.length] ?? ids[0]]);
  }

  /** Go where a selected track appears or is gone, before or after this frame. */
  #edge(way) {
    const chosen = [...this.selected].map((id) => this.byId.get(id));
    const edges = (chosen.length ? chosen : this.tracks).flatMap((track) => track.runs.flatMap(([first, stop]) => [first, stop]));
    const beyond = edges.filter((frame) => way * (frame - this.position) > 0 && frame < this.result.frames);
    if (beyond.length) this.seek(way > 0 ? beyond.reduce((a, b) => Math.min(a, b)) : beyond.reduce((a, b) => Math.max(a, b)));
  }

  // -- corrections ----------------------------------------------------------------------------------------------------

  async #edit(body) {
    const state = await this.corrections.edit(body);
    if (!state) return null;
    const done = state.edits.at(-1);
    this.places.follow(done);
    this.places.onState();
    toast(`${done.words[0].toUpperCase()}${done.words.slice(1)}.`);
    if (done.edit === "merge") this.#select([done.track_ids[0]]);
    if (done.edit === "split") this.#select([done.new_id]);
    return state;
  }

  #buildTools() {
    const ids = [...this.selected];
    const n = ids.length;
    const tool = (id, text, keys, isPossible, run, why) => el("button", {
      id, type: "button", disabled: !isPossible, title: isPossible ? `${text} (${keys})` : why, "aria-keyshortcuts": keys, on: { click: run },
    }, el("span", {}, text), el("kbd", {}, keys));
    const what = n === 0 ? "Click an object, a bar or a row; Ctrl or Shift adds to it."
      : n <= 4 ? ids.map((id) => `${id} ${this.byId.get(id).label}`).join(", ") : count(n, "track");
    const { stretch } = this;
    fill(this.tools,
      el("h2", {}, "Correct ", el("span.quiet.what", {}, what)),
      el("div.grid", {},
        tool("merge", n >= 2 ? `Merge into ${ids[0]}` : "Merge", "M", n >= 2, () => this.merge(), "Select two or more"),
        tool("split", "Split here", "S", n === 1, () => this.split(), "Select one"),
        tool("swap", "Swap from here", "X", n === 2, () => this.swap(), "Select two"),
        tool("class", "Class …", "C", n >= 1, () => this.relabel(), "Select one or more"),
        tool("delete", "Delete", "Del", n >= 1, () => this.remove(), "Select one or more"),
        tool("mark-in", stretch ? `From ${stretch[0]}` : "From here", "[", true, () => this.mark(0), ""),
        tool("mark-out", stretch ? `To ${stretch[1]}` : "To here", "]", true, () => this.mark(1), ""),
        tool("delete-stretch", "Delete stretch", "D", n >= 1 && stretch, () => this.removeStretch(), "Select tracks, and mark a stretch with [ and ]"),
        tool("trim", "Keep stretch", "T", n >= 1 && stretch, () => this.trim(), "Select tracks, and mark a stretch with [ and ]")));
  }

  #buildHistory() {
    const { edits, undone } = this.state;
    const last = edits.at(-1);
    fill(this.history,
      el("div.row.tight", {},
        el("h2", {}, "Edits"), el("span.quiet.grow.ellipsis", { title: last?.words ?? "" }, last ? `${edits.length}: ${last.words}` : "none yet; the original is kept"),
        el("button", { id: "undo", type: "button", disabled: !edits.length, title: "Undo (Ctrl+Z)", on: { click: () => this.undo() } }, "Undo"),
        el("button", { id: "redo", type: "button", disabled: !undone.length, title: "Redo (Ctrl+Shift+Z)", on: { click: () => this.redo() } }, "Redo")));
  }

  #buttons() {
    if (!this.playButton || !this.player) return;
    const { isPlaying } = this.player;
    fill(this.playButton, icon(isPlaying ? "pause" : "play"));
    this.playButton.setAttribute("aria-label", isPlaying ? "Pause" : "Play");
  }

  merge() {
    if (this.selected.size >= 2) return this.#edit({ edit: "merge", track_ids: [...this.selected] });
    return toast("Select two or more tracks to merge.");
  }

  split() {
    if (this.selected.size === 1) return this.#edit({ edit: "split", track_id: [...this.selected][0], frame: this.position });
    return toast("Select the track to split.");
  }

  swap() {
    const [first, second] = this.selected;
    if (this.selected.size === 2) return this.#edit({ edit: "swap", first_id: first, second_id: second, frame: this.position });
    return toast("Select the two tracks to swap.");
  }

  async remove() {
    for (const id of [...this.selected]) await this.#edit({ edit: "delete", track_id: id });
  }

  async removeStretch() {
    if (!this.stretch) return toast("Mark a stretch with [ and ] first.");
    for (const id of [...this.selected]) await this.#edit({ edit: "delete_frames", track_id: id, first: this.stretch[0], last: this.stretch[1] });
  }

  async trim() {
    if (!this.stretch) return toast("Mark a stretch with [ and ] first.");
    for (const id of [...this.selected]) await this.#edit({ edit: "trim", track_id: id, first: this.stretch[0], last: this.stretch[1] });
  }

  mark(end) {
    const stretch = this.stretch ?? (end ? [0, this.position] : [this.position, this.result.frames - 1]);
    stretch[end] = this.position;
    if (stretch[0] > stretch[1]) stretch[1 - end] = this.position;
    this.stretch = stretch;
    this.#refresh();
  }

  relabel() {
    const ids = [...this.selected];
    if (!ids.length) return toast("Select the tracks whose class is wrong.");
    const names = [...new Set([...this.result.categories, ...this.tracks.map((track) => track.label)])];
    const field = el("input", { id: "new-class", type: "text", list: "classes", autocomplete: "off", "aria-label": "New class", autofocus: true });
    const dialog = el("dialog.ask", { on: { close: () => dialog.remove() } },
      el("form", { method: "dialog", on: { submit: async () => {
        const label = field.value.trim();
        for (const id of ids) if (label && label !== this.byId.get(id)?.label) await this.#edit({ edit: "category", track_id: id, label });
      } } },
      el("label", {}, `Class of ${ids.length === 1 ? `track ${ids[0]}` : count(ids.length, "track")} `, field),
      el("datalist", { id: "classes" }, names.map((name) => el("option", { value: name }))),
      el("p.quiet.small", {}, `${count(names.length, "class", "classes")}: ${names.slice(0, 12).join(", ")}${names.length > 12 ? " …" : ""}`),
      el("div.row.end", {}, el("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel"), el("button.primary", { type: "submit" }, "Set class"))));
    document.body.append(dialog);
    dialog.showModal();
    return undefined;
  }

  async undo() {
    if (!this.state.edits.length) return toast("There is nothing to undo.");
    const words = this.state.edits.at(-1).words;
    if (await this.corrections.undo()) toast(`Undone: ${words}.`);
    return undefined;
  }

  async redo() {
    if (!this.state.undone.length) return toast("There is nothing to redo.");
    const [words] = this.state.undone;
    if (await this.corrections.redo()) toast(`Again: ${words}.`);
    return undefined;
  }

  // -- keyboard -------------------------------------------------------------------------------------------------------

  #keys() {
    const set = (name) => () => this.#set(name, !this.how[name]);
    const taken = [
      shortcuts("Moving", [
        ["Space", "Play, pause", () => this.player.toggle()],
        ["ArrowLeft", "One frame back", () => this.step(-1)],
        ["ArrowRight", "One frame on", () => this.step(1)],
        ["Shift+ArrowLeft", "Ten frames back", () => this.step(-10)],
        ["Shift+ArrowRight", "Ten frames on", () => this.step(10)],
        ["Home", "First frame", () => this.seek(0)],
        ["End", "Last frame", () => this.seek(Infinity)],
        ["G", "Go to a frame by its number", () => this.where.select()],
        ["J", "Where the track appears or goes, before", () => this.#edge(-1)],
        ["K", "Where the track appears or goes, after", () => this.#edge(1)],
      ]),
      shortcuts("Looking", [
        ["H", "Masks on and off", set("masks")],
        ["O", "Outlines on and off", set("outlines")],
        ["L", "Names on and off", set("labels")],
        ["1 / 2", "Less, more opacity", (event) => this.#set("opacity", Math.min(1, Math.max(0, +(this.how.opacity + (event.key === "1" ? -0.1 : 0.1)).toFixed(2))))],
        ["+ / -", "Zoom in, out (wheel)", (event) => this.stage.zoomBy(event.key === "+" ? 1.4 : 1 / 1.4)],
        ["0", "Whole picture (double click)", () => this.stage.fit()],
        [", / .", "Timeline: closer, wider", (event) => this.timeline.zoomBy(event.key === "," ? 1.6 : 1 / 1.6)],
      ]),
      shortcuts("Selecting", [
        ["ArrowUp", "Object before in this frame", () => this.#cycle(-1)],
        ["ArrowDown", "Object after in this frame", () => this.#cycle(1)],
        ["Ctrl+A", "All objects of this frame", () => this.#select(this.painter.objects.map((object) => object.id).sort((a, b) => a - b))],
        ["Escape", "Nothing", () => { this.stretch = null; this.#select([]); }],
      ]),
      shortcuts("Correcting", [
        ["M", "Merge the selected tracks", () => this.merge()],
        ["S", "Split the track: from here on it is another", () => this.split()],
        ["X", "Swap two tracks from here on", () => this.swap()],
        ["C", "Change the class", () => this.relabel()],
        ["Delete / Backspace", "Delete the tracks", () => this.remove()],
        ["[", "A stretch begins here", () => this.mark(0)],
        ["]", "A stretch ends here", () => this.mark(1)],
        ["D", "Delete the tracks in the stretch", () => this.removeStretch()],
        ["T", "Keep the tracks in the stretch only", () => this.trim()],
        ["Ctrl+Z", "Undo", () => this.undo()],
        ["Ctrl+Shift+Z / Ctrl+Y", "Redo", () => this.redo()],
        ["Ctrl+S", "Save: every edit is on the disk at once", async () => { await this.corrections.queue; toast(`All ${count(this.state.edits.length, "edit")} saved; the original result is kept.`); }],
      ]),
    ];
    return () => taken.forEach((take) => take());
  }
}
