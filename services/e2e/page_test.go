package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/warren-mq/warren/services/demo/system"
)

// screenshotsEnv names a directory for pictures of the page.
const screenshotsEnv = "WARREN_SCREENSHOTS"

const browserTimeout = 3 * time.Minute

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
		chromedp.Flag("force-color-profile", "srgb"), chromedp.WindowSize(1400, 1000))
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

// looks finds what nobody can read or reach: text whose contrast is below WCAG's level AA, and a page wider than its window.
const looks = `(() => {
  const channel = (v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = (c) => .2126 * channel(c[0]) + .7152 * channel(c[1]) + .0722 * channel(c[2]);
  const colour = (s) => s.match(/[\d.]+/g).map(Number);
  const ground = (e) => { for (; e; e = e.parentElement) { const b = colour(getComputedStyle(e).backgroundColor); if ((b[3] ?? 1) > .99) return b; } return [255, 255, 255]; };
  const bad = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let t; (t = walk.nextNode()); ) {
    const e = t.parentElement;
    if (!t.data.trim() || !e.offsetParent || e.closest("svg,button:disabled,template,option")) continue;
    const a = light(colour(getComputedStyle(e).color)), b = light(ground(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) bad.add(t.data.trim().slice(0, 30) + " " + ratio.toFixed(2));
  }
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 0) bad.add("the page is " + wide + " pixels too wide");
  return [...bad];
})()`

// TestPage uses the page as a visitor would: orders, watches, breaks something, makes load; in the light, in the dark, on a phone.
func TestPage(t *testing.T) {
	ctx := browser(t)
	r := start(t)
	conduct(t, r)
	do := func(what string, actions ...chromedp.Action) {
		t.Helper()
		if err := chromedp.Run(ctx, actions...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	until := func(what, condition string) {
		t.Helper()
		eventually(t, time.Minute, func() error {
			var ok bool
			if err := chromedp.Run(ctx, chromedp.Evaluate(condition, &ok)); err != nil || !ok {
				return fmt.Errorf("the page does not show that %s: %w", what, err)
			}
			return nil
		})
	}
	do("open", chromedp.Navigate(r.URL(system.Order)+"/"))
	until("everything is ready", `document.querySelectorAll("#products [data-sku]").length === 13 && document.querySelectorAll("#picture .service:not(.off)").length === 4 &&
		document.querySelector("#live").textContent === "live" && document.querySelectorAll("#switches .switch").length === 16`)

	do("order", chromedp.Click(`[data-sku="SKU-002"] [aria-label^=more]`), chromedp.Click(`[data-sku="SKU-001"] [aria-label^=more]`), chromedp.Click(`#buy`))
	until("a message moves", `document.querySelectorAll("#picture .dot").length > 0`)
	until("the order is delivered", `document.querySelector("#chosen-status").textContent === "delivered" &&
		document.querySelector("#timeline").textContent.includes("PaymentCaptured")`)
	until("the trace is linked", fmt.Sprintf(`document.querySelector("#chosen-trace").href.startsWith(%q)`, r.TracesURL()))

	do("order what comes back", chromedp.Click(`[data-sku="SKU-013"] [aria-label^=more]`), chromedp.Click(`#buy`))
	until("it comes back", `document.querySelector("#chosen-status").textContent === "returned"`)

	do("order nothing", chromedp.Click(`#buy`))
	until("it says what is missing", `document.querySelector("#refused").textContent.includes("Choose something")`)

	const slow = `[data-kind="09-slow-consumer"]`
	do("slow down", chromedp.Click(slow+` button`))
	until("it is on", `document.querySelector('`+slow+` button').getAttribute("aria-checked") === "true"`)
	do("load", chromedp.Evaluate(`(() => { const s = document.querySelector("#rate"); s.value = 30; s.dispatchEvent(new Event("input")); })()`, nil))
	until("a queue fills, and the switch counts", `document.querySelector("#queues").textContent.includes("order.placed.product") &&
		/^product: \d+ s left, [1-9]\d* times so far/.test(document.querySelector('`+slow+` .state').textContent)`)
	for _, v := range []struct {
		name          string
		width, height int64
		dark          string
	}{{"light", 1400, 1000, "light"}, {"dark", 1400, 1000, "dark"}, {"phone", 390, 844, "light"}} {
		var bad []string
		var picture []byte
		do(v.name,
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.dark}}),
			chromedp.EmulateViewport(v.width, v.height), chromedp.Evaluate(looks, &bad))
		if len(bad) > 0 {
			t.Errorf("%s: %v", v.name, bad)
		}
		if dir := os.Getenv(screenshotsEnv); dir != "" {
			do("picture", chromedp.FullScreenshot(&picture, 100))
			if err := os.WriteFile(filepath.Join(dir, "page-"+v.name+".png"), picture, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	do("stop", chromedp.EmulateViewport(1400, 1000),
		chromedp.Evaluate(`(() => { const s = document.querySelector("#rate"); s.value = 0; s.dispatchEvent(new Event("input")); })()`, nil),
		chromedp.Click(slow+` button`))
	until("it is off", `document.querySelector('`+slow+` button').getAttribute("aria-checked") === "false"`)
	until("the ledger is even", `(() => { const n = (id) => Number(document.getElementById(id).textContent.replaceAll(",", ""));
		return n("accepted") > 2 && n("accepted") === n("ended") && n("open") === 0 && n("lost") === 0 && n("double") === 0; })()`)
}
