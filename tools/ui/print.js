// What is wrong with the page on paper.
() => {
  const faults = [];
  const shown = (one) => one.getClientRects().length > 0;
  const all = (what) => [...document.querySelectorAll(what)].filter(shown);
  const named = (one) => `${one.tagName.toLowerCase()} "${one.textContent.trim().slice(0, 30)}"`;
  const wide = document.documentElement.scrollWidth - innerWidth;
  // What lies on a sheet of its own, in its scale.
  const lies = getComputedStyle(document.querySelector("figure:has(> .paper)") || document.body);
  if (wide > 0 && lies.page !== "lying") faults.push(`on paper it is ${wide} px too wide`);
  for (const one of all("header nav, .tools, .skip, .actions, .chips, footer, button"))
    faults.push(`${named(one)} is printed`);
  if (!all("h1").length) faults.push("it is printed without its heading");
  for (const table of all("main table")) {
    const head = table.tHead;
    if (head && getComputedStyle(head).display !== "table-header-group")
      faults.push(`the headings of ${named(table.caption || table)} are not repeated on paper`);
  }
  return faults;
}
