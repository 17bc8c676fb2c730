/* Beside the call: what the service says of itself (`/readyz`). */

import { ask } from "./api.js";
import { el, keyed, say, set } from "./dom.js";

export class Health {
  #list = el("ul", { class: "health" });
  node = el(
    "section",
    { class: "card", "aria-labelledby": "health-title" },
    el("h2", { id: "health-title", text: "Service" }),
    this.#list,
  );

  async refresh() {
    const states = await ask("GET", "/readyz").then(rows, () => [["Service", "unreachable", "bad"]]);
    keyed(
      this.#list,
      states,
      ([name]) => name,
      ([name]) =>
        el("li", {}, el("span", { class: "light" }), el("span", { text: name }), el("span", { class: "sub" })),
      (node, [, words, light]) => {
        set(node.firstElementChild, "class", `light ${light}`);
        say(node.lastElementChild, words);
      },
    );
  }
}

function rows(told) {
  // What this service does about Telnyx, which is not how Telnyx is.
  const breakers = { closed: ["made", ""], half_open: ["tried with one", "fair"], open: ["held back", "bad"] };
  const loaded = Object.values(told.keys).some((source) => source.loaded);
  return [
    ["Redis", told.redis, told.redis === "up" ? "good" : "bad"],
    ["Calls for tokens", ...(breakers[told.telnyx.tokens] ?? [told.telnyx.tokens, "fair"])],
    ["Calls for meetings", ...(breakers[told.telnyx.management] ?? [told.telnyx.management, "fair"])],
    ["Sign-in keys", loaded ? "known" : "none", loaded ? "good" : "bad"],
  ];
}
