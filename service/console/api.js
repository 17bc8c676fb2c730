/* Our own calls, as any app makes them. */

const PAGE = 100;

/** An answer that is not what was asked for: `code` is what a program goes by (see docs/reference/errors.md). */
export class Problem extends Error {
  constructor(facts) {
    super(facts.detail ?? facts.title ?? facts.code);
    this.status = facts.status ?? 0;
    this.code = facts.code ?? "unexpected";
    this.retryable = facts.retryable ?? false;
    this.retryAfter = facts.retry_after ?? null;
    this.opensAt = facts.opens_at ?? null;
    this.faults = facts.errors ?? [];
  }
}

/** Ask; answers the JSON of the answer, `null` where there is none. Throws `Problem`. */
export async function ask(method, url, facts = {}) {
  return (await versioned(method, url, facts)).content;
}

/** The same, with the version (`ETag`) of what was answered. */
export async function versioned(method, url, { bearer, body, conditions = {} } = {}) {
  const headers = { ...conditions };
  if (bearer !== undefined) headers.Authorization = `Bearer ${bearer}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
    });
  } catch {
    throw new Problem({ code: "unreachable", retryable: true, retry_after: 2 });
  }
  const content = await response.json().catch(() => null);
  if (response.ok) return { content, version: response.headers.get("ETag") };
  throw new Problem({ status: response.status, retryable: response.status >= 500, ...inOurShape(content) });
}

/** Calls under /v2 answer as Telnyx does, with ours inside. */
function inOurShape(content) {
  const [first] = content?.errors ?? [];
  return first?.meta ? { ...first.meta, detail: first.detail } : content;
}

/** The calls of one bearer. */
export class Api {
  #bearer;

  constructor(bearer) {
    this.#bearer = bearer;
  }

  get(path) {
    return ask("GET", path, { bearer: this.#bearer });
  }

  post(path, body = {}) {
    return ask("POST", path, { bearer: this.#bearer, body });
  }

  put(path, body = {}, conditions = {}) {
    return ask("PUT", path, { bearer: this.#bearer, body, conditions });
  }

  patch(path, body, conditions) {
    return ask("PATCH", path, { bearer: this.#bearer, body, conditions });
  }

  /** What is there now, with its version. */
  versioned(path) {
    return versioned("GET", path, { bearer: this.#bearer });
  }

  delete(path) {
    return ask("DELETE", path, { bearer: this.#bearer });
  }

  /** The items of a list, page after page until there are `most`, and whether there are more. */
  async all(path, most = 500) {
    const items = [];
    const first = `${path}${path.includes("?") ? "&" : "?"}limit=${PAGE}`;
    let cursor = null;
    do {
      const page = await this.get(cursor ? `${first}&cursor=${encodeURIComponent(cursor)}` : first);
      items.push(...page.data);
      cursor = page.next_cursor ?? null;
    } while (cursor && items.length < most);
    return { items, more: cursor !== null };
  }
}

/** The path of a room's call. */
export function room(alias, rest = "") {
  return `/v1/rooms/${encodeURIComponent(alias)}${rest}`;
}
