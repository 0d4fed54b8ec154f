// The page of forms that are filled in offline: who was taken along, a form, what waits to
// be sent, and what has to be settled. It shows one view at a time and keeps all of it sealed.
"use strict";

const main = document.getElementById("main");
const view = document.getElementById("view");
const status = document.getElementById("said");
const language = document.documentElement.lang.startsWith("zh") ? "zh" : "en";
const words = JSON.parse(main.dataset.words);
const news = new BroadcastChannel("quanmin-offline");
const TICK_MILLISECONDS = 30_000;
const REFUSALS = new Set([400, 403, 404, 409, 413, 422]);
// What stands in the way of every form, not of one: nothing more is sent for now.
const HALTS = new Set(["no-line", "sign-in", "unknown", "others"]);
const BUSY = new Set([429, 503]);
let isListed = false;

const say = text => { status.textContent = text; };
const told = said => (said ? said[language] || said.zh : "");
const button = (text, act, kind = "") =>
  make("button", { type: "button", class: kind, onclick: act }, text);
// By the node's zone: where the device thinks it is says nothing of the day of a visit.
const moment = (milliseconds, zone) => {
  const two = "2-digit", shape = { timeZone: zone, calendar: "gregory", numberingSystem: "latn",
    hourCycle: "h23", year: "numeric", month: two, day: two, hour: two, minute: two };
  const of = Object.fromEntries(new Intl.DateTimeFormat("en", shape)
    .formatToParts(milliseconds).map(part => [part.type, part.value]));
  return `${of.year}-${of.month}-${of.day} ${of.hour}:${of.minute}`;
};

function open(heading, ...inside) {
  isListed = false;
  const head = make("h2", { tabindex: "-1" }, heading);
  view.replaceChildren(head, ...inside.filter(Boolean));
  head.focus();
  window.scrollTo(0, 0);
}

// Words of a record are marked where they are of the other language, to be read out rightly.
const lang = text => (language === "en" && /[\u2e80-\uffff]/.test(text) ? "zh" : null);
const factsOf = one => one.facts[language] || [];
const facts = one => make("dl", { class: "fields" }, ...factsOf(one).map(([name, said]) =>
  make("div", {}, make("dt", {}, name), make("dd", { lang: lang(said) }, said))));

const isTroubled = one => one.state === "waiting" && Boolean(one.trouble);
const stateOf = one => words[isTroubled(one) ? "is-troubled" : `is-${one.state}`];

// ---- the list -----------------------------------------------------------------------------------

async function list(isFocused = true) {
  const device = await Store.device();
  if (!device) {
    open(words.empty, make("p", {}, words["how-to-begin"]));
    return;
  }
  const [packages, queue, drafts] = await Promise.all(
    [Store.all("package "), Store.all("queue "), Store.all("draft ")]);
  const parts = [];
  if (queue.length) parts.push(...queued(queue));
  const elsewhere = new Set([...packages.flatMap(one => one.people), ...queue]
    .map(each => each.case));
  const alone = drafts.filter(one => !elsewhere.has(one.case));
  if (alone.length) {
    parts.push(make("h3", {}, words.drafts), rows(words.drafts, alone.map(one =>
      ({ name: one.name, act: () => fill(one), said: words.draft }))));
  }
  for (const one of packages) parts.push(...taken(one, queue, drafts));
  if (!packages.length) parts.push(make("p", {}, words["how-to-begin"]));
  parts.push(ending(new Set([...queue, ...drafts].map(one => one.case)).size));
  if (isFocused) open(words.list, ...parts);
  else view.replaceChildren(make("h2", { tabindex: "-1" }, words.list), ...parts);
  isListed = true;
}

function rows(caption, listed) {
  const body = listed.map(one => make("tr", {},
    make("th", { scope: "row", lang: lang(one.name) }, button(one.name, one.act, "plain")),
    make("td", {}, one.said, " ", one.more || "")));
  return make("table", { class: "cards" },
    make("caption", { class: "hidden" }, caption),
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, words.name),
      make("th", { scope: "col" }, words.state))),
    make("tbody", {}, ...body));
}

