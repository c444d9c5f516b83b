// Draws rows. Every text from a row becomes a text node, never markup.

let words = {};

export const useWords = (table) => (words = table);

export const say = (key, values = {}) => (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name]);

// Characters that nobody sees, or that turn the order of a line around. A joiner has work to do in Persian, in Indian scripts and in
// emoji; after a Latin letter, a Han character, a digit or a sign it only hides.
const HIDDEN = new RegExp(
  String.raw`([\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f]` +
    String.raw`|[\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}]|\r(?!\n)` +
    String.raw`|(?<=^|[\p{Script=Latin}\p{Script=Han}\p{Nd}\p{P}\s\u200b-\u200f])[\u200c\u200d])`,
  "u",
);

// A text from a row, its hidden characters drawn as their numbers.
const seen = (text) => text.split(HIDDEN).map((part, number) => (number % 2 ? hidden(part) : part));

function hidden(character) {
  const code = `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  return element("span", { class: "unseen", role: "img", "aria-label": code, "data-code": code });
}

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null && child !== false && child !== ""));
  return made;
}

export function drawRow(row) {
  return [facts(row), rejection(row), judgement(row), chat(row), original(row), quotes(row), checks(row), identity(row)].filter(Boolean);
}

export const drawDraft = () => element("p", { class: "judgement mended draft" }, say("draft"));

export function drawSource(row) {
  if (!row.source) return [element("p", { class: "empty" }, say(row.quotes.length ? "lost_source" : "no_source"))];
  const { title, parts } = row.source;
  const numbered = new Set();
  return [
    element("h2", {}, say("source")),
    element("p", { class: "path", dir: "auto" }, ...seen(title)),
    ...parts.map((one) => part(one, numbered)),
  ];
}

// A textarea grows with its text.
export function drawEditors(texts) {
  return texts.map(({ role, text }) => {
    const editor = element("textarea", { "aria-label": say(`role_${role}`), rows: 1, dir: "auto" });
    editor.value = text;
    editor.addEventListener("input", () => grow(editor));
    return editor;
  });
}

export function grow(editor) {
  editor.style.height = "auto";
  editor.style.height = `${editor.scrollHeight + 2}px`;
}

export const message = (role, body) =>
  element("div", { class: `message ${role}` }, element("h3", {}, say(`role_${role}`)), body);

const said = (text) => element("p", { class: "said", dir: "auto" }, ...seen(text));

const facts = (row) =>
  element(
    "p",
    { class: "facts" },
    element("b", {}, row.task),
    row.language && element("span", {}, row.language),
    ...row.made.map((fact) => element("span", {}, fact)),
  );

const rejection = (row) =>
  row.rejection &&
  element(
    "div",
    { class: "banner" },
    element("b", {}, row.rejection.reason),
    row.rejection.detail && element("span", { class: "said", dir: "auto" }, ...seen(row.rejection.detail)),
    element("small", {}, say("rejected_by_checks")),
  );

const judgement = (row) =>
  row.judgement &&
  element(
    "p",
    { class: `judgement ${row.judgement.state}` },
    element("b", {}, say(`state_${row.judgement.state}`)),
    row.judgement.note && element("span", { class: "said", dir: "auto" }, ...seen(row.judgement.note)),
  );

const chat = (row) =>
  element(
    "div",
    { class: "chat" },
    ...(row.judgement?.messages ?? row.messages).map(({ role, text }) => message(role, said(text))),
  );

const original = (row) =>
  row.judgement?.messages &&
  element(
    "details",
    {},
    element("summary", {}, say("original")),
    element("div", { class: "chat" }, ...row.messages.map(({ role, text }) => message(role, said(text)))),
  );

const quotes = (row) =>
  row.quotes.length > 0 &&
  element(
    "section",
    { class: "quotes" },
    element("h2", {}, say("quotes")),
    element("ol", {}, ...row.quotes.map(quote)),
  );

const quote = ({ text, found }, number) =>
  element(
    "li",
    {},
    element(
      "button",
      { "data-quotes": number, class: found ? "" : "missing" },
      element("i", {}, String(number + 1)),
      element("q", { dir: "auto" }, ...seen(text)),
      !found && element("small", {}, say("not_found")),
    ),
  );

const checks = (row) =>
  row.checks.length > 0 &&
  element(
    "section",
    { class: "checks" },
    element("h2", {}, say("checks")),
    element("ul", {}, ...row.checks.map(check)),
  );

const check = ({ name, kind, value }) =>
  element("li", { class: kind }, element("span", {}, name), element("b", { dir: "auto" }, ...(kind ? [say(kind)] : seen(value))));

const identity = (row) => element("p", { class: "id" }, ...seen(row.origin), " · ", element("code", {}, row.id));

const part = ({ role, segments }, numbered) => {
  const text = element("p", { class: "said", dir: "auto" }, ...segments.flatMap((one) => segment(one, numbered)));
  return role ? message(role, text) : text;
};

// A quote bears its number where it begins.
function segment([text, numbers], numbered) {
  if (!numbers.length) return seen(text);
  const begin = numbers.filter((number) => !numbered.has(number));
  begin.forEach((number) => numbered.add(number));
  const label = begin.map((number) => number + 1).join(" ");
  return element("mark", { "data-quotes": numbers.join(" "), "data-number": label || null }, ...seen(text));
}
