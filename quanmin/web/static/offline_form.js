// A form as data, asked and looked at offline. It decides what is asked and holds to the
// bounds that a form states; rules and calculations are the node's, which looks at all of it again.
"use strict";

const make = (tag, attributes = {}, ...inside) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...inside.filter(one => one !== null && one !== undefined));
  return made;
};

const Form = (() => {
  // What an occurrence of a group goes on from: from none, else the number that the node gave.
  const NEW = "new";
  const UNIT = "~unit", OTHER = "~other", TYPED = "~find";
  const NUMBERS = new Set(["integer", "decimal", "quantity"]);
  const plain = text => text.normalize("NFKC").trim();
  const isNumber = text => /^[+-]?\d{1,30}(\.\d{1,30})?$/.test(plain(text));
  const texts = (values, key) => (values[key] || []).filter(one => one.trim() !== "");

  const answered = (values, { item, key }) =>
    [...texts(values, key), ...texts(values, key + (item.is_typed ? TYPED : OTHER))];

  // Every place of the form, by its key, for what is filled in: groups as often as they are there.
  function places(form, values) {
    const found = [];
    const walk = (items, above) => {
      for (const item of items) {
        const stem = above ? `${above.key}/${item.link}` : item.link;
        const often = item.control === "group" && item.repeats ? count(values, stem) : null;
        for (let at = 0; at < (often === null ? 1 : often); at += 1) {
          const place = { item, key: often === null ? stem : `${stem}.${at}`, above };
          found.push(place);
          walk(item.items || [], place);
        }
      }
    };
    walk(form.items, null);
    return found;
  }

  // How often a group is there. What does not go on with a "/" is another field: `1.9` beside `1`.
  function count(values, stem) {
    const own = Object.keys(values)
      .filter(key => key.startsWith(`${stem}.`))
      .map(key => /^(\d{1,3})\//.exec(key.slice(stem.length + 1)));
    return Math.max(1, ...own.filter(Boolean).map(match => Number(match[1]) + 1));
  }

  // ---- what is asked ---------------------------------------------------------------------------

  function settle(found, values) {
    const isAsked = new Map(found.map(place => [place, true]));
    for (let round = 0; round < found.length + 1; round += 1) {
      let isChanged = false;
      for (const place of found) {
        const is = (!place.above || isAsked.get(place.above))
          && isMet(place, found, isAsked, values);
        isChanged = isChanged || is !== isAsked.get(place);
        isAsked.set(place, is);
      }
      if (!isChanged) break;
    }
    return isAsked;
  }

  function isMet(place, found, isAsked, values) {
    const conditions = place.item.conditions || [];
    if (!conditions.length) return true;
    const met = conditions.map(one => {
      const question = nearest(one.question, place, found);
      const said = question && isAsked.get(question) ? answered(values, question) : [];
      if (one.operator === "exists") return (said.length > 0) === (one.value === "true");
      return said.some(text => holds(text, one));
    });
    return place.item.is_any ? met.some(Boolean) : met.every(Boolean);
  }

  // Within the same occurrence of a group first, then outwards (R4 enableWhen.question).
  function nearest(link, place, found) {
    const named = found.filter(one => one.item.link === link);
    for (let above = place.above; above; above = above.above) {
      const inside = named.find(one => one === above || one.key.startsWith(`${above.key}/`));
      if (inside) return inside;
    }
    return named[0];
  }

  function holds(text, { operator, value, kind }) {
    let one = plain(text), other = value;
    if (kind === "choice" || kind === "open-choice") one = text;
    if (NUMBERS.has(kind)) {
      if (!isNumber(text)) return operator === "!=";
      [one, other] = [Number(one), Number(value)];
    }
    switch (operator) {
      case "=": return one === other;
      case "!=": return one !== other;
      case ">": return one > other;
      case "<": return one < other;
      case ">=": return one >= other;
      default: return one <= other;
    }
  }

  // ---- what is wrong ---------------------------------------------------------------------------

  function faults(form, values, words) {
    const found = places(form, values), isAsked = settle(found, values), wrong = [];
    const blame = (place, code, limit = "") =>
      wrong.push({ place: place.key, words: words[code].replace("{limit}", limit) });
    const isEmpty = place => !found.some(one => one.key.startsWith(`${place.key}/`)
      && answered(values, one).length);
    // Nothing is asked below a group that repeats where nobody began it and nobody has to.
    const isOptional = ({ item, key }) => item.control === "group" && item.repeats
      && Number(key.slice(key.lastIndexOf(".") + 1))
        >= Math.max(item.count_min || 0, item.is_needed ? 1 : 0);
    const empty = found.filter(one => isOptional(one) && isEmpty(one));
    const isLeftOut = place => empty.includes(place)
      || empty.some(one => place.key.startsWith(`${one.key}/`));
    for (const place of found) {
      const { item, key } = place;
      if (!isAsked.get(place) || item.is_left || item.control === "display") continue;
      if (isLeftOut(place)) continue;
      if (item.control === "group") {
        if (item.is_needed && isEmpty(place)) blame(place, "needed");
        continue;
      }
      const said = texts(values, key), other = texts(values, key + (item.is_typed ? TYPED : OTHER));
      const number = said.length + other.length;
      if (item.is_needed && !number) blame(place, "needed");
      if (item.count_min && number && number < item.count_min) {
        blame(place, "too-few", item.count_min);
      }
      if (item.repeats && item.count_max && number > item.count_max) {
        blame(place, "too-many", item.count_max);
      }
      const alone = (item.options || []).filter(one => one.is_alone).map(one => one.code);
      if (number > 1 && said.some(one => alone.includes(one))) blame(place, "alone");
      // Bounds are of the first unit; in another the node compares.
      const units = (item.units || []).map(one => one.code), unit = texts(values, key + UNIT)[0];
      const isBounded = unit === undefined || !units.includes(unit) || unit === units[0];
      if (!(item.options || []).length) {
        said.forEach(text => wrongValue(place, text, isBounded, blame));
      }
    }
    return wrong;
  }

  function wrongValue(place, text, isBounded, blame) {
    const { item } = place;
    if (NUMBERS.has(item.kind)) {
      const value = Number(plain(text));
      const isWhole = item.kind !== "integer" || Number.isInteger(value);
      if (!isNumber(text) || !isWhole) return blame(place, "unreadable");
      const digits = (plain(text).split(".")[1] || "").replace(/0+$/, "").length;
      if (item.places_max !== undefined && item.places_max !== null && digits > item.places_max) {
        blame(place, "too-precise", item.places_max);
      }
      if (!isBounded) return undefined;
      if (item.lowest && value < Number(item.lowest)) blame(place, "too-low", item.lowest);
      if (item.highest && value > Number(item.highest)) blame(place, "too-high", item.highest);
      return undefined;
    }
    if (item.kind === "date" && !/^\d{4}-\d\d-\d\d$/.test(text)) return blame(place, "unreadable");
    if (item.length_max && [...text].length > item.length_max) {
      blame(place, "too-long", item.length_max);
    }
    // A day bounds the moments of a day, as much as both tell of it.
    const [low, high] = [item.lowest || "", item.highest || ""];
    if (text.slice(0, low.length) < low.slice(0, text.length)) blame(place, "too-low", low);
    if (high && text.slice(0, high.length) > high.slice(0, text.length)) {
      blame(place, "too-high", high);
    }
    return undefined;
  }

  // ---- showing it -----------------------------------------------------------------------------

  // Fills `box`; gives what reads it, and says beside a field what is wrong.
  function show(box, form, start, { language, words, changed }) {
    let values = { ...start };
    const told = said => (said ? said[language] || said.zh || "" : "");

    const read = () => {
      const found = {};
      for (const place of places(form, values)) {
        if (place.item.control === "group" && place.item.repeats) {
          found[`${place.key}/`] = values[`${place.key}/`] || [NEW];
        }
        // What nobody fills in here stays as it was given.
        if (place.item.is_left && values[place.key]) found[place.key] = values[place.key];
      }
      for (const control of box.querySelectorAll("[name]")) {
        const isOff = ["radio", "checkbox"].includes(control.type) && !control.checked;
        if (isOff || control.value.trim() === "") continue;
        (found[control.name] = found[control.name] || []).push(control.value);
      }
      return found;
    };

    const refresh = () => {
      const found = places(form, values), isAsked = settle(found, values);
      for (const place of found) {
        const shown = document.getElementById(`at-${place.key}`);
        if (shown) shown.hidden = !isAsked.get(place);
      }
    };

    const draw = () => {
      box.replaceChildren(...drawn(form.items, null));
      refresh();
    };

    const drawn = (items, above) => items.flatMap(item => {
      const stem = above ? `${above}/${item.link}` : item.link;
      if (item.control !== "group") return [field(item, stem)];
      if (!item.repeats) return [group(item, stem, [])];
      const often = count(values, stem), most = item.count_max || 200;
      const all = Array.from({ length: often }, (_, at) => group(item, `${stem}.${at}`, often > 1
        ? [make("button", { type: "button", class: "plain", onclick: () => less(stem, at) },
          words.less)]
        : []));
      const more = make("button", { type: "button", class: "second", onclick: () => grow(stem) },
        `${words.more} ${told(item.words)}`);
      return often < most ? [...all, more] : all;
    });

    const grow = stem => {
      values = { ...read(), [`${stem}.${count(values, stem)}/`]: [NEW] };
      draw();
      changed(values);
      const last = document.getElementById(`at-${stem}.${count(values, stem) - 1}`);
      const first = last && last.querySelector("input, select, textarea");
      if (first) first.focus();
    };

    const less = (stem, gone) => {
      const kept = {};
      for (const [key, said] of Object.entries(read())) {
        const match = key.startsWith(`${stem}.`)
          && /^(\d+)(\/.*)$/.exec(key.slice(stem.length + 1));
        const at = match ? Number(match[1]) : -1;
        if (match && at === gone) continue;
        kept[match && at > gone ? `${stem}.${at - 1}${match[2]}` : key] = said;
      }
      values = kept;
      draw();
      changed(values);
    };

    const group = (item, key, ends) => make("fieldset", { class: "group", id: `at-${key}` },
      make("legend", {}, told(item.words)), ...drawn(item.items || [], key), ...ends);

    const named = item => [told(item.words), item.is_needed && !item.is_left
      ? make("span", { class: "needed", "aria-hidden": "true" }, " *") : null];

    const beside = (item, key) => [
      told(item.hint) ? make("p", { class: "hint", id: `hint-${key}` }, told(item.hint)) : null,
      make("p", { class: "fault", id: `fault-${key}`, hidden: true }),
    ];

    const described = (item, key) => [told(item.hint) ? `hint-${key}` : "", `fault-${key}`]
      .join(" ").trim();

    const field = (item, key) => {
      const about = { "aria-describedby": described(item, key) };
      const at = { class: "field", id: `at-${key}` };
      if (item.control === "display") return make("p", { id: `at-${key}` }, told(item.words));
      if (item.is_left) {
        return make("dl", { ...at, class: "field fixed" }, make("dt", {}, told(item.words)),
          make("dd", {}, (values[key] || []).join("; ") || words.left));
      }
      if (["buttons", "checks"].includes(item.control)) {
        const type = item.control === "checks" ? "checkbox" : "radio";
        const options = item.kind === "boolean"
          ? [{ code: "true", words: words.yes }, { code: "false", words: words.no }]
          : item.options.map(one => ({ code: one.code, words: told(one.words) }));
        return make("div", at, make("fieldset", { class: "choices", id: key, ...about },
          make("legend", {}, ...named(item)), ...beside(item, key),
          ...options.map(one => make("label", { class: "choice" },
            make("input", { type, name: key, value: one.code,
              checked: (values[key] || []).includes(one.code) }), ` ${one.words}`)),
          ...other(item, key)));
      }
      return make("div", at,
        make("label", { for: key }, ...named(item),
          (item.units || []).length === 1 ? ` (${told(item.units[0].words)})` : null),
        ...beside(item, key), input(item, key, about), ...other(item, key));
    };

    const other = (item, key) => (item.is_open_choice ? [
      make("label", { for: key + OTHER }, words.other),
      make("input", { type: "text", id: key + OTHER, name: key + OTHER, autocomplete: "off",
        maxlength: item.length_max || 4000, value: (values[key + OTHER] || [""])[0] }),
    ] : []);

    const chosen = (options, key) => options.map(one => make("option", {
      value: one.code, selected: (values[key] || []).includes(one.code) }, told(one.words)));

    const input = (item, key, about) => {
      const name = item.is_typed ? key + TYPED : key, value = (values[name] || []).join(" ");
      if (item.control === "list") {
        return make("select", { id: key, name: key, ...about },
          make("option", { value: "" }), ...chosen(item.options, key));
      }
      if (item.control === "area") {
        return make("textarea", { id: key, name: key, rows: 4,
          maxlength: item.length_max || 4000, ...about }, value);
      }
      const isNumeric = item.control === "number";
      const box = make("input", { id: key, name, autocomplete: "off", value,
        maxlength: item.is_typed ? item.length_max || 200 : 200,
        type: isNumeric ? "text" : item.control,
        inputmode: isNumeric ? "decimal" : null, ...about });
      if ((item.units || []).length < 2) return box;
      return make("div", { class: "ask" }, box, make("select", { name: key + UNIT,
        "aria-label": words.unit }, ...chosen(item.units, key + UNIT)));
    };

    const blame = found => {
      for (const one of box.querySelectorAll("p.fault")) {
        one.hidden = true;
        one.textContent = "";
      }
      for (const one of box.querySelectorAll("[aria-invalid]")) one.removeAttribute("aria-invalid");
      for (const one of found) {
        const beside = document.getElementById(`fault-${one.place}`);
        const control = document.getElementById(one.place);
        if (beside) {
          beside.hidden = false;
          beside.textContent = [beside.textContent, one.words].filter(Boolean).join(" ");
        }
        if (control) control.setAttribute("aria-invalid", "true");
      }
    };

    draw();
    box.addEventListener("input", () => {
      values = read();
      refresh();
      changed(values);
    });
    return { read, blame, label: key => {
      const place = places(form, values).find(one => one.key === key);
      return place ? told(place.item.words) : "";
    } };
  }

  return { show, faults, places };
})();
