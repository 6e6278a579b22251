package management_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker/brokertest"
)

// browserTimeout bounds the whole visit. With WARREN_SCREENSHOTS, a directory for pictures
// of the pages, it takes longer: charts are to have something to show.
const (
	browserTimeout = 4 * time.Minute
	chartTime      = 100 * time.Second
)

// browser starts a headless Chromium, or skips the test where there is none.
func browser(t *testing.T) context.Context {
	t.Helper()
	found := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			found = path
			break
		}
	}
	if found == "" || testing.Short() {
		t.Skip("needs Chromium, and time")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(found), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(browserTimeout),
		chromedp.Flag("force-color-profile", "srgb"), chromedp.WindowSize(1360, 900))
	ctx, cancel := context.WithTimeout(t.Context(), browserTimeout)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	// It does not know all that a new browser tells it, which is no error.
	ctx, end := chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(end)
	chromedp.ListenTarget(ctx, func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			t.Errorf("the page fails: %s", e.ExceptionDetails.Error())
		}
	})
	return ctx
}

// shop sets up what the pages show: clients at work, bindings, policies, users.
func shop(t *testing.T, c *brokertest.Cluster) {
	t.Helper()
	a := newAPI(t, c.Nodes[0])
	a.want(204, put, "/api/cluster-name", `{"name":"shop"}`)
	a.want(201, put, "/api/policies/%2F/replicate", `{"pattern":"^(invoices|mail)","definition":{"ha-mode":"all"},"apply-to":"queues"}`)
	a.want(201, put, "/api/operator-policies/%2F/bounds", `{"pattern":".*","definition":{"max-length":1000000},"apply-to":"queues"}`)
	a.want(201, put, "/api/users/anna", `{"password":"p","tags":"monitoring"}`)
	a.want(201, put, "/api/permissions/%2F/anna", `{"configure":"^mail","write":".*","read":".*"}`)
	a.want(201, put, "/api/exchanges/%2F/orders", `{"type":"topic"}`)
	a.want(201, put, "/api/exchanges/%2F/audit", `{"type":"fanout"}`)
	for q, args := range map[string]string{
		"orders.payment": `"x-queue-type":"quorum","x-dead-letter-exchange":"","x-dead-letter-routing-key":"orders.dead"`, "orders.shipment": `"x-queue-type":"quorum"`,
		"orders.dead": `"x-queue-type":"quorum"`, "audit.log": `"x-queue-type":"classic"`, "invoices": `"x-queue-type":"classic"`, "mail.outgoing": `"x-queue-type":"classic"`,
	} {
		a.want(201, put, "/api/queues/%2F/"+q, `{"durable":true,"arguments":{`+args+`}}`)
	}
	for q, key := range map[string]string{"orders.payment": "order.placed", "orders.shipment": "payment.authorized", "invoices": "payment.*", "mail.outgoing": "#.failed"} {
		a.want(201, post, "/api/bindings/%2F/e/orders/q/"+q, `{"routing_key":"`+key+`"}`)
	}
	a.want(201, post, "/api/bindings/%2F/e/orders/e/audit", `{"routing_key":"#"}`)
	a.want(201, post, "/api/bindings/%2F/e/audit/q/audit.log", `{}`)
	work(t, c)
}

