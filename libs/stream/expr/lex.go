package expr

import (
	"fmt"
	"strings"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenText
	tokenNumber
	tokenName
	tokenSign
)

// token is a word of an expression. text is a literal's value, a name, or a sign.
type token struct {
	kind tokenKind
	text string
	at   int // byte offset
}

func (t token) String() string {
	switch t.kind {
	case tokenEnd:
		return "the end"
	case tokenText:
		return "'" + t.text + "'"
	}
	return t.text
}

type lexer struct {
	text string
	pos  int
}

// signs, longer ones first.
var signs = []string{"&&", "||", "==", "!=", "<=", ">=", "?.", "?:", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", "(", ")", "[", "]", "."}

func (l *lexer) next() (token, error) {
	for l.pos < len(l.text) && strings.IndexByte(" \t\r\n", l.text[l.pos]) >= 0 {
		l.pos++
	}
	at := l.pos
	if at == len(l.text) {
		return token{at: at}, nil
	}
	switch c := l.text[at]; {
	case c == '\'' || c == '"':
		return l.quoted(c)
	case c >= '0' && c <= '9':
		for l.pos < len(l.text) && (isDigit(l.text[l.pos]) || l.text[l.pos] == '.' && l.pos+1 < len(l.text) && isDigit(l.text[l.pos+1])) {
			l.pos++
		}
		if l.pos < len(l.text) && (l.text[l.pos] == 'L' || l.text[l.pos] == 'l') {
			l.pos++ // Java's way to say long
		}
		return token{tokenNumber, strings.TrimRight(l.text[at:l.pos], "lL"), at}, nil
	case isLetter(c):
		for l.pos < len(l.text) && (isLetter(l.text[l.pos]) || isDigit(l.text[l.pos])) {
			l.pos++
		}
		return token{tokenName, l.text[at:l.pos], at}, nil
	}
	for _, s := range signs {
		if strings.HasPrefix(l.text[at:], s) {
			l.pos += len(s)
			return token{tokenSign, s, at}, nil
		}
	}
	return token{}, fmt.Errorf("%q at %d has no meaning here", l.text[at], at+1)
}

func (l *lexer) quoted(quote byte) (token, error) {
	at := l.pos
	var b strings.Builder
	for l.pos++; l.pos < len(l.text); l.pos++ {
		if l.text[l.pos] != quote {
			b.WriteByte(l.text[l.pos])
			continue
		}
		if l.pos+1 < len(l.text) && l.text[l.pos+1] == quote {
			b.WriteByte(quote)
			l.pos++
			continue
		}
		l.pos++
		return token{tokenText, b.String(), at}, nil
	}
	return token{}, fmt.Errorf("the text that begins at %d has no end", at+1)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$' || c >= 0x80
}
