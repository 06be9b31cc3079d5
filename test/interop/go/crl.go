package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
)

type crlQuestion struct {
	PEM    string `json:"pem"`    // one CRL
	Issuer string `json:"issuer"` // the certificate that must have signed it, PEM
}

type crlVerdict struct {
	Number     string   `json:"number"`
	Serials    []string `json:"serials"`    // hexadecimal
	Critical   []string `json:"critical"`   // OIDs of critical extensions
	ThisUpdate string   `json:"thisUpdate"` // RFC 3339
	NextUpdate string   `json:"nextUpdate"`
}

// checkCRL reads a CRL with crypto/x509, and verifies its signature.
func checkCRL(q crlQuestion) (crlVerdict, error) {
	verdict := crlVerdict{Serials: []string{}, Critical: []string{}}
	list, _ := pem.Decode([]byte(q.PEM))
	above, _ := pem.Decode([]byte(q.Issuer))
	if list == nil || above == nil {
		return verdict, badInput{errors.New("a CRL and a certificate, please")}
	}
	issuer, err := x509.ParseCertificate(above.Bytes)
	if err != nil {
		return verdict, err
	}
	crl, err := x509.ParseRevocationList(list.Bytes)
	if err != nil {
		return verdict, err
	}
	if err := crl.CheckSignatureFrom(issuer); err != nil {
		return verdict, err
	}
	verdict.Number = crl.Number.String()
	verdict.ThisUpdate = crl.ThisUpdate.Format("2006-01-02T15:04:05.000Z")
	verdict.NextUpdate = crl.NextUpdate.Format("2006-01-02T15:04:05.000Z")
	for _, entry := range crl.RevokedCertificateEntries {
		verdict.Serials = append(verdict.Serials, entry.SerialNumber.Text(16))
	}
	for _, extension := range crl.Extensions {
		if extension.Critical {
			verdict.Critical = append(verdict.Critical, extension.Id.String())
		}
	}
	return verdict, nil
}
