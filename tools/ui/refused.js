// What is wrong with a page on which a form was refused: it has to say so above, have the focus
// there, and say at each field that is wrong what is; a page of its own, the first two alone.
async () => {
  // The focus comes with the first picture.
  await new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)));
  const faults = [];
  const named = (one) => one.name || one.id;
  const shown = (one) => one.getClientRects().length > 0;
  const said = [...document.querySelectorAll("main [role=alert]")].filter(shown);
  if (!said.some((one) => one.textContent.trim())) return ["it does not say what is wrong with it"];
  if (!said.some((one) => one === document.activeElement || one.contains(document.activeElement)))
    faults.push("what is wrong with it has not the focus");
  for (const link of said.flatMap((one) => [...one.querySelectorAll("a[href^='#']")])) {
    const to = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    if (!to || !shown(to)) faults.push(`${link.hash} of what is wrong leads nowhere`);
  }
  const wrong = [...document.querySelectorAll("main [aria-invalid=true]")];
  const isForm = document.querySelector("main form[method=post]:not([role=search])");
  if (isForm && !wrong.length) faults.push("no field is marked as wrong");
  for (const one of wrong) {
    const told = (one.getAttribute("aria-describedby") || "").split(" ").filter(Boolean)
      .map((id) => document.getElementById(id)?.textContent.trim() || "");
    if (!told.some(Boolean)) faults.push(`nothing is said of what is wrong with ${named(one)}`);
  }
  return faults;
}
