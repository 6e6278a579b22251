# bunny: confirms, a topic exchange, consume and ack, an error that ends a channel.
require "bunny"
require "timeout"

COUNT = 100
url = ENV.fetch("AMQP_URL")
options = { heartbeat: 10, automatically_recover: false }
options.merge!(tls: true, tls_ca_certificates: [ENV.fetch("CA_FILE")], verify_peer: true) if url.start_with?("amqps")
connection = Bunny.new(url, **options)
connection.start
channel = connection.create_channel
channel.confirm_select
exchange = channel.topic("interop-bunny-#{Process.pid}", auto_delete: true)
queue = channel.queue("", exclusive: true).bind(exchange, routing_key: "order.#")
COUNT.times do |n|
  exchange.publish("x" * n * 100, routing_key: "order.#{n}", persistent: true, headers: { "n" => n, "list" => [1, "a"] })
end
raise "not all confirmed" unless channel.wait_for_confirms

channel.prefetch(10)
done = Queue.new
seen = 0
queue.subscribe(manual_ack: true) do |delivery, properties, body|
  raise "message #{seen}" unless properties.headers == { "n" => seen, "list" => [1, "a"] } && body.bytesize == seen * 100
  channel.ack(delivery.delivery_tag)
  seen += 1
  done << true if seen == COUNT
end
Timeout.timeout(20) { done.pop }

begin
  connection.create_channel.queue("interop-bunny-none", passive: true)
  raise "a queue that is not there"
rescue Bunny::NotFound
end
connection.close
puts "bunny #{Bunny::VERSION}: #{seen} messages"
