// workflow.mjs FOLDER FILE: does GitHub's own parser take this workflow? FOLDER holds node_modules/@actions/workflow-parser. Its modules
// import JSON as bundlers do, without saying so: Node.js is told here.
import {readFileSync} from "node:fs";
import {register} from "node:module";
import {join} from "node:path";
import {pathToFileURL} from "node:url";

register("data:text/javascript," + encodeURIComponent(`
  import {readFileSync} from "node:fs";
  import {fileURLToPath} from "node:url";
  export async function load(url, context, next) {
    if (!url.endsWith(".json")) return next(url, context);
    return {format: "module", shortCircuit: true, source: "export default " + readFileSync(fileURLToPath(url), "utf8")};
  }`));
const [folder, file] = process.argv.slice(2);
const main = join(folder, "node_modules/@actions/workflow-parser/dist/index.js");
const {parseWorkflow, convertWorkflowTemplate, NoOperationTraceWriter} = await import(pathToFileURL(main));
const result = parseWorkflow({name: "pithy-jaunt.yml", content: readFileSync(file, "utf8")}, new NoOperationTraceWriter());
const template = result.value && (await convertWorkflowTemplate(result.context, result.value));
const errors = result.context.errors.getErrors().map((error) => error.message);
if (!errors.length && template?.jobs?.length !== 3) errors.push("there are not three jobs");
for (const error of errors) console.error(error);
process.exit(errors.length ? 1 : 0);
