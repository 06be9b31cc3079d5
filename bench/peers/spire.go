package main

import (
	"context"
	"fmt"
	"net/url"

	svid "github.com/spiffe/spire-api-sdk/proto/spire/api/server/svid/v1"
	"github.com/spiffe/spire-api-sdk/proto/spire/api/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// spire mints for an administrator: it attests no workload, and it records nothing.
func spire(settings *Settings, name string) (job, error) {
	csr, err := newCSR(settings.SpiffeID)
	if err != nil {
		return nil, err
	}
	id, err := url.Parse(settings.SpiffeID)
	if err != nil {
		return nil, err
	}
	clients := make([]svid.SVIDClient, 4)
	for n := range clients {
		connection, err := grpc.NewClient(settings.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, err
		}
		clients[n] = svid.NewSVIDClient(connection)
	}
	ctx := context.Background()
	switch name {
	case "x509":
		request := &svid.MintX509SVIDRequest{Csr: csr, Ttl: 3600}
		return func(n int) error {
			_, err := clients[n%len(clients)].MintX509SVID(ctx, request)
			return err
		}, nil
	case "jwt":
		subject := &types.SPIFFEID{TrustDomain: id.Host, Path: id.Path}
		request := &svid.MintJWTSVIDRequest{Id: subject, Audience: []string{"payments"}, Ttl: 300}
		return func(n int) error {
			_, err := clients[n%len(clients)].MintJWTSVID(ctx, request)
			return err
		}, nil
	}
	return nil, fmt.Errorf("spire has no job %q", name)
}
