package conformance

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	generated = regexp.MustCompile(`amq\.(gen-|ctag-|rabbitmq\.reply-to\.)[A-Za-z0-9_.+/=-]{8,}`)
	replyName = regexp.MustCompile(`"(amq\.rabbitmq\.reply-to\.#\d+)"`) // what is behind the last dot may need quotes, or not
	deathTime = regexp.MustCompile(`\btime:time=\d+`)
	nodeName  = regexp.MustCompile(`(rabbit|oracle|broker-\d)@[A-Za-z0-9-]+`)
	product   = regexp.MustCompile(`(cluster_name|copyright|information|platform|product|version):str=("(\\.|[^"])*"|\S+)`)
	serial    = map[string]string{"gen-": "amq.gen-#", "ctag-": "amq.ctag-#", "rabbitmq.reply-to.": "amq.rabbitmq.reply-to.#"}
)

// normalise replaces what is different in each run.
func (k *talk) normalise(line string) string {
	line = strings.ReplaceAll(line, k.prefix, "@")
	line = generated.ReplaceAllStringFunc(line, func(name string) string {
		if alias, ok := k.made[name]; ok {
			return alias
		}
		kind := generated.FindStringSubmatch(name)[1]
		n := 1
		for _, alias := range k.made {
			if strings.HasPrefix(alias, serial[kind]) {
				n++
			}
		}
		k.made[name] = serial[kind] + strconv.Itoa(n)
		return k.made[name]
	})
	line = replyName.ReplaceAllString(line, "$1")
	line = deathTime.ReplaceAllString(line, "time:time=0")
	line = nodeName.ReplaceAllString(line, "node@host")
	if strings.Contains(line, "connection.start ") {
		line = product.ReplaceAllString(line, "$1:str=…")
	}
	return shorten(line)
}
