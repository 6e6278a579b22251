// amqplib: a small frame, confirms, a quorum queue, consume and ack, a returned message.
const fs = require('fs')
const amqp = require('amqplib')

const COUNT = 100
const url = process.env.AMQP_URL
const options = url.startsWith('amqps') ? { ca: [fs.readFileSync(process.env.CA_FILE)] } : {}

async function main () {
  const connection = await amqp.connect(url + '?heartbeat=10&frameMax=4096', options)
  const channel = await connection.createConfirmChannel()
  const { queue } = await channel.assertQueue('interop-amqplib-' + process.pid, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  for (let n = 0; n < COUNT; n++) {
    channel.sendToQueue(queue, Buffer.alloc(n * 200, 'a'), { headers: { n, nested: { a: [1, 2] } }, persistent: true, messageId: String(n) })
  }
  await channel.waitForConfirms()
  const returned = new Promise(resolve => channel.once('return', resolve))
  channel.sendToQueue(queue + '-none', Buffer.from('x'), { mandatory: true })
  if ((await returned).fields.replyCode !== 312) throw Error('an unroutable message did not come back')

  let seen = 0
  await channel.prefetch(10)
  await new Promise((resolve, reject) => channel.consume(queue, m => {
    if (m === null) return // the queue is gone: a cancel notification
    if (m.properties.messageId !== String(seen) || m.content.length !== seen * 200) return reject(Error('message ' + seen))
    channel.ack(m)
    if (++seen === COUNT) resolve()
  }))
  await channel.deleteQueue(queue)
  await connection.close()
  console.log('amqplib: ' + seen + ' messages')
}

const tooLate = setTimeout(() => { console.error('no end after 40 s'); process.exit(1) }, 40000)
main().then(() => clearTimeout(tooLate), e => { console.error(e); process.exit(1) })
