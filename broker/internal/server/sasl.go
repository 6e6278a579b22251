package server

import (
	"strings"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/message"
)

// external takes the user from the certificate that the client has shown.
const external = "EXTERNAL"

// login is who a client says it is, and how it proves it.
type login struct {
	user, password string
	certified      bool // a verified certificate names the user
}

// mechanisms returns those that the server offers.
func (s *session) mechanisms() string {
	if s.certified != "" {
		return "PLAIN AMQPLAIN " + external
	}
	return "PLAIN AMQPLAIN"
}

// login reads a client's answer.
func (s *session) login(mechanism, response string) (l login, err error) {
	if mechanism == external {
		if s.certified == "" {
			return l, amqp.Errorf(amqp.CommandInvalid, "invalid authentication mechanism '%s'", mechanism)
		}
		return login{user: s.certified, certified: true}, nil
	}
	l.user, l.password, err = credentials(mechanism, response)
	return l, err
}

// credentials reads user and password from a client's answer in one of the mechanisms
// that the server offers.
//
//	PLAIN     [authzid] NUL user NUL password   (RFC 4616; an authzid is ignored)
//	AMQPLAIN  the fields LOGIN and PASSWORD of a table without its length
func credentials(mechanism, response string) (user, password string, err error) {
	switch mechanism {
	case "PLAIN":
		_, rest, ok1 := strings.Cut(response, "\x00")
		user, password, ok2 := strings.Cut(rest, "\x00")
		if !ok1 || !ok2 {
			return "", "", amqp.Errorf(amqp.SyntaxError, "PLAIN response lacks its two NUL octets")
		}
		return user, password, nil
	case "AMQPLAIN":
		t, err := message.ParseFields([]byte(response))
		if err != nil {
			return "", "", amqp.Errorf(amqp.SyntaxError, "AMQPLAIN response: %s", err)
		}
		login, _ := t.Get("LOGIN")
		secret, _ := t.Get("PASSWORD")
		user, ok1 := login.(string)
		password, ok2 := secret.(string)
		if !ok1 || !ok2 {
			return "", "", amqp.Errorf(amqp.SyntaxError, "AMQPLAIN response lacks LOGIN or PASSWORD")
		}
		return user, password, nil
	}
	return "", "", amqp.Errorf(amqp.CommandInvalid, "unknown authentication mechanism '%s'", mechanism)
}
