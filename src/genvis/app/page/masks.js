// Masks of frames: fetched in stretches, decoded when shown, painted into one picture.

import { get } from "./api.js";

const STRETCH = 32;
const MOST_STRETCHES = 96;

/**
 * Decode COCO's compressed RLE: counts of pixels outside, inside, outside, ... column by column.
 * @param {string} text six bits a character: five of the number, one that says whether more follow; from the fourth
 *   count on the difference to the one two before
 * @returns {Int32Array}
 */
export function decodeCounts(text) {
  const counts = [];
  let place = 0;
  while (place < text.length) {
    let value = 0, shift = 0, more = true;
    while (more) {
      const code = text.charCodeAt(place++) - 48;
      value |= (code & 31) << (5 * shift++);
      more = (code & 32) !== 0;
      if (!more && code & 16) value |= -1 << (5 * shift);
    }
    if (counts.length > 2) value += counts[counts.length - 2];
    counts.push(value);
  }
  return Int32Array.from(counts);
}

/** Masks of one result by frame: what the server sent for a stretch of frames is kept. */
export class MaskStore {
  constructor(result) {
    this.result = result;
    this.made = "0";
    this.stretches = new Map();
  }

  /** Masks that edits made are rows of their own: stretches that were fetched before lack them. */
  setMade(made) {
    if (made !== this.made) this.stretches.clear();
    this.made = made;
  }

  /** The rows and counts of a frame, or a promise of them. */
  frame(position) {
    const key = Math.floor(position / STRETCH);
    let stretch = this.stretches.get(key);
    if (stretch === undefined) {
      stretch = this.#fetch(key);
      this.stretches.set(key, stretch);
      while (this.stretches.size > MOST_STRETCHES) this.stretches.delete(this.stretches.keys().next().value);
    } else {
      this.stretches.delete(key);
      this.stretches.set(key, stretch);
    }
    const within = (frames) => frames[position - key * STRETCH] ?? [];
    return stretch instanceof Promise ? stretch.then(within) : within(stretch);
  }

  #fetch(key) {
    const { id, version } = this.result;
    const query = `first=${key * STRETCH}&count=${STRETCH}&made=${this.made}&v=${version}`;
    const promise = get(`/api/results/${id}/masks?${query}`).then(
      (answer) => {
        if (this.stretches.get(key) === promise) this.stretches.set(key, answer.frames);
        return answer.frames;
      },
      (error) => {
        if (this.stretches.get(key) === promise) this.stretches.delete(key);
        throw error;
      });
    return promise;
  }
}

/** One picture of all masks of a frame, and the object at each of its pixels. */
export class MaskPainter {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.canvas = new OffscreenCanvas(width, height);
    this.context = this.canvas.getContext("2d");
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.slots = new Uint16Array(width * height);
    this.objects = [];
    this.dirty = null;
  }

  /**
   * Paint.
   * @param {Array<{id: number, color: [number, number, number], masks: string[], isSelected: boolean}>} objects
   *   those in front last
   * @param {{opacity: number, outlines: boolean}} how
   */
  paint(objects, { opacity, outlines }) {
    const { width, height, slots, pixels } = this;
    this.#clear();
    this.objects = objects.slice(0, 65534);
    let [left, top, right, bottom] = [width, height, -1, -1];
    this.objects.forEach((object, place) => {
      const alpha = Math.min(1, opacity + (object.isSelected ? 0.2 : 0));
      const [r, g, b] = object.color;
      const fill = ((Math.round(alpha * 255) << 24) | (b << 16) | (g << 8) | r) >>> 0;
      let [sumX, sumY, area] = [0, 0, 0];
      let box = [width, height, -1, -1];
      for (const text of object.masks) {
        const counts = decodeCounts(text);
        let at = 0;
        for (let k = 0; k < counts.length; k++) {
          const stop = at + counts[k];
          if (k % 2 === 0) { at = stop; continue; }
          while (at < stop) {
            const x = Math.floor(at / height);
            const y0 = at - x * height;
            const y1 = Math.min(height, y0 + stop - at);
            for (let y = y0, p = y0 * width + x; y < y1; y++, p += width) { slots[p] = place + 1; pixels[p] = fill; }
            if (x < box[0]) box[0] = x;
            if (x > box[2]) box[2] = x;
            if (y0 < box[1]) box[1] = y0;
            if (y1 - 1 > box[3]) box[3] = y1 - 1;
            const n = y1 - y0;
            area += n; sumX += x * n; sumY += n * (y0 + y1 - 1) / 2;
            at += n;
          }
        }
      }
      object.box = box;
      object.area = area;
      object.center = area ? [sumX / area, sumY / area] : null;
      left = Math.min(left, box[0]); top = Math.min(top, box[1]);
      right = Math.max(right, box[2]); bottom = Math.max(bottom, box[3]);
    });
    if (right >= 0) {
      this.dirty = [left, top, right, bottom];
      this.#outline(outlines);
      this.context.putImageData(this.image, 0, 0, left, top, right - left + 1, bottom - top + 1);
    }
  }

  /** The object at a pixel of the video, or null. */
  at(x, y) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return null;
    return this.objects[this.slots[Math.floor(y) * this.width + Math.floor(x)] - 1] ?? null;
  }

  #clear() {
    if (!this.dirty) return;
    const [left, top, right, bottom] = this.dirty;
    for (let y = top; y <= bottom; y++) {
      this.pixels.fill(0, y * this.width + left, y * this.width + right + 1);
      this.slots.fill(0, y * this.width + left, y * this.width + right + 1);
    }
    this.context.clearRect(left, top, right - left + 1, bottom - top + 1);
    this.dirty = null;
  }

  /** Give objects a border of two pixels inside; those that are selected always have one, in white. */
  #outline(all) {
    const { width, height, slots, pixels, objects } = this;
    if (!all && !objects.some((object) => object.isSelected)) return;
    const white = 0xffffffff;
    const strong = objects.map(({ color: [r, g, b], isSelected }) => isSelected ? white : ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
    for (let place = 0; place < objects.length; place++) {
      const object = objects[place];
      if (!all && !object.isSelected) continue;
      const [left, top, right, bottom] = object.box;
      const own = place + 1;
      const reach = object.isSelected ? 2 : 1;
      for (let y = top; y <= bottom; y++) {
        for (let x = left, p = y * width + left; x <= right; x++, p++) {
          if (slots[p] !== own) continue;
          if (x < reach || y < reach || x >= width - reach || y >= height - reach
            || slots[p - 1] !== own || slots[p + 1] !== own || slots[p - width] !== own || slots[p + width] !== own
            || (reach > 1 && (slots[p - 2] !== own || slots[p + 2] !== own || slots[p - 2 * width] !== own || slots[p + 2 * width] !== own))) {
            pixels[p] = strong[place];
          }
        }
      }
    }
  }
}
