// Frames of a result: fetched before they are needed, kept for a while, played at their own times.

import { get } from "./api.js";

const MOST_REQUESTS = 4;
const MOST_BYTES = 192e6;

/** Times, or numbers, of frames: given one by one, or by their first and their step. */
export class Series {
  constructor({ values, start, step }) {
    this.values = values;
    this.start = start;
    this.step = step;
  }

  at(position) {
    return this.values ? this.values[position] : this.start + this.step * position;
  }

  /** The last position that is not after a value. */
  find(value, length) {
    let [low, high] = [0, length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.at(middle) <= value + 1e-6) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

export class FrameStore {
  /**
   * @param {object} result as the server describes it
   * @param {() => number} width how wide pictures are wanted
   */
  constructor(result, width) {
    this.result = result;
    this.width = width;
    this.pictures = new Map();
    this.pending = new Map();
    this.wanted = [];
    this.bytes = 0;
    this.isClosed = false;
  }

  /** The picture of a frame if it is there. */
  have(position) {
    const picture = this.pictures.get(position);
    if (picture) {
      this.pictures.delete(position);
      this.pictures.set(position, picture);
    }
    return picture?.bitmap;
  }

  /**
   * Say which frames are wanted, the most urgent first; others that were asked for are given up.
   * @param {number[]} positions
   */
  want(positions) {
    this.wanted = positions.filter((position) => position >= 0 && position < this.result.frames && !this.pictures.has(position));
    for (const [position, request] of this.pending) {
      if (positions.includes(position)) continue;
      this.pending.delete(position); // At once: it may be wanted again before its end is known.
      request.abort.abort();
    }
    this.#next();
  }

  /** A promise of the picture of a frame. */
  async frame(position) {
    const there = this.have(position);
    if (there) return there;
    if (!this.pending.has(position)) this.#fetch(position);
    await this.pending.get(position).promise;
    return this.have(position);
  }

  close() {
    this.isClosed = true;
    for (const request of this.pending.values()) request.abort.abort();
    for (const picture of this.pictures.values()) picture.bitmap.close();
    this.pictures.clear();
  }

  /** Forget all pictures: others are wanted. */
  clear() {
    for (const picture of this.pictures.values()) picture.bitmap.close();
    this.pictures.clear();
    this.bytes = 0;
  }

  #next() {
    while (this.pending.size < MOST_REQUESTS && this.wanted.length) {
      const position = this.wanted.shift();
      if (!this.pictures.has(position) && !this.pending.has(position)) this.#fetch(position);
    }
  }

  #fetch(position) {
    const abort = new AbortController();
    const promise = this.#load(position, abort.signal).finally(() => {
      if (this.pending.get(position)?.abort === abort) this.pending.delete(position);
      if (!this.isClosed) this.#next();
    });
    promise.catch(() => {});
    this.pending.set(position, { promise, abort });
  }

  async #load(position, signal) {
    const { id, version, video } = this.result;
    const blob = await get(`/api/results/${id}/frames/${position}?width=${this.width()}&v=${version}-${video?.id}`, signal);
    const bitmap = await createImageBitmap(blob);
    if (this.isClosed) return bitmap.close();
    this.pictures.get(position)?.bitmap.close();
    const size = 4 * bitmap.width * bitmap.height;
    this.pictures.set(position, { bitmap, size });
    this.bytes += size;
    for (const [old, picture] of this.pictures) {
      if (this.bytes <= MOST_BYTES || this.pictures.size <= 8) break;
      this.pictures.delete(old);
      this.bytes -= picture.size;
      picture.bitmap.close();
    }
  }
}

/** Shows frame after frame at the times they have; waits for one that is late, and leaves none out. */
export class Player {
  /**
   * @param {{times: Series, length: number, position: () => number, show: (position: number) => void,
   *   isReady: (position: number) => boolean, onChange: () => void}} how
   */
  constructor(how) {
    Object.assign(this, how);
    this.speed = 1;
    this.isPlaying = false;
    this.#request = 0;
  }

  #request;

  toggle() {
    this.isPlaying ? this.stop() : this.play();
  }

  play() {
    if (this.length < 2) return;
    if (this.position() >= this.length - 1) this.show(0);
    this.isPlaying = true;
    this.#anchor();
    this.#request = requestAnimationFrame(() => this.#tick());
    this.onChange();
  }

  stop() {
    if (!this.isPlaying) return;
    this.isPlaying = false;
    cancelAnimationFrame(this.#request);
    this.onChange();
  }

  setSpeed(speed) {
    this.speed = speed;
    this.#anchor();
  }

  #anchor() {
    this.began = performance.now();
    this.from = this.times.at(this.position());
  }

  #tick() {
    if (!this.isPlaying) return;
    const next = this.position() + 1;
    const due = this.from + (this.speed * (performance.now() - this.began)) / 1000;
    if (next >= this.length) return this.stop();
    if (due >= this.times.at(next)) {
      if (this.isReady(next)) {
        this.show(next);
        // What is late by more than a few frames is not caught up in a rush.
        if (due - this.times.at(next) > 0.25) this.#anchor();
      } else {
        this.#anchor();
      }
    }
    this.#request = requestAnimationFrame(() => this.#tick());
  }
}
