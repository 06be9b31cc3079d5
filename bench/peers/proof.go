package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/url"
	"time"
)

// Tokens that are signed before the measurement. A longer run starts again with the first.
const tokenCount = 20_000

func tokens(settings *Settings) ([]string, error) {
	block, _ := pem.Decode([]byte(settings.IssuerKey))
	if block == nil {
		return nil, errors.New("the issuer's key is no PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the issuer's key is not of P-256")
	}
	list := make([]string, tokenCount)
	for n := range list {
		if list[n], err = token(settings, key); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// token is a JWT of the workload (RFC 7519), signed with ES256 (RFC 7518 section 3.4).
func token(settings *Settings, key *ecdsa.PrivateKey) (string, error) {
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": settings.Issuer, "aud": settings.Audience, "sub": "web", "ns": "prod", "jti": rand.Text(),
		"iat": now, "exp": now + 3600,
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(`{"alg":"ES256","kid":"ES256"}`)) + "." + encode(payload)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + encode(signature), nil
}

// newCSR is a request in DER for a new key, with the SPIFFE ID as its name.
func newCSR(id string) ([]byte, error) {
	name, err := url.Parse(id)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{name}}, key)
}

func pemCSR(id string) (string, error) {
	der, err := newCSR(id)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), err
}
