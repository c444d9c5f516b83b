// Talks to the server. Every failure is an Error whose message a person can read.

export const ask = (path, values = {}) => answer(`${path}?${new URLSearchParams(values)}`, {});

export const tell = (path, values) =>
  answer(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(values) });

async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("");
  }
  if (response.ok) return response.json();
  const text = await response.text();
  throw new Error(reason(text));
}

function reason(text) {
  try {
    return JSON.parse(text).error;
  } catch {
    return text;
  }
}
