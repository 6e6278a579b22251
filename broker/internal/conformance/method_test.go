package conformance

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/message"
)

// methods are those that a step may send: a client's, and some that only a server may.
var methods = map[string]amqp.Method{}

func init() { //nolint:gochecknoinits // a table by the methods' own names
	for _, m := range []amqp.Method{
		&amqp.ConnectionStart{}, &amqp.ConnectionStartOK{}, &amqp.ConnectionSecureOK{}, &amqp.ConnectionTuneOK{}, &amqp.ConnectionOpen{},
		&amqp.ConnectionClose{}, &amqp.ConnectionCloseOK{}, &amqp.ConnectionBlocked{}, &amqp.ConnectionUpdateSecret{},
		&amqp.ChannelOpen{}, &amqp.ChannelOpenOK{}, &amqp.ChannelFlow{}, &amqp.ChannelFlowOK{}, &amqp.ChannelClose{}, &amqp.ChannelCloseOK{},
		&amqp.AccessRequest{}, &amqp.ExchangeDeclare{}, &amqp.ExchangeDelete{}, &amqp.ExchangeBind{}, &amqp.ExchangeUnbind{},
		&amqp.QueueDeclare{}, &amqp.QueueDeclareOK{}, &amqp.QueueBind{}, &amqp.QueueUnbind{}, &amqp.QueuePurge{}, &amqp.QueueDelete{},
		&amqp.BasicQos{}, &amqp.BasicConsume{}, &amqp.BasicCancel{}, &amqp.BasicCancelOK{}, &amqp.BasicPublish{}, &amqp.BasicReturn{},
		&amqp.BasicDeliver{}, &amqp.BasicGet{}, &amqp.BasicAck{}, &amqp.BasicReject{}, &amqp.BasicRecoverAsync{}, &amqp.BasicRecover{},
		&amqp.BasicNack{}, &amqp.TxSelect{}, &amqp.TxCommit{}, &amqp.TxRollback{}, &amqp.ConfirmSelect{},
	} {
		methods[m.ID().String()] = m
	}
}

// snake turns a field's name into the specification's: MessageCount, message_count.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if upper := r >= 'A' && r <= 'Z'; upper && i > 0 && !(name[i-1] >= 'A' && name[i-1] <= 'Z') {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// rest is what a step says besides the method's own arguments.
type rest struct {
	table message.Table // entries key:type=value
	other map[string]string
}

// buildMethod fills a method from a step's words.
func buildMethod(name string, words []string) (amqp.Method, rest, error) {
	proto, ok := methods[name]
	if !ok {
		return nil, rest{}, fmt.Errorf("no method %q", name)
	}
	v := reflect.New(reflect.TypeOf(proto).Elem())
	byName := map[string]reflect.Value{}
	var table reflect.Value
	for i := range v.Elem().NumField() {
		f := v.Elem().Field(i)
		byName[snake(v.Elem().Type().Field(i).Name)] = f
		if f.Kind() == reflect.Slice {
			table = f
		}
	}
	r := rest{other: map[string]string{}}
	for _, w := range words {
		key, value, has := strings.Cut(w, "=")
		if strings.Contains(key, ":") {
			f, err := entry(w)
			if err != nil {
				return nil, r, err
			}
			r.table = append(r.table, f)
			continue
		}
		s, err := text(value)
		if err != nil {
			return nil, r, fmt.Errorf("%q: %w", w, err)
		}
		f, ok := byName[key]
		if !ok {
			r.other[key] = s
			continue
		}
		if err := set(f, s, has); err != nil {
			return nil, r, fmt.Errorf("%q: %w", w, err)
		}
	}
	if table.IsValid() {
		table.Set(reflect.ValueOf(r.table))
		r.table = nil
	}
	return v.Interface().(amqp.Method), r, nil
}

func set(f reflect.Value, s string, has bool) error {
	switch f.Kind() {
	case reflect.Bool:
		if !has {
			f.SetBool(true)
			return nil
		}
		b, err := strconv.ParseBool(s)
		f.SetBool(b)
		return err
	case reflect.String:
		f.SetString(s)
		return nil
	default:
		n, err := strconv.ParseUint(s, 10, f.Type().Bits())
		f.SetUint(n)
		return err
	}
}

