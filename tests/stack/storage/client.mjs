// Runs supabase-js, unmodified, against a storage server; prints what it saw as one line of JSON.
import { StorageClient } from '@supabase/storage-js'

const [url, token, otherToken, id] = process.argv.slice(2)
const storage = new StorageClient(url, { Authorization: `Bearer ${token}` })
const other = new StorageClient(url, { Authorization: `Bearer ${otherToken}` })
const bucket = storage.from('private')
const seen = {}
const path = `${id}/folder/a b&c.txt`

async function good(what, promise) {
  const { data, error } = await promise
  if (error) throw new Error(`${what}: ${JSON.stringify(error)}`)
  return data
}

async function bad(promise) {
  const { data, error } = await promise
  if (data) throw new Error(`refused nothing: ${JSON.stringify(data)}`)
  return [error.status, error.statusCode, error.code]
}

const text = async (blob) => (await blob).text()

seen.upload = await good('upload', bucket.upload(path, Buffer.from('raw'), { contentType: 'text/plain', metadata: { a: 1 } }))
seen.duplicate = await bad(bucket.upload(path, Buffer.from('raw')))
seen.download = await text(good('download', bucket.download(path)))
seen.update = await good('update', bucket.update(path, new Blob(['blob'], { type: 'text/css' }), { cacheControl: '7' }))
seen.upsert = await good('upsert', bucket.upload(path, 'string', { upsert: true, metadata: { b: 2 } }))
seen.info = await good('info', bucket.info(path))
seen.exists = [(await bucket.exists(path)).data, (await bucket.exists(`${id}/no`)).data]
seen.list = (await good('list', bucket.list(id))).map((line) => [line.name, line.id === null])
seen.search = (await good('search', bucket.list(`${id}/folder`, { search: 'a b', limit: 1 }))).map((line) => line.name)
seen.listV2 = (await good('listV2', bucket.listV2({ prefix: `${id}/`, with_delimiter: true }))).folders
const { signedUrl } = await good('createSignedUrl', bucket.createSignedUrl(path, 60, { download: 'x y.txt' }))
const signed = await fetch(signedUrl)
seen.signed = [await signed.text(), signed.headers.get('content-disposition')]
const many = await good('createSignedUrls', bucket.createSignedUrls([path, `${id}/no`], 60))
seen.signedMany = [await (await fetch(many[0].signedUrl)).text(), many[1].signedUrl, many[1].error !== null]
const link = await good('createSignedUploadUrl', bucket.createSignedUploadUrl(`${id}/link.txt`))
seen.toSigned = await good('uploadToSignedUrl', bucket.uploadToSignedUrl(link.path, link.token, new Blob(['by link'])))
seen.stream = await good('stream', bucket.upload(`${id}/stream`, new Blob(['streamed']).stream(), { duplex: 'half' }))
seen.copy = await good('copy', bucket.copy(path, `${id}/copy.txt`))
seen.move = (await good('move', bucket.move(`${id}/copy.txt`, `${id}/moved.txt`))).message
seen.moved = await text(good('moved', bucket.download(`${id}/moved.txt`)))
seen.stranger = [
  await bad(other.from('private').download(path)),
  await bad(other.from('private').upload(`${id}/theirs`, Buffer.from('x'))),
  await bad(other.from('private').createSignedUrl(path, 60)),
  (await good('remove by a stranger', other.from('private').remove([path]))).length,
]
seen.tooLarge = await bad(bucket.upload(`${id}/large`, Buffer.alloc(30_000_000)))
seen.tooLargeForm = await bad(bucket.upload(`${id}/large`, new Blob([Buffer.alloc(30_000_000)])))
seen.wrongType = await bad(storage.from('avatars').upload(`${id}/a.txt`, new Blob(['x'], { type: 'text/plain' })))
const png = new Blob([Buffer.from('89504e470d0a1a0a00', 'hex')], { type: 'image/png' })
await good('avatar', storage.from('avatars').upload(`${id}/a.png`, png, { upsert: true }))
const { data: { publicUrl } } = storage.from('avatars').getPublicUrl(`${id}/a.png`)
seen.publicType = (await fetch(publicUrl)).headers.get('content-type')
seen.transform = await bad(bucket.createSignedUrl(path, 60, { transform: { width: 1 } }))
const removed = await good('remove', bucket.remove([path, `${id}/link.txt`, `${id}/moved.txt`, `${id}/stream`]))
seen.removed = removed.map((row) => row.name).sort()
seen.buckets = await good('listBuckets', storage.listBuckets())
seen.noBucket = await bad(storage.getBucket('private'))
seen.createBucket = await bad(storage.createBucket('mine', { public: true }))
console.log(JSON.stringify(seen))
