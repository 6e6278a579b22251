package main

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed stats.html
var statsHTML string

// overview is what the statistics page shows.
type overview struct {
	Uptime   time.Duration
	Listen   string
	Current  int
	Total    int
	Refused  int
	Servers  []row
	AllUp    bool
	NoneIsUp bool
}

// row is one server on the page.
type row struct {
	Name, Addr     string
	Up             bool
	Since          time.Duration
	Current, Max   int
	Total          int
	In, Out        string
	ConnectErrors  int
	CheckFailures  int
	Downs          int
	Downtime       time.Duration
	Check          string
	CheckTook      time.Duration
	Share          int // of all sessions, in percent
	status         status
	sinceInSeconds int
}

func (p *proxy) overview(now time.Time) overview {
	o := overview{Uptime: now.Sub(p.started).Truncate(time.Second), Listen: p.cfg.Listen, AllUp: true, NoneIsUp: true}
	for _, b := range p.backends {
		s := b.status(now)
		o.Current += s.sessions
		o.AllUp = o.AllUp && s.up
		o.NoneIsUp = o.NoneIsUp && !s.up
		o.Servers = append(o.Servers, row{
			Name: s.name, Addr: s.addr, Up: s.up, Since: now.Sub(s.changed).Truncate(time.Second),
			Current: s.sessions, Max: s.sessionsMax, Total: s.sessionsTotal,
			In: size(s.bytesIn), Out: size(s.bytesOut), ConnectErrors: s.connectErrors,
			CheckFailures: s.checkFailures, Downs: s.downs, Downtime: s.downtime.Truncate(time.Second),
			Check: s.lastCheck, CheckTook: s.checkTook.Round(10 * time.Microsecond), status: s,
			sinceInSeconds: int(now.Sub(s.changed) / time.Second),
		})
	}
	for i := range o.Servers {
		if o.Current > 0 {
			o.Servers[i].Share = 100 * o.Servers[i].Current / o.Current
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	o.Total, o.Refused = p.total, p.refused
	return o
}

// size writes bytes for people.
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1024, 0
	for ; f >= 1024; i++ {
		f /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}

// statsHandler serves the page, and as /;csv the same in HAProxy's columns.
func (p *proxy) statsHandler() http.Handler {
	page := template.Must(template.New("stats").Parse(statsHTML))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := p.overview(time.Now())
		if strings.HasSuffix(r.URL.Path, ";csv") {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			if err := writeCSV(w, o); err != nil {
				p.log.Warn("statistics", "error", err)
			}
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := page.Execute(w, o); err != nil {
			p.log.Warn("statistics", "error", err)
		}
	})
}

// csvColumns are HAProxy's, up to the checks.
var csvColumns = strings.Split("# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,"+
	"wretr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,"+
	"type,rate,rate_lim,rate_max,check_status,check_code,check_duration", ",")

const proxyName = "amqp"

// Values of the column type.
const (
	typeFrontend = "0"
	typeBackend  = "1"
	typeServer   = "2"
)

func writeCSV(w http.ResponseWriter, o overview) error {
	out := csv.NewWriter(w)
	line := func(values map[string]string) error {
		rec := make([]string, len(csvColumns))
		for i, c := range csvColumns {
			rec[i] = values[strings.TrimPrefix(c, "# ")]
		}
		return out.Write(rec)
	}
	if err := out.Write(csvColumns); err != nil {
		return err
	}
	i := strconv.Itoa
	var in, bout int64
	up := 0
	for _, s := range o.Servers {
		in += s.status.bytesIn
		bout += s.status.bytesOut
		if s.Up {
			up++
		}
	}
	sums := map[string]string{
		"pxname": proxyName, "scur": i(o.Current), "stot": i(o.Total),
		"bin": strconv.FormatInt(in, 10), "bout": strconv.FormatInt(bout, 10),
	}
	sums["svname"], sums["status"], sums["type"] = "FRONTEND", "OPEN", typeFrontend
	if err := line(sums); err != nil {
		return err
	}
	for n, s := range o.Servers {
		err := line(map[string]string{
			"pxname": proxyName, "svname": s.Name, "scur": i(s.Current), "smax": i(s.Max), "stot": i(s.Total),
			"bin": strconv.FormatInt(s.status.bytesIn, 10), "bout": strconv.FormatInt(s.status.bytesOut, 10),
			"econ": i(s.ConnectErrors), "status": upOrDown(s.Up), "weight": "1", "act": "1", "bck": "0",
			"chkfail": i(s.CheckFailures), "chkdown": i(s.Downs), "lastchg": i(s.sinceInSeconds),
			"downtime": i(int(s.status.downtime / time.Second)), "pid": "1", "iid": "1", "sid": i(n + 1), "lbtot": i(s.Total),
			"type": typeServer, "check_status": checkStatus(s.status), "check_code": i(s.status.checkCode),
			"check_duration": i(int(s.CheckTook / time.Millisecond)),
		})
		if err != nil {
			return err
		}
	}
	sums["svname"], sums["status"], sums["type"] = "BACKEND", upOrDown(up > 0), typeBackend
	sums["act"], sums["econ"] = i(up), i(o.Refused)
	if err := line(sums); err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

func upOrDown(up bool) string {
	if up {
		return "UP"
	}
	return "DOWN"
}

// checkStatus returns HAProxy's short name for a check's result.
func checkStatus(s status) string {
	switch {
	case s.checkCode == 0 && s.checkTook == 0:
		return "INI"
	case s.lastCheck == connected:
		return "L4OK"
	case s.checkCode == 0:
		return "L4CON"
	case s.checkCode < 400:
		return "L7OK"
	}
	return "L7STS"
}
