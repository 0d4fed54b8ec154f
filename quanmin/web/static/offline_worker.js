// Keeps the page of the forms, and nothing of anybody: its files and no answer to anything else.
"use strict";

// The node writes these two before what stands here: NAME, which changes with any of the files, and
// FILES, their addresses.
self.addEventListener("install", event => {
  event.waitUntil(caches.open(NAME).then(kept =>
    kept.addAll(FILES.map(one => new Request(one, { cache: "reload", credentials: "omit" })))));
  self.skipWaiting();
});

self.addEventListener("activate", event => {
  event.waitUntil(caches.keys()
    .then(names => Promise.all(names
      .filter(one => one.startsWith("quanmin-offline-") && one !== NAME)
      .map(one => caches.delete(one))))
    .then(() => self.clients.claim()));
});

self.addEventListener("fetch", event => {
  const address = new URL(event.request.url);
  if (event.request.method !== "GET" || address.origin !== self.location.origin) return;
  if (!FILES.includes(address.pathname)) return;
  event.respondWith(caches.open(NAME)
    .then(kept => kept.match(address.pathname))
    .then(found => found || fetch(event.request)));
});
