// What pages do beyond being read: they follow events and logs, and know some keys. Every page is whole without it.
"use strict";

// A page keeps at most so many lines of a log: what is older is in the whole text.
const MAX_LINES = 20000;
// A reader who is this near to the end of a log is at its end.
const NEAR_END_PX = 40;
// Events come in bursts; a page is brought up to date this long after the first, and then not more often.
const REFRESH_MS = 300;
// A page that takes long is brought up to date less often: so many times as long as it took lie between, up to this.
const REST = 4;
const MAX_REST_MS = 10000;
// A master that did not answer is asked again after this.
const RETRY_MS = 3000;
// Lines are put on the page at most this many at a time, so that a page that catches up can still be scrolled.
const LINES_AT_ONCE = 2000;
// The whole log is searched when the reader has stopped typing for this long.
const SEARCH_MS = 300;
// A word that is searched for is marked so often at most; it is counted whole.
const MAX_MARKS = 2000;

const $ = (selector, from = document) => from.querySelector(selector);
const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));

// ---- following events: the parts of a page that are marked live are replaced by what the server says now

const shown = new WeakMap();

function followEvents() {
  const address = $("main").dataset.events;
  if (!address || !window.EventSource) return;
  const status = $("#live");
  const source = new EventSource(address);
  let timer = null, isStale = false, wait = REFRESH_MS;
  const soon = () => { if (timer === null) timer = setTimeout(update, wait); };
  // What happens while the page is fetched makes it stale again.
  const update = async () => {
    isStale = false;
    const began = performance.now();
    try {
      await refresh();
      wait = Math.max(REFRESH_MS, Math.min(MAX_REST_MS, REST * (performance.now() - began)));
    } catch { isStale = true; wait = RETRY_MS; }
    timer = null;
    if (isStale) soon();
  };
  source.onopen = () => { status.textContent = "● live"; };
  source.onerror = () => { status.textContent = "○ not live: waits for the master"; };
  source.onmessage = () => { isStale = true; soon(); };
  addEventListener("pagehide", () => source.close());
}

