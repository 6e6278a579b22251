package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// http performs METHOD PATH [BODY].
func (k *talk) http(args string) ([]string, error) {
	method, args, _ := strings.Cut(args, " ")
	path, body, _ := strings.Cut(args, " ")
	status, answer, err := k.request(method, path, body)
	if err != nil {
		return nil, err
	}
	if method == http.MethodPut && status < 300 {
		k.policy = append(k.policy, path)
	}
	line := "http " + strconv.Itoa(status)
	if status >= 400 {
		line += " " + k.normalise(answer)
	}
	time.Sleep(k.t.settle)
	return []string{line}, nil
}

func (k *talk) request(method, path, body string) (status int, answer string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), httpTimeout)
	defer cancel()
	u, err := url.Parse("http://" + k.t.http + path)
	if err != nil {
		return 0, "", err
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.SetBasicAuth("guest", "guest")
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", err
	}
	var compact bytes.Buffer
	if json.Compact(&compact, b) == nil {
		b = compact.Bytes()
	}
	return resp.StatusCode, string(b), nil
}
