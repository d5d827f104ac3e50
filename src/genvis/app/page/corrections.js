// Corrections of the open result: the tracks as they are now, edits, undo and redo.

import { post } from "./api.js";
import { toast } from "./dom.js";

/** The tracks that the page shows, made of what the server says of them. */
export function tracksOf(state, colors) {
  return state.tracks.map((track) => {
    const runs = unionOf(track.parts);
    const css = colors[(track.id - 1) % colors.length];
    return {
      ...track,
      runs,
      css,
      color: [1, 3, 5].map((place) => parseInt(css.slice(place, place + 2), 16)),
      seen: runs.reduce((sum, [first, stop]) => sum + stop - first, 0),
      first: runs[0]?.[0] ?? 0,
      last: (runs.at(-1)?.[1] ?? 1) - 1,
    };
  });
}

/** Stretches in which a track is visible, in order: parts of two rows can overlap. */
function unionOf(parts) {
  const runs = [];
  for (const [, first, stop] of [...parts].sort((a, b) => a[1] - b[1])) {
    const last = runs.at(-1);
    if (last && first <= last[1]) last[1] = Math.max(last[1], stop);
    else runs.push([first, stop]);
  }
  return runs;
}

/** For every row of masks, which tracks show it, and where. */
export function ownersOf(tracks) {
  const owners = new Map();
  for (const track of tracks) {
    for (const [row, first, stop] of track.parts) {
      if (!owners.has(row)) owners.set(row, []);
      owners.get(row).push([first, stop, track]);
    }
  }
  for (const list of owners.values()) list.sort((a, b) => a[0] - b[0]);
  return owners;
}

/** The track that shows a row in a frame, or null. */
export function ownerOf(owners, row, position) {
  const list = owners.get(row);
  if (!list) return null;
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle][1] <= position) low = middle + 1;
    else high = middle;
  }
  return low < list.length && list[low][0] <= position ? list[low][2] : null;
}

export class Corrections {
  /**
   * @param {string} id of the result
   * @param {{onState: (state: object) => void, onSaving: (isSaving: boolean) => void,
   *   onRefused: () => void}} how
   */
  constructor(id, how) {
    this.id = id;
    Object.assign(this, how);
    this.queue = Promise.resolve();
  }

  /** Make an edit; resolves to the state, or null if it was refused, which is said. */
  edit(body) {
    return this.#send("edits", body);
  }

  undo() {
    return this.#send("undo", {});
  }

  redo() {
    return this.#send("redo", {});
  }

  /** One after the other, in the order in which keys were pressed. */
  #send(path, body) {
    const sent = this.queue.then(async () => {
      this.onSaving(true);
      try {
        const state = await post(`/api/results/${this.id}/${path}`, body);
        this.onState(state);
        return state;
      } catch (error) {
        toast(error.message, "error");
        this.onRefused(); // Perhaps because another program has changed the tracks.
        return null;
      } finally {
        this.onSaving(false);
      }
    });
    this.queue = sent;
    return sent;
  }
}
