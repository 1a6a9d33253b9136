// Sends GET requests from a list, in rotation, and prints what autocannon measured as JSON.
// stdin: {"url": origin, "paths": [...], "headers": {...}, "connections": n, "seconds": n}
import autocannon from 'autocannon'
import { readFileSync } from 'node:fs'

const job = JSON.parse(readFileSync(0, 'utf8'))
const result = await autocannon({
  url: job.url,
  connections: job.connections,
  duration: job.seconds,
  requests: job.paths.map((path) => ({ method: 'GET', path, headers: job.headers })),
})
console.log(JSON.stringify({
  per_second: result.requests.average,
  failed: result.non2xx + result.errors + result.timeouts,
}))
