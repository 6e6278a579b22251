package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/broker/brokertest"
)

// TestAccess runs commands one after the other, as an operator would.
func TestAccess(t *testing.T) {
	n := brokertest.Start(t)
	c, err := amqp.Dial(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	closed := c.NotifyClose(make(chan *amqp.Error, 1))
	name := c.LocalAddr().String() + " -> " + n.AMQPAddr()
	for _, step := range []struct {
		line string // words, parted by spaces; ~ stands for a space in a word
		code int
		want string
	}{
		{"add_user u p --tags monitoring", 0, `Adding user "u" ...`},
		{"add_user u p", 1, `user "u" already exists`},
		{"list_users", 0, "u\t[monitoring]\n"},
		{"set_user_tags u sales", 0, `warning: tag "sales" grants nothing here; those that do are administrator, monitoring`},
		{"set_user_tags u management policymaker", 0, "[management, policymaker]"},
		{"authenticate_user u p", 0, "Success"},
		{"authenticate_user u x", 1, "Login failed"},
		{"change_password u new", 0, ""},
		{"authenticate_user u new", 0, "Success"},
		{"-q list_users", 0, "guest\t[administrator]\nu\t[management, policymaker]\n"},
		{"set_user_tags u", 0, ""},
		{"authenticate_user u new", 0, "Success"}, // though no manager
		{"clear_password u", 0, ""},
		{"authenticate_user u new", 1, "Login failed"},
		{"change_password nobody p", 1, "no user 'nobody'"},

		{"add_vhost v --description text --tags a,b", 0, `Adding vhost "v" ...`},
		{"list_vhosts name description tags", 0, "v\ttext\t[a, b]\n"},
		{"list_vhosts color", 2, "color"},
		{"-p v set_permissions u ^c ^w ^r", 0, ""},
		{"-p v list_permissions", 0, "user\tconfigure\twrite\tread\nguest\t.*\t.*\t.*\nu\t^c\t^w\t^r\n"},
		{"list_user_permissions u", 0, "v\t^c\t^w\t^r\n"},
		{"-p v set_permissions nobody a b c", 1, "no user 'nobody'"},
		{"-p nowhere set_permissions u a b c", 1, "no vhost 'nowhere'"},
		{"-p v clear_permissions u", 0, ""},
		{"-p v clear_permissions u", 1, "has no such permissions"},
		{"-p v set_topic_permissions u amq.topic ^a ^b", 0, ""},
		{"-p v list_topic_permissions", 0, "u\tamq.topic\t^a\t^b\n"},
		{"-p v clear_topic_permissions u amq.topic", 0, ""},

		{`-p v set_vhost_limits {"max-connections":5,"max-queues":6}`, 0, ""},
		{"list_vhost_limits", 0, `v	{"max-connections":5,"max-queues":6}`},
		{`-p v set_vhost_limits {"max-dreams":5}`, 1, "Unrecognised terms"},
		{"-p v set_vhost_limits 5", 2, "not a JSON object"},
		{"-p v clear_vhost_limits", 0, ""},
		{"-q list_vhost_limits", 0, ""},
		{`set_user_limits u {"max-channels":7}`, 0, ""},
		{"list_user_limits u", 0, `u	{"max-channels":7}`},
		{"clear_user_limits u all", 0, ""},

		{`set_operator_policy o ^q {"max-length":3} --priority 2`, 0, `Setting operator policy override "o"`},
		{"list_operator_policies", 0, "/\to\t^q\tall\t{\"max-length\":3}\t2\n"},
		{`set_policy p ^q {"max-length":3} --apply-to streams`, 0, ""},
		{"list_policies", 0, "/\tp\t^q\tstreams\t{\"max-length\":3}\t0\n"},
		{"clear_operator_policy o", 0, ""},
		{"clear_operator_policy o", 1, "no operator policy 'o'"},

		{"list_connections", 0, "user\tpeer_host\tpeer_port\tstate\nguest\t127.0.0.1\t"},
		{"list_connections name user auth_mechanism", 0, name + "\tguest\tPLAIN\n"},
		{"list_connections colour", 2, `no column "colour"`},
		{"close_connection nobody why", 1, "no connection 'nobody'"},
		{"close_connection " + strings.ReplaceAll(name, " ", "~") + " spring~cleaning", 0, "reason: spring cleaning"},
		{"delete_vhost v", 0, ""},
		{"delete_vhost v", 1, "no vhost 'v'"},
		{"delete_user u", 0, ""},
		{"--user nobody list_users", 1, "Login failed"},
	} {
		words := append([]string{"-n", n.HTTPAddr()}, strings.Fields(step.line)...)
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "~", " ")
		}
		var out bytes.Buffer
		if code := run(t.Context(), words, &out, &out); code != step.code || !strings.Contains(out.String(), step.want) {
			t.Errorf("%s: exit %d\n%s\nwant %d %s", step.line, code, out.String(), step.code, step.want)
		}
	}
	select {
	case err := <-closed:
		if err == nil || err.Reason != "CONNECTION_FORCED - spring cleaning" {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the connection stays open")
	}
}

// TestJoinCluster joins a node to a cluster that has something: when the command is done, the node knows of it.
func TestJoinCluster(t *testing.T) {
	first, second := brokertest.Start(t), brokertest.Start(t, func(c *broker.Config) { c.Name = "second" })
	ctl := func(args ...string) string {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, &stdout, &stderr); code != 0 {
			t.Fatalf("%v: status %d: %s", args, code, stderr.String())
		}
		return stdout.String()
	}
	c, err := amqp.Dial(first.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ch, err := c.Channel()
	if err == nil {
		_, err = ch.QueueDeclare("there", true, false, false, false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctl("-n", second.HTTPAddr(), "join_cluster", first.HTTPAddr())
	if got := ctl("-q", "-n", second.HTTPAddr(), "list_queues", "name"); got != "name\nthere\n" {
		t.Errorf("%q", got)
	}
}
