// Begins at the top of the page to note where the tab key leads: what has the focus, and whether
// one sees that: a ring two pixels wide, of three to one against what it lies on (WCAG 2.2, 1.4.11
// and 2.4.13), and nothing in front of it (2.4.11). Each stop is looked at when the key is pressed
// again, so that many presses cost one question.
() => {
  const numbers = (colour) => (colour.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([red, green, blue]) => [red, green, blue].map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = (from) => {
    for (let under = from; under; under = under.parentElement) {
      const found = numbers(getComputedStyle(under).backgroundColor);
      if (found[3] !== 0) return found;
    }
    return [255, 255, 255];
  };
  const looked = (one) => {
    const style = getComputedStyle(one);
    const [ring, under] = [light(numbers(style.outlineColor)), light(ground(one.parentElement))];
    const contrast = (Math.max(ring, under) + 0.05) / (Math.min(ring, under) + 0.05);
    const box = one.getClientRects()[0] || one.getBoundingClientRect();
    const isIn = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    const front = document.elementFromPoint(
      Math.min(Math.max(box.left + box.width / 2, 0), innerWidth - 1),
      Math.min(Math.max(box.top + Math.min(box.height / 2, 20), 0), innerHeight - 1));
    const words = (one.getAttribute("aria-label") || one.textContent || one.name || "").trim();
    return {
      isIn, isSkip: one.matches("a.skip"),
      ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
      contrast: Math.round(contrast * 10) / 10,
      isCovered: isIn && !!front && !one.contains(front) && !front.contains(one)
        && !!front.closest(".banner, header, [popover]"),
      name: `${one.tagName.toLowerCase()} "${words.replace(/\s+/g, " ").slice(0, 40)}"`,
    };
  };
  const stops = [], seen = new Set();
  let last = document.activeElement, isRound = false;
  const note = () => {
    const one = document.activeElement;
    if (isRound || one === last) return; // the parts of a date are stops of their own
    last = one;
    // Where a script of the page has put the focus, which has only just come to it.
    if (one?.tabIndex < 0 && one !== document.body) return;
    if (!one || one === document.body || seen.has(one)) {
      isRound = stops.length > 0;
      return;
    }
    seen.add(one);
    stops.push(looked(one));
  };
  if (window.quanminFocus) removeEventListener("keydown", window.quanminFocus.note, true);
  // The tab key goes on from where the focus was last: from the top, if that was the whole page.
  if (last !== document.body) {
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute("tabindex");
  }
  last = document.activeElement;
  scrollTo(0, 0);
  addEventListener("keydown", note, true);
  window.quanminFocus = { note, stops: () => { note(); return { stops, isRound }; } };
}
