// The picture: the frame, the masks on it, names; zoom, pan, and what was clicked.

const MOST_ZOOM = 32;

export class Stage {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{width: number, height: number, onPick: (x: number, y: number, event: PointerEvent) => void}} how
   *   size of the video; called with a place in it
   */
  constructor(canvas, { width, height, onPick }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.size = [width, height];
    this.onPick = onPick;
    this.zoom = 1;
    this.center = [width / 2, height / 2];
    this.picture = null;
    this.overlay = null;
    this.labels = [];
    this.message = "";
    this.observer = new ResizeObserver(() => this.#resize());
    this.observer.observe(canvas.parentElement);
    this.#listen();
    this.#resize();
  }

  close() {
    this.observer.disconnect();
  }

  /** Pixels of the screen for a pixel of the video. */
  get scale() {
    const { clientWidth, clientHeight } = this.canvas;
    return Math.min(clientWidth / this.size[0], clientHeight / this.size[1]) * this.zoom;
  }

  /** Width in which frames are worth fetching. */
  get wantedWidth() {
    const pixels = this.size[0] * this.scale * devicePixelRatio;
    return Math.min(4096, [480, 640, 960, 1280, 1920, 2560, 3840].find((width) => width >= pixels) ?? 4096);
  }

  fit() {
    this.zoom = 1;
    this.center = this.size.map((side) => side / 2);
    this.draw();
  }

  /** Zoom by a factor about a place on the canvas, or its middle. */
  zoomBy(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const before = this.toVideo(x, y);
    this.zoom = Math.min(MOST_ZOOM, Math.max(1, this.zoom * factor));
    const after = this.toVideo(x, y);
    this.center = this.center.map((value, axis) => value + before[axis] - after[axis]);
    this.#keepInside();
    this.draw();
  }

  toVideo(x, y) {
    const { clientWidth, clientHeight } = this.canvas;
    return [(x - clientWidth / 2) / this.scale + this.center[0], (y - clientHeight / 2) / this.scale + this.center[1]];
  }

  draw() {
    const { context, canvas, scale } = this;
    const [width, height] = this.size;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const ratio = devicePixelRatio;
    const [left, top] = [canvas.clientWidth / 2 - this.center[0] * scale, canvas.clientHeight / 2 - this.center[1] * scale];
    context.setTransform(ratio, 0, 0, ratio, left * ratio, top * ratio);
    context.imageSmoothingEnabled = scale < 3;
    if (this.picture) context.drawImage(this.picture, 0, 0, width * scale, height * scale);
    else {
      context.fillStyle = "#2b2f36";
      context.fillRect(0, 0, width * scale, height * scale);
    }
    if (this.overlay) context.drawImage(this.overlay, 0, 0, width * scale, height * scale);
    this.#names();
    if (this.message) {
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.font = "13px system-ui, sans-serif";
      context.textAlign = "center";
      context.fillStyle = "#fff";
      context.fillText(this.message, canvas.clientWidth / 2, 24);
    }
  }

  #names() {
    const { context, scale } = this;
    context.font = "600 12px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "left";
    for (const { text, x, y, color, isSelected } of this.labels) {
      const w = context.measureText(text).width + 10;
      const left = Math.min(Math.max(0, x * scale - w / 2), Math.max(0, this.size[0] * scale - w));
      const top = Math.min(Math.max(0, y * scale - 9), Math.max(0, this.size[1] * scale - 18));
      context.fillStyle = isSelected ? "#fff" : "rgba(12, 14, 18, 0.78)";
      context.beginPath();
      context.roundRect(left, top, w, 18, 4);
      context.fill();
      context.fillStyle = color;
      context.fillRect(left, top + 3, 3, 12);
      context.fillStyle = isSelected ? "#111" : "#fff";
      context.fillText(text, left + 6, top + 9.5);
    }
  }

  #resize() {
    const { canvas } = this;
    const box = canvas.parentElement.getBoundingClientRect();
    canvas.style.width = `${box.width}px`;
    canvas.style.height = `${box.height}px`;
    canvas.width = Math.max(1, Math.round(box.width * devicePixelRatio));
    canvas.height = Math.max(1, Math.round(box.height * devicePixelRatio));
    this.#keepInside();
    this.draw();
    this.onResize?.();
  }

  #keepInside() {
    const { clientWidth, clientHeight } = this.canvas;
    [clientWidth, clientHeight].forEach((side, axis) => {
      const half = side / this.scale / 2;
      const whole = this.size[axis];
      this.center[axis] = half * 2 >= whole ? whole / 2 : Math.min(whole - half, Math.max(half, this.center[axis]));
    });
  }

  #listen() {
    const { canvas } = this;
    let start = null;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button > 1) return;
      canvas.setPointerCapture(event.pointerId);
      start = { x: event.offsetX, y: event.offsetY, center: [...this.center], moved: false };
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!start) return;
      const [dx, dy] = [event.offsetX - start.x, event.offsetY - start.y];
      if (!start.moved && Math.hypot(dx, dy) < 4) return;
      start.moved = true;
      this.center = [start.center[0] - dx / this.scale, start.center[1] - dy / this.scale];
      this.#keepInside();
      this.draw();
    });
    canvas.addEventListener("pointerup", (event) => {
      if (start && !start.moved && event.button === 0) this.onPick(...this.toVideo(event.offsetX, event.offsetY), event);
      start = null;
    });
    canvas.addEventListener("dblclick", () => this.fit());
  }
}
