package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
)

// api calls a JSON API over kept connections.
type api struct {
	client  *http.Client
	address string
	// header of the token, and what precedes the token in it.
	header, prefix string
}

func newAPI(settings *Settings, header, prefix string) *api {
	transport := &http.Transport{MaxIdleConnsPerHost: 512}
	if settings.Roots != "" {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(settings.Roots))
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, ServerName: "localhost"}
	}
	return &api{client: &http.Client{Transport: transport}, address: settings.Address, header: header, prefix: prefix}
}

type object = map[string]any

// call sends a request and reads its whole reply into `reply`, unless that is nil.
func (a *api) call(method, path, token string, body object, reply any, headers ...string) error {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, a.address+path, reader)
	if err != nil {
		return err
	}
	if token != "" {
		request.Header.Set(a.header, a.prefix+token)
	}
	if body != nil {
		request.Header.Set("content-type", "application/json")
	}
	for n := 0; n+1 < len(headers); n += 2 {
		request.Header.Set(headers[n], headers[n+1])
	}
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %d %s", method, path, response.StatusCode, text)
	}
	if reply == nil {
		return nil
	}
	return json.Unmarshal(text, reply)
}

// purser: each request attests, and its entry is in the log before the reply.
func purser(settings *Settings, name string) (job, error) {
	proofs, err := tokens(settings)
	if err != nil {
		return nil, err
	}
	csr, err := pemCSR(settings.SpiffeID)
	if err != nil {
		return nil, err
	}
	server := newAPI(settings, "authorization", "Bearer ")
	issue := func(n int, reply any, parts object) error {
		parts["proof"] = object{"kind": "jwt", "token": proofs[n%len(proofs)]}
		return server.call("POST", "/api/v1/credentials", "", parts, reply)
	}
	certificate := object{"csr": csr, "lifetimeSeconds": 3600}
	switch name {
	case "x509":
		return func(n int) error { return issue(n, nil, object{"x509": certificate}) }, nil
	case "jwt":
		jwts := []object{{"audience": []string{"payments"}, "lifetimeSeconds": 300}}
		return func(n int) error { return issue(n, nil, object{"jwts": jwts}) }, nil
	case "startup":
		return func(n int) error { return issue(n, nil, object{"x509": certificate, "secrets": settings.Paths}) }, nil
	case "read":
		var reply struct {
			AccessToken struct{ Token string }
		}
		if err := issue(0, &reply, object{"accessToken": object{}}); err != nil {
			return nil, err
		}
		return func(n int) error {
			path := "/api/v1/secrets/" + settings.Paths[n%len(settings.Paths)]
			return server.call("GET", path, reply.AccessToken.Token, nil, nil)
		}, nil
	case "write":
		return func(n int) error {
			path := fmt.Sprintf("/api/v1/secrets/peers/%d/%d", os.Getpid(), n)
			return server.call("PUT", path, settings.Operator, object{"data": object{"a": "1"}}, nil, "if-match", `"0"`)
		}, nil
	}
	return nil, fmt.Errorf("purser has no job %q", name)
}

// openbao: a login for each workload, and a file as its audit device.
func openbao(settings *Settings, name string) (job, error) {
	proofs, err := tokens(settings)
	if err != nil {
		return nil, err
	}
	csr, err := pemCSR(settings.SpiffeID)
	if err != nil {
		return nil, err
	}
	server := newAPI(settings, "x-vault-token", "")
	login := func(n int) (string, error) {
		var reply struct {
			Auth struct {
				Token string `json:"client_token"`
			}
		}
		body := object{"role": "web", "jwt": proofs[n%len(proofs)]}
		err := server.call("POST", "/v1/auth/jwt/login", "", body, &reply)
		return reply.Auth.Token, err
	}
	sign := func(token string) error {
		body := object{"csr": csr, "common_name": "web.bench", "uri_sans": settings.SpiffeID, "ttl": "1h"}
		return server.call("POST", "/v1/pki/sign/web", token, body, nil)
	}
	read := func(path, token string) error { return server.call("GET", "/v1/secret/data/"+path, token, nil, nil) }
	switch name {
	case "x509", "startup":
		return func(n int) error {
			token, err := login(n)
			if err == nil {
				err = sign(token)
			}
			for _, path := range settings.Paths {
				if err != nil || name == "x509" {
					break
				}
				err = read(path, token)
			}
			return err
		}, nil
	case "read":
		token, err := login(0)
		if err != nil {
			return nil, err
		}
		return func(n int) error { return read(settings.Paths[n%len(settings.Paths)], token) }, nil
	case "write":
		return func(n int) error {
			path := fmt.Sprintf("/v1/secret/data/peers/%d/%d", os.Getpid(), n)
			return server.call("POST", path, settings.Operator, object{"data": object{"a": "1"}}, nil)
		}, nil
	}
	return nil, fmt.Errorf("openbao has no job %q", name)
}
