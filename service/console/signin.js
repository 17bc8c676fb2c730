/* Who is asking. A demo user of the sandbox is a click; anybody else pastes a bearer, which is kept in memory only. */

import { Api } from "./api.js";
import { avatar, button, el, named } from "./dom.js";
import { sending, toast } from "./dialogs.js";

const ROLES = {
  alice: "Moderates the stand-up and the huddle",
  bob: "A member of the stand-up",
  carol: "A stranger to the stand-up",
  ada: "Administrator",
};

/** The sign-in page; calls `enter({api, user, name, admin, demo})`. */
export async function signIn(sandbox, enter) {
  const users = sandbox ? await sandbox.users().catch(() => []) : [];
  const demo = users.length
    ? el(
        "ul",
        { class: "faces" },
        users.map((one) =>
          el(
            "li",
            {},
            face(one, () => asDemo(one.user, sandbox).then(enter).catch(toast)),
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
    pasted(enter, users.length > 0),
  );
}

function face(one, chosen) {
  const node = button("", chosen, { class: "face" });
  node.append(avatar(one.name ?? one.user), named(one.name ?? one.user, ROLES[one.user] ?? one.user));
  return node;
}

function pasted(enter, folded) {
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
  sending(form, async () => enter(await withBearer(text.value.trim())));
  return folded ? el("details", { class: "paste" }, el("summary", { text: "Or paste a bearer token" }), form) : form;
}

/** The sign-in of a demo user. */
export async function asDemo(user, sandbox) {
  return { ...(await withBearer(await sandbox.bearer(user))), demo: user };
}

/** Whoever the service takes the bearer for. Throws `Problem` where it takes it for nobody. */
export async function withBearer(bearer) {
  const api = new Api(bearer);
  const me = await api.get("/v1/me");
  return { api, user: me.user_id, name: me.name ?? me.user_id, admin: me.admin };
}
