// What is wrong with the page that is open, each as a sentence. Called with how it is seen.
({ elder, zh }) => {
  const faults = [];
  const shown = (one) => one.getClientRects().length > 0
    && getComputedStyle(one).visibility !== "hidden"
    && !one.closest(".hidden, .skip");
  const named = (one) => {
    const words = (one.getAttribute("aria-label") || one.textContent || one.value || "").trim();
    return `${one.tagName.toLowerCase()} "${words.replace(/\s+/g, " ").slice(0, 40)}"`;
  };
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 0) faults.push(`it scrolls sideways by ${wide} px`);

  // What is pressed: 44 px high, 60 with large text. A link within a text may be as small as that.
  const least = elder ? 60 : 44;
  const pressed = "button:not(.plain), a.button, select, textarea,"
    + " input:not([type=hidden]):not([type=checkbox]):not([type=radio]):not([type=file])";
  for (const one of document.querySelectorAll(`main ${pressed.split(",").join(", main ")}`)) {
    if (shown(one) && one.getBoundingClientRect().height < least - 0.5)
      faults.push(`${named(one)} is ${Math.round(one.getBoundingClientRect().height)} px high`);
  }

  const size = elder ? 18 : 12;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const small = new Set();
  const chrome = new Set();
  const label = "th[scope=col], label, legend, button, h1, h2, h3, nav a, summary, caption";
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const one = text.parentElement;
    const words = text.data.trim();
    if (!words || !shown(one) || one.closest("script, style, noscript")) continue;
    const matrix = one.getScreenCTM ? one.getScreenCTM() : null;
    const seen = parseFloat(getComputedStyle(one).fontSize) * (matrix ? matrix.a : 1);
    if (seen < size - 0.05) small.add(`${named(one)} is written in ${seen.toFixed(1)} px`);
    // Words of the page itself: what people and institutions are called is as they wrote it.
    const isOwn = one.closest(label) && !one.closest("[lang], [translate=no], .data, td")?.matches(
      ":not(html)");
    const other = zh ? /[A-Za-z]{3,}\s+[A-Za-z]{3,}/ : /[\u4e00-\u9fff]/;
    if (isOwn && other.test(words)) chrome.add(`${named(one)} is not in the language of the page`);
  }
  faults.push(...small, ...chrome);

  for (const table of document.querySelectorAll("main table")) {
    const called = table.caption || table.getAttribute("aria-label")
      || table.getAttribute("aria-labelledby");
    if (!called) faults.push("a table has no name");
    if (!table.querySelector("th[scope]")) faults.push("the headings of a table have no scope");
  }
  if (document.querySelectorAll("h1").length !== 1) faults.push("it has not one heading h1");
  if (!document.title.trim()) faults.push("it has no title");
  const lang = document.documentElement.lang;
  if (lang !== (zh ? "zh-CN" : "en")) faults.push(`it says to be in "${lang}"`);
  return faults;
}
