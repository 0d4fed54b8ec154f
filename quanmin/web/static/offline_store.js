// What a device holds: its keys, which nothing can take out of it, and what is sealed under them.
// Nothing of anybody is kept in another way. A limit of time counts on, whatever the clock says.
"use strict";

const Store = (() => {
  const NAME = "quanmin-offline";
  const BACK_MILLISECONDS_MAX = 600_000; // a clock that goes further back than this is not believed
  const encoder = new TextEncoder(), decoder = new TextDecoder();
  let opened = null;

  const isPossible = () =>
    Boolean(window.isSecureContext && crypto.subtle && window.indexedDB && navigator.locks
      && navigator.serviceWorker);

  const done = request => new Promise((fulfil, fail) => {
    request.onsuccess = () => fulfil(request.result);
    request.onerror = () => fail(request.error);
  });

  function base() {
    opened = opened || new Promise((fulfil, fail) => {
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore("plain");
        request.result.createObjectStore("sealed");
      };
      request.onsuccess = () => {
        request.result.onversionchange = () => { request.result.close(); opened = null; };
        fulfil(request.result);
      };
      request.onerror = () => fail(request.error);
    });
    return opened;
  }

  // Answers when the change is on the disk.
  async function change(store, work) {
    const change = (await base()).transaction(store, "readwrite", { durability: "strict" });
    const ended = new Promise((fulfil, fail) => {
      change.oncomplete = fulfil;
      change.onerror = change.onabort = () => fail(change.error);
    });
    work(change.objectStore(store));
    await ended;
  }

  const read = async (store, name) =>
    done((await base()).transaction(store).objectStore(store).get(name));
  const device = () => read("plain", "device");

  // In place of the one whose id is named, or of none: what another tab has enrolled meanwhile may
  // have sealed something already, and then this fails.
  async function enrol(made, replaced) {
    await change("plain", plain => {
      plain.get("device").onsuccess = event => {
        const now = event.target.result;
        if ((now ? now.id : null) === (replaced || null)) plain.put(made, "device");
        else plain.transaction.abort();
      };
    });
  }

  async function newKeys() {
    return {
      seal: await crypto.subtle.generateKey(
        { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]),
      pair: await crypto.subtle.generateKey(
        { name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]),
    };
  }

  const inBase64 = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer)));
  const publicKey = async pair => inBase64(await crypto.subtle.exportKey("spki", pair.publicKey));
  const sign = async (pair, text) => inBase64(await crypto.subtle.sign(
    { name: "ECDSA", hash: "SHA-256" }, pair.privateKey, encoder.encode(text)));

  const way = (name, iv) => ({ name: "AES-GCM", iv, additionalData: encoder.encode(name) });

  async function put(name, value) {
    const { seal } = await device();
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const text = encoder.encode(JSON.stringify(value));
    const sealed = await crypto.subtle.encrypt(way(name, iv), seal, text);
    await change("sealed", store => store.put({ iv, sealed }, name));
  }

  async function get(name) {
    const found = await read("sealed", name), known = await device();
    if (!found || !known) return null;
    const text = await crypto.subtle.decrypt(way(name, found.iv), known.seal, found.sealed);
    return JSON.parse(decoder.decode(text));
  }

  async function names(prefix) {
    const all = await done((await base()).transaction("sealed").objectStore("sealed").getAllKeys());
    return all.filter(one => one.startsWith(prefix));
  }

  const all = async prefix =>
    (await Promise.all((await names(prefix)).map(get))).filter(Boolean);
  const drop = name => change("sealed", store => store.delete(name));

  // The keys go first: what is left of the rest cannot be read.
  async function destroy() {
    await change("plain", plain => plain.clear());
    await change("sealed", sealed => sealed.clear());
  }

  // ---- the limit of time -----------------------------------------------------------------------

  // What has gone by while a page is open is not what the clock says, which anybody may set.
  const present = () => Math.max(Date.now(), performance.timeOrigin + performance.now());

  async function begin(path, milliseconds) {
    const clock = { elapsed: 0, seen: Date.now(), lasts: milliseconds };
    await change("plain", plain => plain.put(clock, `clock ${path}`));
  }

  async function isOver(path) {
    const clock = await read("plain", `clock ${path}`);
    if (!clock) return true;
    const now = present(), isBack = now < clock.seen - BACK_MILLISECONDS_MAX;
    const elapsed = clock.elapsed + Math.max(0, now - clock.seen);
    const seen = Math.max(now, clock.seen);
    await change("plain", plain => plain.put({ ...clock, elapsed, seen }, `clock ${path}`));
    return isBack || elapsed >= clock.lasts;
  }

  // Deletes who was taken along for too long. What was filled in stays, sealed, until it is sent.
  async function expire() {
    let count = 0;
    for (const name of await names("package ")) {
      if (await isOver(name.slice("package ".length))) {
        await drop(name);
        await change("plain", plain => plain.delete(`clock ${name.slice("package ".length)}`));
        count += 1;
      }
    }
    return count;
  }

  return {
    isPossible, device, enrol, newKeys, publicKey, sign, put, get, all, drop, destroy, begin,
    expire,
  };
})();

// ---- asking the node ---------------------------------------------------------------------------

const Node = (() => {
  // `status` 0: there is no connection, or the node did not answer as such.
  async function ask(path, fields) {
    const options = { redirect: "manual", cache: "no-store", credentials: "same-origin" };
    if (fields) Object.assign(options, { method: "POST", body: new URLSearchParams(fields) });
    let answer;
    try {
      answer = await fetch(path, options);
    } catch {
      return { status: 0, state: "no-line" };
    }
    if (answer.type === "opaqueredirect") return { status: 303, state: "sign-in" };
    const isOurs = (answer.headers.get("content-type") || "").startsWith("application/json");
    if (!isOurs) return { status: answer.status, state: "refused", text: "" };
    try {
      return { ...await answer.json(), status: answer.status };
    } catch {
      return { status: 0, state: "no-line" }; // it broke off
    }
  }

  const contact = device => ask(`/offline/contact?device=${encodeURIComponent(device || "")}`);

  return { ask, contact };
})();
