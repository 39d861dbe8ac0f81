// bullmq.mjs SOCKET PHASE COUNT - BullMQ's side of bench_queue: prints operations per second and nothing else.
// Runs in a folder where `npm install bullmq ioredis` was done (NODE_PATH does not reach modules: the folder is PJ_BULLMQ).
import { createRequire } from 'node:module';

const require = createRequire(process.env.PJ_BULLMQ + '/');
const { Queue, Worker } = require('bullmq');
const Redis = require('ioredis');
const [socket, phase, countText] = process.argv.slice(2);
const count = Number(countText);
const connect = () => new Redis({ path: socket, maxRetriesPerRequest: null });
const queue = new Queue('bench', { connection: connect() });
const payload = { title: 'Say hello', description: 'x'.repeat(150), repositoryId: '0mi9z8y7x00repository1' };

async function inFlight(total, width, one) {
    let next = 0;
    await Promise.all(Array.from({ length: width }, async () => {
        while (next < total) await one(next++);
    }));
}

async function bulk(total, size) {
    for (let done = 0; done < total; done += size)
        await queue.addBulk(Array.from({ length: Math.min(size, total - done) }, () => ({ name: 'task', data: payload })));
}

const phases = {
    accept1: () => inFlight(count, 1, () => queue.add('task', payload)),
    accept64: () => inFlight(count, 64, () => queue.add('task', payload)),
    bulk1000: () => bulk(count, 1000),
    take1: () => drain(1),
    take16: () => drain(16),
    take64: () => drain(64),
    log64: async () => {
        const job = await queue.add('task', payload);
        const line = 'x'.repeat(100);
        await inFlight(count, 64, () => job.log(line));
    },
};

function drain(concurrency) {
    return new Promise((resolve) => {
        let done = 0;
        const worker = new Worker('bench', async () => null, { connection: connect(), concurrency });
        worker.on('completed', () => { if (++done === count) resolve(worker); });
    });
}

await queue.waitUntilReady();
if (phase.startsWith('take')) await bulk(count, 1000);
const began = process.hrtime.bigint();
await phases[phase]();
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
console.log((count / seconds).toFixed(0));
process.exit(0);
