// fastify.mjs PORT REDIS_SOCKET - what bench_api measures pj-api against: fastify with ioredis, as one would write it for speed.
// GET /json: a 300-byte answer by a compiled serializer. GET /stream: EventSource of the channel "bench", each line framed once,
// one Buffer for all viewers. Modules come from the folder PJ_FASTIFY.
import { createRequire } from 'node:module';

const require = createRequire(process.env.PJ_FASTIFY + '/');
const Fastify = require('fastify');
const Redis = require('ioredis');
const [port, socket] = process.argv.slice(2);
const app = Fastify({ logger: false, keepAliveTimeout: 600000 });
const viewers = new Set();
let n = 0;

app.get('/json', {
    schema: { response: { 200: { type: 'object', properties: {
        status: { type: 'string' }, version: { type: 'string' }, detail: { type: 'string' }, count: { type: 'integer' } } } } },
}, async () => ({ status: 'ok', version: '0.1.0', detail: 'x'.repeat(241), count: 12345 }));

app.get('/stream', (request, reply) => {
    reply.hijack();
    const res = reply.raw;
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    res.flushHeaders();
    viewers.add(res);
    res.on('close', () => viewers.delete(res));
});

const redis = new Redis({ path: socket });
redis.on('message', (channel, line) => {
    const frame = Buffer.from(`id: 1-${++n}\nevent: log\ndata: ${line}\n\n`);
    for (const res of viewers) res.write(frame);
});
await redis.subscribe('bench');
await app.listen({ host: '127.0.0.1', port: Number(port), backlog: 8192 });
