"""pika: confirms, mandatory, a quorum queue, headers of all types, consume and ack."""
import decimal
import os
import ssl
import time

import pika

COUNT = 100
url = os.environ["AMQP_URL"]
params = pika.URLParameters(url)
if url.startswith("amqps"):
    context = ssl.create_default_context(cafile=os.environ["CA_FILE"])
    params.ssl_options = pika.SSLOptions(context, "127.0.0.1")
params.heartbeat = 10
connection = pika.BlockingConnection(params)
channel = connection.channel()
channel.confirm_delivery()

queue = "interop-pika-%d" % os.getpid()
channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
headers = {"n": 1, "big": 1 << 40, "text": "ü", "list": [1, "a", None], "map": {"k": True}, "price": decimal.Decimal("3.14")}
for n in range(COUNT):
    channel.basic_publish("", queue, b"x" * n * 100, pika.BasicProperties(
        delivery_mode=2, message_id=str(n), headers=headers, timestamp=int(time.time())), mandatory=True)
try:
    channel.basic_publish("", queue + "-none", b"x", mandatory=True)
    raise SystemExit("an unroutable message did not come back")
except pika.exceptions.UnroutableError:
    pass

seen = 0
channel.basic_qos(prefetch_count=10)
for method, properties, body in channel.consume(queue, inactivity_timeout=20):
    assert method, "no delivery"
    assert properties.message_id == str(seen) and len(body) == seen * 100, (properties, len(body))
    assert properties.headers == headers, properties.headers
    channel.basic_ack(method.delivery_tag)
    seen += 1
    if seen == COUNT:
        break
channel.cancel()
channel.queue_delete(queue)

try:
    channel.queue_declare(queue, passive=True)
    raise SystemExit("the queue is still there")
except pika.exceptions.ChannelClosedByBroker as e:
    assert e.reply_code == 404, e
connection.close()
print("pika %s: %d messages" % (pika.__version__, seen))
