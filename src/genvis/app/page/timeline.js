// The timeline: one bar for each track, where it is visible; only what is in view is drawn.

const ROW = 16;
const RULER = 22;
const NAMES = 132;

export class Timeline {
  /**
   * @param {HTMLElement} holder
   * @param {{length: number, time: (position: number) => string, onSeek: (position: number) => void,
   *   onPick: (track: object, event: PointerEvent) => void}} how
   */
  constructor(holder, how) {
    Object.assign(this, how);
    this.holder = holder;
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = -1;
    this.canvas.setAttribute("aria-hidden", "true"); // The list of tracks says the same in words.
    holder.replaceChildren(this.canvas);
    this.context = this.canvas.getContext("2d");
    this.tracks = [];
    this.selected = new Set();
    this.marks = [];
    this.stretch = null;
    this.position = 0;
    this.top = 0;
    this.view = [0, Math.max(1, this.length)];
    this.observer = new ResizeObserver(() => this.#resize());
    this.observer.observe(holder);
    this.#listen();
    this.#resize();
  }

  close() {
    this.observer.disconnect();
  }

  set({ tracks, selected, marks, stretch }) {
    Object.assign(this, { tracks, selected, marks, stretch });
    this.#keepInside();
    this.draw();
  }

  show(position) {
    this.position = position;
    const [from, to] = this.view;
    if (to - from < this.length && (position < from || position >= to)) {
      const span = to - from;
      this.#setView(position - span * 0.1, span);
    }
    this.draw();
  }

  /** Bring a track into view. */
  reveal(id) {
    const row = this.tracks.findIndex((track) => track.id === id);
    if (row < 0) return;
    const room = this.canvas.clientHeight - RULER;
    if (row * ROW < this.top) this.top = row * ROW;
    if ((row + 1) * ROW > this.top + room) this.top = (row + 1) * ROW - room;
    this.#keepInside();
  }

  zoomBy(factor, at = this.position) {
    const [from, to] = this.view;
    const span = Math.min(this.length, Math.max(Math.min(20, this.length), (to - from) / factor));
    this.#setView(at - ((at - from) / (to - from)) * span, span);
    this.draw();
  }

  x(position) {
    const [from, to] = this.view;
    return NAMES + ((position - from) / (to - from)) * (this.canvas.clientWidth - NAMES - 8);
  }

  draw() {
    if (this.isWaiting) return;
    this.isWaiting = true;
    requestAnimationFrame(() => { this.isWaiting = false; this.#draw(); });
  }

  #draw() {
    const { context, canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const style = getComputedStyle(this.holder);
    const color = (name) => style.getPropertyValue(name);
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.save();
    context.beginPath();
    context.rect(0, RULER, width, height - RULER);
    context.clip();
    const first = Math.floor(this.top / ROW);
    const last = Math.min(this.tracks.length, Math.ceil((this.top + height) / ROW));
    for (let row = first; row < last; row++) this.#row(this.tracks[row], RULER + row * ROW - this.top, color);
    context.restore();
    if (this.stretch) {
      const [a, b] = [Math.max(NAMES, this.x(this.stretch[0])), Math.min(width, this.x(this.stretch[1] + 1))];
      if (b > a) {
        context.fillStyle = color("--mark-soft");
        context.fillRect(a, 0, b - a, height);
        context.fillStyle = color("--mark");
        context.fillRect(a, 0, b - a, 3);
      }
    }
    this.#ruler(color);
    const x = this.x(this.position + 0.5);
    if (x >= NAMES && x <= width) {
      context.fillStyle = color("--accent");
      context.fillRect(x - 0.75, 0, 1.5, height);
      context.beginPath();
      context.moveTo(x - 6, 0); context.lineTo(x + 6, 0); context.lineTo(x, 8);
      context.fill();
    }
    this.#scrollbar(color);
  }

  #row(track, y, color) {
    const { context } = this;
    const isSelected = this.selected.has(track.id);
    if (isSelected) {
      context.fillStyle = color("--selected");
      context.fillRect(0, y, this.canvas.clientWidth, ROW);
    }
    context.fillStyle = track.css;
    context.fillRect(6, y + 4, 8, 8);
    context.fillStyle = color("--text");
    context.textAlign = "left";
    const name = `${track.id} ${track.label}`;
    context.fillText(name.length > 19 ? `${name.slice(0, 18)}…` : name, 20, y + ROW / 2 + 0.5);
    const [from, to] = this.view;
    context.fillStyle = track.css;
    context.globalAlpha = 0.35 + 0.65 * track.score;
    let low = 0, high = track.runs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (track.runs[middle][1] <= from) low = middle + 1;
      else high = middle;
    }
    let [a, b] = [-1, -1];
    for (let k = low; k < track.runs.length && track.runs[k][0] < to; k++) {
      const left = Math.max(NAMES, this.x(track.runs[k][0]));
      const right = Math.max(left + 1, this.x(track.runs[k][1]));
      if (left - b > 0.5) {
        if (b > a) context.fillRect(a, y + 3, b - a, ROW - 6);
        a = left;
      }
      b = right;
    }
    if (b > a) context.fillRect(a, y + 3, b - a, ROW - 6);
    context.globalAlpha = 1;
  }

  #ruler(color) {
    const { context } = this;
    const width = this.canvas.clientWidth;
    context.fillStyle = color("--panel");
    context.fillRect(0, 0, NAMES - 1, RULER);
    context.strokeStyle = color("--line");
    context.beginPath();
    context.moveTo(0, RULER - 0.5); context.lineTo(width, RULER - 0.5);
    context.moveTo(NAMES - 0.5, 0); context.lineTo(NAMES - 0.5, this.canvas.clientHeight);
    context.stroke();
    const [from, to] = this.view;
    const wanted = (to - from) / Math.max(1, (width - NAMES) / 90);
    const power = 10 ** Math.floor(Math.log10(Math.max(1, wanted)));
    const step = Math.max(1, [1, 2, 5, 10].map((k) => k * power).find((size) => size >= wanted));
    context.fillStyle = color("--quiet");
    context.textAlign = "left";
    for (let position = Math.ceil(from / step) * step; position < to; position += step) {
      const x = this.x(position);
      context.fillRect(x, RULER - 6, 1, 6);
      if (x < width - 40) context.fillText(String(position), x + 3, 13);
    }
    context.fillText("frame", 6, 12);
    for (const mark of this.marks) {
      const x = this.x(mark.frame + 0.5);
      if (x < NAMES || x > width) continue;
      context.fillStyle = color("--warn");
      context.beginPath();
      context.moveTo(x - 4, RULER); context.lineTo(x + 4, RULER); context.lineTo(x, RULER - 7);
      context.fill();
    }
  }

