package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
)

// Entry is one line of a history: what a client asked, and what it was told.
type Entry struct {
	Client  int    `json:"c"`
	Session string `json:"s"`
	Op      string `json:"op"`
	Key     string `json:"k"`
	Value   string `json:"value"`
	// The version that was asked for; -1 is any.
	Version int32 `json:"version"`
	Call    int64 `json:"call"`
	// 0 when the answer never came.
	Return  int64  `json:"ret"`
	Err     string `json:"err"`
	Zxid    int64  `json:"z"`
	GotVer  int32  `json:"rver"`
	GotData string `json:"rv"`
	Mzxid   int64  `json:"mz"`
	Path    string `json:"path"`
	What    string `json:"what"`
	// A multi's parts. Key is the pair of registers then.
	Parts []*Entry `json:"ops"`
}

const (
	ok = "OK"
	// What the parts of a multi behind the one that has failed are told.
	notDone    = "RUNTIMEINCONSISTENCY"
	noNode     = "NONODE"
	badVersion = "BADVERSION"
	nodeExists = "NODEEXISTS"
	never      = math.MaxInt64
	// Clients from this number on look once, when all faults are over.
	lastLook = 1000
)

func (e *Entry) answered() bool { return e.Return != 0 }

func (e *Entry) isRegister() bool { return len(e.Key) > 2 && e.Key[:2] == "/r" }

// pair is the name of the two registers that a multi may write together, and which of them this is of:
// /r3-7 and 1 for /r3-7-b.
func (e *Entry) pair() (string, int) {
	if e.Op == "multi" {
		return e.Key, 0
	}
	at := strings.LastIndex(e.Key, "-")
	if at < 0 {
		return e.Key, 0
	}
	if e.Key[at:] == "-b" {
		return e.Key[:at], 1
	}
	return e.Key[:at], 0
}

func (e *Entry) isWrite() bool {
	switch e.Op {
	case "create", "set", "delete", "multi", "sequence", "remove sequence", "ephemeral", "remove ephemeral":
		return true
	}
	return false
}

func (e *Entry) String() string {
	end := "never"
	if e.answered() {
		end = fmt.Sprintf("%.6f", float64(e.Return)/1e9)
	}
	return fmt.Sprintf("%.6f..%s client %d session %s: %s -> %s",
		float64(e.Call)/1e9, end, e.Client, e.Session, e.asked(), e.told())
}

func (e *Entry) asked() string {
	switch e.Op {
	case "set":
		return fmt.Sprintf("set %s to %s when version is %d", e.Key, e.Value, e.Version)
	case "create", "sequence":
		return fmt.Sprintf("%s %s with %s", e.Op, e.Key, e.Value)
	case "delete", "check":
		return fmt.Sprintf("%s %s when version is %d", e.Op, e.Key, e.Version)
	case "multi":
		var parts []string
		for _, part := range e.Parts {
			parts = append(parts, part.asked())
		}
		return "multi {" + strings.Join(parts, "; ") + "}"
	}
	return e.Op + " " + e.Key
}

func (e *Entry) told() string {
	if !e.answered() {
		return "?"
	}
	told := fmt.Sprintf("%s zxid %#x version %d %s%s", e.Err, e.Zxid, e.GotVer, e.GotData, e.Path)
	for _, part := range e.Parts {
		told += fmt.Sprintf(" [%s %d]", part.Err, part.GotVer)
	}
	return told
}

// read takes a history from its file.
func read(path string) ([]*Entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	var history []*Entry
	for lines.Scan() {
		entry := new(Entry)
		if err := json.Unmarshal(lines.Bytes(), entry); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(history)+1, err)
		}
		history = append(history, entry)
	}
	return history, lines.Err()
}
