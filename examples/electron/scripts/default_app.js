/** Starts the application in the folder that the last argument names, as every Electron does. */
const { readFileSync } = require("node:fs");
const { join, resolve } = require("node:path");
const { app } = require("electron");

const folder = resolve(process.argv.at(-1));
const { main, name, productName, version } = JSON.parse(readFileSync(join(folder, "package.json")));
app.setAppPath(folder);
app.setName(productName ?? name);
app.setVersion(version);
require(join(folder, main));
