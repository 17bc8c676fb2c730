/* Who is asking. A demo user of the sandbox is a click; anybody else pastes a bearer, which is kept in memory only. */

import { Api } from "./api.js";
import { avatar, button, el, named } from "./dom.js";
import { toast } from "./dialogs.js";

const ROLES = {
  alice: "Moderates the stand-up and the huddle",
  bob: "A member of the stand-up",
  carol: "A stranger to the stand-up",
  ada: "Administrator",
};

/** The sign-in page; calls `enter({api, user, name, admin, demo})`. */
export async function signIn(config, sandbox, enter) {
  const users = sandbox ? await sandbox.users().catch(() => []) : [];
  const demo = users.length
    ? el(
        "ul",
        { class: "faces" },
        users.map((one) =>
          el(
            "li",
            {},
            face(one, () => asDemo(one.user, config, sandbox).then(enter).catch(toast)),
          ),
        ),
      )
    : null;
  return el(
    "section",
    { class: "card hero" },
    el("h1", { text: "Who are you?" }),
    el("p", {
      class: "lead",
      text: users.length
        ? "Pick somebody whom the sandbox's identity provider knows, and see what they may enter."
        : "Paste a bearer of your identity provider, and see which rooms it opens.",
    }),
    demo,
    pasted(config, enter, users.length > 0),
  );
}

function face(one, chosen) {
  const node = button("", chosen, { class: "face" });
  node.append(avatar(one.name ?? one.user), named(one.name ?? one.user, ROLES[one.user] ?? one.user));
  return node;
}

function pasted(config, enter, folded) {
  const text = el("textarea", {
    id: "bearer",
    rows: 4,
    required: true,
    spellcheck: "false",
    autocomplete: "off",
    class: "mono",
  });
  const form = el(
    "form",
    {},
    el(
      "div",
      { class: "field" },
      el("label", { for: "bearer", text: "Bearer token" }),
      el("small", { text: "Used for calls to this service, and forgotten with this page." }),
      text,
    ),
    el("button", { type: "submit", text: "Sign in" }),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      enter(await withBearer(text.value.trim(), config));
    } catch (problem) {
      toast(problem);
    }
  });
  return folded ? el("details", { class: "paste" }, el("summary", { text: "Or paste a bearer token" }), form) : form;
}

/** The sign-in of a demo user. */
export async function asDemo(user, config, sandbox) {
  return { ...(await withBearer(await sandbox.bearer(user), config)), demo: user };
}

/** Whoever the service takes the bearer for. Throws `Problem` where it takes it for nobody. */
export async function withBearer(bearer, config) {
  const api = new Api(bearer);
  await api.get("/v1/rooms?limit=1");
  const claims = read(bearer);
  const user = String(claims.sub ?? "you");
  const words = Object.values(claims).flatMap((value) => (typeof value === "string" ? value.split(" ") : value));
  return { api, user, name: String(claims.name ?? user), admin: words.includes(config.admin_scope) };
}

/** A bearer's claims, for showing a name: what it allows, the service says. */
function read(bearer) {
  try {
    const text = atob(bearer.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(text, (one) => one.codePointAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}
