package tracestore

import (
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// requestBytesMax bounds one export, after decompression.
const requestBytesMax = 32 << 20

const (
	typeProtobuf = "application/x-protobuf"
	typeJSON     = "application/json"
)

// receiveHandler is OTLP over HTTP. Metrics and logs are accepted and forgotten, so that a service may use one endpoint.
func (s *Store) receiveHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		var req collector.ExportTraceServiceRequest
		asJSON, err := readExport(w, r, &req)
		if err != nil {
			answerExportError(w, err)
			return
		}
		answerExport(w, asJSON, s.export(&req))
	})
	forget := func(answer proto.Message) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, requestBytesMax))
			answerExport(w, isJSON(r), answer)
		}
	}
	mux.HandleFunc("POST /v1/metrics", forget(&collectormetrics.ExportMetricsServiceResponse{}))
	mux.HandleFunc("POST /v1/logs", forget(&collectorlogs.ExportLogsServiceResponse{}))
	return mux
}

func (s *Store) export(req *collector.ExportTraceServiceRequest) *collector.ExportTraceServiceResponse {
	spans, rejected := convert(req.GetResourceSpans())
	s.Add(spans)
	resp := &collector.ExportTraceServiceResponse{}
	if rejected > 0 {
		resp.PartialSuccess = &collector.ExportTracePartialSuccess{RejectedSpans: int64(rejected), ErrorMessage: "span or trace id missing"}
	}
	return resp
}

func isJSON(r *http.Request) bool {
	t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return t == typeJSON
}

var errMediaType = errors.New("only " + typeProtobuf + " and " + typeJSON + " are understood")

// readExport reads a request in either encoding, gzipped or not.
func readExport(w http.ResponseWriter, r *http.Request, into *collector.ExportTraceServiceRequest) (asJSON bool, err error) {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType != typeJSON && mediaType != typeProtobuf {
		return false, errMediaType
	}
	body := io.Reader(http.MaxBytesReader(w, r.Body, requestBytesMax))
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return false, fmt.Errorf("gzip: %w", err)
		}
		body = io.LimitReader(z, requestBytesMax)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return false, err
	}
	if mediaType == typeProtobuf {
		return false, proto.Unmarshal(data, into)
	}
	if data, err = hexToBase64(data); err != nil {
		return true, err
	}
	return true, protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, into)
}

// hexToBase64 rewrites ids: OTLP writes them in hex where protobuf's JSON has base64.
func hexToBase64(data []byte) ([]byte, error) {
	var doc any
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	rewriteIDs(doc)
	return json.Marshal(doc)
}

func rewriteIDs(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if id, ok := value.(string); ok && (key == "traceId" || key == "spanId" || key == "parentSpanId") {
				if raw, err := hex.DecodeString(id); err == nil {
					v[key] = base64.StdEncoding.EncodeToString(raw)
				}
				continue
			}
			rewriteIDs(value)
		}
	case []any:
		for _, e := range v {
			rewriteIDs(e)
		}
	}
}

func answerExport(w http.ResponseWriter, asJSON bool, m proto.Message) {
	marshal, mediaType := proto.Marshal, typeProtobuf
	if asJSON {
		marshal, mediaType = protojson.Marshal, typeJSON
	}
	data, err := marshal(m)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	_, _ = w.Write(data)
}

func answerExportError(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, errMediaType):
		status = http.StatusUnsupportedMediaType
	case errors.As(err, &large):
		status = http.StatusRequestEntityTooLarge
	}
	http.Error(w, err.Error(), status)
}

// registerGRPC adds OTLP's three services to a gRPC server.
func (s *Store) registerGRPC(g *grpc.Server) {
	collector.RegisterTraceServiceServer(g, grpcTraces{store: s})
	collectormetrics.RegisterMetricsServiceServer(g, grpcMetrics{})
	collectorlogs.RegisterLogsServiceServer(g, grpcLogs{})
}

type grpcTraces struct {
	collector.UnimplementedTraceServiceServer
	store *Store
}

func (g grpcTraces) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	return g.store.export(r), nil
}

type grpcMetrics struct {
	collectormetrics.UnimplementedMetricsServiceServer
}

func (grpcMetrics) Export(context.Context, *collectormetrics.ExportMetricsServiceRequest) (*collectormetrics.ExportMetricsServiceResponse, error) {
	return &collectormetrics.ExportMetricsServiceResponse{}, nil
}

type grpcLogs struct {
	collectorlogs.UnimplementedLogsServiceServer
}

func (grpcLogs) Export(context.Context, *collectorlogs.ExportLogsServiceRequest) (*collectorlogs.ExportLogsServiceResponse, error) {
	return &collectorlogs.ExportLogsServiceResponse{}, nil
}
