/** Bundles the application into dist, so that it needs no node_modules, and bundles its tests. */
import { cpSync, readdirSync, rmSync } from "node:fs";
import { build } from "esbuild";

const folders = ["dist", "dist-test", "dist-app-test"];
for (const folder of folders) rmSync(folder, { recursive: true, force: true });
const common = { bundle: true, target: "es2022", logLevel: "warning" };
const node = { ...common, platform: "node", format: "cjs", external: ["electron"] };
await build({ ...node, entryPoints: ["src/main.ts", "src/preload.ts"], outdir: "dist" });
const scripts = ["src/page/page.ts", "src/page/worklet.ts"];
await build({ ...common, entryPoints: scripts, format: "iife", outdir: "dist/page" });
for (const name of ["index.html", "page.css"]) cpSync(`src/page/${name}`, `dist/page/${name}`);

for (const folder of ["test", "app-test"]) {
  const names = readdirSync(folder).filter((name) => name.endsWith(".test.ts"));
  const entryPoints = names.map((name) => `${folder}/${name}`);
  await build({ ...node, packages: "external", entryPoints, outdir: `dist-${folder}` });
}
await build({ ...common, entryPoints: ["test/preload.ts"], format: "iife", outdir: "dist-test" });