async function refresh() {
  const answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" } });
  if (!answer.ok) throw new Error(`the master answers ${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of all("[data-live]")) {
    const now = fresh.getElementById(part.id);
    if (!now || now.innerHTML === shown.get(part)) continue;
    replace(part, now);
  }
  document.title = fresh.title;
}

// Replaces a part without losing the reader's place: focus, selection and what is folded open stay.
function replace(part, now) {
  const selection = getSelection();
  if (!selection.isCollapsed && part.contains(selection.anchorNode)) return;
  // What somebody is typing stays until it is sent.
  if (all("input", part).some((input) => input.value !== input.defaultValue || input === document.activeElement)) return;
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && { href: focused.getAttribute("href"), label: focused.getAttribute("aria-label"), tag: focused.tagName, text: focused.textContent };
  const open = all("details", part).map((details) => details.open);
  const scrolls = all(".wide", part).map((wide) => wide.scrollLeft);
  const row = all("tr, li", part).findIndex((row) => row.classList.contains("at"));
  const html = now.innerHTML;
  part.replaceChildren(...Array.from(now.childNodes).map((node) => document.importNode(node, true)));
  shown.set(part, html);
  all("details", part).forEach((details, index) => { details.open = Boolean(open[index]); });
  all(".wide", part).forEach((wide, index) => { wide.scrollLeft = scrolls[index] || 0; });
  if (row >= 0) all("tr, li", part)[row]?.classList.add("at");
  if (place) {
    const same = all("a, button, summary, [tabindex]", part).find((element) => place.href ? element.getAttribute("href") === place.href
      : place.label ? element.getAttribute("aria-label") === place.label
        : element.tagName === place.tag && element.textContent === place.text);
    same?.focus({ preventScroll: true });
  }
  addCopyButtons(part);
  markErrors();
}

// ---- the log

const COLOURS = { 30: "c0", 31: "c1", 32: "c2", 33: "c3", 34: "c4", 35: "c5", 36: "c6", 37: "c7" };

// Takes a line apart by the escapes of terminals, as the server does (page/log.rs).
function spans(text) {
  const found = [];
  let colour = "", bold = false;
  const rest = text.slice(text.lastIndexOf("\r") + 1);
  const parts = rest.split(/\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07?|.)/);
  parts.forEach((part, index) => {
    if (index % 2) {
      if (part[0] !== "[" || !part.endsWith("m")) return;
      const codes = part.slice(1, -1).split(";").map((code) => Number(code) || 0);
      while (codes.length) {
        const code = codes.shift();
        if (code === 0) { colour = ""; bold = false; }
        else if (code === 1) bold = true;
        else if (code === 22) bold = false;
        else if (code === 39) colour = "";
        else if (code === 38 || code === 48) codes.splice(0, codes[0] === 5 ? 2 : codes[0] === 2 ? 4 : 1);
        else colour = COLOURS[code >= 90 ? code - 60 : code] || colour;
      }
      return;
    }
    const shown = part.replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f]/g, "");
    if (shown) found.push([(colour + (bold ? " b" : "")).trim(), shown]);
  });
  return found;
}

function lineElement(number, text) {
  const line = document.createElement("div");
  line.id = "L" + number;
  const link = document.createElement("a");
  link.href = "#L" + number;
  link.textContent = number;
  const words = document.createElement("span");
  for (const [look, shown] of spans(text)) {
    if (!look) { words.append(shown); continue; }
    const piece = document.createElement("i");
    piece.className = look;
    piece.textContent = shown;
    words.append(piece);
  }
  line.append(link, words);
  return line;
}

function markErrors() {
  if (new URLSearchParams(location.search).has("name") || new URLSearchParams(location.search).has("attempt")) return;
  for (const link of all("#errors [data-line]")) document.getElementById("L" + link.dataset.line)?.classList.add("error");
}

function followLog() {
  const log = $("#log");
  if (!log) return;
  const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END_PX;
  if (!location.hash) {
    const error = $(".error", log);
    if (error) log.scrollTop = error.offsetTop - log.offsetTop - log.clientHeight / 3;
    else if (log.dataset.stream) log.scrollTop = log.scrollHeight;
  }
  if (!log.dataset.stream || !window.EventSource) return;
  const status = $("#log-status");
  let next = Number(log.dataset.next), open = null, openText = "", waiting = [], timer = null;

  const show = () => {
    timer = null;
    const follows = isAtEnd();
    const piece = document.createDocumentFragment();
    for (const text of waiting.splice(0, LINES_AT_ONCE)) piece.append(lineElement(next++, text));
    open?.remove();
    open = null;
    log.append(piece);
    if (!waiting.length && openText) log.append(open = lineElement(next, openText));
    const surplus = log.childElementCount - MAX_LINES;
    for (let index = 0; index < surplus; index++) log.firstElementChild.remove();
    markErrors();
    if (follows) log.scrollTop = log.scrollHeight;
    search.refresh();
    if (waiting.length) timer = requestAnimationFrame(show);
  };
  const soon = () => { if (timer === null) timer = document.hidden ? setTimeout(show, 0) : requestAnimationFrame(show); };

  const source = new EventSource(log.dataset.stream);
  source.onopen = () => { status.textContent = "live"; };
  source.onerror = () => { status.textContent = "not live: waits for the master"; };
  source.onmessage = (event) => {
    const lines = (openText + JSON.parse(event.data)).split("\n");
    openText = lines.pop();
    waiting.push(...lines.map((line) => line.replace(/\r$/, "")));
    soon();
  };
  source.addEventListener("end", (event) => {
    source.close();
    status.textContent = JSON.parse(event.data).is_earlier ? "ended: another attempt has begun" : "ended";
    soon();
  });
  addEventListener("pagehide", () => source.close());
}

// ---- searching the log

const search = (() => {
  let wanted = "", marks = [], at = -1, count = 0, timer = null;
  const words = () => $("#log-matches");

  function clear() {
    for (const mark of all("#log mark")) {
      const parent = mark.parentNode;
      mark.replaceWith(...mark.childNodes);
      parent.normalize();
    }
    marks = [];
    count = 0;
  }

  function mark(node) {
    const text = node.textContent.toLowerCase();
    let from = text.indexOf(wanted);
    // Lower case that is longer than the text would mark the wrong place.
    if (from < 0 || text.length !== node.textContent.length) return;
    const piece = document.createDocumentFragment();
    let done = 0;
    for (; from >= 0; from = text.indexOf(wanted, done)) {
      count++;
      piece.append(node.textContent.slice(done, from));
      done = from + wanted.length;
      const found = node.textContent.slice(from, done);
      if (marks.length >= MAX_MARKS) { piece.append(found); continue; }
      const element = document.createElement("mark");
      element.textContent = found;
      marks.push(element);
      piece.append(element);
    }
    piece.append(node.textContent.slice(done));
    node.replaceWith(piece);
  }

  function run() {
    clear();
    if (wanted) {
      const nodes = [];
      for (const line of all("#log > div > span")) {
        const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) nodes.push(walker.currentNode);
      }
      nodes.forEach(mark);
    }
    at = Math.min(at, marks.length - 1);
    tell();
  }

  function tell() {
    words().textContent = !wanted ? "" : count === 0 ? "nothing found" : at < 0 ? `${count} found` : `${at + 1} of ${count}`;
  }

  function go(step) {
    if (!marks.length) return;
    marks[at]?.classList.remove("now");
    at = at < 0 ? (step > 0 ? 0 : marks.length - 1) : (at + step + marks.length) % marks.length;
    marks[at].classList.add("now");
    marks[at].scrollIntoView({ block: "center" });
    tell();
  }

  return {
    go,
    isOn: () => wanted !== "",
    refresh() {
      if (!wanted || timer !== null) return;
      timer = setTimeout(() => { timer = null; const was = at; run(); at = was; marks[at]?.classList.add("now"); tell(); }, 500);
    },
    set(text) { wanted = text.toLowerCase(); at = -1; run(); },
  };
})();

function searchLog() {
  const field = $("#log-search");
  if (!field) return;
  field.addEventListener("input", () => { search.set(field.value); searchWhole(field.value); });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); search.go(event.shiftKey ? -1 : 1); }
    if (event.key === "Escape") { field.value = ""; search.set(""); field.blur(); }
  });
}

// Where the page has only a part of the log, the master looks through the whole of it.
let searchTimer = null;
function searchWhole(text) {
  clearTimeout(searchTimer);
  const log = $("#log");
  if (!log.dataset.search) return;
  searchTimer = setTimeout(async () => {
    let list = $("#log-found");
    if (!text.trim()) { list?.remove(); return; }
    const answer = await fetch(log.dataset.search + "q=" + encodeURIComponent(text.trim()));
    if (!answer.ok || $("#log-search").value !== text) return;
    const found = await answer.json();
    if (!list) {
      list = document.createElement("div");
      list.id = "log-found";
      list.className = "found";
      log.before(list);
    }
    const words = document.createElement("p");
    words.textContent = found.matches.length
      ? `${found.matches.length}${found.next_line ? " and more" : ""} lines of the whole log have “${text.trim()}”:`
      : `Nothing in the whole log has “${text.trim()}”.`;
    const lines = document.createElement("ol");
    for (const match of found.matches) {
      const line = document.createElement("li"), link = document.createElement("a");
      link.href = `${log.dataset.page}line=${match.line}#L${match.line}`;
      link.textContent = match.line;
      line.append(link, " " + match.text);
      lines.append(line);
    }
    list.replaceChildren(words, lines);
  }, SEARCH_MS);
}

