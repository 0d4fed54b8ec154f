// What is wrong with the page that is open, each as a sentence. Called with how it is seen.
({ elder, zh, width }) => {
  const faults = new Set();
  const all = (what, within = document) => [...within.querySelectorAll(what)];
  const shown = (one) => one.getClientRects().length > 0
    && getComputedStyle(one).visibility !== "hidden"
    && !one.closest(".hidden, .skip");
  const worded = (one) => (one.getAttribute("aria-label") || one.textContent || one.value || "")
    .trim().replace(/\s+/g, " ").slice(0, 40);
  const named = (one) => `${one.tagName.toLowerCase()} "${worded(one)}"`;
  // An emulated telephone widens what it says to be its width to what the page needs.
  const wide = document.documentElement.scrollWidth - width;
  if (wide > 0) faults.add(`it scrolls sideways by ${wide} px`);

  // What is pressed: 44 px high, 60 with large text. A link within a sentence is as high as that;
  // one that stands alone is 24 px (the checker's matter), and 60 with large text.
  const least = elder ? 60 : 44;
  const tall = (one, target) => {
    const { height } = target.getBoundingClientRect();
    if (height < least - 0.5) faults.add(`${named(one)} is ${Math.round(height)} px high`);
  };
  const typed = "input:not([type=hidden]):not([type=checkbox]):not([type=radio])";
  for (const one of all(`button, a.button, summary, select, textarea, ${typed}, nav a, .top a,`
      + " .chips a, .actions a, .choose a, .tile").filter(shown)) {
    tall(one, one);
    const { width: breadth } = one.getBoundingClientRect();
    if (one.matches("button:not(.plain), a.button") && breadth < least - 0.5)
      faults.add(`${named(one)} is ${Math.round(breadth)} px wide`);
  }
  for (const one of all("input[type=checkbox], input[type=radio]").filter(shown))
    tall(one.labels[0] || one, one.labels[0] || one);
  const within = (link) => {
    let block = link.parentElement;
    while (getComputedStyle(block).display === "inline") block = block.parentElement;
    const rest = [...block.childNodes].filter((one) => one !== link && !one.contains?.(link)
      && !one.matches?.("a, button, ul, ol, form, p, .hidden"));
    return rest.some((one) => one.textContent.trim().length > 1);
  };
  if (elder) for (const one of all("a[href]").filter(shown)) if (!within(one)) tall(one, one);

  // What is read.
  const size = elder ? 18 : 12;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const small = (one, words, seen) => {
    if (seen < size - 0.05) faults.add(`${named(one)} is written in ${seen.toFixed(1)} px`);
  };
  const strange = zh
    ? /\b(?!quanmin )[A-Za-z]{2,}[ ,]+[a-z]{2,}[ ,]+[a-z]{2,}\b|^[A-Z][a-z]{2,}( \w+)?$/
    : /[\u3400-\u4dbf\u4e00-\u9fff]/;
  const own = document.documentElement.lang;
  const foreign = (one, words) => {
    // Words of the page itself: what people and institutions are called is marked as what it is.
    // What is wrong with what one has filled in is no name, however it is marked.
    const isOwn = one.closest("[lang]").lang === own || (zh && one.closest("[role=alert], .fault"));
    if (isOwn && strange.test(words))
      faults.add(`"${words.slice(0, 60)}" is not in the language of the page`);
  };
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const one = text.parentElement;
    const words = text.data.trim().replace(/\s+/g, " ");
    if (!words || one.closest("script, style, noscript")) continue;
    if (!one.closest("code, pre, textarea")) foreign(one, words);
    if (!shown(one)) continue;
    const style = getComputedStyle(one);
    const matrix = one.getScreenCTM ? one.getScreenCTM() : null;
    small(one, words, parseFloat(style.fontSize) * (matrix ? matrix.a : 1));
    if (elder && one.matches("p, li, dd, dt, td, label")
        && parseFloat(style.lineHeight) < 1.5 * parseFloat(style.fontSize) - 0.05)
      faults.add(`the lines of ${named(one)} stand too close`);
  }
  for (const one of all(`select, textarea, ${typed}`).filter(shown))
    small(one, "", parseFloat(getComputedStyle(one).fontSize));
  for (const said of ["aria-label", "title", "placeholder", "alt"])
    for (const one of all(`[${said}]`)) foreign(one, one.getAttribute(said));
  const marked = all("[lang]").filter((one) => one.lang !== own).map((one) => one.textContent);
  const title = marked.reduce((left, one) => left.replaceAll(one.trim() || " ", " "),
    document.title);
  if (!title.trim()) faults.add("it has no title");
  if (strange.test(title)) faults.add(`its title is not in the language of the page: ${title}`);
  if (own !== (zh ? "zh-CN" : "en")) faults.add(`it says to be in "${own}"`);

  for (const table of all("main table")) {
    const called = table.caption?.textContent.trim() || table.getAttribute("aria-label")
      || document.getElementById(table.getAttribute("aria-labelledby"))?.textContent.trim();
    if (!called) faults.add("a table has no name");
    const heads = all("th", table);
    if (!heads.length || heads.some((one) => !one.matches("[scope]")))
      faults.add(`the headings of the table ${called} have no scope`);
    const sheets = "[href*=csv], [action*=csv], [formaction*=csv], [href*='sheet=']";
    if (!all(sheets, table.closest("section, aside, figure, details, main")).length)
      faults.add(`the table ${called} cannot be had as a sheet (CSV)`);
  }
  if (all("h1").length !== 1) faults.add("it has not one heading h1");
  const to = document.querySelector("a.skip")?.hash.slice(1);
  if (document.getElementById(to)?.tabIndex !== -1) faults.add("the skip link leads nowhere");
  for (const one of all("form")) {
    if (!all("button:not([type=button]), input[type=submit]", one).length
        && !all("button[form]").some((button) => button.form === one))
      faults.add("a form has no button, so without script nobody sends it");
  }
  return [...faults];
}
