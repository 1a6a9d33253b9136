// Calls a storage server with supabase-js, unmodified; prints the answers as one line of JSON.
import { StorageClient } from '@supabase/storage-js'

const [url, token, otherToken, id] = process.argv.slice(2)
const storage = new StorageClient(url, { Authorization: `Bearer ${token}` })
const other = new StorageClient(url, { Authorization: `Bearer ${otherToken}` })
const bucket = storage.from('private')
const answers = {}
const path = `${id}/folder/a b&c.txt`

async function succeed(call, promise) {
  const { data, error } = await promise
  if (error) throw new Error(`${call}: ${JSON.stringify(error)}`)
  return data
}

async function fail(promise) {
  const { data, error } = await promise
  if (data) throw new Error(`not refused: ${JSON.stringify(data)}`)
  return [error.status, error.statusCode, error.code]
}

const text = async (blob) => (await blob).text()

answers.upload = await succeed('upload', bucket.upload(path, Buffer.from('raw'), { contentType: 'text/plain', metadata: { a: 1 } }))
answers.duplicate = await fail(bucket.upload(path, Buffer.from('raw')))
answers.download = await text(succeed('download', bucket.download(path)))
answers.update = await succeed('update', bucket.update(path, new Blob(['blob'], { type: 'text/css' }), { cacheControl: '7' }))
answers.upsert = await succeed('upsert', bucket.upload(path, 'string', { upsert: true, metadata: { b: 2 } }))
answers.info = await succeed('info', bucket.info(path))
answers.exists = [(await bucket.exists(path)).data, (await bucket.exists(`${id}/no`)).data]
answers.list = (await succeed('list', bucket.list(id))).map((line) => [line.name, line.id === null])
answers.search = (await succeed('search', bucket.list(`${id}/folder`, { search: 'a b', limit: 1 }))).map((line) => line.name)
answers.listV2 = (await succeed('listV2', bucket.listV2({ prefix: `${id}/`, with_delimiter: true }))).folders
const { signedUrl } = await succeed('createSignedUrl', bucket.createSignedUrl(path, 60, { download: 'x y.txt' }))
const signed = await fetch(signedUrl)
answers.signed = [await signed.text(), signed.headers.get('content-disposition')]
const many = await succeed('createSignedUrls', bucket.createSignedUrls([path, `${id}/no`], 60))
answers.signedMany = [await (await fetch(many[0].signedUrl)).text(), many[1].signedUrl, many[1].error !== null]
const link = await succeed('createSignedUploadUrl', bucket.createSignedUploadUrl(`${id}/link.txt`))
answers.toSigned = await succeed('uploadToSignedUrl', bucket.uploadToSignedUrl(link.path, link.token, new Blob(['by link'])))
const song = `${id}/café/歌 1.txt`
await succeed('upload in Japanese', bucket.upload(song, 'la la'))
const songUrl = (await succeed('sign in Japanese', bucket.createSignedUrl(song, 60, { download: '歌.txt' }))).signedUrl
answers.japanese = [await text(succeed('download in Japanese', bucket.download(song))), await (await fetch(songUrl)).text()]
await succeed('remove in Japanese', bucket.remove([song]))
answers.stream = await succeed('stream', bucket.upload(`${id}/stream`, new Blob(['streamed']).stream(), { duplex: 'half' }))
answers.copy = await succeed('copy', bucket.copy(path, `${id}/copy.txt`))
answers.move = (await succeed('move', bucket.move(`${id}/copy.txt`, `${id}/moved.txt`))).message
answers.moved = await text(succeed('moved', bucket.download(`${id}/moved.txt`)))
answers.otherUser = [
  await fail(other.from('private').download(path)),
  await fail(other.from('private').upload(`${id}/theirs`, Buffer.from('x'))),
  await fail(other.from('private').createSignedUrl(path, 60)),
  (await succeed('remove by another user', other.from('private').remove([path]))).length,
]
answers.tooLarge = await fail(bucket.upload(`${id}/large`, Buffer.alloc(30_000_000)))
answers.tooLargeForm = await fail(bucket.upload(`${id}/large`, new Blob([Buffer.alloc(30_000_000)])))
answers.wrongType = await fail(storage.from('avatars').upload(`${id}/a.txt`, new Blob(['x'], { type: 'text/plain' })))
const png = new Blob([Buffer.from('89504e470d0a1a0a00', 'hex')], { type: 'image/png' })
await succeed('avatar', storage.from('avatars').upload(`${id}/a.png`, png, { upsert: true }))
const { data: { publicUrl } } = storage.from('avatars').getPublicUrl(`${id}/a.png`)
answers.publicType = (await fetch(publicUrl)).headers.get('content-type')
answers.transform = await fail(bucket.createSignedUrl(path, 60, { transform: { width: 1 } }))
const removed = await succeed('remove', bucket.remove([path, `${id}/link.txt`, `${id}/moved.txt`, `${id}/stream`]))
answers.removed = removed.map((row) => row.name).sort()
answers.buckets = await succeed('listBuckets', storage.listBuckets())
answers.noBucket = await fail(storage.getBucket('private'))
answers.createBucket = await fail(storage.createBucket('mine', { public: true }))
console.log(JSON.stringify(answers))