// ---- keys, commands to copy, moments

const PLACES = { b: "/builds", q: "/queue", p: "/packages", r: "/releases", o: "/repositories", n: "/nodes" };

function keys() {
  let afterG = 0;
  addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) return;
    if (event.timeStamp - afterG < 1500 && PLACES[event.key]) { location.href = PLACES[event.key]; return; }
    afterG = event.key === "g" ? event.timeStamp : -1e9;
    if (event.key === "/") {
      event.preventDefault();
      ($("#log-search") || $("#find")).focus();
    } else if (event.key === "n" && search.isOn()) search.go(1);
    else if (event.key === "N" && search.isOn()) search.go(-1);
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
  });
}

function move(step) {
  const links = all("main a.open");
  if (!links.length) return;
  const at = links.findIndex((link) => link.closest("tr, li")?.classList.contains("at"));
  const link = links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + step))];
  all(".at").forEach((row) => row.classList.remove("at"));
  link.closest("tr, li")?.classList.add("at");
  link.focus();
}

function addCopyButtons(from) {
  if (!navigator.clipboard) return;
  for (const code of all("code.copy", from)) {
    if (code.nextElementSibling?.matches(".copy-button")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy-button";
    button.textContent = "copy";
    button.setAttribute("aria-label", "Copy: " + code.textContent);
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
    code.after(button);
  }
}

// Says "2 min ago" anew, by the clock of the one who reads; a clock that is wrong by hours changes nothing.
function moments() {
  const units = [[86400 * 2, 86400, "days"], [3600, 3600, "h"], [60, 60, "min"], [10, 1, "s"]];
  setInterval(() => {
    for (const time of all("time")) {
      const secs = (Date.now() - Date.parse(time.dateTime)) / 1000;
      const unit = units.find(([from]) => secs >= from);
      if (unit) time.textContent = `${Math.floor(secs / unit[1])} ${unit[2]} ago`;
    }
  }, 30000);
}

for (const part of all("[data-live]")) shown.set(part, part.innerHTML);
followEvents();
searchLog();
followLog();
markErrors();
keys();
moments();
addCopyButtons(document);