function queued(queue) {
  const listed = queue.map(one => ({
    name: one.name, act: () => settle(one), said: stateOf(one),
  }));
  return [
    make("h3", {}, `${words.queue} (${queue.length})`),
    rows(words.queue, listed),
    make("p", {}, button(words.send, () => sync(true))),
  ];
}

function brief(person) {
  const [first, ...rest] = factsOf(person);
  const last = rest.pop();
  return [first && first[1], last && last.join(" ")].filter(Boolean).join("; ");
}

function taken(one, queue, drafts) {
  const state = person => {
    const waits = queue.find(each => each.case === person.case);
    if (waits) return stateOf(waits);
    if (person.isSent) return words.sent;
    return drafts.some(each => each.case === person.case) ? words.draft : "";
  };
  const listed = one.people.map(person => ({
    name: person.name,
    act: () => choose(one, person),
    said: brief(person),
    more: state(person) ? make("span", { class: "tag" }, state(person)) : "",
  }));
  const skew = one.skew || 0;
  const ends = moment(one.issued - skew + one.hours * 3_600_000, one.zone);
  const until = words.until.replace("{moment}", ends);
  return [
    make("h3", {}, told(one.title)),
    make("p", { class: "soft" }, `${one.holder}. ${until}`),
    listed.length ? rows(told(one.title), listed) : make("p", {}, words.nobody),
    make("p", {}, make("a", { href: one.path }, words.again)),
  ];
}

function ending(unsent) {
  const sure = make("div", {},
    unsent ? make("p", { class: "error" }, words["unsent-lost"].replace("{n}", unsent)) : null,
    button(words["delete-all"], async () => {
      await Store.destroy();
      news.postMessage("changed");
      await list();
    }, "second"));
  return make("details", {}, make("summary", {}, words["delete-all"]), sure);
}

// ---- a form -------------------------------------------------------------------------------------

async function choose(packed, person) {
  const waits = await Store.get(`queue ${person.case}`);
  if (waits) return settle(waits);
  const draft = await Store.get(`draft ${person.case}`);
  const { path, skew, zone } = packed;
  return fill(draft || { ...person, path, skew, zone, isNew: true });
}

// Days that begin with today begin with that of the visit, not of the taking along; by the clock
// and zone of the node, whatever those of the device say.
function begun(form, one) {
  if (!one.isNew) return one.values;
  const today = moment(Date.now() + one.skew, one.zone).slice(0, 10);
  const days = Form.places(form, one.values).filter(place => place.item.is_today);
  return { ...one.values, ...Object.fromEntries(days.map(place => [place.key, [today]])) };
}

async function fill(one, found = []) {
  const form = await Store.get(`form ${one.form}`);
  if (!form) return say(words.refused);
  const box = make("div", {});
  let waiting = null;
  const keep = values => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      waiting = null;
      Store.put(`draft ${one.case}`, { ...one, isNew: false, values });
    }, 300);
  };
  const shown = { language, words, changed: keep };
  const error = make("div", { class: "error", role: "alert", hidden: true });
  const body = make("form", { novalidate: true }, box,
    make("p", { class: "hint" }, words["node-checks"]),
    make("div", { class: "actions" },
      make("button", {}, words.finish),
      button(words.back, async () => {
        if (waiting !== null) {
          clearTimeout(waiting);
          await Store.put(`draft ${one.case}`, { ...one, isNew: false, values: asked.read() });
        }
        await list();
      }, "second")));
  open(one.name, facts(one), make("h3", {}, told(form.title)), error, body);
  const asked = Form.show(box, form, begun(form, one), shown);
  const blame = wrong => {
    asked.blame(wrong);
    error.hidden = !wrong.length;
    error.replaceChildren(make("p", {}, words.mend), make("ul", {}, ...wrong.map(each =>
      make("li", {}, each.place
        ? make("a", { href: `#${each.place}` }, `${asked.label(each.place)}: ${each.words}`)
        : each.words))));
  };
  if (found.length) blame(found);
  body.addEventListener("submit", async event => {
    event.preventDefault();
    const values = asked.read(), wrong = Form.faults(form, values, words);
    if (wrong.length) {
      blame(wrong);
      error.scrollIntoView();
      error.querySelector("a").focus();
      return;
    }
    clearTimeout(waiting);
    await queueUp({ ...one, values });
    say(words.kept);
    await list();
    await sync(false);
  });
  return undefined;
}

