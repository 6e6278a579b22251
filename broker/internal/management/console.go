package management

import (
	"embed"
	"io/fs"
	"net/http"
)

// The console is a page that asks this API as whoever has logged in; it has no rights of
// its own. It is a part of the program: nothing comes from elsewhere.
//
//go:embed console/*.html console/*.js console/*.css console/*.svg
var consoleFiles embed.FS

// consolePolicy lets the page run its own scripts only. Widths of bars are styles on
// elements.
const consolePolicy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

func console() http.Handler {
	files, err := fs.Sub(consoleFiles, "console")
	if err != nil {
		panic("management: " + err.Error()) // the directory is embedded: can't fail
	}
	serve := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", consolePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		serve.ServeHTTP(w, r)
	})
}
