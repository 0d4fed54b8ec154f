// A real Vault with its transit engine alone, kept in memory: for the tests of the key port.
// It listens where it is told and is initialised and unsealed by its own interface.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	_ "unsafe" // for linkname

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/command/server"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

// The published sdk refuses a path that can be created and not be looked for, of which this version
// has some: the answers "enterprise-only" of the system, which nothing here asks for, and one of the
// engine, which is there to be changed only.
//
//go:linkname entPaths github.com/hashicorp/vault/vault.entPaths
var entPaths func(b *vault.SystemBackend) []*framework.Path

func engine(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	made, err := transit.Backend(ctx, conf)
	if err != nil {
		return nil, err
	}
	for _, path := range made.Paths {
		if path.ExistenceCheck == nil {
			path.ExistenceCheck = func(context.Context, *logical.Request, *framework.FieldData) (bool, error) {
				return true, nil
			}
		}
	}
	return made, made.Setup(ctx, conf)
}

func main() {
	entPaths = func(*vault.SystemBackend) []*framework.Path { return nil }

	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: os.Stderr})
	storage, err := inmem.NewInmem(nil, log)
	fail(err)
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:        storage,
		DisableMlock:    true,
		Logger:          log,
		LogicalBackends: map[string]logical.Factory{"transit": engine},
		BuiltinRegistry: builtin{},
		RawConfig:       &server.Config{SharedConfig: &configutil.SharedConfig{}},
	})
	fail(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	fail(err)
	fmt.Println(listener.Addr())
	fail(http.Serve(listener, vaulthttp.Handler.Handler(&vault.HandlerProperties{
		Core:           core,
		ListenerConfig: &configutil.Listener{},
	})))
}

// What is built in: one engine.
type builtin struct{}

func (builtin) Contains(name string, kind consts.PluginType) bool {
	return name == "transit" && kind == consts.PluginTypeSecrets
}

func (one builtin) Get(name string, kind consts.PluginType) (func() (interface{}, error), bool) {
	return func() (interface{}, error) { return logical.Factory(engine), nil }, one.Contains(name, kind)
}

func (builtin) Keys(consts.PluginType) []string { return []string{"transit"} }

func (builtin) DeprecationStatus(string, consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, true
}

func (builtin) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
