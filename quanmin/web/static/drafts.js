// Has a form kept by the node while it is filled in, and lets it be sent only when the node has
// what stands in it: the page that a browser shows without a line would have lost all of it.
"use strict";

const TIMEOUT_MS = 15000;
const KEEPALIVE_CHARACTERS = 60000;
const form = document.querySelector("form[data-draft]");
const said = form.querySelector("[data-kept-said]");
const hidden = (within, name) => within.querySelector(`input[type=hidden][name="${name}"]`);
const seconds = Number(form.dataset.seconds);

// The questions name the fields, so that no property of the form is sure to be the form's own.
const address = form.getAttribute("action");
const filled = () => new URLSearchParams(
  [...new FormData(form)].filter(([name, value]) =>
    typeof value === "string" && name !== "token" && name !== "~form"));
const asText = () => filled().toString();

// What was begun before stands above until its owner says what becomes of it: till then nothing
// takes its place but what they send.
const before = document.querySelector("form[data-begun]");
let kept = asText(), timer = 0, trying = null, isLost = false, isLeaving = false, isBusy = false;

const isOpen = () => before && before.isConnected;
const isNew = () => asText() !== kept;

function say(words, isBad = false) {
  said.className = isBad ? "error" : "hint";
  if (said.textContent !== words) said.textContent = words;
}

async function ask(body, isLast = false) {
  const keepalive = isLast && String(body).length < KEEPALIVE_CHARACTERS;
  const stopper = new AbortController();
  const stopping = setTimeout(() => stopper.abort(), TIMEOUT_MS);
  try {
    return await fetch(address, {
      method: body ? "POST" : "GET", body, keepalive, redirect: "manual", cache: "no-store",
      signal: stopper.signal });
  } finally {
    clearTimeout(stopping);
  }
}

function press(button, body = new URLSearchParams()) {
  for (const name of ["token", "~form"]) body.set(name, hidden(form, name).value);
  body.set("do", `${button} script`);
  return body;
}

const leadsAway = answer => answer.type === "opaqueredirect";

// Who has signed in anew, as they were, gets the page anew: by its token this one goes on. What is
// against it: "ended" (not signed in as they were), "refused" (they may not open it any more).
async function renew() {
  const answer = await ask();
  if (leadsAway(answer)) return "ended";
  if (!answer.ok) return "refused";
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("form[data-draft]");
  if (!fresh || fresh.dataset.draft !== form.dataset.draft) return "ended";
  for (const name of ["token", "~form"]) {
    for (const one of document.forms) {
      if (hidden(one, name)) hidden(one, name).value = hidden(fresh, name).value;
    }
  }
  return "";
}

// What came of it: "kept", "lost" (no line), or what `renew` has against it.
async function attempt(isLast) {
  const text = asText();
  try {
    let answer = await ask(press("draft", filled()), isLast);
    if (leadsAway(answer) || [400, 401, 403].includes(answer.status)) {
      const problem = await renew();
      if (problem) return problem;
      answer = await ask(press("draft", filled()));
    }
    if (answer.status === 204) {
      kept = text;
      say(form.dataset.kept.replace("{time}", new Date().toTimeString().slice(0, 5)));
      return "kept";
    }
    // What else answers in the node's place, a gateway, has kept nothing. Where the node itself
    // does not keep it, it may still take it.
    const isRefused = answer.status >= 400 && answer.status <= 500 && answer.status !== 429;
    if (!isRefused) return "lost";
    const isPlain = (answer.headers.get("Content-Type") || "").startsWith("text/plain");
    say(isPlain ? await answer.text() : "", isPlain);
    return "refused";
  } catch {
    return "lost";
  }
}

async function keep({ isForced = false, isLast = false } = {}) {
  clearTimeout(timer);
  // One at a time: an older one that comes late would take the place of a newer one.
  while (trying) await trying;
  if (isLeaving || !(isForced || isLost || isNew())) return "kept";
  trying = attempt(isLast);
  const found = await trying;
  trying = null;
  isLost = found === "lost" || found === "ended";
  if (isLost) say(form.dataset[found], true);
  // Signing in takes its time, and whoever comes back to this page is noticed.
  if (found === "lost") later();
  return found;
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(keep, seconds * 1000);
}

for (const name of ["input", "change", "click", "keyup"]) {
  form.addEventListener(name, () => {
    // Whoever goes on typing has stopped the browser from going on to the next page.
    if (name === "input") isLeaving = false;
    if (isOpen()) {
      if (isNew()) say(form.dataset.waits, true);
    } else if (isLost || isNew()) later();
  });
}
form.addEventListener("submit", async event => {
  // A browser that could not go on with a form that was held back sends it at once.
  if (isLeaving || !event.submitter || !form.requestSubmit) return;
  const isForced = !navigator.onLine;
  if (!isForced && !isLost && !isNew()) {
    isLeaving = true;
    return;
  }
  event.preventDefault();
  if (isBusy) return;
  isBusy = true;
  const found = await keep({ isForced });
  isBusy = false;
  if (found === "lost" || found === "ended") return;
  isLeaving = true;
  HTMLFormElement.prototype.requestSubmit.call(form, event.submitter);
});
if (before) before.addEventListener("submit", async event => {
  if (event.submitter.value !== "forget") {
    isLeaving = true;
    return;
  }
  event.preventDefault();
  try {
    if ((await ask(press("forget"))).status !== 204) return void location.reload();
  } catch {
    return say(form.dataset.lost, true);
  }
  before.closest("section").remove();
  say("");
  document.getElementById("main").focus();
  if (isNew()) later();
});
addEventListener("online", () => { if (isLost) keep(); });
addEventListener("visibilitychange", () => {
  if (document.hidden && !isOpen() && !isLost) keep({ isLast: true });
  else if (!document.hidden && isLost) keep();
});
addEventListener("beforeunload", event => {
  if (isLost && !isLeaving) event.preventDefault();
});
addEventListener("pageshow", () => { isLeaving = false; });
