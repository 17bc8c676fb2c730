// Runs an Express app in as many processes as WORKERS says.
const cluster = require("node:cluster");

module.exports = (make) => {
  const workers = Number(process.env.WORKERS);
  if (cluster.isPrimary && workers > 1) {
    for (let number = 0; number < workers; number += 1) cluster.fork();
    process.on("SIGTERM", () => {
      for (const worker of Object.values(cluster.workers)) worker.kill();
      process.exit(0);
    });
    return;
  }
  make().listen(Number(process.env.PORT), "127.0.0.1");
};
