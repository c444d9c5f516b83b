// The page: one row at a time, judged by keyboard or by buttons. What is on the screen is what a judgement is about: no key counts
// while an answer is awaited, and nothing goes on after a failure until it is mended.
import { ask, REFUSED, STALE, tell } from "./server.js";
import { drawDraft, drawEditors, drawRow, drawSource, element, grow, message, say, useWords } from "./draw.js";

const find = (selector) => document.querySelector(selector);
const form = find("#filter-form");
// Mended texts that are not saved, by the id of their row.
const drafts = new Map();
let row = null;
let latest = null;
let choices = {};
let mode = "reading";
let editors = [];
let busy = true;
let retry = null;
let isUnsaved = false;

const COMPOSING = 229;
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
// What was asked for meanwhile, such as another filter, is then dropped: nothing may push the failed exchange out of sight.
let line = Promise.resolve();
const exchange = (work) => (line = line.then(() => (retry && retry !== work ? null : exchangeNow(work))));

async function exchangeNow(work) {
  const isAgain = retry !== null;
  busy = true;
  document.body.classList.add("busy");
  try {
    await work();
    retry = null;
  } catch (error) {
    const why = say(isUnsaved ? "not_saved" : "not_loaded", { why: error.message || say("no_server") });
    // What the server refuses for good need not be tried again: it is the person's to change.
    retry = error.status === REFUSED ? null : work;
    if (retry) find("#alert span").textContent = why;
    else tellPerson(why);
    isUnsaved &&= retry !== null;
  } finally {
    busy = false;
    document.body.classList.remove("busy");
    document.body.classList.toggle("stopped", retry !== null);
    find("#alert").hidden = retry === null;
    for (const part of document.querySelectorAll(".filters, main, footer")) part.inert = retry !== null;
    if (retry) find("#alert button").focus();
    else if (isAgain) focusRow();
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

// A row as it was seen, so that the server can refuse to judge it where it stands otherwise by now.
const asSeen = ({ place, id, judgement }) => ({ place, id, judged: judgement?.time ?? "" });

// Says something of a row, once, however often what comes after it must be tried.
function exchangeJudgement(seen, said, goOn) {
  let isSaved = false;
  return exchange(async () => {
    if (!isSaved) {
      isUnsaved = true;
      try {
        showProgress(await tell("judge", { ...seen, ...said }));
      } catch (error) {
        if (error.status !== STALE) throw error;
        isUnsaved = false;
        return showAnew(seen, error.answer);
      }
      isUnsaved = false;
      isSaved = true;
    }
    await goOn();
  });
}

async function showAnew({ place }, answer) {
  showProgress(answer);
  show(await fetchRow("here", place));
  tellPerson(say("stale"));
}

function judge(said) {
  if (!row) return;
  if (row.rejection) return tellPerson(say("read_only"));
  const seen = asSeen(row);
  return exchangeJudgement(seen, said, async () => {
    drafts.delete(seen.id);
    endMode();
    // Where judged rows are looked through, the next one is the neighbour, not the next unjudged one.
    const looksBack = !["", "unjudged"].includes(form.elements.state.value);
    const found = await fetchRow(looksBack ? "next" : "open", seen.place);
    if (found.row) return show(found);
    show(await fetchRow("here", seen.place));
    tellPerson(finished());
  });
}

function undo() {
  const seen = row?.judgement ? asSeen(row) : latest;
  if (!seen) return tellPerson(say("nothing_to_undo"));
  return exchangeJudgement(seen, { verdict: "undo" }, async () => show(await fetchRow("here", seen.place)));
}

// The messages as they count now: as they were mended, else as they were written.
const standing = () => row.judgement?.messages ?? row.messages;

function startMending() {
  if (!row) return;
  if (row.rejection) return tellPerson(say("read_only"));
  const messages = standing();
  const texts = drafts.get(row.id) ?? messages.map(({ text }) => text);
  editors = drawEditors(messages.map(({ role }, number) => ({ role, text: texts[number] })));
  find("#row .draft")?.remove();
  find("#row .chat").replaceChildren(...editors.map((editor, number) => message(messages[number].role, editor)));
  setMode("mending");
  editors.forEach(grow);
  const last = editors[messages.findLastIndex(({ role }) => role === "assistant")] ?? editors.at(-1);
  last?.focus();
}

function saveMended() {
  if (mode !== "mending") return;
  const texts = written();
  if (texts.some((text) => !text.trim())) return tellPerson(say("message_empty"));
  if (!differs(texts, standing()) || !differs(texts, row.messages)) return tellPerson(say("nothing_changed"));
  judge({ verdict: "mend", texts });
}

const written = () => editors.map((editor) => editor.value);

// An editor makes every line break a single \n; that alone is no change.
const plainBreaks = (text) => text.replace(/\r\n?/g, "\n");
const differs = (texts, messages) => texts.some((text, number) => plainBreaks(text) !== plainBreaks(messages[number].text));

function startRejecting() {
  if (!row) return;
  if (row.rejection) return tellPerson(say("read_only"));
  setMode("note-form");
  find("#note-form input").value = row.judgement?.note ?? "";
  find("#note-form input").focus();
}

// Esc leaves a mended text where it is: the next M goes on with it.
function leave() {
  keepDraft();
  if (mode === "mending") drawConversation();
  endMode();
}

function keepDraft() {
  if (mode !== "mending") return;
  if (differs(written(), standing())) drafts.set(row.id, written());
  else drafts.delete(row.id);
}

function endMode() {
  editors = [];
  setMode("reading");
}

function setMode(name) {
  const isOver = mode !== "reading" && name === "reading";
  mode = name;
  for (const id of ["reading", "mending", "note-form"]) find(`#${id}`).hidden = id !== name;
  document.body.dataset.mode = name;
  // What had the focus goes away with its mode. The search box keeps it: what is typed there must not become a key.
  if (isOver && !document.activeElement?.closest(".filters")) focusRow();
}

const focusRow = () => find("#row").focus({ preventScroll: true });

function drawConversation() {
  const parts = row ? drawRow(row) : [element("p", { class: "empty" }, say("no_rows"))];
  find("#row").replaceChildren(...(drafts.has(row?.id) ? [drawDraft(), ...parts] : parts));
}

function show(found) {
  keepDraft();
  const hadFocus = find("#row").contains(document.activeElement) || document.activeElement === document.body;
  row = found.row;
  drawConversation();
  find("#source").replaceChildren(...(row ? drawSource(row) : []));
  find("#number").textContent = row && found.number ? say("number", { number: count(found.number), rows: count(found.rows) }) : "";
  find("#filter-progress").textContent =
    chosen().length && found.of ? say("progress_filter", { judged: count(found.judged), rows: count(found.of) }) : "";
  for (const name of ["accept", "mend", "reject"]) find(`#reading .${name}`).disabled = !row || row.rejection !== null;
  document.body.dataset.row = row ? row.id : "";
  find("#announced").textContent = announcement();
  endMode();
  if (hadFocus) focusRow();
  find("#row").scrollTop = find("#source").scrollTop = 0;
  find("#source mark")?.scrollIntoView({ block: "center", container: "nearest" });
  window.scrollTo(0, 0);
}

// What a screen reader says of a new row.
function announcement() {
  if (!row) return say("no_rows");
  const question = standing().find(({ role }) => role === "user")?.text;
  return [find("#number").textContent, say(`state_${row.judgement?.state ?? "unjudged"}`), row.task, question].filter(Boolean).join(". ");
}

function showProgress({ progress, latest: last, figures }) {
  const { rows, judged } = progress;
  latest = last;
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
  setAddress(`#${new URLSearchParams(set)}`);
  find("#filters-set").textContent = set.length || "";
  find("#clear").hidden = !set.length;
}

// Without the query, which held the token: from now on the cookie opens the page.
const setAddress = (filters) => history.replaceState(null, "", location.pathname + filters);

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
  // A key that is held judges nothing: the rows would go by unseen.
  if (event.repeat && event.key === "Enter" && event.target.matches("button, input")) return event.preventDefault();
  // Enter and Escape belong to an input method while it composes a Chinese word; Safari says so with a code alone.
  if (event.isComposing || event.keyCode === COMPOSING || find("#help").open) return;
  if (event.key === "Escape") return escape(event);
  if (mode === "mending" && event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.repeat) return act("save");
  const types = event.target.matches("input, textarea, select");
  if (types || mode !== "reading" || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const name = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!name) return;
  event.preventDefault();
  act(name);
}

function escape(event) {
  // A browser would empty the search box: it keeps its words, and keys judge again.
  event.preventDefault();
  if (mode !== "reading") act("leave");
  else if (event.target.matches("input, select")) focusRow();
}

function listen() {
  document.addEventListener("keydown", press);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-act]");
    // The second click of a double one would meet a row that nobody has seen.
    if (button && event.detail > 1 && button.dataset.act === "accept") return;
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
  const refilterSoon = (event) => {
    if (event.isComposing) return;
    clearTimeout(waiting);
    waiting = setTimeout(refilter, event.target.name === "text" ? 200 : 0);
  };
  form.addEventListener("input", refilterSoon);
  form.addEventListener("compositionend", refilterSoon);
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    setAddress("#");
    fillFilters();
    refilter();
  });
  window.addEventListener("beforeunload", (event) => {
    keepDraft();
    if (isUnsaved || drafts.size) event.preventDefault();
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
