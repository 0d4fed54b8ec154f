// Whether a form of the page wants something, and if asked to, sends it with nothing in what it
// wants. The browser's own objections are kept out of the way: not everybody has such a browser.
(isSent) => {
  const wants = "[required], [aria-required=true]";
  const shown = (one) => one.getClientRects().length > 0;
  for (const form of document.querySelectorAll("main form[method=post]:not([role=search])")) {
    const wanted = [...form.querySelectorAll(wants)].filter(shown);
    if (!wanted.length) continue;
    if (!isSent) return true;
    for (const one of wanted) {
      one.value = "";
      for (const box of one.querySelectorAll("input[type=checkbox], input[type=radio]"))
        box.checked = false;
    }
    form.noValidate = true;
    const buttons = [...form.querySelectorAll("button:not([type=button])")].filter(shown);
    form.requestSubmit(buttons.find((one) => one.closest(".actions")) || buttons[0]);
    return true;
  }
  return false;
}
