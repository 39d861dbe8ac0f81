// play.mjs NAME FACTS - plays one scene in a browser; exits with 0 when all held.
import * as journeys from "./journeys.mjs";
import * as looks from "./looks.mjs";
import * as logs from "./logs.mjs";
import { open } from "./harness.mjs";

const [name, facts] = process.argv.slice(2);
const play = { ...journeys, ...looks, ...logs }[name];
if (!play) throw new Error(`no play ${name}`);
const stage = await open(JSON.parse(facts));
try {
  await play(stage);
  stage.assertClean();
} catch (error) {
  console.error(error.stack);
  await stage.pictureAll(`failed-${name}`);
  process.exitCode = 1;
} finally {
  await stage.close();
}
process.exit();