// Signed as it is put into the queue, under an id of its own: however often it is sent, it is the
// same. What was changed is another.
async function queueUp(one) {
  const device = await Store.device();
  const { isNew, skew, zone, rows: seen, faults, kind, now, saidIn, text_told, trouble,
    ...kept } = one;
  const text = JSON.stringify({ id: crypto.randomUUID(), case: one.case, ticket: one.ticket,
    form: one.form, values: one.values });
  await Store.put(`queue ${one.case}`,
    { ...kept, state: "waiting", text, signature: await Store.sign(device.pair, text) });
  await Store.drop(`draft ${one.case}`);
  news.postMessage("changed");
}

// ---- what has to be settled ---------------------------------------------------------------------

async function settle(one) {
  // What was changed already and is not finished goes on.
  const begun = await Store.get(`draft ${one.case}`), { values } = begun || one;
  const edit = () => fill({ ...one, ...one.now, values }, one.state === "faults" ? one.faults : []);
  if (one.state === "faults") return edit();
  const discard = make("details", {}, make("summary", {}, words.discard),
    make("p", {}, words["discard-sure"]),
    button(words.discard, async () => {
      await Store.drop(`queue ${one.case}`);
      await Store.drop(`draft ${one.case}`);
      news.postMessage("changed");
      await list();
    }, "second"));
  const back = button(words.back, () => list(), "second");
  if (one.state !== "conflict") {
    return open(one.name, facts(one), make("p", {}, stateOf(one)),
      isTroubled(one) ? make("p", {}, words.trouble.replace("{code}", one.trouble)) : null,
      one.text_told ? make("p", { lang: one.saidIn || "en" }, one.text_told) : null,
      make("div", { class: "actions" }, button(words.change, edit), back), discard);
  }
  // What is sent as it is stands beside the other on this page: what was changed since does not.
  const isAssigned = Boolean(one.now), isSame = one.kind !== "form-changed" && !begun;
  const mine = async () => {
    await queueUp({ ...one, ...one.now, values: one.values });
    await list();
    await sync(true);
  };
  return open(one.name,
    make("p", { class: "error" }, words[`conflict-${one.kind}`] || words.refused),
    facts(isAssigned ? one.now : one),
    isAssigned ? beside(one) : answers(one),
    make("div", { class: "actions" },
      isAssigned && isSame ? button(words["send-mine"], mine) : null,
      isAssigned ? button(words.change, edit, isSame ? "second" : "") : null, back),
    discard);
}

const beside = one => make("div", {}, make("h3", {}, words.both), make("table", { class: "cards" },
  make("caption", { class: "hidden" }, words.both),
  make("thead", {}, make("tr", {}, ...[words.question, words.mine, words.theirs].map(one =>
    make("th", { scope: "col" }, one)))),
  make("tbody", {}, ...one.rows.map(([label, mine, theirs]) => make("tr", { lang: one.saidIn },
    make("th", { scope: "row" }, label),
    make("td", { "data-label": words.mine }, mine || "–"),
    make("td", { "data-label": words.theirs }, theirs || "–"))))));

const answers = one => make("pre", {}, Object.entries(one.values)
  .filter(([, said]) => said.some(Boolean))
  .map(([key, said]) => `${key}: ${said.map(text => text.split("|").pop()).join(", ")}`)
  .join("\n"));

// ---- sending ------------------------------------------------------------------------------------

