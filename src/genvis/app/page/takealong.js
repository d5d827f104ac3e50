// The view Take along: the corrected result in the formats of others, and into a training set.

import { get, post } from "./api.js";
import { count, el, fill, icon, toast } from "./dom.js";

export class TakeAlong {
  constructor(holder, app, id) {
    this.holder = holder;
    this.app = app;
    this.id = id;
    this.#open();
  }

  close() {
    this.isClosed = true;
  }

  updateJobs() {
    this.#jobs();
  }

  async #open() {
    try {
      this.choices = await get(`/api/results/${this.id}/take`);
    } catch (error) {
      fill(this.holder, el("div.empty", {}, el("p", {}, error.message)));
      return;
    }
    if (this.isClosed) return;
    const { formats, annotations, result, edits } = this.choices;
    const boxes = formats.map((format) => el("label.format", { className: format.is_possible ? "format" : "format off" },
      el("input", { type: "checkbox", name: "format", value: format.name, disabled: !format.is_possible }),
      el("span", {}, el("b", {}, format.title), el("span.quiet.small", {}, ` ${format.file}`), !format.is_possible && el("span.small.bad", {}, ` ${format.why}`))));
    this.made = el("div", { id: "made" });
    this.appended = el("div", { id: "appended" });
    fill(this.holder, el("div.take", {},
      el("section.panel", { "aria-label": "Formats" }, el("h2", {}, "Formats"),
        el("p.quiet", {}, `'${result}' with ${edits === 0 ? "no edits" : edits === 1 ? "1 edit" : `${edits} edits`}. The original is kept.`),
        el("form", { on: { submit: (event) => { event.preventDefault(); this.#export(event.target); } } },
          el("div.formats", {}, boxes),
          el("button.primary.large", { type: "submit", id: "export" }, "Write"))),
      el("section.panel", { "aria-label": "Files" }, el("h2", {}, "Files"), this.made),
      el("section.panel", { "aria-label": "Training set" }, el("h2", {}, "Into a training set"),
        el("p.quiet", {}, "The corrected video becomes an annotated video of a YouTube-VIS file, with its frames as images beside it, and you train on it."),
        el("form", { on: { submit: (event) => { event.preventDefault(); this.#append(event.target); } } },
          el("label.field", {}, el("span", {}, "Annotation file in the folder"), el("input", { name: "file", id: "annotations", type: "text", value: annotations[0] ?? "training/annotations.json", list: "annotation-files", required: true })),
          el("datalist", { id: "annotation-files" }, annotations.map((name) => el("option", { value: name }))),
          el("button.primary.large", { type: "submit", id: "append", disabled: !this.choices.has_video }, "Append"),
          !this.choices.has_video && el("p.small.bad", {}, "Its video is not in the folder.")),
        this.appended)));
    this.#jobs();
  }

  #jobs() {
    if (!this.made) return;
    const { jobs } = this.app.state;
    const own = jobs.filter((job) => job.kind === "export" && job.result === this.id).reverse();
    fill(this.made, own.map((job) => el("article.job", { data: { state: job.state } },
      el("div.row.tight", {}, el("b", {}, job.formats.join(", ")), el("span.grow"),
        job.state === "done" || job.state === "failed" ? el("button", { type: "button", on: { click: () => this.#forget(job) } }, "Remove") : el("span.quiet.small", {}, job.phase || "waiting")),
      job.state === "running" && el("div.progress", {}, el("i", { className: job.total ? "" : "unknown", style: { width: `${job.total ? (100 * job.done) / job.total : 0}%` } })),
      job.error && el("p.small.bad", {}, job.error),
      job.state === "done" && el("div.files", {}, job.files.map((file, place) => el("a.download", { href: `/api/jobs/${job.id}/files/${place}`, download: "" }, `↓ ${file}`))))),
    own.length === 0 && el("p.quiet", {}, "What is written appears here, to be downloaded."));
    const added = jobs.filter((job) => job.kind === "append" && job.result === this.id).reverse();
    fill(this.appended, added.map((job) => el("article.job", { data: { state: job.state } },
      el("div.row.tight", {}, el("b", {}, job.title), el("span.grow"),
        job.state === "done" || job.state === "failed" ? el("button", { type: "button", on: { click: () => this.#forget(job) } }, "Remove") : el("span.quiet.small", {}, job.phase || "waiting")),
      job.error && el("p.small.bad", {}, job.error),
      job.answer.commands && el("p.small", {}, `${job.answer.replaced ? "Replaced" : "Added"}: ${count(job.answer.frames, "frame")}, ${count(job.answer.objects, "object")}, ${count(job.answer.masks, "mask")}${job.answer.new_categories.length ? `; new classes: ${job.answer.new_categories.join(", ")}` : ""}. Train on it in '${this.app.state.folder}':`),
      job.answer.commands?.map((command) => el("pre.command", {}, el("code", {}, command), el("button.icon", { type: "button", "aria-label": "Copy the command", on: { click: () => this.#copy(command) } }, icon("copy")))))));
  }

  async #copy(command) {
    try {
      await navigator.clipboard.writeText(command);
      toast("Copied.");
    } catch {
      toast("The browser does not let pages copy: mark the text.");
    }
  }

  async #forget(job) {
    await post(`/api/jobs/${job.id}/forget`).catch((error) => toast(error.message, "error"));
  }

  async #export(form) {
    const formats = new FormData(form).getAll("format");
    try {
      this.app.setJob(await post(`/api/results/${this.id}/exports`, { formats }));
    } catch (error) {
      toast(error.message, "error");
    }
  }

  async #append(form) {
    try {
      this.app.setJob(await post(`/api/results/${this.id}/append`, { file: new FormData(form).get("file") }));
    } catch (error) {
      toast(error.message, "error");
    }
  }
}
