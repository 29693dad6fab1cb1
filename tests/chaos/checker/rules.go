package main

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// zxidsFollowTime: a write that began when another was answered has the larger zxid, and no two have
// the same.
func zxidsFollowTime(history []*Entry) []string {
	var writes []*Entry
	for _, e := range history {
		if e.isWrite() && e.answered() && e.Err == ok {
			writes = append(writes, e)
		}
	}
	byReturn := append([]*Entry(nil), writes...)
	sort.Slice(writes, func(i, j int) bool { return writes[i].Call < writes[j].Call })
	sort.Slice(byReturn, func(i, j int) bool { return byReturn[i].Return < byReturn[j].Return })
	var wrong []string
	var largest *Entry
	done := 0
	seen := map[int64]*Entry{}
	for _, e := range writes {
		for done < len(byReturn) && byReturn[done].Return < e.Call {
			if largest == nil || byReturn[done].Zxid > largest.Zxid {
				largest = byReturn[done]
			}
			done++
		}
		if largest != nil && e.Zxid <= largest.Zxid {
			wrong = append(wrong, fmt.Sprintf("a later write has a smaller zxid:\n    %s\n    %s", largest, e))
		}
		if other := seen[e.Zxid]; other != nil {
			wrong = append(wrong, fmt.Sprintf("two writes have one zxid:\n    %s\n    %s", other, e))
		}
		seen[e.Zxid] = e
	}
	return wrong
}

// sessionsGoForward: what a session is shown never gets older, whichever member shows it, and includes
// its own writes.
func sessionsGoForward(history []*Entry) []string {
	last := map[string]*Entry{}
	known := map[string]*Entry{}
	var wrong []string
	for _, e := range history {
		if !e.answered() || e.Zxid <= 0 {
			continue
		}
		if before := last[e.Session]; before != nil && e.Zxid < before.Zxid {
			wrong = append(wrong, fmt.Sprintf("a session goes back:\n    %s\n    %s", before, e))
		}
		last[e.Session] = e
		if !e.isRegister() || e.Err != ok {
			continue
		}
		for _, one := range e.single() {
			id := e.Session + " " + one.Key
			if before := known[id]; before != nil && one.shows() > 0 && one.shows() < before.shows() {
				wrong = append(wrong, fmt.Sprintf("a register goes back:\n    %s\n    %s", before, e))
			}
			if one.shows() > 0 {
				known[id] = one
			}
		}
	}
	return wrong
}

// single are a multi's parts, or the operation itself.
func (e *Entry) single() []*Entry {
	if e.Op == "multi" {
		return e.Parts
	}
	return []*Entry{e}
}

// shows is the zxid of the register's state that the answer tells of; 0 when it tells of none.
func (e *Entry) shows() int64 {
	switch e.Op {
	case "read", "sync read", "set":
		return e.Mzxid
	case "create":
		return e.Zxid
	}
	return 0
}

// readsAreOfWrites: what is read was written, and all see the same under one mzxid.
func readsAreOfWrites(history []*Entry) []string {
	written := map[string]bool{}
	for _, e := range history {
		if e.isWrite() {
			for _, one := range e.single() {
				written[one.Key+" "+one.Value] = true
			}
		}
	}
	shown := map[string]*Entry{}
	var wrong []string
	for _, e := range history {
		if !e.answered() || e.Err != ok || !e.isRegister() || (e.Op != "read" && e.Op != "sync read") {
			continue
		}
		if !written[e.Key+" "+e.GotData] {
			wrong = append(wrong, fmt.Sprintf("nobody has written that: %s", e))
		}
		id := fmt.Sprintf("%s %d", e.Key, e.Mzxid)
		other := shown[id]
		if other != nil && (other.GotData != e.GotData || other.GotVer != e.GotVer) {
			wrong = append(wrong, fmt.Sprintf("one transaction, two values:\n    %s\n    %s", other, e))
		}
		shown[id] = e
	}
	return wrong
}

// sequencesGrow: in the order of their transactions, sequential nodes have growing numbers.
func sequencesGrow(history []*Entry) []string {
	var made []*Entry
	for _, e := range history {
		if e.Op == "sequence" && e.answered() && e.Err == ok {
			made = append(made, e)
		}
	}
	sort.Slice(made, func(i, j int) bool { return made[i].Zxid < made[j].Zxid })
	var wrong []string
	before := int64(-1)
	for i, e := range made {
		number, err := strconv.ParseInt(e.Path[strings.LastIndex(e.Path, "-")+1:], 10, 64)
		if err != nil || number <= before {
			wrong = append(wrong, fmt.Sprintf("a number comes again or late:\n    %s\n    %s", made[max(i-1, 0)], e))
		}
		before = number
	}
	return wrong
}

// noViolations: what clients have found themselves.
func noViolations(history []*Entry) []string {
	var wrong []string
	for _, e := range history {
		if e.Op == "violation" {
			wrong = append(wrong, fmt.Sprintf("client %d, %s: %s", e.Client, e.Key, e.What))
		}
	}
	return wrong
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}
