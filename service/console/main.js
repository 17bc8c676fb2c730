/* The page: sign in, then the views that one may see. What is kept over a reload is the name of a demo user, nothing else. */

import { Admin } from "./admin.js";
import { ask } from "./api.js";
import { Desk } from "./desk.js";
import { avatar, button, el, set } from "./dom.js";
import { redeeming } from "./invites.js";
import { asDemo, signIn, withBearer } from "./signin.js";

const KEPT = "console.demo-user";
const main = document.getElementById("main");
const nav = document.getElementById("nav");
const who = document.getElementById("who");

const config = await ask("GET", "/console/config.json").catch(unreachable);
const sandbox = config?.sandbox ? new (await import("/console/sandbox.js")).Sandbox(config.sandbox) : null;
let desk = null;
let admin = null;

async function begin() {
  const code = new URLSearchParams(location.hash.slice(1)).get("invite");
  const kept = sessionStorage.getItem(KEPT);
  if (code) {
    main.replaceChildren(redeeming(code, (name) => redeem(code, name)));
  } else if (kept && sandbox) {
    await asDemo(kept, sandbox).then(enter, welcome);
  } else {
    await welcome();
  }
}

async function welcome() {
  set(nav, "hidden", true);
  who.replaceChildren();
  main.replaceChildren(await signIn(sandbox, enter));
}

async function redeem(code, name) {
  const guest = await ask("POST", "/v1/invites/redeem", { body: name ? { code, display_name: name } : { code } });
  history.replaceState(null, "", location.pathname);
  await enter({ ...(await withBearer(guest.token)), name: guest.name ?? "Guest" });
}

async function enter(me) {
  if (me.demo) sessionStorage.setItem(KEPT, me.demo);
  else sessionStorage.removeItem(KEPT);
  desk = new Desk(me, { sandbox, users: sandbox ? await sandbox.users().catch(() => []) : [], sdk: config.sdk });
  who.replaceChildren(
    avatar(me.name),
    el("span", { class: "name", text: me.name }),
    button("Sign out", leave, { class: "quiet" }),
  );
  views(me);
  show("meetings");
  main.querySelector("h2").focus();
  const { view, alias } = place();
  await desk.start(view === "meetings" ? alias : undefined);
  go();
}

/** What the address names: a room, administration and perhaps a part of a room's, or the list of rooms. */
function place() {
  const [, view, alias, part] = location.hash.match(/^#\/(\w+)(?:\/([\w-]+)(?:\/(\w+))?)?$/u) ?? [];
  return { view: view === "administration" && admin ? "administration" : "meetings", alias, part };
}

/** Show what the address names. */
function go() {
  if (desk === null) return;
  const { view, alias, part } = place();
  show(view);
  if (view === "administration") admin.open(alias, part);
  else if (alias) desk.open(alias);
  else if (location.hash === "#/") desk.list();
}

function show(view) {
  for (const tab of nav.children) set(tab, "aria-current", tab.dataset.view === view ? "page" : null);
  const node = view === "administration" ? admin.node : desk.node;
  if (main.firstElementChild !== node) main.replaceChildren(node);
}

async function leave() {
  sessionStorage.removeItem(KEPT);
  await desk?.stop();
  desk = admin = null;
  history.replaceState(null, "", location.pathname);
  await welcome();
  main.querySelector("button, summary, textarea")?.focus();
}

/** Two views for administrators; for all others there is one, and nothing to choose. */
function views(me) {
  set(nav, "hidden", !me.admin);
  nav.replaceChildren();
  if (!me.admin) return;
  admin = new Admin(me.api);
  const tab = (view, href, text) => el("a", { class: "button tab", href, "data-view": view, text });
  nav.append(tab("meetings", "#/", "Meetings"), tab("administration", "#/administration", "Administration"));
}

function unreachable() {
  main.replaceChildren(
    el("p", { class: "card hero", text: "The service cannot be reached. Reload the page when it runs." }),
  );
  return null;
}

addEventListener("popstate", go);
if (config) await begin();
