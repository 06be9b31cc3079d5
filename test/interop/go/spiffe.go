package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

type x509Question struct {
	CertPEM     string     `json:"certPem"` // leaf first, then what leads to an authority
	KeyPEM      string     `json:"keyPem"`  // PKCS #8
	TrustDomain string     `json:"trustDomain"`
	Bundle      string     `json:"bundle"` // the SPIFFE bundle as its endpoint serves it
	At          *time.Time `json:"at"`     // judged as of then; now when absent
}

type x509Verdict struct {
	ID        string    `json:"id"`
	NotAfter  time.Time `json:"notAfter"`
	ChainSize int       `json:"chainSize"` // from the leaf to the authority, both counted
}

// checkX509SVID reads the SVID by both of go-spiffe's parsers, from PEM and from DER, and follows it to the bundle.
func checkX509SVID(q x509Question) (x509Verdict, error) {
	var none x509Verdict
	bundle, err := parseBundle(q.TrustDomain, q.Bundle)
	if err != nil {
		return none, err
	}
	svid, err := x509svid.Parse([]byte(q.CertPEM), []byte(q.KeyPEM))
	if err != nil {
		return none, err
	}
	var chain []byte
	for _, certificate := range svid.Certificates {
		chain = append(chain, certificate.Raw...)
	}
	key, _ := pem.Decode([]byte(q.KeyPEM))
	raw, err := x509svid.ParseRaw(chain, key.Bytes)
	if err != nil {
		return none, err
	}
	if raw.ID != svid.ID {
		return none, errors.New("the two parsers read different SPIFFE IDs")
	}
	var options []x509svid.VerifyOption
	if q.At != nil {
		options = append(options, x509svid.WithTime(*q.At))
	}
	id, chains, err := x509svid.Verify(raw.Certificates, bundle, options...)
	if err != nil {
		return none, err
	}
	return x509Verdict{ID: id.String(), NotAfter: raw.Certificates[0].NotAfter, ChainSize: len(chains[0])}, nil
}

type jwtQuestion struct {
	Token       string   `json:"token"`
	Audience    []string `json:"audience"`
	TrustDomain string   `json:"trustDomain"`
	Bundle      string   `json:"bundle"` // a SPIFFE bundle,
	JWKS        string   `json:"jwks"`   // or a plain JWKS document
}

type jwtVerdict struct {
	ID       string         `json:"id"`
	Audience []string       `json:"audience"`
	Expiry   time.Time      `json:"expiry"`
	Claims   map[string]any `json:"claims"`
}

func checkJWTSVID(q jwtQuestion) (jwtVerdict, error) {
	var none jwtVerdict
	keys, err := jwtKeys(q)
	if err != nil {
		return none, err
	}
	svid, err := jwtsvid.ParseAndValidate(q.Token, keys, q.Audience)
	if err != nil {
		return none, err
	}
	return jwtVerdict{ID: svid.ID.String(), Audience: svid.Audience, Expiry: svid.Expiry, Claims: svid.Claims}, nil
}

func jwtKeys(q jwtQuestion) (jwtbundle.Source, error) {
	if (q.Bundle == "") == (q.JWKS == "") {
		return nil, badInput{errors.New("either bundle or jwks")}
	}
	if q.Bundle != "" {
		return parseBundle(q.TrustDomain, q.Bundle)
	}
	trustDomain, err := spiffeid.TrustDomainFromString(q.TrustDomain)
	if err != nil {
		return nil, badInput{err}
	}
	return jwtbundle.Parse(trustDomain, []byte(q.JWKS))
}

type bundleQuestion struct {
	TrustDomain string `json:"trustDomain"`
	Bundle      string `json:"bundle"`
}

type bundleVerdict struct {
	X509Authorities    []string `json:"x509Authorities"` // SHA-256 of each certificate's DER, hexadecimal
	JWTAuthorities     []string `json:"jwtAuthorities"`  // key ids
	SequenceNumber     *uint64  `json:"sequenceNumber"`
	RefreshHintSeconds *float64 `json:"refreshHintSeconds"`
}

func checkBundle(q bundleQuestion) (bundleVerdict, error) {
	verdict := bundleVerdict{X509Authorities: []string{}, JWTAuthorities: []string{}}
	bundle, err := parseBundle(q.TrustDomain, q.Bundle)
	if err != nil {
		return verdict, err
	}
	for _, authority := range bundle.X509Authorities() {
		verdict.X509Authorities = append(verdict.X509Authorities, fingerprint(authority))
	}
	for id := range bundle.JWTAuthorities() {
		verdict.JWTAuthorities = append(verdict.JWTAuthorities, id)
	}
	slices.Sort(verdict.JWTAuthorities)
	if number, ok := bundle.SequenceNumber(); ok {
		verdict.SequenceNumber = &number
	}
	if hint, ok := bundle.RefreshHint(); ok {
		seconds := hint.Seconds()
		verdict.RefreshHintSeconds = &seconds
	}
	return verdict, nil
}

func parseBundle(name, text string) (*spiffebundle.Bundle, error) {
	trustDomain, err := spiffeid.TrustDomainFromString(name)
	if err != nil {
		return nil, badInput{err}
	}
	return spiffebundle.Parse(trustDomain, []byte(text))
}

func fingerprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}
