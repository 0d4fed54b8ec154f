// Enrols this browser as a device, takes people along and keeps them sealed.
"use strict";

const form = document.getElementById("take-along");
const said = document.getElementById("said");
const say = state => {
  said.hidden = false;
  said.textContent = form.dataset[state] || form.dataset.refused;
};

async function enrolled(known, state) {
  if (known && state === "active") return known;
  // One that the node does not know any more keeps its keys: what it holds is to be sent yet.
  const keys = known ? { seal: known.seal, pair: known.pair } : await Store.newKeys();
  const made = await Node.ask("/offline/enrol", {
    token: form.elements.token.value,
    name: form.elements.name.value,
    key: await Store.publicKey(keys.pair),
    signature: await Store.sign(keys.pair, `enrol ${form.elements.token.value}`),
  });
  if (made.state !== "enrolled") {
    say(made.state);
    return null;
  }
  const device = { ...keys, id: made.device };
  await Store.enrol(device, known && known.id);
  return device;
}

async function take() {
  const known = await Store.device();
  const contact = await Node.contact(known && known.id);
  // Whatever else answers, such as a gateway, does not know how this device stands.
  if (!["active", "unknown", "revoked"].includes(contact.state)) return say(contact.state);
  const isOver = contact.state === "revoked";
  if (isOver) await Store.destroy();
  const device = await enrolled(isOver ? null : known, contact.state);
  if (!device) return undefined;
  const token = form.elements.token.value;
  const found = await Node.ask(`${form.dataset.path}/package`, {
    token, device: device.id, signature: await Store.sign(device.pair, `package ${token}`),
  });
  if (found.state !== "given") return say(found.state);
  // Else a browser that lacks room may drop what was not sent.
  if (navigator.storage && navigator.storage.persist) await navigator.storage.persist();
  for (const one of Object.values(found.forms)) await Store.put(`form ${one.canonical}`, one);
  const { state, status, forms, ...kept } = found;
  await Store.begin(kept.path, kept.hours * 3_600_000);
  // By how much this device's clock is wrong: days are told by the node's.
  await Store.put(`package ${kept.path}`, { ...kept, skew: kept.issued - Date.now() });
  location.assign(form.dataset.shell);
  return undefined;
}

// Until the page of the forms itself is kept there is no use in keeping people.
const active = registration => new Promise((fulfil, fail) => {
  const made = registration.installing || registration.waiting || registration.active;
  const look = () => {
    if (made.state === "redundant") fail(new Error("the page could not be kept"));
    if (registration.active) fulfil();
  };
  made.addEventListener("statechange", look);
  look();
});

async function begin() {
  if (!Store.isPossible()) return say("impossible");
  const known = await Store.device();
  form.hidden = false;
  form.elements.name.closest("div").hidden = Boolean(known);
  form.addEventListener("submit", async event => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await active(await navigator.serviceWorker.register(
        "/offline/worker.js", { scope: "/offline/" }));
      await take();
    } catch {
      say("refused");
    }
    button.disabled = false;
  });
  return undefined;
}

begin();
