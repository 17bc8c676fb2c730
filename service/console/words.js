/* What codes mean to a person, and how times are written. */

const WORDS = {
  banned: ["You have been removed", "A moderator keeps you out of this room."],
  not_open_yet: ["Not open yet", "Come back when it opens."],
  waiting_for_admission: [
    "Wait for a moderator",
    "Whoever joins waits here, and is in as soon as a moderator comes or says so.",
  ],
  admission_refused: ["Not let in", "A moderator has refused you for this meeting."],
  no_role: ["You run this meeting as an administrator", "To be in it you need a role in the room, as a member for instance."],
  closed: ["Closed", "The time of this room is over."],
  insufficient_role: ["Your role does not allow this", ""],
  insufficient_scope: ["Administrators only", ""],
  room_not_found: ["No such room", "There is none of that name, or none for you: the service does not say which."],
  room_full: ["The room is full", "Try again when somebody has left."],
  rate_limited: ["Too many questions", "The next one is asked when the service said to come back."],
  room_quota_exceeded: ["No further room now", "The template, or your hourly share of it, is used up."],
  session_revoked: ["Signed out", "This sign-in was ended elsewhere."],
  invalid_token: ["Not signed in", "The bearer is not valid: sign in again."],
  missing_credentials: ["Not signed in", "Sign in again."],
  upstream_unavailable: ["Telnyx cannot be reached", "The token in hand stays good until it ends."],
  upstream_timeout: ["Telnyx does not answer", "The token in hand stays good until it ends."],
  upstream_rejected_credentials: [
    "Telnyx refuses the service's API key",
    "First joins have to wait; renewals need no key.",
  ],
  upstream_invalid_response: ["Telnyx answers nonsense", "The token in hand stays good until it ends."],
  upstream_throttled: ["Telnyx asks to slow down", "The service waits as long as it was told to."],
  deadline_exceeded: ["That took too long", "The token in hand stays good until it ends."],
  overloaded: ["The service is busy", "It says when to come back."],
  unavailable: ["The service cannot answer now", "It says when to come back."],
  request_timeout: ["That took too long", "The question did not reach the service in time."],
  upstream_rejected: ["Telnyx refuses the service's call", "An operator finds the reason in the service's log."],
  upstream_rejected_request: ["Telnyx does not accept this", ""],
  upstream_room_missing: ["The room is missing at Telnyx", "The next question makes it again."],
  store_unavailable: ["Redis cannot be reached", "Who was seen in the last minutes goes on; others wait."],
  keys_unavailable: ["The identity provider cannot be reached", "Nobody is refused for that; ask again."],
  invalid_request: ["That does not fit", ""],
  limit_reached: ["There are as many as there may be", ""],
  too_many_invites: ["The room has too many invites", "Revoke some first."],
  invite_not_found: ["This invite is not good any more", "It was used up, has ended, or was revoked: ask for another one."],
  member_not_found: ["No such member", "Somebody else has removed the entry meanwhile."],
  ban_not_found: ["No such ban", "It has ended, or somebody else has lifted it meanwhile."],
  precondition_failed: ["Changed meanwhile", "Somebody else has changed it: open it again and look."],
  internal_error: ["That did not work", "The service has a fault; its log has the reason."],
  unexpected: ["That did not work", ""],
  unreachable: ["The service cannot be reached", "Is it running?"],
  left: ["You left", "The token is still in the cache: joining again costs no call to Telnyx."],
  kicked: ["You have been removed", "A moderator put you out."],
  replaced: ["Joined elsewhere", ""],
  session_ended: ["The meeting has ended", "A moderator ended it."],
  seat_lost: [
    "The video platform did not answer",
    "Telnyx gave a token, and its signalling cannot be reached from here.",
  ],
  token_expired: ["The token ran out", "It could not be renewed in time, and the call ended with it."],
};

/** A short title for a code. */
export function title(code) {
  return WORDS[code]?.[0] ?? code.replaceAll("_", " ");
}

/** A sentence about it, or nothing. */
export function hint(code) {
  return WORDS[code]?.[1] ?? "";
}

/** Where a token came from. */
export const SOURCES = {
  issued: "A new token from Telnyx",
  refreshed: "Renewed at Telnyx",
  cache: "From the cache, no call to Telnyx",
  stale: "Kept: Telnyx could not be asked just now",
};

/** Seconds as 9:59; an hour and more as 1:00:00. */
export function clock(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  const hours = Math.floor(whole / 3600);
  return hours ? `${hours}:${parts.join(":")}` : `${Number(parts[0])}:${parts[1]}`;
}

/** A timestamp as the reader's own day and hour. */
export function moment(timestamp) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(new Date(timestamp));
}

/** The hour of a moment on this page's clock. */
export function hour(at) {
  return new Intl.DateTimeFormat(undefined, { timeStyle: "medium" }).format(new Date(performance.timeOrigin + at));
}
