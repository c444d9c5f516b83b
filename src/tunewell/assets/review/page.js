// The page: one row at a time, judged by keyboard or by buttons. What is on the screen is what a judgement is about: no key counts
// while an answer is awaited, and nothing goes on after a failure until it is mended.
import { ask, tell } from "./server.js";
import { drawEditors, drawRow, drawSource, element, grow, message, say, useWords } from "./draw.js";

const find = (selector) => document.querySelector(selector);
const form = find("#filter-form");
const drafts = new Map();
let row = null;
let choices = {};
let mode = "reading";
let editors = [];
let busy = true;
let retry = null;

const KEYS = {
  a: "accept", m: "mend", r: "reject", u: "undo", j: "next", k: "previous", ArrowRight: "next", ArrowLeft: "previous",
  "/": "search", "?": "help",
};
const ACTS = {
  accept: () => judge({ verdict: "accept" }),
  mend: startMending,
  reject: startRejecting,
  save: saveMended,
  leave,
  undo,
  next: () => step("next", "last_row"),
  previous: () => step("previous", "first_row"),
  search: () => {
    find("#filters").open = true;
    form.elements.text.select();
  },
  help: () => find("#help").showModal(),
};

function act(name) {
  if (busy || retry) return;
  tellPerson("");
  ACTS[name]();
}

// Runs one exchange with the server. Where it fails, the page says so and stands still until it is tried again with success.
let line = Promise.resolve();
const exchange = (work) => (line = line.then(() => exchangeNow(work)));

async function exchangeNow(work) {
  busy = true;
  document.body.classList.add("busy");
  try {
    await work();
    retry = null;
  } catch (error) {
    retry = work;
    find("#alert span").textContent = say("not_saved", { why: error.message || say("no_server") });
  } finally {
    busy = false;
    document.body.classList.remove("busy");
    document.body.classList.toggle("stopped", retry !== null);
    find("#alert").hidden = retry === null;
  }
}

const wanted = () => Object.fromEntries(new FormData(form));

async function fetchRow(move, place = -1) {
  return ask("row", { ...wanted(), move, place });
}

// Shows the first unjudged row of the filter, else its first one.
async function open() {
  let found = await fetchRow("open");
  if (!found.row) {
    found = await fetchRow("first");
    tellPerson(found.of ? finished() : "");
  }
  show(found);
}

const step = (move, atTheEnd) =>
  exchange(async () => {
    const found = await fetchRow(move, row?.place ?? -1);
    if (found.row) show(found);
    else tellPerson(say(atTheEnd));
  });

function judge(said) {
  if (!row) return;
  if (row.rejection) return tellPerson(say("read_only"));
  const { place } = row;
  return exchange(async () => {
    const answer = await tell("judge", { place, ...said });
    drafts.delete(place);
    showProgress(answer);
    endMode();
    // Where judged rows are looked through, the next one is the neighbour, not the next unjudged one.
    const looksBack = !["", "unjudged"].includes(form.elements.state.value);
    const found = await fetchRow(looksBack ? "next" : "open", place);
    if (found.row) return show(found);
    show(await fetchRow("here", place));
    tellPerson(finished());
  });
}

function undo() {
  return exchange(async () => {
    const answer = await tell("undo", row?.judgement ? { place: row.place } : {});
    showProgress(answer);
    if (answer.row) show(await fetchRow("here", answer.row.place));
    else tellPerson(say("nothing_to_undo"));
  });
}

function startMending() {
  if (!row) return;
  if (row.rejection) return tellPerson(say("read_only"));
  const messages = row.judgement?.messages ?? row.messages;
  const texts = drafts.get(row.place) ?? messages.map(({ text }) => text);
  editors = drawEditors(messages.map(({ role }, number) => ({ role, text: texts[number] })));
  find("#row .chat").replaceChildren(...editors.map((editor, number) => message(messages[number].role, editor)));
  setMode("mending");
  editors.forEach(grow);
  const last = editors[messages.findLastIndex(({ role }) => role === "assistant")] ?? editors.at(-1);
  last?.focus();
}

function saveMended() {
  if (mode !== "mending") return;
  const texts = editors.map((editor) => editor.value);
  if (texts.some((text) => !text.trim())) return tellPerson(say("message_empty"));
  if (!isChanged(texts)) return tellPerson(say("nothing_changed"));
  judge({ verdict: "mend", texts });
}

const isChanged = (texts) => texts.some((text, number) => text !== (row.judgement?.messages ?? row.messages)[number].text);

function startRejecting() {
  if (!row) return;
  if (row.rejection) return tellPerson(say("read_only"));
  setMode("note-form");
  find("#note-form input").value = row.judgement?.note ?? "";
  find("#note-form input").focus();
}

// Esc leaves a mended text where it is: the next M goes on with it.
function leave() {
  if (mode === "mending") {
    const texts = editors.map((editor) => editor.value);
    if (isChanged(texts)) drafts.set(row.place, texts);
    find("#row .chat").replaceWith(drawRow(row).find((part) => part.matches(".chat")));
  }
  endMode();
}

function endMode() {
  editors = [];
  setMode("reading");
}

function setMode(name) {
  mode = name;
  for (const id of ["reading", "mending", "note-form"]) find(`#${id}`).hidden = id !== name;
  document.body.dataset.mode = name;
  if (name === "reading" && document.activeElement?.matches("input, textarea")) document.activeElement.blur();
}