  #scrollbar(color) {
    const room = this.canvas.clientHeight - RULER;
    const whole = this.tracks.length * ROW;
    if (whole <= room) return;
    this.context.fillStyle = color("--line");
    const size = Math.max(18, (room * room) / whole);
    this.context.fillRect(this.canvas.clientWidth - 5, RULER + (this.top / (whole - room)) * (room - size), 4, size);
  }

  #setView(from, span) {
    const start = Math.min(Math.max(0, from), Math.max(0, this.length - span));
    this.view = [start, start + Math.min(span, Math.max(1, this.length))];
  }

  #keepInside() {
    const most = Math.max(0, this.tracks.length * ROW - (this.canvas.clientHeight - RULER));
    this.top = Math.min(most, Math.max(0, this.top));
  }

  #resize() {
    const box = this.holder.getBoundingClientRect();
    this.canvas.style.width = `${box.width}px`;
    this.canvas.style.height = `${box.height}px`;
    this.canvas.width = Math.max(1, Math.round(box.width * devicePixelRatio));
    this.canvas.height = Math.max(1, Math.round(box.height * devicePixelRatio));
    this.#keepInside();
    this.draw();
  }

  #positionAt(x) {
    const [from, to] = this.view;
    const part = (x - NAMES) / (this.canvas.clientWidth - NAMES - 8);
    return Math.min(this.length - 1, Math.max(0, Math.floor(from + part * (to - from))));
  }

  #listen() {
    const { canvas } = this;
    let isSeeking = false;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const [from, to] = this.view;
      if (event.ctrlKey || event.metaKey) this.zoomBy(Math.exp(-event.deltaY * 0.003), this.#positionAt(event.offsetX));
      else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        this.#setView(from + ((event.deltaX || event.deltaY) / 600) * (to - from), to - from);
      } else {
        this.top += event.deltaY;
        this.#keepInside();
      }
      this.draw();
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const track = this.tracks[Math.floor((event.offsetY - RULER + this.top) / ROW)];
      if (event.offsetY >= RULER && track) this.onPick(track, event);
      if (event.offsetX < NAMES) return;
      isSeeking = true;
      canvas.setPointerCapture(event.pointerId);
      this.onSeek(this.#positionAt(event.offsetX));
    });
    canvas.addEventListener("pointermove", (event) => isSeeking && this.onSeek(this.#positionAt(event.offsetX)));
    canvas.addEventListener("pointerup", () => { isSeeking = false; });
  }
}
