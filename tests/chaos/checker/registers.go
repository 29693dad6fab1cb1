package main

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// register is a node: whether it is there, its version, its data.
type register struct {
	there   bool
	version int32
	value   string
}

func (r register) matches(version int32) bool { return version == -1 || version == r.version }

func (r register) set(value string) register { return register{true, r.version + 1, value} }

// apply is what a write does whose answer nobody knows: its effect when it is possible at all.
func (r register) apply(e *Entry) register {
	switch {
	case e.Op == "create" && !r.there:
		return register{true, 0, e.Value}
	case e.Op == "set" && r.there && r.matches(e.Version):
		return r.set(e.Value)
	case e.Op == "delete" && r.there && r.matches(e.Version):
		return register{}
	}
	return r
}

// could says whether a part can be done, whatever it was told.
func (r register) could(e *Entry) bool {
	switch e.Op {
	case "create":
		return !r.there
	case "set", "delete", "check":
		return r.there && r.matches(e.Version)
	}
	return true
}

// refuses says whether that error is the one that the operation must get.
func (r register) refuses(e *Entry, err string) bool {
	switch err {
	case noNode:
		return !r.there && e.Op != "create"
	case badVersion:
		return r.there && e.Op != "create" && !r.matches(e.Version)
	case nodeExists:
		return r.there && e.Op == "create"
	}
	return false
}

// explains says whether a good answer is possible.
func (r register) explains(e *Entry) bool {
	switch e.Op {
	case "set":
		return r.could(e) && e.GotVer == r.version+1
	case "create", "delete", "check":
		return r.could(e)
	}
	return r.there && e.GotVer == r.version && e.GotData == r.value
}

// pair is the state that one history is about: two registers, which a multi may write together.
type pair [2]register

func (p pair) with(at int, r register) pair {
	p[at] = r
	return p
}

// step says whether the answer is possible in that state, and what the next state is.
func step(state, input, _ interface{}) (bool, interface{}) {
	p, e := state.(pair), input.(*Entry)
	if e.Op == "multi" {
		possible, next := p.multi(e)
		return possible, next
	}
	_, at := e.pair()
	r := p[at]
	switch {
	case !e.answered():
		return true, p.with(at, r.apply(e))
	case e.Err == ok:
		return r.explains(e), p.with(at, r.apply(e))
	}
	return r.refuses(e, e.Err), p
}

// multi does all parts, each on what those before it have left, or none.
func (p pair) multi(e *Entry) (bool, pair) {
	next := p
	for _, part := range e.Parts {
		_, at := part.pair()
		r := next[at]
		switch {
		case !e.answered():
			if !r.could(part) {
				return true, p
			}
		case part.Err == ok:
			// What comes before the part that has failed is told the same, without a version.
			if e.Err == ok && !r.explains(part) || !r.could(part) {
				return false, p
			}
		default:
			return e.Err != ok && part.Err == e.Err && r.refuses(part, part.Err), p
		}
		next[at] = r.apply(part)
	}
	return !e.answered() || e.Err == ok, next
}

var model = porcupine.Model{
	Init: func() interface{} { return pair{} },
	Step: step,
	DescribeOperation: func(input, _ interface{}) string {
		e := input.(*Entry)
		return e.asked() + " -> " + e.told()
	},
	DescribeState: func(state interface{}) string { return fmt.Sprintf("%+v", state) },
}

// belongs says whether an operation is part of a pair's history. Writes always are, but for those
// that were refused without being looked at; reads that a sync goes ahead of, when they are wanted.
func belongs(e *Entry, syncReads bool) bool {
	if !e.isRegister() {
		return false
	}
	if e.answered() {
		switch e.Err {
		case ok, noNode, badVersion, nodeExists:
		default:
			return false
		}
	}
	switch e.Op {
	case "create", "set", "delete", "multi":
		return true
	case "sync read":
		return e.answered() && (syncReads || e.Client >= lastLook)
	}
	return false
}

// linearizable looks whether the operations on each pair can be put into one order that agrees with
// time. It returns what is wrong.
func linearizable(history []*Entry, syncReads bool, timeout time.Duration, picture string) []string {
	registers := map[string][]porcupine.Operation{}
	for _, e := range history {
		if !belongs(e, syncReads) {
			continue
		}
		end := e.Return
		if !e.answered() {
			end = never
		}
		key, _ := e.pair()
		registers[key] = append(registers[key], porcupine.Operation{
			ClientId: e.Client, Input: e, Call: e.Call, Output: e, Return: end,
		})
	}
	var keys []string
	for key := range registers {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	var wrong []string
	for _, key := range keys {
		result, info := porcupine.CheckOperationsVerbose(model, registers[key], timeout)
		switch result {
		case porcupine.Illegal:
			file := picture + strings.ReplaceAll(key, "/", "-") + ".html"
			wrong = append(wrong, fmt.Sprintf("%s: no order of its %d operations explains the answers: %s",
				key, len(registers[key]), draw(info, file)))
		case porcupine.Unknown:
			wrong = append(wrong, fmt.Sprintf("%s: undecided after %s (%d operations)",
				key, timeout, len(registers[key])))
		}
	}
	return wrong
}

func draw(info porcupine.LinearizationInfo, file string) string {
	if err := porcupine.VisualizePath(model, info, file); err != nil {
		return err.Error()
	}
	return file
}
