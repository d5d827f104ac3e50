// The page: which view is shown, what the views share, and what the server tells.

import { get, listen } from "./api.js";
import { $, count, el, fill, toast } from "./dom.js";
import { Review } from "./review.js";
import { Segment } from "./segment.js";
import { shortcuts, showHelp } from "./shortcuts.js";
import { TakeAlong } from "./takealong.js";

const VIEWS = { segment: "Segment", review: "Review", take: "Take along" };

class App {
  constructor() {
    this.main = $("#main");
    this.state = { videos: [], results: [], jobs: [], models: [] };
    this.view = null;
    this.name = "";
    this.picker = $("#result-choice");
    this.#theme();
    for (const button of document.querySelectorAll("#views button")) button.addEventListener("click", () => this.go(button.dataset.view));
    this.picker.addEventListener("change", () => this.go(this.name === "segment" ? "review" : this.name, this.picker.value));
    $("#help").addEventListener("click", showHelp);
    shortcuts("Everywhere", [
      ["?", "This help", () => showHelp()],
      ["Ctrl+1", "View Segment", () => this.go("segment")],
      ["Ctrl+2", "View Review", () => this.go("review")],
      ["Ctrl+3", "View Take along", () => this.go("take")],
    ]);
    addEventListener("popstate", () => this.#route());
  }

  async start() {
    try {
      await this.refresh();
    } catch (error) {
      fill(this.main, el("div.empty", {}, el("p", {}, error.message)));
    }
    this.#route();
    let wasLost = false;
    listen({
      job: (job) => this.setJob(job),
      forgotten: ({ id }) => { this.state.jobs = this.state.jobs.filter((job) => job.id !== id); this.#jobs(); },
      library: () => this.refresh(),
      edited: (what) => this.view?.onEdited?.(what),
    }, (isConnected) => {
      $("#offline").hidden = isConnected;
      if (isConnected && wasLost) this.refresh().catch(() => {});
      wasLost = !isConnected;
    });
  }

  /** Ask anew for everything but the view's own. */
  async refresh() {
    this.state = await get("/api/state");
    document.title = `${this.state.folder} · genvis`;
    this.#pick();
    this.view?.update?.();
    this.#jobs();
  }

  setJob(job) {
    const place = this.state.jobs.findIndex((each) => each.id === job.id);
    const before = this.state.jobs[place];
    if (place < 0) this.state.jobs.push(job);
    else this.state.jobs[place] = job;
    const hasEnded = ["done", "failed", "cancelled", "paused"].includes(job.state);
    if (hasEnded && before?.state !== job.state && job.kind === "segment") {
      if (job.state === "done") toast(`'${job.title}' is segmented: ${count(job.answer.tracks ?? 0, "object")}.`);
      this.refresh().catch(() => {});
    }
    this.#jobs();
    this.view?.onJob?.(job);
  }

  #jobs() {
    const running = this.state.jobs.filter((job) => ["running", "queued", "pausing"].includes(job.state) && job.kind === "segment");
    const pill = $("#working");
    pill.hidden = running.length === 0;
    if (running.length) {
      const [job] = running.filter((each) => each.state === "running");
      pill.textContent = job?.total ? `${Math.round((100 * job.done) / job.total)} % of ${job.title}` : count(running.length, "job");
    }
    this.view?.updateJobs?.();
  }

  /** Show a view. */
  go(name, id = this.picker.value || this.state.results[0]?.id, position = undefined) {
    const query = name === "segment" ? "" : `/${id ?? ""}${position ? `/${position}` : ""}`;
    history.pushState(null, "", `#${name}${query}`);
    this.#route();
  }

  review(id, position = 0) {
    this.go("review", id, position);
  }

  /** Open the result of a job. */
  async reviewFolder(job) {
    await this.refresh();
    const result = this.state.results.find((each) => each.id === job.result);
    if (result) this.review(result.id);
    else toast("The result is not there any more.", "error");
  }

  /** Keep the place, so that a page that is loaded anew shows the same. */
  remember(id, position) {
    // The address follows after a moment, as browsers allow few changes of it a second.
    try { sessionStorage.setItem("genvis.place", `${id}/${position}`); } catch { /* a private window */ }
    clearTimeout(this.remembering);
    this.remembering = setTimeout(() => {
      if (this.name === "review" && this.view?.id === id) history.replaceState(null, "", `#review/${id}/${position}`);
    }, 250);
  }

  /** The position of a result when the page was loaded anew, or undefined. */
  #kept(id) {
    if (this.isRouted || performance.getEntriesByType("navigation")[0]?.type !== "reload") return undefined;
    try {
      const [kept, position] = sessionStorage.getItem("genvis.place")?.split("/") ?? [];
      return kept === id ? position : undefined;
    } catch { return undefined; }
  }

  /** Show whether all is saved; null where there is nothing to save. */
  saved(what) {
    const pill = $("#saved");
    pill.hidden = what === null;
    pill.textContent = what === "saving" ? "Saving …" : "Saved";
    pill.dataset.state = what ?? "";
  }

  #route() {
    const [name, id, named] = location.hash.slice(1).split("/");
    const position = this.#kept(id) ?? named;
    this.isRouted = true;
    this.view?.close();
    this.view = null;
    this.name = VIEWS[name] ? name : "segment";
    for (const button of document.querySelectorAll("#views button")) {
      button.setAttribute("aria-current", button.dataset.view === this.name ? "page" : "false");
    }
    if (id && this.state.results.some((result) => result.id === id)) this.picker.value = id;
    const chosen = id || this.picker.value;
    $("#picker").hidden = this.name === "segment" || this.state.results.length === 0;
    if (this.name === "segment") this.view = new Segment(this.main, this);
    else if (!chosen) {
      fill(this.main, el("div.empty", {}, el("p", {}, "There is no result yet: segment a video first."), el("button.primary", { type: "button", on: { click: () => this.go("segment") } }, "Segment")));
    } else if (this.name === "review") this.view = new Review(this.main, this, chosen, Math.max(0, parseInt(position, 10) || 0));
    else this.view = new TakeAlong(this.main, this, chosen);
  }

  #pick() {
    const chosen = this.picker.value;
    fill(this.picker, this.state.results.map((result) => el("option", { value: result.id, selected: result.id === chosen }, `${result.name}${result.is_corrected ? " (corrected)" : ""}`)));
    $("#picker").hidden = this.name === "segment" || this.state.results.length === 0;
  }

  #theme() {
    const set = (theme) => { if (theme) document.documentElement.dataset.theme = theme; };
    const read = () => { try { return localStorage.getItem("genvis.theme"); } catch { return null; } };
    set(read());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.view?.timeline?.draw());
    $("#theme").addEventListener("click", () => {
      const isDark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      set(isDark ? "light" : "dark");
      try { localStorage.setItem("genvis.theme", isDark ? "light" : "dark"); } catch { /* a private window */ }
      this.view?.timeline?.draw();
    });
  }
}

const app = new App();
app.start();
