// Sends requests from a list, in rotation, and prints what autocannon measured as JSON.
// stdin: {"url": origin, "method": GET, "paths": [...], "bodies": [...], "tokens": [...], "headers": {...},
//         "connections": n, "seconds": n}; a request's body and token are those at its path's place, where there are any
import autocannon from 'autocannon'
import { readFileSync } from 'node:fs'

const job = JSON.parse(readFileSync(0, 'utf8'))
const requests = job.paths.map((path, place) => ({
  method: job.method,
  path,
  body: job.bodies[place],
  headers: { ...job.headers, ...(job.tokens.length ? { authorization: `Bearer ${job.tokens[place]}` } : {}) },
}))
let started = 0
const turned = (list, number) => {
  const first = Math.floor((number * list.length) / job.connections) % list.length
  return [...list.slice(first), ...list.slice(0, first)]
}
const result = await autocannon({
  url: job.url,
  connections: job.connections,
  duration: job.seconds,
  // Each connection begins elsewhere in the list: at once, they would all be the same caller.
  setupClient: (client) => client.setRequests(turned(requests, started++)),
})
console.log(JSON.stringify({
  per_second: result.requests.average,
  failed: result['4xx'] + result['5xx'] + result.errors + result.timeouts,
}))
