// The server: requests that say what went wrong in one sentence, and the stream of events.

export class ServerError extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

async function answer(response) {
  const isJson = (response.headers.get("content-type") ?? "").startsWith("application/json");
  if (response.ok) return isJson ? response.json() : response.blob();
  const body = isJson ? await response.json() : {};
  throw new ServerError(body.error ?? `The server answered with ${response.status}.`, response.status);
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server does not answer. Is it still running?", 0);
  }
  return answer(response);
}

export const get = (path, signal) => request(path, { signal });

export const post = (path, body = {}) =>
  request(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

/**
 * Upload a file; its bytes go as they are.
 * @param {File} file
 * @param {(part: number) => void} onProgress called with 0..1
 * @returns {{done: Promise<object>, abort: () => void}}
 */
export function upload(file, onProgress) {
  const sender = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    sender.open("PUT", `/api/upload?name=${encodeURIComponent(file.name)}`);
    sender.setRequestHeader("content-type", "application/octet-stream");
    sender.responseType = "json";
    sender.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    sender.onload = () =>
      sender.status < 300 ? resolve(sender.response) : reject(new ServerError(sender.response?.error ?? "The upload was refused.", sender.status));
    sender.onerror = () => reject(new ServerError(`The upload of '${file.name}' broke off, or is too large.`, 0));
    sender.onabort = () => reject(new ServerError("The upload was stopped.", 0));
    sender.send(file);
  });
  return { done, abort: () => sender.abort() };
}

/**
 * Listen to what happens.
 * @param {Object<string, (content: any) => void>} handlers by the name of the event
 * @param {(isConnected: boolean) => void} onConnection
 */
export function listen(handlers, onConnection) {
  let source = null;
  const open = () => {
    source = new EventSource("/api/events");
    source.onopen = () => onConnection(true);
    source.onerror = () => {
      onConnection(false);
      // Browsers give up where the server refuses, as it does while it starts.
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 1500);
    };
    for (const [name, handler] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => handler(JSON.parse(event.data)));
    }
  };
  open();
  addEventListener("pagehide", () => source.close());
}
