// Says what there is; fails when it is not.

import { createRequire } from "node:module";
import Database from "better-sqlite3";

const version = (name) => createRequire(import.meta.url)(`${name}/package.json`).version;
new Database(":memory:").close();
await import("undici");
console.log(`Node ${process.version}, better-sqlite3 ${version("better-sqlite3")}, undici ${version("undici")}`);
