// The mini-script through the Go client: create, read, update, watch, delete, multi.
//
// Usage: go_client HOST:PORT. Prints what the server made of it, without times and session ids.
package main

import (
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/go-zookeeper/zk"
)

const deadline = 20 * time.Second

func fail(what string, err error) {
	fmt.Println("FAILED:", what, err)
	os.Exit(1)
}

type quiet struct{}

func (quiet) Printf(string, ...interface{}) {}

func connect(host string) *zk.Conn {
	conn, events, err := zk.Connect([]string{host}, 30*time.Second, zk.WithLogger(quiet{}))
	if err != nil {
		fail("connect", err)
	}
	timeout := time.After(deadline)
	for {
		select {
		case event := <-events:
			if event.State == zk.StateHasSession {
				return conn
			}
		case <-timeout:
			fail("connect", fmt.Errorf("no session in time"))
		}
	}
}

func stat(s *zk.Stat) string {
	if s == nil {
		return "nil"
	}
	return fmt.Sprintf("czxid=%d mzxid=%d pzxid=%d version=%d cversion=%d aversion=%d len=%d kids=%d ephemeral=%t times=%t,%t",
		s.Czxid, s.Mzxid, s.Pzxid, s.Version, s.Cversion, s.Aversion, s.DataLength, s.NumChildren,
		s.EphemeralOwner != 0, s.Ctime > 0, s.Mtime >= s.Ctime)
}

func report(what, path string, err error, rest ...interface{}) {
	if err != nil {
		fmt.Println(what, path, "->", err)
		return
	}
	fmt.Println(append([]interface{}{what, path, "->"}, rest...)...)
}

type script struct{ conn *zk.Conn }

var open = zk.WorldACL(zk.PermAll)

func (s script) create(path, data string, flags int32) {
	made, err := s.conn.Create(path, []byte(data), flags, open)
	report("create", path, err, made)
}

func (s script) get(path string) {
	data, st, err := s.conn.Get(path)
	report("get", path, err, string(data), stat(st))
}

func (s script) exists(path string) {
	found, st, err := s.conn.Exists(path)
	if !found {
		st = nil
	}
	report("exists", path, err, found, stat(st))
}

func (s script) set(path, data string, version int32) {
	st, err := s.conn.Set(path, []byte(data), version)
	report("set", path, err, stat(st))
}

func (s script) children(path string) {
	names, st, err := s.conn.Children(path)
	sort.Strings(names)
	report("children", path, err, names, stat(st))
}

func (s script) remove(path string, version int32) {
	report("delete", path, s.conn.Delete(path, version))
}

func (s script) acl(path string) {
	entries, st, err := s.conn.GetACL(path)
	report("getACL", path, err, entries, stat(st))
}

func (s script) rights() {
	s.acl("/a")
	st, err := s.conn.SetACL("/a/b", zk.DigestACL(zk.PermAll, "bob", "builder"), -1)
	report("setACL", "/a/b", err, stat(st))
	s.get("/a/b")
	s.acl("/a/b")
	report("addAuth", "digest", s.conn.AddAuth("digest", []byte("bob:builder")))
	s.get("/a/b")
	s.acl("/a/b")
}

func await(events <-chan zk.Event) {
	select {
	case event := <-events:
		fmt.Println("event", event.Type, event.Path, event.Err)
	case <-time.After(deadline):
		fail("watch", fmt.Errorf("no event in time"))
	}
}

func watches(s, other script) {
	_, _, events, err := s.conn.ExistsW("/w")
	report("existsW", "/w", err)
	other.create("/w", "1", 0)
	await(events)
	_, _, events, err = s.conn.GetW("/w")
	report("getW", "/w", err)
	other.set("/w", "2", -1)
	await(events)
	_, _, events, err = s.conn.ChildrenW("/w")
	report("childrenW", "/w", err)
	other.create("/w/kid", "", 0)
	await(events)
	other.remove("/w/kid", -1)
	_, _, events, err = s.conn.ExistsW("/w")
	report("existsW", "/w", err)
	other.remove("/w", -1)
	await(events)
}

func multi(s script, name string, ops ...interface{}) {
	results, err := s.conn.Multi(ops...)
	fmt.Println("multi", name, "->", err)
	for i, result := range results {
		fmt.Println("   ", i, result.String, stat(result.Stat), result.Error)
	}
}

func main() {
	if len(os.Args) != 2 {
		fail("usage: go_client HOST:PORT", nil)
	}
	s, other := script{connect(os.Args[1])}, script{connect(os.Args[1])}

	s.create("/a", "one", 0)
	s.create("/a", "again", 0)
	s.create("/a/b", "", 0)
	s.create("/a/eph", "mine", zk.FlagEphemeral)
	s.create("/a/seq-", "", zk.FlagSequence)
	s.create("/a/seq-", "", zk.FlagSequence|zk.FlagEphemeral)
	s.create("/none/x", "", 0)
	made, err := s.conn.CreateContainer("/box", nil, zk.FlagContainer, open)
	report("createContainer", "/box", err, made)
	made, err = s.conn.CreateTTL("/ttl", nil, zk.FlagTTL, open, time.Hour)
	report("createTTL", "/ttl", err, made)
	s.get("/a")
	s.get("/none")
	s.exists("/none")
	s.exists("/a/eph")
	s.children("/a")
	s.children("/none")
	s.set("/a", "two", 0)
	s.set("/a", "three", 0)
	s.set("/a", "four", -1)
	s.rights()
	_, err = s.conn.Sync("/a")
	report("sync", "/a", err)
	watches(s, other)
	multi(s, "succeeding",
		&zk.CreateRequest{Path: "/t", Data: []byte("1"), Acl: open},
		&zk.CreateRequest{Path: "/t/x", Data: []byte("2"), Acl: open},
		&zk.SetDataRequest{Path: "/t", Data: []byte("33"), Version: 0},
		&zk.CheckVersionRequest{Path: "/t", Version: 1},
		&zk.DeleteRequest{Path: "/t/x", Version: 0})
	multi(s, "failing",
		&zk.CreateRequest{Path: "/u", Data: []byte("1"), Acl: open},
		&zk.CheckVersionRequest{Path: "/t", Version: 9},
		&zk.CreateRequest{Path: "/v", Data: []byte("1"), Acl: open})
	s.exists("/u")
	s.remove("/a", -1)
	s.remove("/t", 9)
	s.remove("/none", -1)
	s.remove("/t", 1)
	s.children("/")
	_, _, events, err := other.conn.ExistsW("/a/eph")
	report("existsW", "/a/eph", err)
	s.conn.Close()
	await(events)
	other.exists("/a/eph")
	other.children("/a")
	other.conn.Close()
}
