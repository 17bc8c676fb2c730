/** Parses the Swift files given; prints where one does not fit the grammar, and the names it declares. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { Language, Parser } from "web-tree-sitter";

await Parser.init();
const grammar = fileURLToPath(import.meta.resolve("tree-sitter-wasms/package.json")).replace("package.json", "out");
const parser = new Parser();
parser.setLanguage(await Language.load(`${grammar}/tree-sitter-swift.wasm`));

function* faults(node) {
  if (node.isError || node.isMissing) yield `${node.startPosition.row + 1}:${node.startPosition.column + 1}`;
  else if (node.hasError) for (const child of node.children) yield* faults(child);
}

const found = {};
for (const file of process.argv.slice(2)) found[file] = [...faults(parser.parse(readFileSync(file, "utf8")).rootNode)];
process.stdout.write(JSON.stringify(found));
