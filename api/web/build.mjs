// build.mjs - the pages as a browser gets them: node build.mjs PACKAGES OUT
//
// PACKAGES is the folder with node_modules, OUT gets app.js, charts.js, style.css, index.html and icon.svg. Charts are a module of
// their own, which only the page that draws them loads.
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import path from "node:path";

const [packages, out] = process.argv.slice(2).map(p => path.resolve(p));
const src = path.join(path.dirname(fileURLToPath(import.meta.url)), "src");
const esbuild = createRequire(path.join(packages, "package.json"))("esbuild");

await mkdir(out, { recursive: true });
const common = {
  outdir: out,
  nodePaths: [path.join(packages, "node_modules")],
  bundle: true,
  format: "esm",
  target: ["es2022"],
  minify: true,
  legalComments: "none",
  charset: "utf8",
  logLevel: "warning",
};
const jsx = { jsxFactory: "h", jsxFragment: "Fragment", inject: [path.join(src, "jsx.js")] };
// uPlot's own minified build is smaller than what esbuild makes of its module: charts.js begins with it, as it is.
const uplot = await readFile(path.join(packages, "node_modules/uplot/dist/uPlot.iife.min.js"), "utf8");
await Promise.all([
  esbuild.build({ ...common, ...jsx, entryPoints: [path.join(src, "app.jsx")], external: ["./charts.js"] }),
  esbuild.build({ ...common, entryPoints: [path.join(src, "charts.js")], banner: { js: uplot } }),
  esbuild.build({ ...common, entryPoints: [path.join(src, "style.css")] }),
]);
for (const name of ["index.html", "icon.svg"]) await copyFile(path.join(src, name), path.join(out, name));