// One tab at a time sends; what the node has not said that it stored stays in the queue.
async function sync(isAsked) {
  await navigator.locks.request("quanmin-offline-send", { ifAvailable: true }, async lock => {
    if (lock) await send(isAsked);
  });
}

async function send(isAsked) {
  const device = await Store.device();
  if (!device) return;
  const contact = await Node.contact(device.id);
  if (contact.state === "no-line" || contact.status >= 400) {
    if (isAsked) say(words["no-line"]);
    return;
  }
  if (contact.state === "revoked") {
    await Store.destroy();
    news.postMessage("changed");
    await list();
    say(words.revoked);
    return;
  }
  const queue = (await Store.all("queue ")).filter(one => one.state === "waiting");
  if (!queue.length) return;
  if (!contact.token) {
    say(words["sign-in"]);
    return;
  }
  if (contact.state === "unknown") {
    say(words.unknown);
    return;
  }
  const counts = { stored: 0, "to-settle": 0, troubled: 0 };
  for (const one of queue) {
    const answer = await Node.ask(`${one.path}/submission`, {
      token: contact.token, lang: language,
      device: device.id, submission: one.text, signature: one.signature,
    });
    const became = await heard(one, answer);
    if (!became) break;
    counts[became] += 1;
  }
  news.postMessage("changed");
  if (isListed) await list(false);
  const some = Object.entries(counts).filter(([, n]) => n);
  if (some.length) say(some.map(([became, n]) => words[became].replace("{n}", n)).join(" "));
}

// What became of a form; "" where the next is not to be sent either.
async function heard(one, answer) {
  const { state } = answer;
  if (state === "stored") {
    await note(one);
    await dropSent(one);
    return "stored";
  }
  if (state === "revoked") {
    await Store.destroy();
    await list();
    say(words.revoked);
    return "";
  }
  if (state === "faults") {
    await replace(one, { ...one, state, faults: answer.faults });
    return "to-settle";
  }
  if (state === "conflict") {
    if (answer.form) await Store.put(`form ${answer.form.canonical}`, answer.form);
    const { kind, rows: listed, person } = answer;
    await replace(one,
      { ...one, state, kind, rows: listed || [], now: person || null, saidIn: language });
    return "to-settle";
  }
  if (REFUSALS.has(answer.status) && state === "refused") {
    await replace(one, { ...one, state, text_told: answer.text || "", saidIn: language });
    return "to-settle";
  }
  // It stays in the queue, and is sent again.
  if (HALTS.has(state) || BUSY.has(answer.status)) {
    say(words[state]);
    return "";
  }
  await replace(one, { ...one, trouble: answer.status });
  return "troubled";
}

// What was changed meanwhile in another tab is another submission, and is left alone.
async function replace(one, other) {
  const now = await Store.get(`queue ${one.case}`);
  if (now && now.text === one.text) await Store.put(`queue ${one.case}`, other);
}

async function dropSent(one) {
  const now = await Store.get(`queue ${one.case}`);
  if (now && now.text === one.text) await Store.drop(`queue ${one.case}`);
}

async function note(one) {
  const packed = await Store.get(`package ${one.path}`);
  if (!packed) return;
  const people = packed.people.map(each =>
    (each.case === one.case ? { ...each, isSent: true } : each));
  await Store.put(`package ${one.path}`, { ...packed, people });
}

// ---- beginning ----------------------------------------------------------------------------------

async function tick() {
  if (await Store.expire()) {
    say(words.expired);
    if (isListed) await list(false);
  }
}

async function begin() {
  const large = new URLSearchParams(location.search).get("large");
  if (large) document.documentElement.classList.toggle("large", large === "1");
  if (!Store.isPossible()) return say(words.impossible);
  await navigator.serviceWorker.register("/offline/worker.js", { scope: "/offline/" });
  await tick();
  await list();
  setInterval(tick, TICK_MILLISECONDS);
  news.onmessage = () => { if (isListed) list(false); };
  window.addEventListener("online", () => sync(false));
  return sync(false);
}

begin().catch(() => say(words.refused));