// showMethod writes a method as steps do.
func showMethod(m amqp.Method) string {
	words := []string{m.ID().String()}
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		name := snake(v.Type().Field(i).Name)
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			if f.Bool() {
				words = append(words, name)
			}
		case reflect.String:
			if f.Len() > 0 {
				words = append(words, name+"="+quote(f.String()))
			}
		case reflect.Slice:
			for _, e := range f.Interface().(message.Table) {
				words = append(words, showField(e))
			}
		default:
			if f.Uint() > 0 {
				words = append(words, fmt.Sprintf("%s=%d", name, f.Uint()))
			}
		}
	}
	return strings.Join(words, " ")
}

// propertyFlags are the properties by the names that steps use.
var propertyFlags = []struct {
	name string
	flag message.Flag
}{
	{"content_type", message.HasContentType}, {"content_encoding", message.HasContentEncoding}, {"headers", message.HasHeaders},
	{"delivery_mode", message.HasDeliveryMode}, {"priority", message.HasPriority}, {"correlation_id", message.HasCorrelationID},
	{"reply_to", message.HasReplyTo}, {"expiration", message.HasExpiration}, {"message_id", message.HasMessageID},
	{"timestamp", message.HasTimestamp}, {"type", message.HasType}, {"user_id", message.HasUserID}, {"app_id", message.HasAppID},
	{"cluster_id", message.HasClusterID},
}

func strProperty(p *message.Properties, f message.Flag) *string {
	return map[message.Flag]*string{
		message.HasContentType: &p.ContentType, message.HasContentEncoding: &p.ContentEncoding, message.HasCorrelationID: &p.CorrelationID,
		message.HasReplyTo: &p.ReplyTo, message.HasExpiration: &p.Expiration, message.HasMessageID: &p.MessageID, message.HasType: &p.Type,
		message.HasUserID: &p.UserID, message.HasAppID: &p.AppID, message.HasClusterID: &p.ClusterID,
	}[f]
}

// buildProperties makes the raw property list that a step's words ask for.
func buildProperties(r rest) ([]byte, error) {
	var p message.Properties
	if len(r.table) > 0 {
		p.Flags, p.Headers = message.HasHeaders, r.table
	}
	for _, d := range propertyFlags {
		s, ok := r.other[d.name]
		if !ok {
			continue
		}
		p.Flags |= d.flag
		if to := strProperty(&p, d.flag); to != nil {
			*to = s
			continue
		}
		n, err := strconv.ParseInt("0"+s, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s=%q: %w", d.name, s, err)
		}
		switch d.flag {
		case message.HasDeliveryMode:
			p.DeliveryMode = uint8(n)
		case message.HasPriority:
			p.Priority = uint8(n)
		case message.HasTimestamp:
			p.Timestamp = message.Timestamp(n)
		}
	}
	return p.Append(nil), nil
}

// showContent writes properties and body as steps do.
func showContent(raw, body []byte) string {
	p, err := message.ParseProperties(raw)
	if err != nil {
		return "| undecodable properties " + err.Error()
	}
	words := []string{"|"}
	for _, d := range propertyFlags {
		if !p.Has(d.flag) {
			continue
		}
		switch to := strProperty(&p, d.flag); {
		case to != nil:
			words = append(words, d.name+"="+quote(*to))
		case d.flag == message.HasHeaders && len(p.Headers) == 0:
			words = append(words, "headers")
		case d.flag == message.HasHeaders:
			for _, f := range p.Headers {
				words = append(words, showField(f))
			}
		case d.flag == message.HasDeliveryMode:
			words = append(words, fmt.Sprintf("delivery_mode=%d", p.DeliveryMode))
		case d.flag == message.HasPriority:
			words = append(words, fmt.Sprintf("priority=%d", p.Priority))
		default:
			words = append(words, fmt.Sprintf("timestamp=%d", p.Timestamp))
		}
	}
	return strings.Join(append(words, "body="+quote(string(body))), " ")
}
