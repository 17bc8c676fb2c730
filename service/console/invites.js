/* Invites: made, shown once as a link and as a picture of it, and revoked. */

import { room } from "./api.js";
import { announce, button, el, svg } from "./dom.js";
import { confirmed, filled, open, roleChoice, sending, toast } from "./dialogs.js";
import { qrcode } from "./qrcode.mjs";
import { moment } from "./words.js";

const HOUR_MS = 3_600_000;

/** Ask what kind of invite, make it, and show it. */
export async function invite(api, alias) {
  const made = await filled(
    `Invite guests to ${alias}`,
    [
      [
        "name",
        "Name",
        el("input", { maxlength: 80, autocomplete: "off" }),
        "Shown in the room. Left empty, guests say their own.",
      ],
      ["role", "Role", roleChoice()],
      ["max_uses", "How many may use it", el("input", { type: "number", min: 1, max: 1000, value: 1, required: true })],
      [
        "expires_at",
        "Good for how many hours",
        el("input", { type: "number", min: 1, max: 168, value: 24, required: true }),
      ],
    ],
    "Make the invite",
    (given) => {
      const expires = new Date(Date.now() + Number(given.expires_at) * HOUR_MS).toISOString().replace(/\.\d+/u, "");
      const asked = { role: given.role, max_uses: Number(given.max_uses), expires_at: expires };
      return api.post(room(alias, "/invites"), given.name ? { ...asked, name: given.name } : asked);
    },
  );
  if (made) show(api, alias, made);
}

function show(api, alias, made) {
  // What follows the # stays in the browser: no server, ours included, finds it in a log.
  const link = `${location.origin}/console/#invite=${encodeURIComponent(made.code)}`;
  const input = el("input", { readonly: true, value: link, "aria-label": "Link of the invite", class: "mono" });
  const { dialog } = open(
    "Invite",
    el("p", { text: `For ${uses(made.max_uses)}, until ${moment(made.expires_at)}. The link is shown this once.` }),
    picture(link),
    el(
      "div",
      { class: "joined" },
      input,
      button("Copy", async (node) => {
        await navigator.clipboard.writeText(link);
        node.textContent = "Copied";
        announce("The link is copied");
      }),
    ),
    el(
      "div",
      { class: "choices" },
      button(
        "Revoke",
        async () => {
          if (!(await confirmed("Revoke this invite?", "It cannot be made good again.", "Revoke"))) return;
          try {
            await api.delete(room(alias, `/invites/${encodeURIComponent(made.id)}`));
            announce("The invite is revoked");
          } catch (problem) {
            toast(problem);
          }
          dialog.close();
        },
        { class: "quiet danger" },
      ),
      el("a", { class: "button quiet", href: link, target: "_blank", rel: "noopener", text: "Open it here" }),
      button("Done", () => dialog.close(), { class: "solid" }),
    ),
  );
}

function uses(number) {
  return number === 1 ? "one guest" : `${number} guests`;
}

/** A QR code as one path, with the white border that readers need. */
function picture(text) {
  const code = qrcode(0, "M");
  code.addData(text);
  code.make();
  const size = code.getModuleCount();
  let dark = "";
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column < size; column += 1) {
      if (code.isDark(row, column)) dark += `M${column + 4} ${row + 4}h1v1h-1z`;
    }
  }
  return svg(
    "svg",
    { class: "qr", viewBox: `0 0 ${size + 8} ${size + 8}`, role: "img", "aria-label": "The link as a QR code" },
    svg("rect", { width: size + 8, height: size + 8, fill: "#fff" }),
    svg("path", { d: dark, fill: "#000" }),
  );
}

/** The page that an invite's link opens: who are you, then in. Answers a guest's sign-in. */
export function redeeming(code, redeem) {
  const name = el("input", { id: "guest", maxlength: 80, autocomplete: "name", placeholder: "Grace Hopper" });
  const form = el(
    "form",
    { class: "card hero" },
    el("h1", { text: "You are invited" }),
    el("p", { class: "lead", text: `To the room “${code.split(".")[0]}”, as a guest. No account is needed.` }),
    el("div", { class: "field" }, el("label", { for: "guest", text: "Your name" }), name),
    el("button", { type: "submit", class: "solid", text: "Enter as a guest" }),
  );
  return sending(form, () => redeem(name.value.trim()));
}