// work lets clients publish and consume until the test ends.
func work(t *testing.T, c *brokertest.Cluster) {
	t.Helper()
	open := func(n *brokertest.Node, name string) *amqp.Channel {
		props := amqp.NewConnectionProperties()
		props.SetClientConnectionName(name)
		conn, err := amqp.DialConfig(n.URL(), amqp.Config{Properties: props})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	for i, q := range []string{"orders.payment", "orders.shipment", "mail.outgoing"} {
		ch := open(c.Nodes[i%len(c.Nodes)], strings.TrimPrefix(q, "orders.")+"-service")
		if err := ch.Qos(20, 0, false); err != nil {
			t.Fatal(err)
		}
		ds, err := ch.Consume(q, q+"-1", false, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() { // ends with its connection
			for d := range ds {
				if d.Redelivered || d.DeliveryTag%17 != 0 {
					_ = d.Ack(false)
				} else {
					_ = d.Nack(false, d.DeliveryTag%34 != 0)
				}
			}
		}()
	}
	ch := open(c.Nodes[1], "order-service")
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	t.Cleanup(func() { stop(); <-ended })
	go func() {
		defer close(ended)
		keys := []string{"order.placed", "payment.authorized", "payment.failed", "order.placed"}
		for i := 0; ctx.Err() == nil; i++ {
			_ = ch.PublishWithContext(ctx, "orders", keys[i%len(keys)], false, false, amqp.Publishing{
				ContentType: "application/json", Headers: amqp.Table{"type": "order"}, Body: fmt.Appendf(nil, `{"order":%d,"customer":"c-%d","total":"42.00 EUR"}`, i, i%7),
			})
			select {
			case <-time.After(time.Duration(3+i%200/20) * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
}

// contrastScript returns texts whose contrast is below what WCAG's level AA asks for, figures
// that nothing explains, and fields without a name.
const contrastScript = `(() => {
  const lum = (c) => { const f = c.map((v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
  const parse = (s) => { const m = s.match(/[\d.]+/g).map(Number); return s.startsWith("color(") ? [m[0] * 255, m[1] * 255, m[2] * 255, m[3] ?? 1] : [m[0], m[1], m[2], m[3] ?? 1]; };
  const behind = (e) => { for (; e; e = e.parentElement) { const b = parse(getComputedStyle(e).backgroundColor); if (b[3] > .99) return b; } return [255, 255, 255, 1]; };
  const bad = new Set(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let t; (t = walk.nextNode()); ) {
    const e = t.parentElement, s = getComputedStyle(e);
    if (!t.data.trim() || !e.offsetParent || e.closest("svg,[popover],button:disabled")) continue;
    const a = lum(parse(s.color)), b = lum(behind(e)), ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    const large = parseFloat(s.fontSize) >= 24 || parseFloat(s.fontSize) >= 18.66 && +s.fontWeight >= 700;
    if (ratio < (large ? 3 : 4.5)) bad.add(t.data.trim().slice(0, 40) + " " + ratio.toFixed(2));
  }
  const unnamed = [...document.querySelectorAll("input,select,textarea,button")].filter((e) => e.offsetParent && !e.labels?.length && !e.getAttribute("aria-label") && !e.textContent.trim());
  const unexplained = [...document.querySelectorAll(".figure")].filter((e) => !e.querySelector(".why") && !e.closest(".card")?.querySelector("h2 .why"));
  return JSON.stringify([...bad, ...unexplained.map((e) => "not explained: " + e.textContent), ...unnamed.map((e) => "without a name: " + e.outerHTML.slice(0, 80))]);
})()`

// clearSearch empties the field for searching.
const clearSearch = "{ const e = document.querySelector('input[type=search]'); e.value = ''; e.dispatchEvent(new Event('input')); }"

// visit is what the test does on one page.
type visit struct {
	name string // of the screenshot
	path string
	text string // what must come
	do   []chromedp.Action
}

func TestConsole(t *testing.T) {
	ctx := browser(t)
	c := brokertest.StartCluster(t, 3)
	shop(t, c)
	n := c.Nodes[0]
	base := "http://" + n.HTTPAddr() + "/"
	dir := os.Getenv("WARREN_SCREENSHOTS")
	shoot := func(name string) chromedp.Action {
		return chromedp.ActionFunc(func(ctx context.Context) error {
			if dir == "" {
				return nil
			}
			var png []byte
			if err := chromedp.CaptureScreenshot(&png).Do(ctx); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600)
		})
	}
	must := func(what string, actions ...chromedp.Action) {
		t.Helper()
		if err := chromedp.Run(ctx, actions...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	text := func(want string) chromedp.Action {
		return chromedp.Poll(fmt.Sprintf("document.body.innerText.includes(%q)", want), nil, chromedp.WithPollingTimeout(20*time.Second))
	}
	wellDrawn := func(page string) {
		t.Helper()
		var bad string
		must(page, chromedp.Evaluate(contrastScript, &bad))
		var list []string
		if err := json.Unmarshal([]byte(bad), &list); err != nil || len(list) > 0 {
			t.Errorf("%s: %v %q", page, err, list)
		}
		var wide bool
		must(page, chromedp.Evaluate("document.documentElement.scrollWidth > innerWidth + 1", &wide))
		if wide {
			t.Errorf("%s is wider than the window", page)
		}
	}
	scheme := func(value string) chromedp.Action {
		return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}})
	}

	must("login", scheme("light"), chromedp.Navigate(base), chromedp.WaitVisible("#login"), chromedp.SendKeys("input[name=user]", "guest"),
		chromedp.SendKeys("input[name=password]", "wrong"), chromedp.Click("#login"), text("Login failed"), shoot("login"),
		chromedp.SendKeys("input[name=password]", "guest"), chromedp.Click("#login"), text("Confirm latency"), text("live"))
	if dir != "" {
		time.Sleep(chartTime)
	}
	for _, v := range []visit{
		{"overview", "overview", "broker-3", nil},
		{"queues", "queues", "orders.payment", []chromedp.Action{
			chromedp.SendKeys("input[type=search]", "mail"), chromedp.Poll("document.querySelectorAll('tbody tr').length == 1", nil),
			chromedp.Evaluate(clearSearch, nil), text("audit.log"),
		}},
		{"queue", "queue/%2F/orders.payment", "Synced to", []chromedp.Action{text("follower"), text("orders.payment-1")}},
		{"messages", "queue/%2F/audit.log", "Only broker-", []chromedp.Action{
			chromedp.Click("#peek"), text("10 of 10 messages, from position 1 on. Nothing has happened to them"), chromedp.Click(`//button[text()="The next ones"]`, chromedp.BySearch),
			text("from position 11 on"), chromedp.Click("details summary"), text("customer"),
		}},
		{"exchanges", "exchanges", "amq.topic", nil},
		{"exchange", "exchange/%2F/orders", "Where would this message go?", []chromedp.Action{
			chromedp.SendKeys("#route-key", "payment.failed"), chromedp.Click("#route"), text("It goes to"), chromedp.Poll("document.querySelectorAll('.graph g.hit').length == 5", nil),
		}},
		{"connections", "connections", "order-service", []chromedp.Action{
			text("payment-service"), chromedp.SendKeys("input[type=search]", "payment-s"), text("1 of 4 connections"), chromedp.Evaluate(clearSearch, nil), text("4 of 4 connections"),
		}},
		{"channels", "channels", "Unconfirmed", nil},
		{"policies", "policies", "replicate", []chromedp.Action{text("bounds")}},
		{"vhosts", "vhosts", "Firehose", nil},
		{"users", "users", "anna", nil},
		{"events", "events", "queue.created", []chromedp.Action{text("no alarms")}},
		{"audit", "audit", "operator-policies", []chromedp.Action{
			chromedp.SendKeys("input[type=search]", "anna"), text("2 of "), // the user, and the permissions
			chromedp.Evaluate(clearSearch, nil), text("cluster-name"),
		}},
		{"definitions", "definitions", "Download", nil},
	} {
		must(v.name, chromedp.Navigate(base+"#/"+v.path), text(v.text))
		must(v.name, append(v.do, shoot(v.name))...)
		wellDrawn(v.name)
	}
	// One connection, by a click; then back with the keyboard.
	must("connection", chromedp.Navigate(base+"#/connections"), text("order-service"), chromedp.Click(`//a[text()="order-service"]`, chromedp.BySearch), text("What it tells of itself"), shoot("connection"))
	wellDrawn("connection")
	must("keys", chromedp.KeyEvent("g"), chromedp.KeyEvent("q"), text("Declare a queue"), chromedp.KeyEvent("/"), chromedp.Poll("document.activeElement.type == 'search'", nil))

	// What destroys asks once, and is in the log of who did it.
	must("purge", chromedp.Navigate(base+"#/queue/%2F/audit.log"), chromedp.WaitVisible("#purge"), chromedp.Click("#purge"), text("removed for good"), shoot("ask"),
		chromedp.Click(`//button[text()="Cancel"]`, chromedp.BySearch), chromedp.WaitNotPresent("dialog"))
	must("keyboard", chromedp.Focus("#purge"), chromedp.KeyEvent("\r"), chromedp.WaitVisible("dialog[open]"), chromedp.KeyEvent("\u001b"), chromedp.WaitNotPresent("dialog"))
	must("move", chromedp.SendKeys(`//label[contains(.,"Filter")]/input`, "c-1", chromedp.BySearch), chromedp.SendKeys(`//label[contains(.,"Move to")]/input`, "orders.dead", chromedp.BySearch),
		chromedp.Click(`//button[text()="Move"]`, chromedp.BySearch), text("The first 10 messages leave audit.log, whether they match the filter or not"),
		chromedp.Click(`//button[text()="Cancel"]`, chromedp.BySearch), chromedp.WaitNotPresent("dialog"))
	must("delete", chromedp.Navigate(base+"#/queue/%2F/invoices"), chromedp.WaitVisible("#delete"), chromedp.Click("#delete"), chromedp.WaitVisible("#ask-yes"), chromedp.Click("#ask-yes"), text("Declare a queue"))
	newAPI(t, n).want(404, get, "/api/queues/%2F/invoices", "")
	must("audit of it", chromedp.Navigate(base+"#/audit"), text("DELETE /queues/%2F/invoices"))

	// A name is text, whoever chose it.
	newAPI(t, n).want(201, put, "/api/queues/%2F/%3Cimg%20src=x%20onerror=%22document.title='owned'%22%3E", "{}")
	var images int
	must("names", chromedp.Navigate(base+"#/queues"), text("<img src=x"), chromedp.Click(`//a[contains(text(),"<img")]`, chromedp.BySearch), text("Purge"),
		chromedp.Evaluate("document.querySelectorAll('main img').length + (document.title.includes('owned') && !document.title.includes('<img'))", &images))
	if images != 0 {
		t.Error("a queue's name was taken for HTML")
	}
	newAPI(t, n).want(204, del, "/api/queues/%2F/%3Cimg%20src=x%20onerror=%22document.title='owned'%22%3E", "")
	must("why", chromedp.Navigate(base+"#/overview"), text("Confirm latency"), chromedp.Click(".figure .why"), chromedp.Poll("document.querySelector('[popover]:popover-open') != null", nil), shoot("why"))

	// What is new does not take away what somebody reads, marks or is about to press.
	stays := func(what, condition string, actions ...chromedp.Action) {
		t.Helper()
		var kept bool
		must(what, append(actions, chromedp.Evaluate("performance.clearResourceTimings()", nil),
			chromedp.Poll("performance.getEntriesByType('resource').length > 8", nil, chromedp.WithPollingTimeout(20*time.Second)), chromedp.Evaluate(condition, &kept))...)
		if !kept {
			t.Errorf("%s did not outlive the page's news", what)
		}
	}
	stays("an open explanation", "document.querySelector('[popover]:popover-open') != null")
	stays("the focus", "document.activeElement.id == 'purge'", chromedp.KeyEvent("\u001b"), chromedp.Navigate(base+"#/queue/%2F/orders.payment"), chromedp.WaitVisible("#purge"), chromedp.Focus("#purge"))
	stays("a selection", "getSelection().toString() == 'orders.payment'", chromedp.Evaluate("getSelection().selectAllChildren(document.querySelector('h1'))", nil))
	stays("a half filled form", "document.activeElement.value == 'mail.outgoing'", chromedp.Navigate(base+"#/exchange/%2F/orders"), chromedp.WaitVisible("#bind-form"), chromedp.SendKeys("#bind-form input", "mail.outgoing"))

	// Dark, and on a telephone.
	must("dark", chromedp.KeyEvent("\u001b"), scheme("dark"), chromedp.Navigate(base+"#/overview"), text("broker-3"), shoot("dark"))
	wellDrawn("dark")
	must("dark queue", chromedp.Navigate(base+"#/queue/%2F/orders.payment"), text("Synced to"), shoot("dark-queue"))
	wellDrawn("dark queue")
	must("phone", scheme("light"), chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2)), chromedp.Navigate(base+"#/overview"), text("broker-3"), shoot("phone"))
	wellDrawn("phone")
	must("phone queues", chromedp.Navigate(base+"#/queues"), text("orders.payment"))
	wellDrawn("phone queues")
	// A node that is gone is seen to be.
	c.Nodes[2].Kill()
	must("down", chromedp.EmulateViewport(1360, 900), chromedp.Navigate(base+"#/overview"), text("other leaders"), shoot("down"))

	// Numbers are right with more queues than one page has.
	many := make([]string, 600)
	for i := range many {
		many[i] = fmt.Sprintf(`{"name":"many.%03d","vhost":"/","durable":true,"auto_delete":false,"arguments":{}}`, i)
	}
	newAPI(t, n).want(204, post, "/api/definitions", `{"queues":[`+strings.Join(many, ",")+`]}`)
	must("policies of many", chromedp.Navigate(base+"#/policies"), // five are left of the shop
		chromedp.Poll("[...document.querySelectorAll('tbody td')].some((e) => e.textContent.startsWith('605'))", nil, chromedp.WithPollingTimeout(20*time.Second)))
	must("many bindings", chromedp.Navigate(base+"#/exchange/%2F/amq.default"), text("and 405 more"))
	wellDrawn("many bindings")
}
