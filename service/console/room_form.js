/* The form of a room's record, for a new room and for one that is there. Fields are named as the service names them. */

import { el } from "./dom.js";
import { filled } from "./dialogs.js";

const PLAIN = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };
const ACCESS = {
  members: [{ members: true }],
  everybody: [{ members: true }, { authenticated: true, role: "participant" }],
};
const RULES = new Set(["access", "rules"]);
const MOMENTS = new Set(["opens_at", "closes_at"]);
const NUMBERS = new Set(["max_participants", "token_ttl_secs", "max_rooms", "idle_delete_after"]);
const YES_OR_NO = new Set(["enable_recording", "require_ticket", "phone_legs", "host_required"]);

/** Ask for a new room; `work(alias, spec)` makes it. Answers its alias, or null. */
export function newRoom(work) {
  const alias = el("input", {
    required: true,
    pattern: "[a-z0-9][a-z0-9\\-]*(-\\*)?",
    maxlength: 63,
    class: "mono",
    ...PLAIN,
  });
  const hint = "Your own name for it: small letters, digits, hyphens. With -* at its end it makes rooms on demand.";
  const fields = [["alias", "Alias", alias, hint], ...fieldsOf({ access: ACCESS.members })];
  return filled("New room", fields, "Make the room", async ({ alias: name, ...given }) => {
    const spec = specOf(given, Object.keys(given));
    await work(name, Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== null)));
    return name;
  });
}

/** Change a room; `work(patch)` does it. Answers its alias, or null. */
export function changedRoom(record, work) {
  return filled(`Edit ${record.title ?? record.alias}`, fieldsOf(record), "Save", async (given, changed) => {
    if (changed.length) await work(specOf(given, changed));
    return record.alias;
  });
}

function fieldsOf(record) {
  const number = (name, min, max, placeholder) =>
    el("input", { type: "number", min, max, placeholder, value: record[name] ?? null });
  const text = (name, placeholder) =>
    el("input", { maxlength: 200, autocomplete: "off", placeholder, value: record[name] ?? null });
  const moment = (name) => el("input", { type: "datetime-local", value: record[name] ? localTime(record[name]) : null });
  const template = record.alias?.endsWith("-*");
  return [
    ["title", "Title", text("title")],
    ["access", "Who may enter", accessOf(record.access)],
    ["rules", "Rules", rulesOf(record.access), "As JSON, as the call PUT /v1/admin/rooms/{room} takes them."],
    ["opens_at", "Opens", moment("opens_at"), "In your own time. Left empty, it is open."],
    ["closes_at", "Closes", moment("closes_at")],
    ["max_participants", "Places", number("max_participants", 2, 50, "10")],
    ["token_ttl_secs", "Life of a token, seconds", number("token_ttl_secs", 10, 3600, "600")],
    ["enable_recording", "Recording", yesOrNo(record.enable_recording)],
    ["require_ticket", "Without a ticket one is an impostor", yesOrNo(record.require_ticket)],
    ["phone_legs", "Participants by telephone", yesOrNo(record.phone_legs), "They show no ticket and are no impostors."],
    ["waiting_room", "Waiting room", waitingRoom(record.waiting_room), "Who waits until a moderator lets them in."],
    ["host_required", "A moderator comes first", yesOrNo(record.host_required), "Until then everybody waits."],
    record.alias && !template && ["unique_name", "Name at Telnyx, after the prefix", text("unique_name", record.alias)],
    template && ["max_rooms", "Rooms at most", number("max_rooms", 1, 10_000, "100")],
    template && ["idle_delete_after", "Deleted when idle for, seconds", number("idle_delete_after", 60, 315_360_000, "never")],
  ].filter(Boolean);
}

function accessOf(rules) {
  const known = Object.keys(ACCESS).find((name) => JSON.stringify(ACCESS[name]) === JSON.stringify(rules));
  const options = [
    ["members", "Members only"],
    ["everybody", "Everybody who is signed in"],
    ["rules", "By rules of its own"],
  ];
  return choice(options, known ?? "rules");
}

/** What cannot be chosen, as it is written; shown where it counts (`controls.css`). */
function rulesOf(rules) {
  return el("textarea", { rows: 5, class: "mono", ...PLAIN, text: JSON.stringify(rules, null, 1) });
}

function waitingRoom(who) {
  return choice([["", "Nobody waits"], ["guests", "Guests wait"], ["participants", "All but moderators wait"]], who ?? "");
}

function yesOrNo(on) {
  return choice([["", "No"], ["yes", "Yes"]], on ? "yes" : "");
}

function choice(options, chosen) {
  return el(
    "select",
    {},
    options.map(([value, text]) => el("option", { value, text, selected: value === chosen })),
  );
}

/** Of what was filled in the fields named, as the service takes them; `null` is a default. */
function specOf(given, names) {
  return Object.fromEntries(names.map((name) => (RULES.has(name) ? ["access", rules(given)] : [name, valueOf(name, given[name])])));
}

function valueOf(name, text) {
  if (YES_OR_NO.has(name)) return text === "yes";
  if (!text) return null;
  if (MOMENTS.has(name)) return new Date(text).toISOString().replace(/\.\d+/u, "");
  return NUMBERS.has(name) ? Number(text) : text;
}

function rules(given) {
  try {
    return ACCESS[given.access] ?? JSON.parse(given.rules);
  } catch {
    throw { faults: [{ field: "/rules", message: "This is no JSON." }] };
  }
}

function localTime(moment) {
  const date = new Date(moment);
  return new Date(date - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
