/** Bundles the application into dist, so that it needs no node_modules, and bundles its tests. */
import { cpSync, rmSync } from "node:fs";
import { build } from "esbuild";

for (const folder of ["dist", "dist-test"]) rmSync(folder, { recursive: true, force: true });
const common = { bundle: true, target: "es2022", logLevel: "warning" };
const node = { ...common, platform: "node", format: "cjs", external: ["electron"] };
await build({ ...node, entryPoints: ["src/main.ts", "src/preload.ts"], outdir: "dist" });
const scripts = ["src/page/page.ts", "src/page/worklet.ts"];
await build({ ...common, entryPoints: scripts, format: "iife", outdir: "dist/page" });
for (const name of ["index.html", "page.css"]) cpSync(`src/page/${name}`, `dist/page/${name}`);

const tests = ["page", "process", "record", "serve"].map((name) => `test/${name}.test.ts`);
await build({ ...node, packages: "external", entryPoints: tests, outdir: "dist-test" });
await build({ ...common, entryPoints: ["test/preload.ts"], format: "iife", outdir: "dist-test" });