function show(found) {
  row = found.row;
  find("#row").replaceChildren(...(row ? drawRow(row) : [element("p", { class: "empty" }, say("no_rows"))]));
  find("#source").replaceChildren(...(row ? drawSource(row) : []));
  find("#number").textContent = row && found.number ? say("number", { number: count(found.number), rows: count(found.rows) }) : "";
  find("#filter-progress").textContent =
    chosen().length && found.of ? say("progress_filter", { judged: count(found.judged), rows: count(found.of) }) : "";
  for (const name of ["accept", "mend", "reject"]) find(`#reading .${name}`).disabled = !row || row.rejection !== null;
  document.body.dataset.row = row ? row.id : "";
  endMode();
  find("#row").scrollTop = find("#source").scrollTop = 0;
  find("#source mark")?.scrollIntoView({ block: "center", container: "nearest" });
  window.scrollTo(0, 0);
}

function showProgress({ progress, figures }) {
  const { rows, judged } = progress;
  find("#progress").textContent = say("progress_all", { judged: count(judged), rows: count(rows) });
  const parts = ["accepted", "mended", "rejected"].filter((name) => progress[name]);
  const split = parts.map((name) => element("span", { class: name }, `${say(`state_${name}`)} ${count(progress[name])}`));
  find("#split").replaceChildren(...split);
  find("#figures").replaceChildren(...figures.map((line) => element("span", {}, line)));
  for (const name of ["accepted", "mended", "rejected"]) find(`#bar .${name}`).style.flexGrow = progress[name];
  find("#bar i:last-child").style.flexGrow = rows - judged;
  find("#bar").setAttribute("aria-valuemax", rows);
  find("#bar").setAttribute("aria-valuenow", judged);
}

const count = (number) => number.toLocaleString("en");

const finished = () => say(chosen().length ? "all_judged_filter" : "all_judged");

// The filters that are set, beyond what a fresh page has.
const chosen = () => Object.entries(wanted()).filter(([name, value]) => value !== (name === "outcome" ? "kept" : ""));

function tellPerson(text) {
  find("#status").textContent = text;
}

// The filter stands in the address, so that a reload keeps it.
function fillFilters() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [name, options] of Object.entries(choices)) {
    const labels = options.map(({ value, label, rows }) => new Option(rows == null ? label : `${label} (${count(rows)})`, value));
    form.elements[name].replaceChildren(new Option(say("any"), ""), ...labels);
    form.elements[name].value = given.get(name) ?? (name === "outcome" ? "kept" : "");
    if (form.elements[name].selectedIndex < 0) form.elements[name].value = "";
  }
  form.elements.text.value = given.get("text") ?? "";
  noteFilters();
}

function noteFilters() {
  const set = chosen();
  history.replaceState(null, "", `#${new URLSearchParams(set)}`);
  find("#filters-set").textContent = set.length || "";
  find("#clear").hidden = !set.length;
}

function refilter() {
  noteFilters();
  tellPerson("");
  exchange(open);
}

function light(event) {
  const numbers = event.target.closest?.("[data-quotes]")?.dataset.quotes.split(" ") ?? [];
  for (const one of document.querySelectorAll("[data-quotes]")) {
    const isLit = event.type !== "mouseout" && one.dataset.quotes.split(" ").some((number) => numbers.includes(number));
    one.classList.toggle("lit", isLit);
  }
}

function follow(event) {
  const quote = event.target.closest("[data-quotes]");
  if (!quote) return;
  light(event);
  const other = quote.matches("mark") ? "button" : "mark";
  const counterparts = [...document.querySelectorAll(`${other}[data-quotes]`)];
  const numbers = quote.dataset.quotes.split(" ");
  counterparts
    .find((one) => one.dataset.quotes.split(" ").some((number) => numbers.includes(number)))
    ?.scrollIntoView({ block: "center", behavior: "smooth" });
}

function press(event) {
  // Enter and Escape belong to an input method while it composes a Chinese word.
  if (event.isComposing || find("#help").open) return;
  if (event.key === "Escape") return escape(event);
  if (mode === "mending" && event.key === "Enter" && (event.ctrlKey || event.metaKey)) return act("save");
  const types = event.target.matches("input, textarea, select");
  if (types || mode !== "reading" || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const name = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!name) return;
  event.preventDefault();
  act(name);
}

function escape(event) {
  if (mode !== "reading") act("leave");
  else if (event.target.matches("input, select")) event.target.blur();
}

function listen() {
  document.addEventListener("keydown", press);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-act]");
    if (button) act(button.dataset.act);
    else follow(event);
  });
  for (const kind of ["mouseover", "mouseout", "focusin"]) document.addEventListener(kind, light);
  find("#help-button").addEventListener("click", () => act("help"));
  find("#alert button").addEventListener("click", () => retry && !busy && exchange(retry));
  find("#note-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!busy && !retry) judge({ verdict: "reject", note: find("#note-form input").value });
  });
  let waiting = 0;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(refilter, event.target.name === "text" ? 200 : 0);
  });
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    history.replaceState(null, "", "#");
    fillFilters();
    refilter();
  });
  window.addEventListener("beforeunload", (event) => {
    if (mode === "mending" && isChanged(editors.map((editor) => editor.value))) event.preventDefault();
  });
}

await exchange(async () => {
  const setting = await ask("setting");
  useWords(setting.words);
  choices = setting.choices;
  const sample = setting.sample === null ? "" : ` · ${say("sample_of", { n: count(setting.sample) })}`;
  find("#reviewer").textContent = ` · ${say("of_reviewer", { name: setting.reviewer })}${sample}`;
  find("#filters").open = matchMedia("(min-width: 761px)").matches;
  fillFilters();
  showProgress(setting);
  listen();
  await open();
});
