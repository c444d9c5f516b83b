// Talks to the server. Every failure is a Failure whose message a person can read.

export const STALE = 409;
export const REFUSED = 400;

class Failure extends Error {
  // `status` is that of HTTP, 0 where there was no answer; `answer` is what the server said.
  constructor(status, answer) {
    super(answer.error);
    this.status = status;
    this.answer = answer;
  }
}

export const ask = (path, values = {}) => answer(`${path}?${new URLSearchParams(values)}`, {});

export const tell = (path, values) =>
  answer(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(values) });

async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Failure(0, { error: "" });
  }
  if (response.ok) return response.json();
  const text = await response.text();
  throw new Failure(response.status, read(text));
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { error: text };
  }
}
