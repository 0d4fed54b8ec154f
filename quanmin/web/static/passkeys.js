// Asks the browser for a passkey and sends its answer with the form that stands for it. A form that
// can do nothing here, without passkeys or on another host than they are made for, stays hidden.
"use strict";

const bytes = text => Uint8Array.from(
  atob(text.replace(/-/g, "+").replace(/_/g, "/")), sign => sign.charCodeAt(0));
const text = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function answer(form) {
  const options = JSON.parse(form.dataset.options);
  options.challenge = bytes(options.challenge);
  for (const one of options.allowCredentials || options.excludeCredentials || []) {
    one.id = bytes(one.id);
  }
  const isNew = form.dataset.passkey === "new";
  if (isNew) options.user.id = bytes(options.user.id);
  const credentials = navigator.credentials;
  const made = isNew
    ? await credentials.create({ publicKey: options })
    : await credentials.get({ publicKey: options });
  const said = made.response;
  const response = isNew
    ? { clientDataJSON: text(said.clientDataJSON), attestationObject: text(said.attestationObject) }
    : {
        clientDataJSON: text(said.clientDataJSON),
        authenticatorData: text(said.authenticatorData),
        signature: text(said.signature),
        userHandle: said.userHandle ? text(said.userHandle) : null,
      };
  return JSON.stringify({
    id: made.id, rawId: text(made.rawId), type: made.type, response,
    clientExtensionResults: {},
  });
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.hidden = !window.PublicKeyCredential || location.hostname !== form.dataset.host;
  form.addEventListener("submit", async event => {
    if (form.elements.answer.value) return;
    event.preventDefault();
    try {
      form.elements.answer.value = await answer(form);
    } catch {
      form.querySelector("[role=alert]").hidden = false;
      return;
    }
    form.submit();
  });
}
