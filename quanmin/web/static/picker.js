// Makes the box of a question with many codes a combobox (ARIA 1.2, list autocomplete). What is
// typed is sent by POST and kept nowhere. Without this the button beside the box does the same.
"use strict";

const DELAY_MS = 250;
let boxes = 0;

// A single letter would find half of a code system; a Chinese character is a word.
const isEnough = words => /[^\x00-\x7f]/.test(words) || words.length > 1;

function combobox(field, form) {
  const input = field.querySelector("input[type=text]");
  const [chosen, found] = [
    field.querySelector("[data-chosen]"), field.querySelector("[data-found]")];
  const status = field.querySelector("[role=status]");
  const isMany = "many" in field.dataset;
  const list = document.createElement("ul");
  let timer = 0, asking = null, active = -1, after = "", words = "";

  list.id = `codes-${++boxes}`;
  list.hidden = true;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", field.querySelector("legend").textContent.trim());
  input.closest(".ask").after(list);
  field.querySelector(".ask button").hidden = true;
  const set = (name, value) => input.setAttribute(name, value);
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"],
    ["aria-expanded", "false"], ["aria-controls", list.id]]) set(name, value);

  const options = () => [...list.children];
  const isOpen = () => !list.hidden;

  function close() {
    list.hidden = true;
    active = -1;
    set("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function open() {
    list.hidden = !list.children.length;
    set("aria-expanded", String(!list.hidden));
  }

  function mark(place) {
    const all = options();
    if (!all.length) return;
    active = (place + all.length) % all.length;
    all.forEach((one, at) => one.setAttribute("aria-selected", String(at === active)));
    set("aria-activedescendant", all[active].id);
    all[active].scrollIntoView({ block: "nearest" });
  }

  function add(value, text) {
    const option = document.createElement("li");
    option.id = `${list.id}-${list.children.length}`;
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", "false");
    option.dataset.value = value;
    option.textContent = text;
    list.append(option);
  }

  async function search(isMore = false) {
    const wanted = isMore ? words : input.value.trim();
    if (!isEnough(wanted)) return close();
    asking?.abort();
    const mine = asking = new AbortController();
    const sent = new URLSearchParams({
      token: form.elements.token.value, lang: document.documentElement.lang.slice(0, 2),
      of: field.dataset.codes, words: wanted, after: isMore ? after : "" });
    try {
      const answer = await fetch("/codes", { method: "POST", body: sent, signal: mine.signal });
      if (!answer.ok) throw new Error(answer.status);
      const told = await answer.json();
      const from = isMore ? options().length - 1 : 0;
      if (isMore) list.lastChild.remove();
      else list.replaceChildren();
      [words, after] = [wanted, told.after];
      for (const one of told.listed) add(one.value, one.words);
      if (after) {
        add("", form.dataset.more);
        list.lastChild.dataset.more = "";
      }
      status.textContent = told.said;
      found.replaceChildren();
      active = -1;
      input.removeAttribute("aria-activedescendant");
      open();
      if (isMore) mark(from);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      close();
      field.querySelector(".ask button").hidden = false;
      status.textContent = form.dataset.fails;
    }
  }

  function label(value, text, isChosen) {
    const line = document.createElement("label"), mark = document.createElement("input");
    const said = document.createElement("span");
    line.className = "choice";
    Object.assign(mark, {
      type: isMany ? "checkbox" : "radio", name: field.id, value, checked: isChosen });
    said.textContent = text;
    line.append(mark, " ", said);
    return line;
  }

  function choose(option) {
    if ("more" in option.dataset) return void search(true);
    const [value, text] = [option.dataset.value, option.textContent];
    if (!isMany) chosen.replaceChildren(label(value, text, true),
      label("", form.dataset.none, false));
    else {
      const same = [...chosen.querySelectorAll("input")].find(one => one.value === value);
      if (same) same.checked = true;
      else chosen.append(label(value, text, true));
    }
    input.value = "";
    list.replaceChildren();
    close();
    status.textContent = `${form.dataset.chosen} ${text}`;
    input.focus();
  }

  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(search, DELAY_MS);
  };
  input.addEventListener("input", event => { if (!event.isComposing) later(); });
  input.addEventListener("compositionend", later);
  input.addEventListener("keydown", event => {
    if (event.isComposing) return;
    const { key } = event;
    if (key === "ArrowDown" || key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen()) {
        if (list.children.length) open();
        else return void search();
      }
      if (!event.altKey) mark(key === "ArrowDown" ? active + 1 : Math.max(active, 0) - 1);
    } else if (key === "Enter" && (isOpen() || input.value.trim())) {
      event.preventDefault();
      if (isOpen() && active >= 0) choose(options()[active]);
      else if (isOpen()) mark(0);
      else search();
    } else if (key === "Escape") {
      if (isOpen()) event.preventDefault();
      else input.value = "";
      close();
    } else if (key === "Tab") close();
  });
  list.addEventListener("mousedown", event => event.preventDefault());
  list.addEventListener("click", event => {
    const option = event.target.closest("[role=option]");
    if (option) choose(option);
  });
  input.addEventListener("blur", close);
}

for (const form of document.querySelectorAll("form[data-picks]")) {
  for (const field of form.querySelectorAll("fieldset[data-codes]")) combobox(field, form);
}
