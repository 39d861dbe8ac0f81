// Rendered objects against the types of Kubernetes, KEDA, the Gateway API and the Prometheus operator.
// Standard input: a JSON array of objects. PJ_HELM_TOOLS: the folder with node_modules.
import { existsSync, readFileSync } from 'node:fs';

const modules = `${process.env.PJ_HELM_TOOLS}/node_modules`;
const SOURCES = {
  'gateway.networking.k8s.io': '@kubernetes-models/gateway-api',
  'keda.sh': '@kubernetes-models/keda',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
};

let faults = 0;
const objects = JSON.parse(readFileSync(0, 'utf8'));
for (const object of objects) {
  const [group] = object.apiVersion.includes('/') ? object.apiVersion.split('/') : [''];
  const name = `${object.apiVersion} ${object.kind} ${object.metadata.name}`;
  try {
    const file = `${modules}/${SOURCES[group] ?? 'kubernetes-models'}/${object.apiVersion}/${object.kind}.js`;
    if (!existsSync(file)) throw new Error('no such type');
    const Model = (await import(file))[object.kind];
    new Model(object).validate();
  } catch (error) {
    faults++;
    console.log(`${name}: ${error.message}`);
  }
}
console.log(`${objects.length} objects, ${faults} faults`);
process.exit(faults || !objects.length ? 1 : 0);
