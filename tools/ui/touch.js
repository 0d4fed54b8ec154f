// Clicks everything on the page that a script could listen to, and goes nowhere by it. Gives where
// to point at: of what looks alike the first few.
() => {
  const stop = (event) => { if (event.target.closest?.("a[href]")) event.preventDefault(); };
  addEventListener("click", stop, true);
  addEventListener("submit", (event) => event.preventDefault(), true);
  document.querySelectorAll("details:not([open]) > summary").forEach((one) => one.click());
  const what = "a, button, label, summary, select, textarea, [tabindex], th,"
    + " input:not([type=hidden]):not([type=file])";
  // Choosing a file opens a window of the browser's own, which no script may.
  const shown = (one) => one.getClientRects().length && one.control?.type !== "file";
  const all = [...document.querySelectorAll(what)].filter(shown);
  all.forEach((one) => one.click());
  const counts = {};
  const few = [...all, ...document.querySelectorAll("figure svg *")].filter((one) => {
    const kind = `${one.tagName} ${one.className} ${one.parentElement.tagName}`;
    counts[kind] = (counts[kind] || 0) + 1;
    return counts[kind] <= 2;
  });
  return few.map((one) => one.getBoundingClientRect()).filter((box) => box.width).slice(0, 60)
    .map((box) => [box.left + box.width / 2 + scrollX, box.top + box.height / 2 + scrollY])
    .map(([x, y]) => ({ x, y }));
}
