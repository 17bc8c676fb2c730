// Calls Telnyx's own Node client as told on standard input, and prints what came of each call.
const { Telnyx } = require(process.env.PACKAGE);

async function main(plan) {
  const client = new Telnyx({ apiKey: plan.bearer, baseURL: plan.url, maxRetries: 0, timeout: 15000 });
  const told = [];
  for (const { method, args } of plan.calls) {
    const names = method.split(".");
    const last = names.pop();
    const owner = names.reduce((object, name) => object[name], client);
    try {
      const answer = await owner[last](...args);
      told.push({ method, ok: true, data: answer && answer.data !== undefined ? answer.data : null });
    } catch (error) {
      told.push({ method, ok: false, name: error.constructor.name, status: error.status, error: error.error });
    }
  }
  process.stdout.write(JSON.stringify(told));
}

let text = "";
process.stdin.on("data", (piece) => { text += piece; });
process.stdin.on("end", () => main(JSON.parse(text)));
