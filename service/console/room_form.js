/* The form of a room's record, for a new room and for one that is there. Fields are named as the service names them. */

import { el } from "./dom.js";
import { filled } from "./dialogs.js";

const PLAIN = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };
const ACCESS = {
  members: [{ members: true }],
  everybody: [{ members: true }, { authenticated: true, role: "participant" }],
};

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
    const spec = Object.fromEntries(Object.entries(specOf(given)).filter(([, value]) => value !== null));
    await work(name, spec);
    return name;
  });
}

/** Change a room; `work(patch)` does it. Answers its alias, or null. */
export function changedRoom(record, work) {
  return filled(`Edit ${record.title ?? record.alias}`, fieldsOf(record), "Save", async (given) => {
    await work(specOf(given));
    return record.alias;
  });
}

function fieldsOf(record) {
  const number = (name, min, max, placeholder) =>
    el("input", { type: "number", min, max, placeholder, value: record[name] ?? null });
  const moment = (name) => el("input", { type: "datetime-local", value: record[name] ? localTime(record[name]) : null });
  const template = record.alias?.endsWith("-*");
  return [
    ["title", "Title", el("input", { maxlength: 200, autocomplete: "off", value: record.title ?? null })],
    ["access", "Who may enter", accessOf(record.access)],
    ["opens_at", "Opens", moment("opens_at"), "In your own time. Left empty, it is open."],
    ["closes_at", "Closes", moment("closes_at")],
    ["max_participants", "Places", number("max_participants", 2, 50, "10")],
    ["token_ttl_secs", "Life of a token, seconds", number("token_ttl_secs", 10, 3600, "600")],
    ["enable_recording", "Recording", yesOrNo(record.enable_recording)],
    ["phone_legs", "Participants by telephone", yesOrNo(record.phone_legs), "They show no ticket and are no impostors."],
    ["waiting_room", "Waiting room", waitingRoom(record.waiting_room), "Who waits until a moderator lets them in."],
    ["host_required", "A moderator comes first", yesOrNo(record.host_required), "Until then everybody waits."],
    template && ["max_rooms", "Rooms at most", number("max_rooms", 1, 10_000, "100")],
    template && ["idle_delete_after", "Deleted when idle for, seconds", number("idle_delete_after", 60, 315_360_000, "never")],
  ].filter(Boolean);
}

function accessOf(rules) {
  const known = Object.keys(ACCESS).find((name) => JSON.stringify(ACCESS[name]) === JSON.stringify(rules));
  const options = [
    ["members", "Members only"],
    ["everybody", "Everybody who is signed in"],
    ...(known ? [] : [["", "By its own rules, as they are"]]),
  ];
  return choice(options, known ?? "");
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

/** What was filled in, as the service takes it; `null` is a default. Rules that the form cannot show are not named. */
function specOf(given) {
  const spec = { title: given.title || null };
  if (given.access) spec.access = ACCESS[given.access];
  for (const name of ["opens_at", "closes_at"]) spec[name] = given[name] ? timestamp(given[name]) : null;
  for (const name of ["max_participants", "token_ttl_secs", "max_rooms", "idle_delete_after"]) {
    if (name in given) spec[name] = given[name] ? Number(given[name]) : null;
  }
  spec.waiting_room = given.waiting_room || null;
  for (const name of ["enable_recording", "phone_legs", "host_required"]) spec[name] = given[name] === "yes";
  return spec;
}

function localTime(moment) {
  const date = new Date(moment);
  return new Date(date - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function timestamp(local) {
  return new Date(local).toISOString().replace(/\.\d+/u, "");
}
