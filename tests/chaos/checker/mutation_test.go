package main

import (
	"fmt"
	"math/rand"
	"testing"
	"time"
)

// A small ensemble that is right, but for one fault. Its clients ask, it does it, they are told, each at a
// moment of its own.
type simulation struct {
	random  *rand.Rand
	now     int64
	zxid    int64
	number  int
	state   pair
	mzxid   [2]int64
	history []*Entry
	// The state before each write, for those who look back.
	old []pair
	// What goes wrong, once.
	fault  string
	broken bool
}

const steps, simulatedClients = 600, 4

func names(at int) string { return "/r0-0-" + string(rune('a'+at)) }

func (s *simulation) value() string {
	s.number++
	return fmt.Sprint(s.number)
}

func (s *simulation) version(at int) int32 {
	if s.random.Intn(3) == 0 {
		return -1
	}
	return s.state[at].version
}

func (s *simulation) write(at int) *Entry {
	op := []string{"set", "set", "set", "create", "delete"}[s.random.Intn(5)]
	e := &Entry{Op: op, Key: names(at)}
	if op != "delete" {
		e.Value = s.value()
	}
	if op != "create" {
		e.Version = s.version(at)
	}
	return e
}

func (s *simulation) ask(client int) *Entry {
	e := s.write(s.random.Intn(2))
	switch s.random.Intn(6) {
	case 0, 1:
		e = &Entry{Op: "sync read", Key: names(s.random.Intn(2))}
	case 2:
		e = &Entry{Op: "multi", Key: "/r0-0", Parts: []*Entry{s.write(0), s.write(1)}}
	case 3:
		e = &Entry{Op: "sequence", Key: "/sequence/n-"}
	}
	e.Client, e.Session = client, fmt.Sprint(client)
	return e
}

// strikes says whether the fault is of that kind and happens now.
func (s *simulation) strikes(kind string) bool {
	if s.fault != kind || s.broken || len(s.history) < steps/8 {
		return false
	}
	s.broken = true
	return true
}

// refusal is the error that the register has for a write.
func (r register) refusal(e *Entry) string {
	for _, err := range []string{noNode, badVersion, nodeExists} {
		if r.refuses(e, err) {
			return err
		}
	}
	return ok
}

func (s *simulation) do(e *Entry) {
	switch e.Op {
	case "multi":
		s.doMulti(e)
	case "sync read":
		s.doRead(e)
	case "sequence":
		s.zxid++
		e.Err, e.Zxid, e.Path = ok, s.zxid, fmt.Sprintf("/sequence/n-%010d", s.zxid)
		if s.strikes("a number comes again") {
			e.Path = fmt.Sprintf("/sequence/n-%010d", s.zxid-1)
			for _, other := range s.history {
				if other.Op == "sequence" && other.Err == ok {
					e.Path = other.Path
				}
			}
		}
	default:
		s.doWrite(e)
	}
}

func (s *simulation) doWrite(e *Entry) {
	_, at := e.pair()
	r := s.state[at]
	s.zxid++
	e.Err, e.Zxid = r.refusal(e), s.zxid
	if e.Err != ok {
		if s.strikes("what was refused is done") {
			s.state[at] = register{true, r.version + 1, e.Value}
		}
		return
	}
	s.old = append(s.old, s.state)
	next := r.apply(e)
	e.GotVer, e.Mzxid = next.version, s.zxid
	if e.Op == "delete" && s.strikes("a deleted node is there") {
		return
	}
	if e.Op == "set" && s.strikes("an acknowledged write is lost") {
		return
	}
	s.state[at], s.mzxid[at] = next, s.zxid
	if e.Op == "set" && s.strikes("a write is done twice") {
		s.state[at].version++
	}
}

func (s *simulation) doMulti(e *Entry) {
	s.zxid++
	e.Err, e.Zxid = ok, s.zxid
	next := s.state
	for _, part := range e.Parts {
		_, at := part.pair()
		part.Err = next[at].refusal(part)
		if e.Err == ok {
			e.Err = part.Err
		} else {
			part.Err = notDone
		}
		if e.Err == ok {
			next[at] = next[at].apply(part)
			part.GotVer, part.Mzxid = next[at].version, s.zxid
		}
	}
	if e.Err != ok && e.Parts[0].Err == ok {
		if s.strikes("half a multi is done") {
			s.state = next
			return
		}
	}
	if e.Err == ok {
		s.old = append(s.old, s.state)
		if s.strikes("half a multi is lost") {
			next[1] = s.state[1]
		}
		s.state, s.mzxid = next, [2]int64{s.zxid, s.zxid}
	}
}

func (s *simulation) doRead(e *Entry) {
	_, at := e.pair()
	r := s.state[at]
	if len(s.old) > 30 && s.strikes("a read behind a sync is old") {
		r = s.old[len(s.old)-30][at]
	}
	e.Err, e.Zxid = ok, s.zxid
	if !r.there {
		e.Err = noNode
		return
	}
	e.GotData, e.GotVer, e.Mzxid = r.value, r.version, 0
}

// run gives a history. Some answers are lost, whether or not it was done.
func run(seed int64, fault string) []*Entry {
	s := &simulation{random: rand.New(rand.NewSource(seed)), fault: fault}
	var asked, done [simulatedClients]*Entry
	for len(s.history) < steps {
		s.now++
		client := s.random.Intn(simulatedClients)
		switch {
		case asked[client] == nil:
			asked[client] = s.ask(client)
			asked[client].Call = s.now
			s.history = append(s.history, asked[client])
		case done[client] == nil && s.random.Intn(100) == 0:
			asked[client] = nil
		case done[client] == nil:
			s.do(asked[client])
			done[client] = asked[client]
		default:
			if s.random.Intn(100) > 0 {
				done[client].Return = s.now
			}
			asked[client], done[client] = nil, nil
		}
	}
	for at := range s.state {
		s.now++
		e := &Entry{Client: lastLook, Session: "last", Op: "sync read", Key: names(at), Call: s.now}
		s.doRead(e)
		e.Return = s.now + 1
		s.history = append(s.history, e)
	}
	return s.history
}

func all(t *testing.T, history []*Entry) int {
	return len(linearizable(history, true, time.Minute, t.TempDir()+"/p")) + len(zxidsFollowTime(history)) +
		len(sequencesGrow(history)) + len(sessionsGoForward(history))
}

const seeds = 25

func TestAnEnsembleThatIsRightHasNoFaults(t *testing.T) {
	for seed := int64(0); seed < seeds; seed++ {
		expect(t, fmt.Sprintf("seed %d", seed), all(t, run(seed, "")), 0)
	}
}

func TestEachFaultIsFound(t *testing.T) {
	for _, fault := range []string{
		"an acknowledged write is lost", "a write is done twice", "a deleted node is there",
		"what was refused is done", "half a multi is done", "half a multi is lost",
		"a read behind a sync is old", "a number comes again",
	} {
		found := 0
		for seed := int64(0); seed < seeds; seed++ {
			if all(t, run(seed, fault)) > 0 {
				found++
			}
		}
		// What nobody looks at before it is overwritten, or what a write without an answer may have done,
		// cannot be seen.
		if found < seeds*3/4 {
			t.Errorf("%s: found in %d of %d histories", fault, found, seeds)
		}
		t.Logf("%s: found in %d of %d histories", fault, found, seeds)
	}
}
