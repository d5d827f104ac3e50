// The view Segment: videos of the folder, uploads, options, the queue, results.

import { post, upload } from "./api.js";
import { bytes, confirmed, count, duration, el, fill, toast } from "./dom.js";

const STATES = { queued: "waiting", running: "running", pausing: "stopping after its clip", paused: "paused", done: "done", failed: "failed", cancelled: "cancelled" };

export class Segment {
  constructor(holder, app) {
    this.holder = holder;
    this.app = app;
    this.video = null;
    this.uploads = [];
    this.videos = el("div.scroll", { role: "listbox", "aria-label": "Videos", id: "videos" });
    this.jobs = el("div", { id: "jobs" });
    this.results = el("div.scroll", { id: "results" });
    this.sending = el("div");
    fill(holder, el("div.segment", {},
      el("section.panel", { "aria-label": "Videos" }, el("h2", {}, "Videos"), this.#drop(), this.sending, this.videos),
      this.form = el("section.panel", { "aria-label": "New job" }),
      el("section.panel.wide", { "aria-label": "Jobs and results" }, el("h2", {}, "Queue"), this.jobs, el("h2", {}, "Results"), this.results)));
    this.#drag();
    this.update();
  }

  close() {
    this.stopDrag?.();
  }

  update() {
    const { state } = this.app;
    if (this.video && !state.videos.some((video) => video.id === this.video.id)) this.video = null;
    fill(this.videos, state.videos.map((video) => el("button.item", {
      type: "button", role: "option", "aria-selected": String(video.id === this.video?.id), className: `item${video.id === this.video?.id ? " selected" : ""}`,
      on: { click: () => this.choose(video) },
    }, el("img.poster", { loading: "lazy", alt: "", src: `/api/videos/${video.id}/poster`, on: { error: (event) => { event.target.style.visibility = "hidden"; } } }),
    el("span.grow", {}, el("span.name", {}, video.name), el("span.quiet.small", {}, video.is_images ? count(video.size, "image") : bytes(video.size))))),
    state.videos.length === 0 && el("p.quiet", {}, "No videos in the folder yet."),
    state.is_cut && el("p.quiet", {}, "The folder holds more files than are listed: open a smaller one."));
    if (!this.form.firstChild) this.#buildForm();
    this.#button();
    this.updateJobs();
    fill(this.results, state.results.map((result) => el("button.item", { type: "button", on: { click: () => this.app.review(result.id) } },
      el("span.grow", {}, el("span.name", {}, result.name), el("span.quiet.small", {}, `${result.width}×${result.height} · ${new Date(result.modified * 1000).toLocaleString()}${result.is_corrected ? " · corrected" : ""}`)),
      el("span.quiet", {}, "Review →"))),
    state.results.length === 0 && el("p.quiet", {}, "Results appear here."));
  }

  updateJobs() {
    const jobs = this.app.state.jobs.filter((job) => job.kind === "segment").reverse();
    fill(this.jobs, jobs.map((job) => this.#job(job)), jobs.length === 0 && el("p.quiet", {}, "Nothing to do."));
  }

  choose(video) {
    this.video = video;
    this.update();
  }

  #job(job) {
    const part = job.total ? job.done / job.total : null;
    const facts = [];
    if (job.state === "running") {
      facts.push(job.phase || "starting");
      if (job.total) facts.push(`${job.done} / ${job.total} frames`);
      if (job.rate) facts.push(`${job.rate.toFixed(job.rate < 10 ? 1 : 0)} frames/s`);
      if (job.left !== null && job.phase === "segmenting") facts.push(`${duration(job.left)} left`);
      if (job.objects !== null) facts.push(count(job.objects, "object"));
    } else {
      facts.push(STATES[job.state]);
      if (job.state === "paused") facts.push(`${job.done} / ${job.total ?? "?"} frames`);
      if (job.state === "done") facts.push(count(job.answer.frames ?? 0, "frame"), count(job.answer.tracks ?? 0, "object"));
    }
    const act = (action, text, isDanger) => el("button", { type: "button", data: { action }, className: isDanger ? "quiet-danger" : "", on: { click: () => this.#act(job, action) } }, text);
    const isOn = ["queued", "running"].includes(job.state);
    return el("article.job", { data: { state: job.state, id: job.id } },
      el("div.row.tight", {},
        el("b.ellipsis", { title: job.title }, job.title), el("span.quiet.small", {}, job.model), el("span.grow"),
        isOn && act("pause", "Pause"),
        job.state === "paused" && act("resume", "Resume"),
        job.state === "failed" && act("resume", "Try again"),
        (isOn || job.state === "paused") && act("cancel", "Cancel", true),
        job.state === "done" && el("button.primary", { type: "button", data: { action: "open" }, on: { click: () => this.app.reviewFolder(job) } }, "Review"),
        ["done", "failed", "cancelled"].includes(job.state) && act("forget", "Remove")),
      el("div.progress", { role: "progressbar", "aria-label": `Progress of ${job.title}`, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(100 * (job.state === "done" ? 1 : part ?? 0)) },
        el("i", { className: job.state === "running" && part === null ? "unknown" : "", style: { width: `${100 * (job.state === "done" ? 1 : part ?? 0)}%` } })),
      el("div.quiet.small", {}, facts.filter(Boolean).join(" · ")),
      job.error && el("div.small.bad", {}, job.error));
  }

  async #act(job, action) {
    if (action === "cancel" && job.done > 0 && !(await confirmed(`Throw away the ${count(job.done, "frame")} of '${job.title}' that are done? 'Pause' would keep them.`, "Throw away"))) return;
    try {
      const answer = await post(`/api/jobs/${job.id}/${action}`);
      if (answer.id) this.app.setJob(answer);
    } catch (error) {
      toast(error.message, "error");
    }
  }

  // -- form -----------------------------------------------------------------------------------------------------------

  #buildForm() {
    const { state } = this.app;
    const number = (name, label, props = {}) => el("label.field", {}, el("span", {}, label), el("input", { type: "number", name, min: 0, ...props }));
    this.model = el("select", { name: "model", id: "model", "aria-describedby": "model-facts", on: { change: () => this.#facts() } },
      state.models.map((model) => el("option", { value: model.name, selected: model.name === state.default_model }, `${model.name}${model.is_here ? "" : " (to be fetched)"}`)));
    this.facts = el("p.quiet.small", { id: "model-facts" });
    this.start = el("button.primary.large", { type: "submit", id: "segment" }, "Segment");
    fill(this.form, el("h2", {}, "New job"),
      el("form", { on: { submit: (event) => { event.preventDefault(); this.#submit(event.target); } } },
        this.chosen = el("p.chosen"),
        el("label.field", {}, el("span", {}, "Model"), this.model), this.facts,
        el("div.pair", {},
          number("score_threshold", "Least score", { value: 0.3, max: 1, step: 0.05 }),
          number("resolution", "Resolution", { placeholder: "model's", min: 32, step: 1, title: "Pixels of the shorter side that the network sees: fewer are faster" })),
        el("details", {}, el("summary", {}, "Frames, classes, tracker"),
          el("div.pair", {}, number("start", "From frame", { value: 0 }), number("stop", "Up to frame", { placeholder: "the end", min: 1 })),
          el("div.pair", {}, number("stride", "Every n-th frame", { value: 1, min: 1 }),
            el("label.field", {}, el("span", {}, "Frames of a clip"), el("select", { name: "clip_length", title: "Frames that the network sees together: more are faster; auto takes up to 7, and cuts at scene changes" },
              el("option", { value: "" }, "the model's"), el("option", { value: "auto" }, "auto: by scene"),
              [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((frames) => el("option", { value: frames }, frames === 1 ? "1: online" : frames))))),
          el("label.field", {}, el("span", {}, "Classes"), el("input", { name: "classes", type: "text", placeholder: "all; or: person, dog" })),
          el("div.pair", {},
            el("label.field", {}, el("span", {}, "Tracker"), el("select", { name: "tracker" }, el("option", { value: "" }, "the model's"), ["propagation", "memory", "queries", "offline"].map((name) => el("option", { value: name }, name)))),
            el("label.field", {}, el("span", {}, "Overlaps"), el("select", { name: "overlaps" }, el("option", { value: "resolve" }, "one object a pixel"), el("option", { value: "keep" }, "keep all masks"))))),
        this.start));
    this.#facts();
  }

  #facts() {
    const model = this.app.state.models.find((each) => each.name === this.model.value);
    if (!model) return;
    const facts = model.is_own ? [] : [
      `${model.classes} classes, trained on ${model.trained_on}`,
      model.average_precision && `AP ${model.average_precision} on ${model.measured_on}`,
      model.licence && `licence ${model.licence}`,
      !model.is_here && `fetched once from the Hub: ${bytes(model.size)}`,
    ];
    fill(this.facts, [...facts, model.note].filter(Boolean).join(" · "));
  }

  #button() {
    fill(this.chosen, this.video ? el("b", {}, this.video.name) : el("span.quiet", {}, "Choose a video on the left."));
    this.start.disabled = !this.video;
  }

  async #submit(form) {
    const values = new FormData(form);
    const options = {};
    for (const name of ["score_threshold", "resolution", "start", "stop", "stride", "clip_length"]) {
      const value = values.get(name);
      if (value !== "") options[name] = value === "auto" ? value : Number(value);
    }
    for (const name of ["tracker", "overlaps"]) if (values.get(name)) options[name] = values.get(name);
    const classes = values.get("classes").split(",").map((name) => name.trim()).filter(Boolean);
    if (classes.length) options.classes = classes;
    this.start.disabled = true;
    try {
      this.app.setJob(await post("/api/jobs", { video: this.video.id, model: values.get("model"), options }));
    } catch (error) {
      toast(error.message, "error");
    }
    this.start.disabled = false;
  }

  // -- uploads --------------------------------------------------------------------------------------------------------

  #drop() {
    const files = el("input", { type: "file", id: "files", accept: "video/*,.mkv,.avi,.ts,.mts,.y4m", multiple: true, on: { change: () => { this.#send(files.files); files.value = ""; } } });
    return el("label.drop", {}, el("span", {}, "Drop videos here, or ", el("u", {}, "choose files")), files);
  }

  #drag() {
    const over = (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      document.body.classList.toggle("dragging", event.type === "dragover");
      if (event.type === "drop") this.#send(event.dataTransfer.files);
    };
    for (const name of ["dragover", "dragleave", "drop"]) addEventListener(name, over);
    this.stopDrag = () => { for (const name of ["dragover", "dragleave", "drop"]) removeEventListener(name, over); };
  }

  async #send(files) {
    for (const file of [...files]) {
      if (file.size > this.app.state.most_upload) {
        toast(`'${file.name}' is larger than ${bytes(this.app.state.most_upload)}, the limit.`, "error");
        continue;
      }
      const bar = el("i", { style: { width: "0%" } });
      const percent = el("span.quiet.small", {}, "0 %");
      const sent = upload(file, (part) => {
        bar.style.width = `${100 * part}%`;
        percent.textContent = part < 1 ? `${Math.round(100 * part)} %` : "checking";
      });
      const row = el("div.job", {}, el("div.row.tight", {}, el("b.ellipsis", {}, file.name), percent, el("span.grow"), el("button", { type: "button", on: { click: sent.abort } }, "Stop")), el("div.progress", {}, bar));
      this.sending.append(row);
      try {
        const video = await sent.done;
        await this.app.refresh();
        this.choose(this.app.state.videos.find((each) => each.id === video.id) ?? null);
      } catch (error) {
        toast(error.message, "error");
      }
      row.remove();
    }
  }
}
