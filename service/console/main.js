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

async function begin() {
  const code = new URLSearchParams(location.hash.slice(1)).get("invite");
  const kept = sessionStorage.getItem(KEPT);
  if (code) {
    main.replaceChildren(redeeming(code, (name) => redeem(code, name)));
  } else if (kept && sandbox) {
    await asDemo(kept, config, sandbox).then(enter, welcome);
  } else {
    await welcome();
  }
}

async function welcome() {
  set(nav, "hidden", true);
  who.replaceChildren();
  main.replaceChildren(await signIn(config, sandbox, enter));
}

async function redeem(code, name) {
  const guest = await ask("POST", "/v1/invites/redeem", { body: name ? { code, display_name: name } : { code } });
  history.replaceState(null, "", location.pathname);
  await enter({ ...(await withBearer(guest.token, config)), name: guest.name ?? "Guest" });
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
  main.replaceChildren(desk.node);
  main.querySelector("h2").focus();
  await desk.start();
}

async function leave() {
  sessionStorage.removeItem(KEPT);
  await desk?.stop();
  desk = null;
  await welcome();
  main.querySelector("button, summary, textarea")?.focus();
}

/** Two views for administrators; for all others there is one, and nothing to choose. */
function views(me) {
  set(nav, "hidden", !me.admin);
  if (!me.admin) return;
  const admin = new Admin(me.api, (record) => {
    show("meetings", desk.node);
    desk.choose({ alias: record.alias, title: record.title, open: true }, true);
  });
  const tabs = {
    meetings: button("Meetings", () => show("meetings", desk.node), { class: "tab" }),
    rooms: button("Administration", () => show("rooms", admin.node) ?? admin.refresh(), { class: "tab" }),
  };
  const show = (name, node) => {
    for (const [one, tab] of Object.entries(tabs)) set(tab, "aria-current", one === name ? "page" : null);
    main.replaceChildren(node);
  };
  nav.replaceChildren(...Object.values(tabs));
  set(tabs.meetings, "aria-current", "page");
}

function unreachable() {
  main.replaceChildren(
    el("p", { class: "card hero", text: "The service cannot be reached. Reload the page when it runs." }),
  );
  return null;
}

if (config) await begin();
